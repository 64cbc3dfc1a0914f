//! Files of a change: reading what differs in a folder where commands of others have run, and writing that into a clone in
//! which none has. No link is followed: they may have left some.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use tokio::task::spawn_blocking;
use truing_agent::tree::{ReplaceError, WritableTree};
use truing_core::RepoPath;
use truing_git::PathStatus;

/// Paths that an error names.
const NAMED: usize = 10;
/// Why a file that is there cannot be read.
const TOO_LONG: &str = "it is gone, or longer than 5 MiB";

/// A file that differs: what it holds, or that it is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FileContentChange {
    pub(crate) path: RepoPath,
    pub(crate) content: Option<Vec<u8>>,
}

/// A file that cannot be taken over.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct RejectedFile {
    /// Which.
    pub path: RepoPath,
    /// Why not.
    pub why: ReplaceError,
}

impl RejectedFile {
    /// The folder itself.
    pub(crate) fn of(folder: &Path, error: io::Error) -> Self {
        Self { path: RepoPath::from_bytes(folder.as_os_str().as_bytes()), why: error.into() }
    }
}

/// The content of files as they are in a folder.
pub(crate) async fn taken(
    folder: &Path,
    paths: Vec<(RepoPath, PathStatus)>,
) -> Result<Vec<FileContentChange>, RejectedFile> {
    blocking(folder, move |folder| {
        let tree = open(folder)?;
        let one = |(path, edited): (RepoPath, PathStatus)| match edited {
            PathStatus::Deleted => Ok(FileContentChange { path, content: None }),
            PathStatus::Added | PathStatus::Modified => match tree.read(&path) {
                Ok(content) => Ok(FileContentChange { path, content: Some(content) }),
                // It is there, so this is not about what it held before.
                Err(ReplaceError::Changed) => {
                    Err(RejectedFile { path, why: ReplaceError::Io(io::Error::other(TOO_LONG)) })
                }
                Err(why) => Err(RejectedFile { path, why }),
            },
        };
        paths.into_iter().map(one).collect()
    })
    .await
}

/// Makes the changes in a clone that no command has run in.
pub(crate) async fn put(folder: &Path, changes: &[FileContentChange]) -> Result<(), RejectedFile> {
    let changes = changes.to_vec();
    blocking(folder, move |folder| {
        for FileContentChange { path, .. } in changes.iter().filter(|change| change.content.is_none()) {
            // A file of the commit that the clone is of: the folders above it are folders.
            let removed = std::fs::remove_file(folder.join(OsStr::from_bytes(path.as_bytes())));
            removed.map_err(|error| RejectedFile { path: path.clone(), why: error.into() })?;
        }
        let tree = open(folder)?;
        for FileContentChange { path, content } in &changes {
            let Some(new) = content else { continue };
            let written = match tree.read(path) {
                Ok(old) => tree.replace(path, &old, new).map(drop),
                Err(ReplaceError::Changed) => tree.create(path, new),
                Err(why) => Err(why),
            };
            written.map_err(|why| RejectedFile { path: path.clone(), why })?;
        }
        Ok(())
    })
    .await
}

/// The first of these paths, and how many more there are.
pub(crate) fn named(paths: &[&RepoPath]) -> String {
    let named = paths.iter().take(NAMED).map(|path| path.to_string()).collect::<Vec<_>>().join(", ");
    match paths.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

fn open(folder: &Path) -> Result<WritableTree, RejectedFile> {
    WritableTree::open(folder).map_err(|error| RejectedFile::of(folder, io::Error::other(error)))
}

/// Work on files, where it holds nobody else up.
async fn blocking<T: Send + 'static>(
    folder: &Path,
    work: impl FnOnce(&Path) -> Result<T, RejectedFile> + Send + 'static,
) -> Result<T, RejectedFile> {
    let at = folder.to_owned();
    spawn_blocking(move || work(&at)).await.map_err(|error| RejectedFile::of(folder, error.into()))?
}
