//! The reasons why a run that a person or the calendar has asked for gives no record.

use truing_core::id::{RunId, Span};
use truing_core::port::{Clock as _, ForgeError, StoreError};
use truing_forge::remote::RemoteError;
use truing_git::GitError;
use truing_loops::checkout::CheckoutError;
use truing_loops::machine::SystemClock;
use truing_loops::slots::StepError;
use truing_loops::stopped::Stopped;

use super::by_hand::NotLeased;

/// The class of failures of a run that converges, in logs and `truing why`.
pub(super) const CONVERGE_CLASS: &str = "the converge run cannot work";

/// The reason why what a run works with cannot be made of the configuration, for whoever reports it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unusable {
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
/// code of it, and a worker a [`Stopped`].
#[derive(Debug, thiserror::Error)]
pub enum NoRun {
    /// The slot could not be leased.
    #[error(transparent)]
    NotLeased(#[from] NotLeased),
    /// This run has the slot.
    #[error("already running: {0}")]
    Running(RunId),
    /// Its step stopped under its lease: the lease was lost, or it was interrupted.
    #[error(transparent)]
    Stopped(Stopped),
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
    Looks(Unusable),
}

impl NoRun {
    /// The end of a step that reports to whoever asked: all but a write that the records refuse, because somebody else has
    /// taken over.
    ///
    /// # Errors
    /// [`Stopped::Fenced`]
    pub(super) fn unless_fenced<T>(ended: Result<T, Self>) -> Result<Result<T, Self>, Stopped> {
        match ended {
            Err(Self::Store(StoreError::Fenced { last, .. })) => Err(Stopped::Fenced(last)),
            ended => Ok(ended),
        }
    }

    /// The same as a worker's [`Stopped`]. `settle`: the time that a write at the forge may stay unseen.
    pub(super) fn stopped(self, settle: Span) -> Stopped {
        match self {
            Self::Stopped(stopped) => stopped,
            Self::Store(error) => error.into(),
            Self::Forge(error) => Stopped::of_remote(error.into(), SystemClock.now(), settle),
            Self::Remote(error) => Stopped::of_remote(error, SystemClock.now(), settle),
            Self::Git(error) => error.into(),
            Self::Checkout(error) => error.into(),
            Self::Looks(error) => {
                let what = [error.message].into_iter().chain(error.hints).collect::<Vec<_>>().join("; ");
                Stopped::Failed { class: CONVERGE_CLASS, what, not_before: None }
            }
            Self::NotLeased(NotLeased::SwitchedOff) => Stopped::Halted,
            Self::NotLeased(NotLeased::Busy(_) | NotLeased::Owned | NotLeased::Step(_))
            | Self::Running(_) => Stopped::Lost,
        }
    }
}

impl From<StepError> for NoRun {
    fn from(error: StepError) -> Self {
        Self::NotLeased(NotLeased::Step(error))
    }
}
