//! Signs of known tools in a tree: the files in which the reader looks for them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use globset::{GlobSet, GlobSetBuilder};
use truing_core::port::{Reader, ReaderError, UsedTool, UsedToolsRequest};
use truing_diff::RepoPath;
use truing_reader::output::known::{self, Sign, hooks, sign};

/// The folders in which signs of tools are looked for, from the root.
const FOLDERS: &[&str] = &["", ".github", ".github/workflows", ".semgrep"];
/// The most files that may be signs.
const MAX_SIGNS: usize = 5_000;

/// The known tools that a repository uses, with what it says of their runs over these files.
pub(super) async fn used<R: Reader>(
    tree: &Path,
    files: impl Iterator<Item = &RepoPath>,
    reader: &R,
) -> Result<Vec<UsedTool>, ReaderError> {
    let changed = files.filter_map(|path| path.as_str()).map(str::to_owned).collect();
    let folder = tree.to_owned();
    let paths = tokio::task::spawn_blocking(move || paths(&folder)).await;
    let paths = paths.map_err(|stopped| ReaderError::Failed(stopped.to_string()))?;
    reader.used_tools(&UsedToolsRequest { tree: tree.to_owned(), paths, changed }).await
}

/// The paths of plain files that may show which tools are used, in order.
pub(super) fn paths(tree: &Path) -> Vec<String> {
    let mut paths = BTreeSet::new();
    for folder in FOLDERS {
        let entries = std::fs::read_dir(tree.join(folder)).into_iter().flatten().flatten();
        let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        let names = files.filter_map(|entry| entry.file_name().into_string().ok());
        let all = names.map(|name| if folder.is_empty() { name } else { format!("{folder}/{name}") });
        paths.extend(all.filter(|path| may_be_sign(path)).take(MAX_SIGNS));
    }
    paths.into_iter().collect()
}

/// Is it the path of a sign, in a folder that is one, or a file of hooks?
fn may_be_sign(path: &str) -> bool {
    static GLOBS: LazyLock<(GlobSet, Vec<String>)> = LazyLock::new(|| {
        let (mut globs, mut folders) = (GlobSetBuilder::new(), Vec::new());
        let signs = known::all().iter().flat_map(|tool| tool.recognised.iter().chain(&tool.selects));
        for found in signs {
            match found {
                Sign::Folder(folder) => folders.push(format!("{folder}/")),
                Sign::File(glob) | Sign::Within { file: glob, .. } => {
                    if let Some(glob) = sign::compiled(glob) {
                        globs.add(glob.glob().clone());
                    }
                }
            }
        }
        folders.extend(hooks::FILES.iter().map(|file| (*file).to_owned()));
        (globs.build().unwrap_or_default(), folders)
    });
    let (globs, folders) = &*GLOBS;
    globs.is_match(path) || folders.iter().any(|folder| path.starts_with(folder))
}
