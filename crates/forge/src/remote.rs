//! Where git reads a repository from and pushes to, and why it cannot.

use truing_core::port::ForgeError;
use truing_git::GitError;

/// The purpose of an address of git.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RemotePurpose {
    /// To fetch from it.
    Fetch,
    /// To push branches to it: where a forge can, with a credential that is good for that alone.
    Push,
}

/// The error of a repository that git cannot reach.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// There is no token for it.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// `git_url` is plain http to another machine.
    #[error(transparent)]
    Git(#[from] GitError),
}
