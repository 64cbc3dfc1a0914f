//! The reason why a step under a lease stopped early: one enum for all loops. The lease driver converts the
//! reason to a command for the slot.

use truing_core::id::{FencingToken, TimeSpan, UnixMillis};
use truing_core::port::{ForgeError, GateHalt, HaltReason, StoreError, UnavailableCause};
use truing_core::slot::SlotRefusal;
use truing_forge::remote::RemoteError;
use truing_git::GitError;

use crate::agent::AgentError;
use crate::checkout::CheckoutError;
use crate::slots::SlotCommandError;

/// The reason why a step under a lease stopped early.
///
/// Two other enums describe failures inside a step; they never reach the lease driver.
/// [`crate::converge::ActError`] is the failure of one act of a converge run, and
/// [`crate::sync::error::SyncRunError`] is the failure of a job's run. Both failures are stored in the record
/// of the run.
#[derive(Debug, thiserror::Error)]
pub enum StepStopReason {
    /// Another run now holds the slot, so this run must not write any more.
    #[error("the lease is lost")]
    LeaseLost,
    /// The records contain a newer token for this key. Either the slot store has lost a token, or a newer run
    /// has started.
    #[error("the records contain a newer run (token {0:?})")]
    Fenced(FencingToken),
    /// The process exits, or a person has requested the interruption. The records stay, and the interruption
    /// does not count as a failure.
    #[error("interrupted")]
    Interrupted,
    /// The forge does not find a pull request under this name. The repository may have been renamed.
    #[error("{message}")]
    NotFound { message: String },
    /// The head changed while its review was being published, so the new head must be reviewed.
    #[error("the head of the pull request has changed")]
    HeadChanged,
    /// The kill switch was turned on in a mode that stops active runs. The records stay unchanged, and the
    /// step does nothing more.
    #[error("the kill switch is on")]
    Halted,
    /// The forge's rate limit requires the step to wait.
    #[error("{message}")]
    RateLimited {
        /// Time at which the wait ends.
        until: UnixMillis,
        message: String,
    },
    /// The step failed and may be retried.
    #[error("{message}")]
    StepFailed {
        /// The kind of failure, for the people on the pull request.
        failure_class: &'static str,
        /// Details for the log and `truing why`.
        message: String,
        /// Earliest time of a retry; set if a posted comment may become visible only at that time.
        not_before: Option<UnixMillis>,
    },
}

impl StepStopReason {
    /// Converts a failure of the forge or git. Despite the error, a write may have had an effect. The effect
    /// then becomes visible within `visibility_delay`.
    pub fn from_remote_error(error: RemoteError, now: UnixMillis, visibility_delay: TimeSpan) -> Self {
        let error = match error {
            RemoteError::Git(error) => return error.into(),
            RemoteError::Forge(error) => error,
        };
        match error {
            ForgeError::NotFound { .. } | ForgeError::Moved { .. } => {
                Self::NotFound { message: error.with_hint() }
            }
            ForgeError::RateLimited { .. }
            | ForgeError::Unauthorized { .. }
            | ForgeError::Forbidden { .. }
            | ForgeError::Rejected { .. }
            | ForgeError::Stale { .. }
            | ForgeError::Unavailable { .. }
            | ForgeError::Halted(_) => Self::from_forge_error(error, now, visibility_delay),
        }
    }

    /// Converts the failure of a request to the forge that failed at `now`. If a write had an effect despite
    /// the error, the effect becomes visible within `visibility_delay`.
    pub fn from_forge_error(error: ForgeError, now: UnixMillis, visibility_delay: TimeSpan) -> Self {
        let message = error.with_hint();
        let (class, not_before) = match error {
            ForgeError::RateLimited { wait, .. } => {
                return Self::RateLimited { until: now + wait, message };
            }
            ForgeError::Unavailable { cause, .. } => {
                let class = match cause {
                    UnavailableCause::NotConnected => "the forge cannot be reached",
                    UnavailableCause::TimedOut => "the forge did not answer in time",
                    UnavailableCause::InvalidAnswer => "the forge sent an invalid answer",
                };
                (class, Some(now + visibility_delay))
            }
            ForgeError::Unauthorized { .. }
            | ForgeError::Forbidden { .. }
            | ForgeError::NotFound { .. }
            | ForgeError::Moved { .. } => ("the forge refuses access", None),
            ForgeError::Rejected { .. } => ("the forge refuses the request", None),
            ForgeError::Stale { .. } => ("the data at the forge was changed meanwhile", None),
            ForgeError::Halted(halt) => return halt.into(),
        };
        Self::StepFailed { failure_class: class, message, not_before }
    }

    /// Names the configuration section of this forge in the hints. A [`ForgeError`] does not know its forge,
    /// so its hints contain the placeholder `forge.NAME`.
    #[must_use]
    pub fn with_forge_name(self, forge: &str) -> Self {
        let insert = |message: String| message.replace("forge.NAME", &format!("forge.{forge}"));
        match self {
            Self::NotFound { message } => Self::NotFound { message: insert(message) },
            Self::RateLimited { until, message } => Self::RateLimited { until, message: insert(message) },
            Self::StepFailed { failure_class, message, not_before } => {
                Self::StepFailed { failure_class, message: insert(message), not_before }
            }
            Self::LeaseLost | Self::Fenced(_) | Self::Interrupted | Self::HeadChanged | Self::Halted => self,
        }
    }
}

impl From<GateHalt> for StepStopReason {
    fn from(halt: GateHalt) -> Self {
        match halt.reason {
            HaltReason::KillSwitch | HaltReason::NoAnswer => Self::Halted,
            HaltReason::LeaseLost { greatest_token: last } => Self::Fenced(last),
            HaltReason::ReadOnly => Self::StepFailed {
                failure_class: "writes are disabled",
                message: halt.to_string(),
                not_before: None,
            },
        }
    }
}

impl From<StoreError> for StepStopReason {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Fenced { greatest_token: last, .. } => Self::Fenced(last),
            StoreError::Unavailable(_) | StoreError::Corrupt(_) => Self::StepFailed {
                failure_class: "the server's records are not available",
                message: error.to_string(),
                not_before: None,
            },
        }
    }
}

impl From<SlotCommandError> for StepStopReason {
    fn from(error: SlotCommandError) -> Self {
        match error {
            SlotCommandError::Store(error) => error.into(),
            SlotCommandError::SlotRefused(SlotRefusal::LeaseLost) => Self::LeaseLost,
            SlotCommandError::SlotRefused(refused) => Self::StepFailed {
                failure_class: "the server failed",
                message: refused.to_string(),
                not_before: None,
            },
        }
    }
}

impl From<GitError> for StepStopReason {
    fn from(error: GitError) -> Self {
        let class = "the repository cannot be fetched or read";
        Self::StepFailed { failure_class: class, message: error.with_hint(), not_before: None }
    }
}

impl From<CheckoutError> for StepStopReason {
    fn from(error: CheckoutError) -> Self {
        let message = error.to_string();
        let class = match error {
            CheckoutError::Agent(AgentError::Halted(reason)) => return GateHalt::from(reason).into(),
            CheckoutError::Agent(AgentError::Ledger(error)) => return error.into(),
            CheckoutError::Agent(AgentError::Prompt(_) | AgentError::RecordingMismatch(_)) => {
                "the server is not configured for this review"
            }
            CheckoutError::Git(error) => return error.into(),
            CheckoutError::Reading(_) => "the change cannot be read",
            CheckoutError::Config(_) | CheckoutError::Pattern(_) => {
                "the repository's own configuration (.truing.toml) is wrong"
            }
        };
        Self::StepFailed { failure_class: class, message, not_before: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_that_cannot_be_reached_sent_no_invalid_answer() {
        for (cause, expected) in [
            (UnavailableCause::NotConnected, "the forge cannot be reached"),
            (UnavailableCause::TimedOut, "the forge did not answer in time"),
            (UnavailableCause::InvalidAnswer, "the forge sent an invalid answer"),
        ] {
            let error = ForgeError::Unavailable { request: "reading x".into(), message: "no".into(), cause };
            let stopped = StepStopReason::from_forge_error(error, UnixMillis(7), TimeSpan(3));
            let StepStopReason::StepFailed { failure_class, message, not_before } =
                stopped.with_forge_name("work")
            else {
                panic!("{expected}")
            };
            assert_eq!((failure_class, not_before), (expected, Some(UnixMillis(10))));
            assert!(message.contains("check forge.work.api_url"), "{message}");
        }
    }
}
