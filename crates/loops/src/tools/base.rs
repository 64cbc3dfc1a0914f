//! The base of a change, laid out for linters.

use truing_core::id::Sha;
use truing_core::port::ReaderError;
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
    /// Its files, in a folder that is gone afterwards.
    pub(super) async fn laid_out(self) -> Result<PrivateFolder, ReaderError> {
        let failed = |error: &dyn std::fmt::Display| {
            ReaderError::Failed(format!("the base cannot be laid out for linters: {error}"))
        };
        let folder = PrivateFolder::new().map_err(|error| failed(&error))?;
        let exported = match self {
            Self::Repository(repository, commit) => repository.export(commit, folder.path(), None).await,
            Self::Mirror(mirror, commit) => mirror.export(commit, folder.path(), None).await,
        };
        exported.map_err(|error| failed(&error))?;
        Ok(folder)
    }
}
