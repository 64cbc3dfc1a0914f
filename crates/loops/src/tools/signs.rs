//! Selects files of a repository that may be signs of known tools. The reader then checks these files. A sign
//! is a file or folder that shows that a repository uses a tool.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use globset::{GlobSet, GlobSetBuilder};
use truing_core::port::{
    ChangedFile, DetectedTool, DetectedTools, ReaderError, RepositoryReader, ToolDetectionRequest,
};
use truing_diff::RepoPath;
use truing_reader::output::known::{self, ToolSign, commands, hooks, sign};

/// The folders that are searched for signs of tools, relative to the root.
const SIGN_FOLDERS: &[&str] = &["", ".circleci", ".github", ".github/workflows", ".husky", ".semgrep"];
/// Maximum number of possible signs in one folder.
const MAX_SIGNS_PER_FOLDER: usize = 5_000;
/// Maximum number of folders below the root that are searched for signs. Each of these folders contains
/// changed files, directly or in a subfolder.
const MAX_SEARCHED_SUBFOLDERS: usize = 500;
/// Maximum number of folders with signs below the root that are returned. If there are more, the folders
/// nearest to the root are returned.
const MAX_SUBFOLDERS_WITH_SIGNS: usize = 20;
/// Folders in which package managers install packages. Files in these folders do not belong to the project.
const PACKAGE_FOLDERS: &[&str] = &["node_modules", "vendor", "venv"];

/// Returns the known tools that a repository uses, with the settings for running them on the changed files.
pub(super) async fn used_tools(
    tree: &Path,
    files: impl Iterator<Item = &RepoPath>,
    reader: &dyn RepositoryReader,
) -> Result<DetectedTools, ReaderError> {
    let changed = files.filter_map(|path| path.as_str()).map(str::to_owned).collect();
    let folder = tree.to_owned();
    let paths = tokio::task::spawn_blocking(move || possible_sign_paths(&folder)).await;
    let paths = paths.map_err(|stopped| ReaderError::Failed(stopped.to_string()))?;
    reader.detect_tools(&ToolDetectionRequest { tree: tree.to_owned(), paths, changed_paths: changed }).await
}

/// Returns the known tools that folders below the root use, grouped by folder. Only folders above changed
/// files are searched. The paths in a tool's sign and options are relative to the folder that uses the tool.
pub(super) async fn used_tools_in_subfolders(
    tree: &Path,
    files: &[ChangedFile],
    reader: &dyn RepositoryReader,
) -> Result<Vec<(String, Vec<DetectedTool>)>, ReaderError> {
    let names: Vec<String> = files.iter().filter_map(|file| file.path.as_str()).map(str::to_owned).collect();
    let (root, all) = (tree.to_owned(), names.clone());
    let found = tokio::task::spawn_blocking(move || folders_with_signs(&root, &all)).await;
    let found = found.map_err(|stopped| ReaderError::Failed(stopped.to_string()))?;
    let mut used = Vec::new();
    for (folder, paths) in found {
        let inside = |name: &String| name.strip_prefix(&folder)?.strip_prefix('/').map(str::to_owned);
        let changed = names.iter().filter_map(inside).collect();
        let tools = reader
            .detect_tools(&ToolDetectionRequest { tree: tree.join(&folder), paths, changed_paths: changed })
            .await?
            .tools;
        if !tools.is_empty() {
            used.push((folder, tools));
        }
    }
    Ok(used)
}

/// Returns the folders below the root that contain possible signs, with the paths of these signs.
pub(super) fn folders_with_signs(tree: &Path, file_paths: &[String]) -> Vec<(String, Vec<String>)> {
    let is_own = |folder: &&str| {
        folder.split('/').all(|part| !part.starts_with('.') && !PACKAGE_FOLDERS.contains(&part))
    };
    let above = |name: &String| -> Vec<(usize, String)> {
        let ends = name.match_indices('/').enumerate();
        let folders = ends.filter_map(|(depth, (end, _))| Some((depth, name.get(..end)?)));
        folders
            .filter(|(_, folder)| is_own(folder))
            .map(|(depth, folder)| (depth, folder.to_owned()))
            .collect()
    };
    let folders: BTreeSet<(usize, String)> = file_paths.iter().flat_map(above).collect();
    let Ok(root) = tree.canonicalize() else { return Vec::new() };
    let signs = folders.into_iter().take(MAX_SEARCHED_SUBFOLDERS).filter_map(|(_, folder)| {
        let place = root.join(&folder);
        // A folder is skipped if its path contains a symbolic link, because the link may lead out of the tree
        // or to another folder.
        let is_plain = place.canonicalize().is_ok_and(|found| found == place);
        let mut signs = if is_plain { possible_signs_in(&place, "") } else { BTreeSet::new() };
        signs.retain(|name| !hooks::PRE_COMMIT_CONFIG_FILES.contains(&name.as_str()));
        (!signs.is_empty()).then(|| (folder, signs.into_iter().collect()))
    });
    signs.take(MAX_SUBFOLDERS_WITH_SIGNS).collect()
}

/// Returns the sorted paths of regular files that may be signs of tools.
pub(super) fn possible_sign_paths(tree: &Path) -> Vec<String> {
    let mut paths = BTreeSet::new();
    for folder in SIGN_FOLDERS {
        paths.extend(possible_signs_in(&tree.join(folder), folder));
    }
    paths.into_iter().collect()
}

/// Returns the paths of the possible signs in one folder.
fn possible_signs_in(root: &Path, folder: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
    let files = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let names = files.filter_map(|entry| entry.file_name().into_string().ok());
    let all = names.map(|name| if folder.is_empty() { name } else { format!("{folder}/{name}") });
    all.filter(|path| may_be_sign(path)).take(MAX_SIGNS_PER_FOLDER).collect()
}

/// True if the path may be a sign of a tool, is in a folder that is a sign, or is a file that runs commands
/// or hooks.
fn may_be_sign(path: &str) -> bool {
    static SIGN_GLOBS_AND_FOLDERS: LazyLock<(GlobSet, Vec<String>)> = LazyLock::new(|| {
        let (mut globs, mut folders) = (GlobSetBuilder::new(), Vec::new());
        let signs = known::known_tools().iter().flat_map(|tool| tool.recognised.iter().chain(&tool.selects));
        for found in signs {
            match found {
                ToolSign::Folder(folder) => folders.push(format!("{folder}/")),
                ToolSign::File(glob) | ToolSign::FileEntry { file: glob, .. } => {
                    if let Some(glob) = sign::compile_glob(glob) {
                        globs.add(glob.glob().clone());
                    }
                }
            }
        }
        (globs.build().unwrap_or_default(), folders)
    });
    let (globs, folders) = &*SIGN_GLOBS_AND_FOLDERS;
    globs.is_match(path)
        || commands::is_automation_file(path)
        || folders.iter().any(|folder| path.starts_with(folder))
}
