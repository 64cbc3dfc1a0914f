//! Signs of known tools in a tree: the files in which the reader looks for them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use globset::{GlobSet, GlobSetBuilder};
use truing_core::port::{ChangedFile, ReaderError, RepositoryReader, UsedTool, UsedTools, UsedToolsRequest};
use truing_diff::RepoPath;
use truing_reader::output::known::{self, ToolSign, hooks, sign};

/// The folders in which signs of tools are looked for, from the root.
const FOLDERS: &[&str] = &["", ".github", ".github/workflows", ".semgrep"];
/// The most files that may be signs.
const MAX_SIGNS: usize = 5_000;
/// The most folders below the root, of those that hold changed files or lie above them, in which signs are looked for.
const MAX_FOLDERS: usize = 500;
/// The most of them that are reported to have signs; those nearest to the root.
const MAX_BELOW: usize = 20;
/// Folders of what is installed: their files are of others.
const INSTALLED: &[&str] = &["node_modules", "vendor", "venv"];

/// The known tools that a repository uses, with what it says of their runs over these files.
pub(super) async fn used(
    tree: &Path,
    files: impl Iterator<Item = &RepoPath>,
    reader: &dyn RepositoryReader,
) -> Result<UsedTools, ReaderError> {
    let changed = files.filter_map(|path| path.as_str()).map(str::to_owned).collect();
    let folder = tree.to_owned();
    let paths = tokio::task::spawn_blocking(move || paths(&folder)).await;
    let paths = paths.map_err(|stopped| ReaderError::Failed(stopped.to_string()))?;
    reader.used_tools(&UsedToolsRequest { tree: tree.to_owned(), paths, changed }).await
}

/// The known tools that folders below the root use, of those that hold changed files or lie above them; each folder with its
/// tools, whose signs and options are as seen from it.
pub(super) async fn used_below(
    tree: &Path,
    files: &[ChangedFile],
    reader: &dyn RepositoryReader,
) -> Result<Vec<(String, Vec<UsedTool>)>, ReaderError> {
    let names: Vec<String> = files.iter().filter_map(|file| file.path.as_str()).map(str::to_owned).collect();
    let (root, all) = (tree.to_owned(), names.clone());
    let found = tokio::task::spawn_blocking(move || below(&root, &all)).await;
    let found = found.map_err(|stopped| ReaderError::Failed(stopped.to_string()))?;
    let mut used = Vec::new();
    for (folder, paths) in found {
        let inside = |name: &String| name.strip_prefix(&folder)?.strip_prefix('/').map(str::to_owned);
        let changed = names.iter().filter_map(inside).collect();
        let tools =
            reader.used_tools(&UsedToolsRequest { tree: tree.join(&folder), paths, changed }).await?.tools;
        if !tools.is_empty() {
            used.push((folder, tools));
        }
    }
    Ok(used)
}

/// The folders below the root that hold files that may be signs, with these.
pub(super) fn below(tree: &Path, names: &[String]) -> Vec<(String, Vec<String>)> {
    let is_own =
        |folder: &&str| folder.split('/').all(|part| !part.starts_with('.') && !INSTALLED.contains(&part));
    let above = |name: &String| -> Vec<(usize, String)> {
        let ends = name.match_indices('/').enumerate();
        let folders = ends.filter_map(|(depth, (end, _))| Some((depth, name.get(..end)?)));
        folders
            .filter(|(_, folder)| is_own(folder))
            .map(|(depth, folder)| (depth, folder.to_owned()))
            .collect()
    };
    let folders: BTreeSet<(usize, String)> = names.iter().flat_map(above).collect();
    let Ok(root) = tree.canonicalize() else { return Vec::new() };
    let signs = folders.into_iter().take(MAX_FOLDERS).filter_map(|(_, folder)| {
        let place = root.join(&folder);
        // No link leads out of the tree, or to another part of it.
        let is_plain = place.canonicalize().is_ok_and(|found| found == place);
        let mut signs = if is_plain { signs_in(&place, "") } else { BTreeSet::new() };
        signs.retain(|name| !hooks::FILES.contains(&name.as_str()));
        (!signs.is_empty()).then(|| (folder, signs.into_iter().collect()))
    });
    signs.take(MAX_BELOW).collect()
}

/// The paths of plain files that may show which tools are used, in order.
pub(super) fn paths(tree: &Path) -> Vec<String> {
    let mut paths = BTreeSet::new();
    for folder in FOLDERS {
        paths.extend(signs_in(&tree.join(folder), folder));
    }
    paths.into_iter().collect()
}

/// Those in one folder, of this path.
fn signs_in(place: &Path, folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(place).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let names = files.filter_map(|entry| entry.file_name().into_string().ok());
    let all = names.map(|name| if folder.is_empty() { name } else { format!("{folder}/{name}") });
    all.filter(|path| may_be_sign(path)).take(MAX_SIGNS).collect()
}

/// Is it the path of a sign, in a folder that is one, or a file of hooks?
fn may_be_sign(path: &str) -> bool {
    static GLOBS: LazyLock<(GlobSet, Vec<String>)> = LazyLock::new(|| {
        let (mut globs, mut folders) = (GlobSetBuilder::new(), Vec::new());
        let signs = known::all().iter().flat_map(|tool| tool.recognised.iter().chain(&tool.selects));
        for found in signs {
            match found {
                ToolSign::Folder(folder) => folders.push(format!("{folder}/")),
                ToolSign::File(glob) | ToolSign::Within { file: glob, .. } => {
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
