//! Why an act of a run came to nothing, and what follows: the same act a little later, or an end.

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

/// What is to be done where the kill switch stops a run.
const AGAIN: &str = "run it again when it is off, it goes on where it was";

/// The reason why an act came to nothing. The run waits, tries it again or ends, and its record says which: a lease's
/// [`crate::stopped::StepStopReason`] comes of that record.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// An auditor gave no valid answer.
    #[error("{0}")]
    Silent(String),
    /// The money is used up.
    #[error("{0}")]
    Budget(String),
    /// The gate is shut. This run makes no further write.
    #[error("{0}: {AGAIN}")]
    Halted(GateHalt),
    /// A person has stopped the run at its pull request; in words for people.
    #[error("{0}")]
    Stopped(String),
    /// No model could be asked.
    #[error("{0}")]
    Model(String),
    /// The gate could not run.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// Git.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The change cannot be read.
    #[error(transparent)]
    Reading(#[from] ReadingError),
    /// A reader.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// What a model is told cannot be put together.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A fixer has no tools.
    #[error(transparent)]
    Fixer(#[from] FixerError),
    /// A file that cannot be taken over.
    #[error("the fix is refused: {0}")]
    File(#[from] RejectedFile),
    /// The checks could not be run.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// A folder.
    #[error("could not create a temporary folder: {0}")]
    Folder(io::Error),
    /// The forge refuses it.
    #[error("{0}")]
    Forge(String),
    /// The forge gave no answer, or none that is known: it may have been done, and is tried again.
    #[error("{0}")]
    Unanswered(String),
    /// There is no going on.
    #[error("{}", exit.reason)]
    Over {
        /// Why.
        exit: ConvergeExit,
        /// Commits of fixes that are not in what the branch went to.
        unreached: Vec<Sha>,
    },
    /// The forge is to be given time: nothing is wrong, and the same act is next then.
    #[error("{what}")]
    Later {
        /// Until when.
        until: UnixMillis,
        /// The kind of wait.
        why: WaitReason,
        /// The reason, for people.
        what: String,
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
    /// There is no going on, and nothing is lost by it.
    pub(super) fn over(code: ConvergeExitCode, why: impl Into<String>) -> Self {
        Self::Over { exit: ConvergeExit::new(code, why), unreached: Vec::new() }
    }

    /// May the same act go well a little later?
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Git(error) => error.may_pass(),
            Self::Silent(_)
            | Self::Budget(_)
            | Self::Halted(_)
            | Self::Stopped(_)
            | Self::Model(_)
            | Self::Gate(_)
            | Self::Reading(_)
            | Self::Reader(_)
            | Self::Prompt(_)
            | Self::Fixer(_)
            | Self::File(_)
            | Self::Verify(_)
            | Self::Folder(_)
            | Self::Forge(_)
            | Self::Over { .. }
            | Self::Later { .. }
            | Self::Store(_) => false,
        }
    }

    /// The newest token that was given to anybody, if the lease that the run was under is lost.
    pub(super) fn lost(&self) -> Option<FencingToken> {
        if let Self::Halted(halt) = self { halt.lost() } else { None }
    }

    /// How the run ends with it.
    pub(super) fn exit(&self) -> ConvergeExit {
        let code = match self {
            Self::Budget(_) => ConvergeExitCode::Budget,
            Self::Halted(_) | Self::Stopped(_) => ConvergeExitCode::Interrupted,
            Self::Over { exit, .. } => exit.code,
            Self::Silent(_)
            | Self::Model(_)
            | Self::Gate(_)
            | Self::Git(_)
            | Self::Reading(_)
            | Self::Reader(_)
            | Self::Prompt(_)
            | Self::Fixer(_)
            | Self::File(_)
            | Self::Verify(_)
            | Self::Folder(_)
            | Self::Forge(_)
            | Self::Unanswered(_)
            | Self::Later { .. }
            | Self::Store(_) => ConvergeExitCode::Infrastructure,
        };
        ConvergeExit::new(code, self.to_string())
    }
}

impl ConvergeRunner<'_> {
    /// May it go on?
    ///
    /// # Errors
    /// [`ActError::Halted`]
    pub(super) async fn go_on(&self) -> Result<(), ActError> {
        Ok(self.gate.go_on().await?)
    }

    /// How the run is left by a gate that is shut.
    ///
    /// # Errors
    /// [`StoreError::Fenced`]: somebody else has taken over, and nothing more is written anywhere.
    pub(super) fn shut(&self, stop: &ActError) -> Result<ConvergeExit, StoreError> {
        match stop.lost() {
            Some(last) => Err(StoreError::Fenced { key: self.record.key.clone(), last }),
            None => Ok(stop.exit()),
        }
    }
}
