//! The reasons why a run that a person or the calendar has asked for gives no record.

use truing_core::id::{RunId, TimeSpan};
use truing_core::port::{Clock as _, ForgeError, StoreError};
use truing_forge::remote::RemoteError;
use truing_git::GitError;
use truing_loops::checkout::CheckoutError;
use truing_loops::machine::SystemClock;
use truing_loops::slots::StepError;
use truing_loops::stopped::StepStopReason;

use super::by_hand::LeaseError;

/// The class of failures of a run that converges, in logs and `truing why`.
pub(super) const CONVERGE_CLASS: &str = "the converge run cannot work";

/// The reason why what a run works with cannot be made of the configuration, for whoever reports it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetupError {
    /// The configuration is wrong; else the machine lacks something.
    pub is_wrong_use: bool,
    /// A stable word for scripts, in snake case.
    pub code: &'static str,
    /// The thing and what is wrong with it: one line.
    pub message: String,
    /// The next things to do, a line each.
    pub hints: Vec<String>,
}

/// The reason why there is no record of a run. It holds the error itself: the command line makes a message, hints and an exit
/// code of it, and a worker a [`StepStopReason`].
#[derive(Debug, thiserror::Error)]
pub enum RunFailure {
    /// The slot could not be leased.
    #[error(transparent)]
    NotLeased(#[from] LeaseError),
    /// This run has the slot.
    #[error("already running: {0}")]
    Running(RunId),
    /// Its step stopped under its lease: the lease was lost, or it was interrupted.
    #[error(transparent)]
    Stopped(StepStopReason),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The forge refused a call, or did not answer.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The repository cannot be fetched from or pushed to.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The repository's own configuration is wrong.
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    /// A tool that a head is looked at with cannot be used.
    #[error("{}", .0.message)]
    Looks(SetupError),
}

impl RunFailure {
    /// The end of a step that reports to whoever asked: all but a write that the records refuse, because somebody else has
    /// taken over.
    ///
    /// # Errors
    /// [`StepStopReason::Fenced`]
    pub(super) fn unless_fenced<T>(ended: Result<T, Self>) -> Result<Result<T, Self>, StepStopReason> {
        match ended {
            Err(Self::Store(StoreError::Fenced { last, .. })) => Err(StepStopReason::Fenced(last)),
            ended => Ok(ended),
        }
    }

    /// The same as a worker's [`StepStopReason`]. `settle`: the time that a write at the forge may stay unseen.
    pub(super) fn stopped(self, settle: TimeSpan) -> StepStopReason {
        match self {
            Self::Stopped(stopped) => stopped,
            Self::Store(error) => error.into(),
            Self::Forge(error) => StepStopReason::of_remote(error.into(), SystemClock.now(), settle),
            Self::Remote(error) => StepStopReason::of_remote(error, SystemClock.now(), settle),
            Self::Git(error) => error.into(),
            Self::Checkout(error) => error.into(),
            Self::Looks(error) => {
                let what = [error.message].into_iter().chain(error.hints).collect::<Vec<_>>().join("; ");
                StepStopReason::Failed { class: CONVERGE_CLASS, what, not_before: None }
            }
            Self::NotLeased(LeaseError::SwitchedOff) => StepStopReason::Halted,
            Self::NotLeased(LeaseError::Busy(_) | LeaseError::Owned | LeaseError::Step(_))
            | Self::Running(_) => StepStopReason::Lost,
        }
    }
}

impl From<StepError> for RunFailure {
    fn from(error: StepError) -> Self {
        Self::NotLeased(LeaseError::Step(error))
    }
}
