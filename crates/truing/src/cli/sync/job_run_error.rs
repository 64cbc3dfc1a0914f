//! Creates the error of a command whose job did not run, for example because another process had leased the
//! job's slot.

use truing_service::run_failure::RunFailure;

use crate::cli::error::CliError;
use crate::cli::run_failure::{RunConflict, run_failure_error};
use truing_loops::text::format_instant;

fn running_error(name: &str, reason: &str) -> CliError {
    CliError::refusal("already_running", format!("{name}: {reason}"))
        .hint(format!("wait until the run ends: `truing sync status {name}` shows its result"))
}

/// Returns the error for a job whose slot could not be leased, or whose run returned no record.
pub(in crate::cli) fn missing_job_run_error(name: &str, error: RunFailure) -> CliError {
    run_failure_error(name, error, |elsewhere| match elsewhere {
        RunConflict::Leased(until) => {
            let until = format_instant(until);
            running_error(
                name,
                &format!("already running (lease until {until}, renewed while the run continues)"),
            )
        }
        RunConflict::Running(run) => running_error(name, &format!("already running: {run}")),
        RunConflict::OtherLoop => running_error(name, "another loop is working on the job"),
        RunConflict::TakenOver => running_error(name, "another process has taken over the run"),
    })
}
