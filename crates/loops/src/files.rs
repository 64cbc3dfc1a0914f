//! Reads changed files from a folder in which untrusted commands have run. Writes these files into a clone in
//! which no such command has run. Symbolic links are not followed, because the commands may have created
//! them.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use tokio::task::spawn_blocking;
use truing_agent::tree::{ReplaceError, WritableTree};
use truing_core::RepoPath;
use truing_git::PathStatus;

/// Maximum number of paths that an error names.
const MAX_NAMED_PATHS: usize = 10;
/// The reason that is shown if a changed file cannot be read.
const UNREADABLE_FILE_REASON: &str = "the file no longer exists, or is larger than 5 MiB";

/// A changed file with its new content; the content is `None` if the file is deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileContentChange {
    pub(crate) path: RepoPath,
    pub(crate) content: Option<Vec<u8>>,
}

/// A file of the untrusted folder that cannot be copied to the clone.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct RejectedFile {
    pub path: RepoPath,
    /// The reason for the rejection.
    pub reason: ReplaceError,
}

impl RejectedFile {
    /// Creates the error for a folder that cannot be used.
    pub(crate) fn from_folder_error(folder: &Path, error: io::Error) -> Self {
        Self { path: RepoPath::from_bytes(folder.as_os_str().as_bytes()), reason: error.into() }
    }
}

/// Reads the content of files in a folder.
pub(crate) async fn read_changes(
    folder: &Path,
    paths: Vec<(RepoPath, PathStatus)>,
) -> Result<Vec<FileContentChange>, RejectedFile> {
    run_blocking(folder, move |folder| {
        let tree = open_tree(folder)?;
        let one = |(path, edited): (RepoPath, PathStatus)| match edited {
            PathStatus::Deleted => Ok(FileContentChange { path, content: None }),
            PathStatus::Added | PathStatus::Modified => match tree.read(&path) {
                Ok(content) => Ok(FileContentChange { path, content: Some(content) }),
                // `read` returns this error if the file is missing or too long.
                Err(ReplaceError::ContentChanged) => Err(RejectedFile {
                    path,
                    reason: ReplaceError::Io(io::Error::other(UNREADABLE_FILE_REASON)),
                }),
                Err(reason) => Err(RejectedFile { path, reason }),
            },
        };
        paths.into_iter().map(one).collect()
    })
    .await
}

/// Makes the changes in a clone in which no untrusted command has run.
pub(crate) async fn write_changes(folder: &Path, changes: &[FileContentChange]) -> Result<(), RejectedFile> {
    let changes = changes.to_vec();
    run_blocking(folder, move |folder| {
        for FileContentChange { path, .. } in changes.iter().filter(|change| change.content.is_none()) {
            // The clone's commit contains the file, so all of its parents are folders.
            let removed = std::fs::remove_file(folder.join(OsStr::from_bytes(path.as_bytes())));
            removed.map_err(|error| RejectedFile { path: path.clone(), reason: error.into() })?;
        }
        let tree = open_tree(folder)?;
        for FileContentChange { path, content } in &changes {
            let Some(new) = content else { continue };
            let written = match tree.read(path) {
                Ok(old) => tree.replace(path, &old, new).map(drop),
                Err(ReplaceError::ContentChanged) => tree.create(path, new),
                Err(reason) => Err(reason),
            };
            written.map_err(|reason| RejectedFile { path: path.clone(), reason })?;
        }
        Ok(())
    })
    .await
}

/// Lists the first paths, and the number of the remaining paths.
pub(crate) fn summarise_paths(paths: &[&RepoPath]) -> String {
    let named =
        paths.iter().take(MAX_NAMED_PATHS).map(|path| path.to_string()).collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(MAX_NAMED_PATHS) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn open_tree(folder: &Path) -> Result<WritableTree, RejectedFile> {
    WritableTree::open(folder)
        .map_err(|error| RejectedFile::from_folder_error(folder, io::Error::other(error)))
}

/// Runs file operations on a thread where they block no other task.
async fn run_blocking<T: Send + 'static>(
    folder: &Path,
    work: impl FnOnce(&Path) -> Result<T, RejectedFile> + Send + 'static,
) -> Result<T, RejectedFile> {
    let at = folder.to_owned();
    spawn_blocking(move || work(&at))
        .await
        .map_err(|error| RejectedFile::from_folder_error(folder, error.into()))?
}
