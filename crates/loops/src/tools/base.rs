//! Writes files of a change's base commit to folders for linters.

use truing_core::id::Sha;
use truing_diff::RepoPath;
use truing_git::{LocalRepository, Mirror, PrivateFolder};

/// A commit, and the local repository or mirror that contains the commit.
#[derive(Clone, Copy, Debug)]
pub enum BaseCommit<'a> {
    /// A commit in a local repository with a working tree.
    Repository(&'a LocalRepository, &'a Sha),
    /// A commit in the mirror of a repository.
    Mirror(&'a Mirror, &'a Sha),
}

impl BaseCommit<'_> {
    /// Exports the commit's files to a temporary folder. Returns `None` if the export fails; in that case,
    /// every finding on the head counts as new.
    pub(super) async fn export_all(self) -> Option<PrivateFolder> {
        let exported = match self {
            Self::Repository(repository, commit) => repository.export_all(commit).await,
            Self::Mirror(mirror, commit) => mirror.export_all(commit).await,
        };
        let exported = exported.inspect_err(|error| tracing::warn!(%error, "linters cannot check the base"));
        exported.ok().map(|(folder, _)| folder)
    }

    /// Exports the files with these paths to a temporary folder.
    pub(crate) async fn export_files(self, paths: &[RepoPath]) -> Result<PrivateFolder, String> {
        let folder = PrivateFolder::new().map_err(|error| error.to_string())?;
        let exported = match self {
            Self::Repository(repository, commit) => {
                repository.export(commit, folder.path(), Some(paths)).await
            }
            Self::Mirror(mirror, commit) => mirror.export(commit, folder.path(), Some(paths)).await,
        };
        exported.map(|_| folder).map_err(|error| error.to_string())
    }

    /// Returns the content of the file with this path in the commit. `None` if the commit has no regular file
    /// with this path.
    pub(crate) async fn read_file(self, path: &RepoPath) -> Result<Option<Vec<u8>>, String> {
        let read = match self {
            Self::Repository(repository, commit) => repository.read_file(commit, path).await,
            Self::Mirror(mirror, commit) => mirror.read_file(commit, path).await,
        };
        read.map_err(|error| error.to_string())
    }
}
