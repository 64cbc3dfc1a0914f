//! Jobs whose slot cannot be had.

use truing_loops::slots::StepError;
use truing_service::by_hand::NotLeased;

use crate::cli::error::CliError;
use crate::cli::target::{instant, store_error};

pub(super) fn running(name: &str, what: &str) -> CliError {
    CliError::refused("already_running", format!("{name}: {what}"))
        .hint(format!("wait for it: `truing sync status {name}` tells what it came to"))
}

/// The error of a job whose slot cannot be had.
pub(in crate::cli) fn not_leased(name: &str, error: NotLeased) -> CliError {
    match error {
        NotLeased::Busy(until) => {
            let until = instant(until);
            running(name, &format!("already running (lease until {until}, renewed while it lives)"))
        }
        NotLeased::Owned => running(name, "another loop is at work on it"),
        NotLeased::Step(StepError::Store(error)) => store_error(error),
        NotLeased::Step(StepError::Refused(refused)) => {
            CliError::refused("refused", format!("{name}: {refused}"))
        }
    }
}
