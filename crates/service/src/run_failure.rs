//! Defines the failures for which no record of the run exists. These runs were requested by a person or by
//! the calendar.

use truing_core::id::{RunId, TimeSpan};
use truing_core::port::{Clock as _, ForgeError, StoreError};
use truing_forge::remote::RemoteError;
use truing_git::GitError;
use truing_loops::checkout::CheckoutError;
use truing_loops::machine::SystemClock;
use truing_loops::slots::SlotCommandError;
use truing_loops::step_stop_reason::StepStopReason;

use super::manual_lease::LeaseError;

/// The class of failures of a converge run, in logs and `truing why`.
pub(super) const CONVERGE_FAILURE_CLASS: &str = "the converge run cannot work";

/// The reason why a run cannot be set up from the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetupError {
    /// True if the configuration is wrong. False if the machine lacks something.
    pub is_config_error: bool,
    /// A stable error code for scripts, in snake case.
    pub code: &'static str,
    /// The error message: the subject and its problem, on one line.
    pub message: String,
    /// The next actions for the user, one on each line.
    pub hints: Vec<String>,
}

/// A failure for which no record of the run exists. The value contains the original error. The command line
/// converts the error to a message, hints and an exit code. A worker converts the error to a
/// [`StepStopReason`].
#[derive(Debug, thiserror::Error)]
pub enum RunFailure {
    /// The slot could not be leased.
    #[error(transparent)]
    NotLeased(#[from] LeaseError),
    /// Another run, with this id, holds the slot.
    #[error("already running: {0}")]
    AlreadyRunning(RunId),
    /// The step stopped during its lease: the lease was lost, or the step was interrupted.
    #[error(transparent)]
    StepStopped(StepStopReason),
    /// Reading or writing the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The forge refused a call, or did not answer.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// A fetch from the repository or a push to it failed.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// A git command failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The repository's own configuration is wrong.
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    /// A tool that inspects a head cannot be used.
    #[error("{}", .0.message)]
    InspectionTools(SetupError),
}

impl RunFailure {
    /// If the store refused a write because of a newer fencing token, returns an error that stops the step.
    /// Otherwise, returns the result unchanged.
    ///
    /// # Errors
    /// [`StepStopReason::Fenced`] if the store refused a write because of a newer fencing token.
    pub(super) fn separate_fenced_error<T>(
        result: Result<T, Self>,
    ) -> Result<Result<T, Self>, StepStopReason> {
        match result {
            Err(Self::Store(StoreError::Fenced { greatest_token: last, .. })) => {
                Err(StepStopReason::Fenced(last))
            }
            result => Ok(result),
        }
    }

    /// Converts the failure to a worker's [`StepStopReason`]. `settle_delay` is the longest time that the
    /// forge takes to show a write.
    pub(super) fn into_stop_reason(self, settle_delay: TimeSpan) -> StepStopReason {
        match self {
            Self::StepStopped(stopped) => stopped,
            Self::Store(error) => error.into(),
            Self::Forge(error) => {
                StepStopReason::from_remote_error(error.into(), SystemClock.now(), settle_delay)
            }
            Self::Remote(error) => StepStopReason::from_remote_error(error, SystemClock.now(), settle_delay),
            Self::Git(error) => error.into(),
            Self::Checkout(error) => error.into(),
            Self::InspectionTools(error) => {
                let message = [error.message].into_iter().chain(error.hints).collect::<Vec<_>>().join("; ");
                StepStopReason::StepFailed {
                    failure_class: CONVERGE_FAILURE_CLASS,
                    message,
                    not_before: None,
                }
            }
            Self::NotLeased(LeaseError::KillSwitchOn) => StepStopReason::Halted,
            Self::NotLeased(LeaseError::Leased(_) | LeaseError::OwnedByOtherLoop | LeaseError::Step(_))
            | Self::AlreadyRunning(_) => StepStopReason::LeaseLost,
        }
    }
}

impl From<SlotCommandError> for RunFailure {
    fn from(error: SlotCommandError) -> Self {
        Self::NotLeased(LeaseError::Step(error))
    }
}
