//! Git remotes of repositories, and the errors of finding one.

use truing_core::port::ForgeError;
use truing_git::GitError;

/// The purpose of a git remote.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemotePurpose {
    /// Fetch from the repository.
    Fetch,
    /// Push branches to the repository: where the forge supports it, with a credential that is valid for
    /// nothing else.
    Push,
}

/// The error of a repository that git cannot reach.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The forge issued no token for it.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// `git_url` is plain http to another machine.
    #[error(transparent)]
    Git(#[from] GitError),
}
