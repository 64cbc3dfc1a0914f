//! Paths that no agent may change, even if its profile permits the change
//! (`crates/core/profiles/never.toml`). Programs outside the sandbox, such as CI systems, run these files or
//! apply the settings in them.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use toml::Spanned;
use truing_diff::RepoPath;

use crate::glob::check_bounds;
use crate::grammar::{PolicyFile, PolicyFileError};

/// Name of the file with the protected paths, relative to a policy's folder.
pub(super) const FILE: &str = "never.toml";

/// Returns the file with the protected paths that Truing ships.
pub(super) fn shipped_file() -> PolicyFile {
    PolicyFile::from_shipped(FILE, include_str!("../../profiles/never.toml"))
}

/// Number of globs for each entry: one for the path itself, and one for everything below the path.
const GLOBS_PER_ENTRY: usize = 2;

/// The format of `never.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtectedPathsFile {
    class: Vec<ProtectedPathClass>,
}

/// Paths that are protected for the same reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtectedPathClass {
    /// Description of the effect of these paths. In error messages, the description follows the word "it".
    name: String,
    /// Globs that are matched in every folder of the tree.
    paths: Vec<Spanned<String>>,
}

/// The list of protected paths.
#[derive(Clone, Debug)]
pub(super) struct ProtectedPaths {
    /// Class and path of each entry.
    entries: Vec<(String, String)>,
    /// Globs of all entries, [`GLOBS_PER_ENTRY`] globs for each entry.
    set: GlobSet,
}

impl ProtectedPaths {
    /// Creates the shipped list, extended by the entries of an operator's file.
    ///
    /// # Errors
    /// The first error of a file.
    pub(super) fn new(operator_file: Option<&PolicyFile>) -> Result<Self, PolicyFileError> {
        let shipped = shipped_file();
        let (mut entries, mut set) = (Vec::new(), GlobSetBuilder::new());
        for file in std::iter::once(&shipped).chain(operator_file) {
            let form: ProtectedPathsFile = file.parse()?;
            for ProtectedPathClass { name, paths } in form.class {
                for path in paths {
                    let globs: [String; GLOBS_PER_ENTRY] =
                        [format!("**/{}", path.get_ref()), format!("**/{}/**", path.get_ref())];
                    for glob in globs {
                        let wrong = |reason: String| {
                            file.error(Some(path.span()), format!("{glob:?} is not a valid glob: {reason}"))
                        };
                        check_bounds(&glob).map_err(wrong)?;
                        let built =
                            GlobBuilder::new(&glob).literal_separator(true).case_insensitive(true).build();
                        set.add(built.map_err(|error| wrong(error.kind().to_string()))?);
                    }
                    entries.push((name.clone(), path.into_inner()));
                }
            }
        }
        let set = set.build().map_err(|error| shipped.error(None, error.to_string()))?;
        Ok(Self { entries, set })
    }

    /// Returns the class and the entry that protect this path. A path is protected in every spelling that a
    /// file system may accept for it.
    pub(super) fn protecting_entry(&self, path: &RepoPath) -> Option<(&str, &str)> {
        let folded = path.case_folded();
        if folded.split('/').any(is_short_name) {
            return Some(("may be the short name of another file", "*~1"));
        }
        let at = self.set.matches(folded).into_iter().min()?;
        self.entries.get(at / GLOBS_PER_ENTRY).map(|(class, entry)| (class.as_str(), entry.as_str()))
    }
}

/// Returns true for a short name such as `HUSKY~1` or `LEFTHO~2.YML`, which Windows may resolve to another
/// name such as `.husky`.
fn is_short_name(name: &str) -> bool {
    let (name, extension) = name.split_once('.').unwrap_or((name, ""));
    let Some((begin, number)) = name.split_once('~') else { return false };
    let digits = (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    digits && (1..=6).contains(&begin.chars().count()) && extension.len() <= 3
}
