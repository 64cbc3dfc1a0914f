//! The base of a change, laid out for linters.

use truing_core::id::Sha;
use truing_diff::RepoPath;
use truing_git::{LocalRepository, Mirror, PrivateFolder};

/// A commit, and the repository that has it.
#[derive(Clone, Copy, Debug)]
pub enum BaseCommit<'a> {
    /// A working tree's repository.
    Repository(&'a LocalRepository, &'a Sha),
    /// A mirror.
    Mirror(&'a Mirror, &'a Sha),
}

impl BaseCommit<'_> {
    /// Its files, in a folder that is gone afterwards. None, if it cannot be laid out: then nothing is known to be old.
    pub(super) async fn laid_out(self) -> Option<PrivateFolder> {
        let exported = match self {
            Self::Repository(repository, commit) => repository.export_all(commit).await,
            Self::Mirror(mirror, commit) => mirror.export_all(commit).await,
        };
        let exported =
            exported.inspect_err(|error| tracing::warn!(%error, "linters cannot look at the base"));
        exported.ok().map(|(folder, _)| folder)
    }

    /// Those of its files that have these paths, in a folder that is gone afterwards.
    pub(super) async fn some(self, paths: &[RepoPath]) -> Result<PrivateFolder, String> {
        let folder = PrivateFolder::new().map_err(|error| error.to_string())?;
        let exported = match self {
            Self::Repository(repository, commit) => {
                repository.export(commit, folder.path(), Some(paths)).await
            }
            Self::Mirror(mirror, commit) => mirror.export(commit, folder.path(), Some(paths)).await,
        };
        exported.map(|_| folder).map_err(|error| error.to_string())
    }

    /// The content of its file of this path; none, if it has no plain one.
    pub(super) async fn read(self, path: &RepoPath) -> Result<Option<Vec<u8>>, String> {
        let read = match self {
            Self::Repository(repository, commit) => repository.read(commit, path).await,
            Self::Mirror(mirror, commit) => mirror.read(commit, path).await,
        };
        read.map_err(|error| error.to_string())
    }
}
