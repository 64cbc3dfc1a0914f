//! The interface to a forge's API that creates commits.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use truing_core::id::Sha;
use truing_core::port::{ForgeError, WritePermit};

/// Creates commits at a forge.
#[async_trait]
pub trait CommitApi: fmt::Debug + Send + Sync {
    /// Creates a commit on the draft's branch, and returns its id. The branch must be at the draft's parent.
    /// The permit is checked before the call.
    ///
    /// # Errors
    /// [`ForgeError::Stale`] if the branch is not at the parent; otherwise the forge's error.
    async fn create_commit(&self, draft: &CommitDraft, permit: &Arc<WritePermit>) -> Result<Sha, ForgeError>;
}

/// A commit in the form that an API requires.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitDraft {
    pub branch: String,
    pub parent: Sha,
    pub message: String,
    /// Path and complete content of each added or modified file.
    pub written_files: Vec<(String, Vec<u8>)>,
    pub deleted_paths: Vec<String>,
}
