//! The base of a change, laid out for linters.

use truing_core::id::Sha;
use truing_git::{Mirror, PrivateFolder, Repository};

/// A commit, and the repository that has it.
#[derive(Clone, Copy, Debug)]
pub enum Base<'a> {
    /// A working tree's repository.
    Repository(&'a Repository, &'a Sha),
    /// A mirror.
    Mirror(&'a Mirror, &'a Sha),
}

impl Base<'_> {
    /// Its files, in a folder that is gone afterwards. None, if it cannot be laid out: then nothing is known to be old.
    pub(super) async fn laid_out(self) -> Option<PrivateFolder> {
        let folder = PrivateFolder::new();
        let folder =
            folder.inspect_err(|error| tracing::warn!(%error, "linters cannot look at the base")).ok()?;
        let exported = match self {
            Self::Repository(repository, commit) => repository.export(commit, folder.path(), None).await,
            Self::Mirror(mirror, commit) => mirror.export(commit, folder.path(), None).await,
        };
        exported.inspect_err(|error| tracing::warn!(%error, "linters cannot look at the base")).ok()?;
        Some(folder)
    }
}
