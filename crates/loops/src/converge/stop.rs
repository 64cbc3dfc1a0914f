//! The reasons why an act of a run fails. Each reason determines if the act is retried or the run ends.

use std::io;

use truing_agent::fixer::FixerError;
use truing_agent::prompt::PromptError;
use truing_agent::verify::VerifyError;
use truing_core::converge::{ConvergeExit, ConvergeExitCode};
use truing_core::id::{FencingToken, Sha, UnixMillis};
use truing_core::port::{GateHalt, HaltReason, ReaderError, StoreError};
use truing_core::slot::WaitReason;
use truing_git::GitError;

use super::ConvergeRunner;
use super::gate::GateError;
use crate::files::RejectedFile;
use crate::reading::ReadingError;

/// The advice for the user after the kill switch has stopped a run.
const RESUME_ADVICE: &str =
    "run the command again when the kill switch is off; the run resumes where it stopped";

/// The reason why an act failed. Depending on the reason, the run waits, retries the act, or ends. The record
/// of the run shows which of the three happened. A lease's [`crate::step_stop_reason::StepStopReason`] is
/// derived from the run's record.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// An auditor gave no valid answer.
    #[error("{0}")]
    NoAnswer(String),
    /// The budget is used up.
    #[error("{0}")]
    BudgetExhausted(String),
    /// The write gate is closed. This run makes no further writes.
    #[error("{0}: {RESUME_ADVICE}")]
    Halted(GateHalt),
    /// A person has stopped the run on its pull request. The text describes this person for the user.
    #[error("{0}")]
    StoppedByUser(String),
    /// No model could be called.
    #[error("{0}")]
    Model(String),
    /// The gate could not run.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// Git failed or could not be run.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The change cannot be read.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// A reader process failed.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// The prompt of a model cannot be built.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The tools of a fixer could not be created.
    #[error(transparent)]
    Fixer(#[from] FixerError),
    /// A file of the fix cannot be copied to the clone.
    #[error("the fix is refused: {0}")]
    File(#[from] RejectedFile),
    /// The checks could not be run.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A temporary folder could not be created.
    #[error("could not create a temporary folder: {0}")]
    TemporaryFolder(io::Error),
    /// The forge rejects the request.
    #[error("{0}")]
    Forge(String),
    /// The forge's response is missing or unclear. The request may have had an effect, so it is retried.
    #[error("{0}")]
    Unanswered(String),
    /// The run cannot continue on this branch or pull request.
    #[error("{}", exit.reason)]
    CannotContinue {
        /// The exit of the run, with its reason.
        exit: ConvergeExit,
        /// Commits of fixes that were not merged into the target branch.
        unmerged_commits: Vec<Sha>,
    },
    /// The forge needs time before the act can continue. This is not a failure: after the wait, the run
    /// repeats the same act.
    #[error("{message}")]
    Wait {
        /// Time at which the run continues.
        until: UnixMillis,
        /// The kind of wait.
        reason: WaitReason,
        /// The reason, for people.
        message: String,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<HaltReason> for ActError {
    fn from(reason: HaltReason) -> Self {
        Self::Halted(reason.into())
    }
}

impl ActError {
    /// Creates the error that ends a run with this exit code, if no fix of the run is lost.
    pub(super) fn from_exit_code(code: ConvergeExitCode, reason: impl Into<String>) -> Self {
        Self::CannotContinue { exit: ConvergeExit::new(code, reason), unmerged_commits: Vec::new() }
    }

    /// True if a retry of the same act may soon succeed.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Git(error) => error.is_temporary(),
            Self::NoAnswer(_)
            | Self::BudgetExhausted(_)
            | Self::Halted(_)
            | Self::StoppedByUser(_)
            | Self::Model(_)
            | Self::Gate(_)
            | Self::Reading(_)
            | Self::Reader(_)
            | Self::Prompt(_)
            | Self::Fixer(_)
            | Self::File(_)
            | Self::Verify(_)
            | Self::TemporaryFolder(_)
            | Self::Forge(_)
            | Self::CannotContinue { .. }
            | Self::Wait { .. }
            | Self::Store(_) => false,
        }
    }

    /// If the run has lost its lease, returns the newest fencing token that was issued to any holder.
    pub(super) fn superseding_token(&self) -> Option<FencingToken> {
        if let Self::Halted(halt) = self { halt.superseding_token() } else { None }
    }

    /// Returns the exit with which the error ends the run.
    pub(super) fn exit(&self) -> ConvergeExit {
        let code = match self {
            Self::BudgetExhausted(_) => ConvergeExitCode::Budget,
            Self::Halted(_) | Self::StoppedByUser(_) => ConvergeExitCode::Interrupted,
            Self::CannotContinue { exit, .. } => exit.code,
            Self::NoAnswer(_)
            | Self::Model(_)
            | Self::Gate(_)
            | Self::Git(_)
            | Self::Reading(_)
            | Self::Reader(_)
            | Self::Prompt(_)
            | Self::Fixer(_)
            | Self::File(_)
            | Self::Verify(_)
            | Self::TemporaryFolder(_)
            | Self::Forge(_)
            | Self::Unanswered(_)
            | Self::Wait { .. }
            | Self::Store(_) => ConvergeExitCode::Infrastructure,
        };
        ConvergeExit::new(code, self.to_string())
    }
}

impl ConvergeRunner<'_> {
    /// Checks that the write gate permits the run to continue.
    ///
    /// # Errors
    /// [`ActError::Halted`]
    pub(super) async fn check_write_gate(&self) -> Result<(), ActError> {
        Ok(self.gate.permit_continuation().await?)
    }

    /// Returns the exit of a run whose write gate is closed.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: another process has taken the lease, and nothing more is written.
    pub(super) fn closed_gate_exit(&self, error: &ActError) -> Result<ConvergeExit, StoreError> {
        match error.superseding_token() {
            Some(last) => Err(StoreError::Fenced { key: self.record.key.clone(), greatest_token: last }),
            None => Ok(error.exit()),
        }
    }
}
