//! The reasons why a run of a job stops.

use truing_core::id::UnixMillis;
use truing_core::port::{ForgeError, GateHalt, StoreError};
use truing_git::{GitError, PushRefusal};

use super::change::ChangeError;
use super::deterministic_change::DeterministicChangeError;
use super::port::CodeMigrationError;
use super::verify::ProjectCheckError;
use super::{PinnedError, SyncDecisionError, texts};

/// The reason why a run stops. The reason is stored in the run's record. Unlike a
/// [`crate::step_stop_reason::StepStopReason`], this error does not end the step under the lease.
#[derive(Debug, thiserror::Error)]
pub enum SyncRunError {
    /// The store failed. The run writes nothing more.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The forge rejected a request or is unreachable.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// Git failed or could not be run.
    #[error(transparent)]
    Git(#[from] GitError),
    /// No decision could be made about the release.
    #[error(transparent)]
    Sync(#[from] SyncDecisionError),
    /// The project's pins cannot be read.
    #[error(transparent)]
    Pinned(#[from] PinnedError),
    /// The project's own files cannot be read or written.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The change cannot be made.
    #[error(transparent)]
    DeterministicChange(#[from] DeterministicChangeError),
    /// The port cannot be made.
    #[error(transparent)]
    Port(#[from] CodeMigrationError),
    /// The project's checks cannot be run.
    #[error(transparent)]
    Check(#[from] ProjectCheckError),
    /// A temporary folder could not be created.
    #[error("cannot create a folder for the project's files: {0}")]
    TemporaryFolder(std::io::Error),
    /// The branch has changed since the run read it.
    #[error("{branch} was changed by another push meanwhile")]
    BranchMoved { branch: String },
    /// The remote rejected the push to the branch.
    #[error("cannot push {branch} {}: {message}", texts::explain_push_refusal(*.reason))]
    PushRefused {
        branch: String,
        /// The reason for the rejection.
        reason: PushRefusal,
        message: String,
    },
    /// A pull request of another person comes from the job's branch.
    #[error(
        "{url} comes from {branch}, and does not belong to this job: close it, or give the job another \
         `branch`"
    )]
    ForeignWork {
        branch: String,
        /// Address of the pull request.
        url: String,
    },
    /// An earlier write may have succeeded, but the forge may not show it yet.
    #[error(
        "{description}: waiting until the forge shows an earlier write; the next run searches for \
        this write"
    )]
    Settling {
        /// The time by which the forge shows the write if it succeeded.
        until: UnixMillis,
        /// Description of the write.
        description: String,
    },
    /// The repository has no commit.
    #[error("the repository has no default branch with a commit")]
    NoCommits,
    /// The repository is archived and read-only.
    #[error("the repository is archived: nothing can be changed in it")]
    Archived,
    /// The write gate is closed. This run makes no further writes.
    #[error(transparent)]
    Halted(#[from] GateHalt),
}
