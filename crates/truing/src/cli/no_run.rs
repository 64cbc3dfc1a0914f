//! The errors of commands whose run gave no record.

use truing_core::id::{Millis, RunId};
use truing_core::port::HaltReason;
use truing_loops::slots::StepError;
use truing_loops::stopped::Stopped;
use truing_service::by_hand::NotLeased;
use truing_service::no_run::{NoRun, Unusable};

use super::error::{CliError, Exit};
use super::target::store_error;
use crate::wiring;

/// Somebody else is at work. Each command has its own words for that.
pub(super) enum Elsewhere {
    /// Under a lease until then, unless it is renewed.
    Leased(Millis),
    /// Another loop is.
    Owned,
    /// This run is.
    Running(RunId),
    /// Somebody who took it over.
    TakenOver,
}

/// The error of a command that got no record of its run. `elsewhere`: the error where somebody else is at work.
pub(super) fn no_run(name: &str, error: NoRun, elsewhere: impl FnOnce(Elsewhere) -> CliError) -> CliError {
    match error {
        NoRun::NotLeased(NotLeased::Busy(until)) => elsewhere(Elsewhere::Leased(until)),
        NoRun::NotLeased(NotLeased::Owned) => elsewhere(Elsewhere::Owned),
        NoRun::Running(run) => elsewhere(Elsewhere::Running(run)),
        NoRun::Stopped(Stopped::Lost | Stopped::Fenced(_)) => elsewhere(Elsewhere::TakenOver),
        NoRun::Stopped(Stopped::Interrupted) => {
            CliError::new(Exit::Interrupted, "interrupted", "interrupted before the run was done")
        }
        NoRun::Stopped(Stopped::Halted) | NoRun::NotLeased(NotLeased::SwitchedOff) => {
            let reason = HaltReason::KillSwitch;
            CliError::refused("killswitch_engaged", format!("{name}: {reason}")).hint(reason.hint())
        }
        NoRun::Stopped(
            stopped @ (Stopped::NotThere { .. }
            | Stopped::Moved
            | Stopped::RateLimited { .. }
            | Stopped::Failed { .. }),
        ) => CliError::failed("stopped", format!("{name}: {stopped}")).hint("run it again"),
        NoRun::NotLeased(NotLeased::Step(StepError::Store(error))) | NoRun::Store(error) => {
            store_error(error)
        }
        NoRun::NotLeased(NotLeased::Step(StepError::Refused(refused))) => {
            CliError::refused("refused", format!("{name}: {refused}"))
        }
        NoRun::Forge(error) => CliError::failed("forge", format!("{name}: {error}"))
            .hint("see that the token of the forge may read and write pull requests, and run it again"),
        NoRun::Remote(error) => wiring::remote_error(error),
        NoRun::Git(error) => wiring::git_error(error),
        NoRun::Checkout(error) => error.into(),
        NoRun::Looks(Unusable { is_wrong_use, code, message, hints }) => {
            let exit = if is_wrong_use { Exit::Usage } else { Exit::Failed };
            CliError { hints, ..CliError::new(exit, code, message) }
        }
    }
}
