//! The purpose of a git remote, and the errors of resolving a remote.

use truing_core::port::ForgeError;
use truing_git::GitError;

/// The purpose of a git remote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemotePurpose {
    /// Fetch from the repository.
    Fetch,
    /// Push branches to the repository. If the forge supports such credentials, the credential is valid only
    /// for pushes to this repository.
    Push,
}

/// The reason why git cannot access a repository.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The forge issued no token for the repository.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// `git_url` is a plain http address of another machine.
    #[error(transparent)]
    Git(#[from] GitError),
}
