//! Paths that no agent changes, whatever its profile allows: others run or obey them elsewhere
//! (`crates/core/profiles/never.toml`).

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::Deserialize;
use truing_diff::RepoPath;

/// The number of globs of an entry: for itself, and for what is below it.
const GLOBS: usize = 2;

/// The form of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NeverFile {
    class: Vec<Class>,
}

/// Paths that are not to be changed for one reason.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Class {
    /// What happens with them: follows "it ".
    name: String,
    /// Globs, relative to any folder.
    paths: Vec<String>,
}

/// The shipped list.
#[derive(Clone, Debug)]
pub(super) struct Never {
    /// The class and the path of each entry.
    entries: Vec<(String, String)>,
    /// [`GLOBS`] of each entry.
    set: GlobSet,
}

impl Never {
    pub(super) fn shipped() -> Result<Self, String> {
        let file: NeverFile =
            toml::from_str(include_str!("../../profiles/never.toml")).map_err(|error| error.to_string())?;
        let (mut entries, mut set) = (Vec::new(), GlobSetBuilder::new());
        for Class { name, paths } in file.class {
            for path in paths {
                let globs: [String; GLOBS] = [format!("**/{path}"), format!("**/{path}/**")];
                for glob in globs {
                    let glob = GlobBuilder::new(&glob).literal_separator(true).case_insensitive(true).build();
                    set.add(glob.map_err(|error| error.to_string())?);
                }
                entries.push((name.clone(), path));
            }
        }
        Ok(Self { entries, set: set.build().map_err(|error| error.to_string())? })
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
