//! Creates the error of a command whose run returned no record.

use truing_core::id::{RunId, UnixMillis};
use truing_core::port::HaltReason;
use truing_loops::slots::SlotCommandError;
use truing_loops::step_stop_reason::StepStopReason;
use truing_service::manual_lease::LeaseError;
use truing_service::run_failure::{RunFailure, SetupError};

use super::error::{CliError, CommandExit};
use super::target::store_error;
use crate::wiring;

/// The reason why a run could not begin or continue because of another run. Each command has its own message
/// for each reason.
pub(super) enum RunConflict {
    /// A lease is held until this time, unless it is renewed.
    Leased(UnixMillis),
    /// Another loop owns the slot.
    OtherLoop,
    /// This run is in progress.
    Running(RunId),
    /// The slot was taken over.
    TakenOver,
}

/// Returns the error of a command whose run returned no record. If another run is the cause, `conflict_error`
/// creates the error.
pub(super) fn run_failure_error(
    target_name: &str,
    error: RunFailure,
    conflict_error: impl FnOnce(RunConflict) -> CliError,
) -> CliError {
    match error {
        RunFailure::NotLeased(LeaseError::Leased(until)) => conflict_error(RunConflict::Leased(until)),
        RunFailure::NotLeased(LeaseError::OwnedByOtherLoop) => conflict_error(RunConflict::OtherLoop),
        RunFailure::AlreadyRunning(run) => conflict_error(RunConflict::Running(run)),
        RunFailure::StepStopped(StepStopReason::LeaseLost | StepStopReason::Fenced(_)) => {
            conflict_error(RunConflict::TakenOver)
        }
        RunFailure::StepStopped(StepStopReason::Interrupted) => {
            CliError::new(CommandExit::Interrupted, "interrupted", "interrupted before the run was done")
        }
        RunFailure::StepStopped(StepStopReason::Halted) | RunFailure::NotLeased(LeaseError::KillSwitchOn) => {
            let reason = HaltReason::KillSwitch;
            CliError::refusal("killswitch_engaged", format!("{target_name}: {reason}")).hint(reason.hint())
        }
        RunFailure::StepStopped(
            stopped @ (StepStopReason::NotFound { .. }
            | StepStopReason::HeadChanged
            | StepStopReason::RateLimited { .. }
            | StepStopReason::StepFailed { .. }),
        ) => CliError::failure("stopped", format!("{target_name}: {stopped}")).hint("run it again"),
        RunFailure::NotLeased(LeaseError::Step(SlotCommandError::Store(error)))
        | RunFailure::Store(error) => store_error(error),
        RunFailure::NotLeased(LeaseError::Step(SlotCommandError::SlotRefused(refused))) => {
            CliError::refusal("refused", format!("{target_name}: {refused}"))
        }
        RunFailure::Forge(error) => CliError::failure("forge", format!("{target_name}: {error}")).hint(
            "check that the token of the forge may read and write pull requests, and run the command \
                again",
        ),
        RunFailure::Remote(error) => wiring::remote_error(error),
        RunFailure::Git(error) => wiring::git_error(error),
        RunFailure::Checkout(error) => error.into(),
        RunFailure::InspectionTools(SetupError { is_config_error: is_wrong_use, code, message, hints }) => {
            let exit = if is_wrong_use { CommandExit::Usage } else { CommandExit::Failure };
            CliError { hints, ..CliError::new(exit, code, message) }
        }
    }
}
