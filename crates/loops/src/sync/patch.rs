//! Returns the definitions that a release changed, with the diffs of their lines. The reader reports only the
//! first line of a definition. The definition ends at the line where the digest of all lines so far equals
//! the reported digest.

use std::collections::{BTreeMap, BTreeSet};

use sha1::{Digest as _, Sha1};
use truing_core::sync::{
    ReleasePartKind, ReleaseSources, SymbolDefinition, SymbolState, SyncDecision, UnguardedPart,
    UnguardedReason, WHOLE_FILE,
};
use truing_core::version::PackageVersion;

use super::decision_error::SyncDecisionError;
use super::history::ReleaseHistory;
use super::material::read_release_files;

/// Number of context lines around a change.
const CONTEXT_LINES: usize = 3;

/// A definition that changed. Its lines come from the package and are data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DefinitionPatch {
    /// The name of the definition, in the form of the file's path followed by the name.
    pub name: String,
    /// The diff of the definition's lines, as hunks of a unified diff.
    pub hunks: String,
}

/// Two releases of a package, and the content that was read from each.
pub(super) struct ReleasePair<'a> {
    pub(super) history: &'a ReleaseHistory<'a>,
    pub(super) from: &'a PackageVersion,
    pub(super) old_sources: &'a ReleaseSources,
    pub(super) to: &'a PackageVersion,
    pub(super) new_sources: &'a ReleaseSources,
}

impl ReleasePair<'_> {
    /// Returns the changed definitions: first the pinned definitions, then the other definitions.
    pub(super) async fn patches(
        &self,
        decision: &SyncDecision,
    ) -> Result<Vec<DefinitionPatch>, SyncDecisionError> {
        let pinned = decision.pin_changes.iter().map(|change| change.symbol.clone());
        let others: Vec<String> = decision.unguarded_parts.iter().filter_map(unguarded_symbol).collect();
        let found_before = self.history.read_symbol_states(self.from, &others).await?;
        let found_after = self.history.read_symbol_states(self.to, &others).await?;
        let symbols: Vec<String> = pinned.chain(others).collect();
        let definition = |symbol: &String,
                          pinned_states: &BTreeMap<String, SymbolState>,
                          other_states: &BTreeMap<String, SymbolState>| {
            pinned_states
                .get(symbol)
                .or_else(|| other_states.get(symbol))
                .and_then(SymbolState::definition)
                .cloned()
        };
        let pairs: Vec<_> = symbols
            .into_iter()
            .map(|symbol| {
                let old = definition(&symbol, &self.old_sources.symbols, &found_before);
                let new = definition(&symbol, &self.new_sources.symbols, &found_after);
                (symbol, old, new)
            })
            .collect();
        let old_texts =
            self.read_texts(self.from, pairs.iter().filter_map(|(_, old, _)| old.as_ref())).await?;
        let new_texts = self.read_texts(self.to, pairs.iter().filter_map(|(_, _, new)| new.as_ref())).await?;
        let mut patches = Vec::new();
        for (symbol, old, new) in pairs {
            let lines = |at: &Option<SymbolDefinition>, texts: &BTreeMap<String, String>| {
                at.as_ref().and_then(|at| definition_lines(at, texts.get(&at.file)?)).unwrap_or_default()
            };
            let (before, after) = (lines(&old, &old_texts), lines(&new, &new_texts));
            let Some(at) = new.or(old).filter(|_| before != after) else { continue };
            let mut options = diffy::DiffOptions::new();
            let patch = options.set_context_len(CONTEXT_LINES).create_patch(&before, &after).to_string();
            // The diff begins with two lines that contain file names. These two lines are removed, because
            // only a part of a file is compared.
            let Some(start) = patch.find("@@") else { continue };
            let hunks = patch.get(start..).unwrap_or_default().to_owned();
            patches.push(DefinitionPatch { name: format!("{} {symbol}", at.file), hunks });
        }
        Ok(patches)
    }

    /// Reads the texts of the files that contain these definitions.
    async fn read_texts(
        &self,
        version: &PackageVersion,
        definitions: impl Iterator<Item = &SymbolDefinition>,
    ) -> Result<BTreeMap<String, String>, SyncDecisionError> {
        let files: BTreeSet<String> = definitions.map(|at| at.file.clone()).collect();
        if files.is_empty() {
            return Ok(BTreeMap::new());
        }
        let ReleaseHistory { job, sources, .. } = self.history;
        read_release_files(job, *sources, version, &files.into_iter().collect::<Vec<_>>()).await
    }
}

/// Returns the name of a changed function that is not pinned, as a manifest would contain it. Returns `None`
/// for parts that are not functions.
fn unguarded_symbol(part: &UnguardedPart) -> Option<String> {
    let is_function =
        part.kind == ReleasePartKind::Function && part.symbol != WHOLE_FILE && !part.symbol.contains(':');
    if !is_function
        || !matches!(
            part.reason,
            UnguardedReason::Added | UnguardedReason::Changed | UnguardedReason::Removed
        )
    {
        return None;
    }
    let file = part.file.as_deref()?;
    Some(match file.strip_suffix(".py") {
        Some(path) => {
            let path = path.strip_prefix("src/").unwrap_or(path);
            let module = path.strip_suffix("/__init__").unwrap_or(path).replace('/', ".");
            format!("{module}:{}", part.symbol)
        }
        None => format!("{file}:{}", part.symbol),
    })
}

/// Returns the lines of a definition. The function first tries the text with the reader's line ends, and then
/// the unchanged text.
fn definition_lines(definition: &SymbolDefinition, text: &str) -> Option<String> {
    let plain = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    lines_matching_digest(definition, &plain).or_else(|| lines_matching_digest(definition, text))
}

/// Returns the lines that begin at the definition's first line and have the definition's digest; `None` if
/// there are no such lines.
fn lines_matching_digest(definition: &SymbolDefinition, text: &str) -> Option<String> {
    let skipped = usize::try_from(definition.line).ok()?.checked_sub(1)?;
    let mut hash = Sha1::new();
    let mut lines = String::new();
    for line in text.split_inclusive('\n').skip(skipped) {
        hash.update(line.as_bytes());
        lines += line;
        if hex::encode(hash.clone().finalize()) == definition.digests.raw {
            return Some(lines);
        }
    }
    None
}
