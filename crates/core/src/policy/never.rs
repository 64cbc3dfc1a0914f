//! Paths that no agent changes, whatever its profile allows: others run or obey them elsewhere
//! (`crates/core/profiles/never.toml`).

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use toml::Spanned;
use truing_diff::RepoPath;

use crate::glob::is_bounded;
use crate::grammar::{PolicyFile, PolicyFileError};

/// The name of its file below the folder of a policy.
pub(super) const FILE: &str = "never.toml";

/// The list that Truing ships.
pub(super) fn shipped_file() -> PolicyFile {
    PolicyFile::shipped(FILE, include_str!("../../profiles/never.toml"))
}

/// The number of globs of an entry: for itself, and for what is below it.
const GLOBS: usize = 2;

/// The form of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtectedPathsFile {
    class: Vec<PathClass>,
}

/// Paths that are not to be changed for one reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PathClass {
    /// What happens with them: follows "it ".
    name: String,
    /// Globs, relative to any folder.
    paths: Vec<Spanned<String>>,
}

/// The shipped list.
#[derive(Clone, Debug)]
pub(super) struct ProtectedPaths {
    /// The class and the path of each entry.
    entries: Vec<(String, String)>,
    /// [`GLOBS`] of each entry.
    set: GlobSet,
}

impl ProtectedPaths {
    /// The shipped list, and what an operator's file adds to it.
    ///
    /// # Errors
    /// The first error of a file.
    pub(super) fn new(more: Option<&PolicyFile>) -> Result<Self, PolicyFileError> {
        let shipped = shipped_file();
        let (mut entries, mut set) = (Vec::new(), GlobSetBuilder::new());
        for file in std::iter::once(&shipped).chain(more) {
            let form: ProtectedPathsFile = file.parse()?;
            for PathClass { name, paths } in form.class {
                for path in paths {
                    let globs: [String; GLOBS] =
                        [format!("**/{}", path.get_ref()), format!("**/{}/**", path.get_ref())];
                    for glob in globs {
                        let wrong = |what: String| {
                            file.error(Some(path.span()), format!("{glob:?} is no glob: {what}"))
                        };
                        is_bounded(&glob).map_err(wrong)?;
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

    /// Why this path is not to be changed: the class and the entry that it falls under, in whatever way a file system
    /// may read it.
    pub(super) fn forbids(&self, path: &RepoPath) -> Option<(&str, &str)> {
        let folded = path.folded();
        if folded.split('/').any(is_short_name) {
            return Some(("may be the short name of another file", "*~1"));
        }
        let at = self.set.matches(folded).into_iter().min()?;
        self.entries.get(at / GLOBS).map(|(class, entry)| (class.as_str(), entry.as_str()))
    }
}

/// `HUSKY~1` and `LEFTHO~2.YML`: what Windows may take for another name, such as `.husky`.
fn is_short_name(name: &str) -> bool {
    let (name, extension) = name.split_once('.').unwrap_or((name, ""));
    let Some((begin, number)) = name.split_once('~') else { return false };
    let digits = (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    digits && (1..=6).contains(&begin.chars().count()) && extension.len() <= 3
}
