//! Git remotes of repositories, and the errors of resolving a remote.

use truing_core::port::ForgeError;
use truing_git::GitError;

/// The purpose of a git remote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemotePurpose {
    /// Fetch from the repository.
    Fetch,
    /// Push branches to the repository. If the forge supports such credentials, the credential is valid only
    /// for a push to this repository.
    Push,
}

/// The error of a repository that git cannot reach.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The forge issued no token for the repository.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// `git_url` is plain http to another machine.
    #[error(transparent)]
    Git(#[from] GitError),
}
