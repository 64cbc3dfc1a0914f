//! Reads files of a project. A file outside of the project's git work tree is not read, even if a manifest or
//! a symbolic link leads to it. Its content would be shown to the readers of the project.

use std::path::{Path, PathBuf};

use super::error::RequirementError;

/// The largest file, in bytes.
pub(super) const MAX_FILE_BYTES: u64 = 512 << 10;

/// Reads a file that must be in the git work tree of its own folder.
///
/// # Errors
/// [`RequirementError::Unreadable`]
pub(crate) fn read_file(path: &Path) -> Result<String, RequirementError> {
    read_file_below(&work_tree_root(path), path)
        .map_err(|reason| RequirementError::Unreadable { path: path.to_owned(), reason })
}

/// Returns the folder of a file, and its parents up to the root of the git work tree. Returns only the folder
/// if there is no work tree.
pub(super) fn work_tree_folders(file: &Path) -> Vec<PathBuf> {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().unwrap_or(&file);
    let depth = folder.ancestors().position(|folder| folder.join(".git").exists()).unwrap_or(0);
    folder.ancestors().take(depth + 1).map(Path::to_owned).collect()
}

/// Returns the root of a file's git work tree, or the file's folder if there is no work tree.
pub(super) fn work_tree_root(file: &Path) -> PathBuf {
    work_tree_folders(file).pop().unwrap_or_default()
}

/// Reads a file below a folder. All links are followed before the places are compared.
///
/// # Errors
/// The reason why the file is not read.
pub(super) fn read_file_below(root: &Path, path: &Path) -> Result<String, String> {
    let path = path.canonicalize().map_err(|error| error.to_string())?;
    let root = root.canonicalize().map_err(|error| error.to_string())?;
    if !path.starts_with(root) {
        return Err("it is outside of the repository".to_owned());
    }
    let found = std::fs::metadata(&path).map_err(|error| error.to_string())?;
    // Only regular files are read, because reading a pipe may never end.
    if !found.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    if found.len() > MAX_FILE_BYTES {
        return Err(format!("it is longer than {} KiB", MAX_FILE_BYTES >> 10));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}
