//! Stores a linter's findings with a digest of all their inputs, so that later runs can reuse the findings
//! (docs/adr/0097).

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use truing_agent::verify::CommandOutput;
use truing_core::finding::RawFinding;
use truing_reader::output::known::KnownTool;

use super::cache::{ToolCache, ToolCacheKey};
use super::linter_tree::{DigestBuilder, LinterTree, StateDigest};
use super::select::SelectedLinter;

/// Version of the cached findings' format. The version is raised when Truing begins to parse the same linter
/// output differently.
const CACHE_FORMAT_VERSION: &str = "3";
/// Maximum number of bytes of text in the cached findings that one run uses. If the findings of some files
/// exceed this limit, the linter inspects these files again.
const MAX_FINDINGS_BYTES: usize = 32 << 20;

/// The program files that ran, by the name of the linter.
pub(crate) type ProgramsByLinter = BTreeMap<String, BTreeSet<ProgramIdentity>>;

/// The identity of a program's file. If the file is replaced, the identity changes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ProgramIdentity {
    file: PathBuf,
    size: u64,
    modified: Option<SystemTime>,
    /// Inode number of the file.
    inode: u64,
}

impl ProgramIdentity {
    /// Returns the identity of the program at this path. If the path is a symbolic link, the identity is that
    /// of the link's target.
    pub(super) fn from_path(file: &Path) -> Option<Self> {
        let file = file.canonicalize().ok()?;
        let found = file.metadata().ok()?;
        let (bytes, modified, number) = (found.len(), found.modified().ok(), found.ino());
        Some(Self { file, size: bytes, modified, inode: number })
    }

    /// Adds the path, size and modification time of the program's file to a digest. These values differ
    /// between programs, and they change if the program's file is replaced.
    pub(super) fn add_to(&self, digest: &mut DigestBuilder) {
        let at = self.modified.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        digest.add(self.file.as_os_str().as_encoded_bytes()).add(&self.size.to_le_bytes());
        digest.add(&at.unwrap_or_default().as_nanos().to_le_bytes());
    }
}

/// All inputs that determine a linter's findings, except the inspected file itself.
#[derive(Clone, Debug)]
pub(super) struct LinterFindingCache {
    cache: ToolCache,
    tree: PathBuf,
    known_tool: &'static KnownTool,
    options: Vec<String>,
    /// The linter's working folder, relative to the tree.
    folder: String,
    program: ProgramIdentity,
    /// A digest of the inputs that do not depend on the inspected file.
    common_state: StateDigest,
    /// The cache scopes. Findings that are cached in any of these scopes may be used. New findings are stored
    /// in the first scope.
    scopes: Vec<String>,
}

/// The cached findings that a run uses, and the state of each file of the run.
#[derive(Debug, Default)]
pub(super) struct CachedFindings {
    /// Files for which all findings are cached.
    pub(super) cached_files: BTreeSet<String>,
    /// The findings of these files.
    pub(super) findings: Vec<RawFinding>,
    states: BTreeMap<String, StateDigest>,
}

impl CachedFindings {
    /// Returns the states of these files. Files whose state could not be determined are left out.
    pub(super) fn states_for(&self, file_names: &[&str]) -> BTreeMap<String, StateDigest> {
        let state = |name: &&str| Some(((*name).to_owned(), *self.states.get(*name)?));
        file_names.iter().filter_map(state).collect()
    }
}

impl LinterFindingCache {
    /// Creates the context of a linter that inspects each file separately. The context includes the linter's
    /// settings, its program file and the version that the program prints.
    pub(super) fn new(
        cache: ToolCache,
        linter: &SelectedLinter,
        known_tool: &'static KnownTool,
        program: ProgramIdentity,
        version: &CommandOutput,
        tree: &Path,
        scopes: Vec<String>,
    ) -> Self {
        let mut parts = DigestBuilder::default();
        for part in [
            CACHE_FORMAT_VERSION,
            env!("CARGO_PKG_VERSION"),
            &linter.name,
            &linter.output_format,
            &linter.sign_path,
            &linter.folder,
        ] {
            parts.add(part.as_bytes());
        }
        for words in [&linter.arguments, &linter.hook_options] {
            parts.add(&(words.len() as u64).to_le_bytes());
            for word in words {
                parts.add(word.as_bytes());
            }
        }
        program.add_to(&mut parts);
        parts.add(version.stdout.as_bytes()).add(version.stderr.as_bytes());
        let (all, options, folder) = (parts.into_state(), linter.hook_options.clone(), linter.folder.clone());
        Self { cache, tree: tree.to_owned(), known_tool, options, folder, program, common_state: all, scopes }
    }

    /// Returns the cached findings for these files in their current states.
    pub(super) async fn load_findings(&self, file_names: &[&str]) -> CachedFindings {
        let names: Vec<String> = file_names.iter().map(|name| (*name).to_owned()).collect();
        let context = self.clone();
        tokio::task::spawn_blocking(move || context.load_findings_blocking(names)).await.unwrap_or_default()
    }

    fn load_findings_blocking(&self, file_names: Vec<String>) -> CachedFindings {
        let (mut recalled, mut bytes) = (CachedFindings::default(), 0);
        let states = self.file_states(file_names.iter().map(String::as_str));
        for (name, state) in &states {
            let mut keys = self.scopes.iter().map(|scope| self.cache_key(scope, name, state));
            let Some(findings) = keys.find_map(|key| self.cache.get(&key, name)) else {
                continue;
            };
            bytes += findings.iter().map(text_bytes).sum::<usize>();
            if bytes > MAX_FINDINGS_BYTES {
                break;
            }
            recalled.cached_files.insert(name.clone());
            recalled.findings.extend(findings);
        }
        CachedFindings { states, ..recalled }
    }

    /// Caches the findings of each file that is in the same state as before the run. Caches nothing if the
    /// linter's program has changed.
    pub(super) async fn store_findings(
        self,
        states: BTreeMap<String, StateDigest>,
        findings: Vec<RawFinding>,
    ) {
        // If the findings cannot be stored, the next run inspects the files again.
        let _ = tokio::task::spawn_blocking(move || self.store_findings_blocking(&states, findings)).await;
    }

    fn store_findings_blocking(
        &self,
        previous_states: &BTreeMap<String, StateDigest>,
        findings: Vec<RawFinding>,
    ) {
        let Some(scope) = self
            .scopes
            .first()
            .filter(|_| ProgramIdentity::from_path(&self.program.file).as_ref() == Some(&self.program))
        else {
            return;
        };
        let mut by_file: BTreeMap<String, Vec<RawFinding>> = BTreeMap::new();
        for raw in findings {
            if let Some(path) = raw.location.path.as_str() {
                by_file.entry(path.to_owned()).or_default().push(raw);
            }
        }
        for (name, state) in self.file_states(previous_states.keys().map(String::as_str)) {
            if previous_states.get(&name) == Some(&state) {
                let findings = by_file.remove(&name).unwrap_or_default();
                self.cache.store(&self.cache_key(scope, &name, &state), &name, findings);
            }
        }
        self.cache.remove_expired();
    }

    /// Returns the states of files. Files whose state cannot be determined are left out.
    fn file_states<'a>(&self, file_names: impl Iterator<Item = &'a str>) -> BTreeMap<String, StateDigest> {
        let Some(mut alone) = LinterTree::new(&self.tree, self.known_tool, &self.options, &self.folder)
        else {
            return BTreeMap::new();
        };
        file_names.filter_map(|name| Some((name.to_owned(), alone.file_state(name)?))).collect()
    }

    fn cache_key(&self, scope: &str, file_name: &str, state: &StateDigest) -> ToolCacheKey {
        let mut parts = DigestBuilder::default();
        parts.add(&self.common_state).add(scope.as_bytes()).add(file_name.as_bytes()).add(state);
        ToolCacheKey::from_digest(&parts.into_state())
    }
}

fn text_bytes(raw: &RawFinding) -> usize {
    let suggestion = raw.suggestion.as_ref().map_or(0, |suggestion| suggestion.replacement.len());
    raw.rule.len() + raw.title.len() + raw.body.len() + raw.snippet.len() + suggestion
}
