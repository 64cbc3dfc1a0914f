//! The reasons why a run of a job goes no further.

use truing_core::id::UnixMillis;
use truing_core::port::{ForgeError, GateHalt, StoreError};
use truing_git::{GitError, PushRefusal};

use super::change::ChangeError;
use super::port::CodeMigrationError;
use super::recipe::RecipeError;
use super::verify::ProjectCheckError;
use super::{PinnedError, SyncDecisionError, words};

/// The reason why a run goes no further. Its record says so: it does not stop what its lease's [`crate::stopped::StepStopReason`] stops.
#[derive(Debug, thiserror::Error)]
pub enum SyncRunError {
    /// Its records. It writes nothing more.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The forge.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// Git.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The package.
    #[error(transparent)]
    Sync(#[from] SyncDecisionError),
    /// What the project pins.
    #[error(transparent)]
    Pinned(#[from] PinnedError),
    /// What the project's own files are.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The change.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The port.
    #[error(transparent)]
    Port(#[from] CodeMigrationError),
    /// The project's checks.
    #[error(transparent)]
    Check(#[from] ProjectCheckError),
    /// A folder.
    #[error("no folder can be made for the project's files: {0}")]
    Folder(std::io::Error),
    /// The branch is not as it was found.
    #[error("{branch} was pushed to by somebody else meanwhile")]
    Moved {
        /// The branch.
        branch: String,
    },
    /// The remote does not take the branch.
    #[error("{branch} cannot be pushed, {}: {message}", words::refusal(*.why))]
    Refused {
        /// The branch.
        branch: String,
        /// Why not.
        why: PushRefusal,
        /// The remote's words.
        message: String,
    },
    /// The branch is somebody's.
    #[error(
        "{url} comes from {branch}, and it is not of this job: close it, or give the job another `branch`"
    )]
    Foreign {
        /// The branch.
        branch: String,
        /// The pull request.
        url: String,
    },
    /// Something was written before, or begun, and the forge may still come to show it.
    #[error("{what}: waiting until the forge shows an earlier write; the next run looks for it")]
    Settling {
        /// The time by which the forge must show it.
        until: UnixMillis,
        /// The write.
        what: String,
    },
    /// The repository has no commit.
    #[error("the repository has no default branch with a commit")]
    Empty,
    /// The repository takes nothing.
    #[error("the repository is archived: nothing can be changed in it")]
    Archived,
    /// The gate is shut. This run makes no further write.
    #[error(transparent)]
    Halted(#[from] GateHalt),
}
