//! The purpose of a git remote, and the errors of resolving a remote.

use truing_core::port::ForgeError;
use truing_core::secret::SecretString;
use truing_git::GitError;

/// The way in which commits get to a forge.
#[derive(Clone, Default, Debug)]
pub struct CommitOptions {
    /// True if the forge's API creates commits. Only GitHub has such an API; other forges ignore this value.
    pub uses_api: bool,
    /// Private SSH key, in OpenSSH's format, that signs the commits that are pushed.
    pub signing_key: Option<SecretString>,
}

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
