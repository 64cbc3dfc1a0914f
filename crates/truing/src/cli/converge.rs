//! The command `truing converge`: audits, fixes, verifies and pushes until a fresh audit finds nothing, or
//! reports why it stopped.

mod args;
mod audit;
mod local;
pub(in crate::cli) mod outcome;
mod pull;
mod target_run;
mod targets;
mod team;
mod watch_command;

use truing_config::Config;
use truing_config::converge::BugteamVariables;
#[cfg(feature = "demo")]
use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeExitCode, ConvergeExitKind};

use super::error::{CliError, CommandExit};
use super::{CommandContext, runtime};
use crate::wiring;

pub use args::ConvergeArgs;
use args::{ConvergeRunArgs, converge_exit, parse_severity, refusal_error};
pub(in crate::cli) use args::{NO_TARGET_MESSAGE, UNCOMMITTED_CHANGES_MESSAGE};
pub(in crate::cli) use local::{SHALLOW_CLONE_HINT, branch_write_error};
pub(in crate::cli) use targets::{ConvergeTarget, resolve_target};

pub use audit::AuditArgs;
pub(crate) use audit::run as run_audit;
pub use watch_command::WatchArgs;
pub(crate) use watch_command::run as run_watch;

pub(crate) fn run(args: &ConvergeArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    args.run(context).or_else(|error| report_refusal(error, context))
}

/// Runs the command on one target and returns the record and its report.
///
/// # Errors
/// Returns the same errors as the command.
#[cfg(feature = "demo")]
pub(crate) async fn run_on_target(
    target: &str,
    context: &CommandContext,
) -> Result<(ConvergeRecord, String), CliError> {
    let args = ConvergeArgs { targets: vec![target.to_owned()], ..ConvergeArgs::default() };
    let workspace =
        targets::resolve_target(target, &wiring::open_git(&context.environment).await?, context).await?;
    let (record, mirror) = target_run::TargetRun::for_single_target(context).run(&args, &workspace).await?;
    let text = outcome::render_text(&record, &mirror, &outcome::MergeAdvice::FastForward).await?;
    Ok((record, text))
}

impl ConvergeArgs {
    fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        check_not_disabled(context)?;
        let config = context.config(&[])?;
        let runtime = runtime::start()?;
        let traces = wiring::start_telemetry(&config, &context.environment, runtime.handle())?;
        let ended = runtime.block_on(self.run_all(&config, context));
        drop(traces);
        ended
    }

    async fn run_all(&self, config: &Config, context: &CommandContext) -> Result<CommandExit, CliError> {
        let folder = config.store.local_data_folder()?.join(local::LOCK_FOLDER_NAME);
        let _team = team::TeamMembership::lead_or_join(self, context, &folder)?;
        let asked = targets::resolve_targets(&self.targets, context).await?;
        let ended = target_run::run_all(self, &asked, asked.len() > 1, context).await?;
        Ok(target_run::highest_exit(&ended))
    }
}

/// Returns a refusal if a variable disables reviews (R0).
pub(super) fn check_not_disabled(context: &CommandContext) -> Result<(), CliError> {
    if !BugteamVariables::from_environment(&context.environment)?.is_disabled {
        return Ok(());
    }
    Err(wiring::converge::disabled_error())
}

/// Handles a refusal. With `--format json`, the refusal is printed in the same format as the result of a run.
fn report_refusal(error: CliError, context: &CommandContext) -> Result<CommandExit, CliError> {
    let is_refusal = ConvergeExitCode::ALL
        .iter()
        .any(|code| code.kind() == ConvergeExitKind::Refused && code.as_str() == error.code);
    if !(is_refusal && context.output.is_json()) {
        return Err(error);
    }
    let exit = error.exit;
    context
        .output
        .print_json(&outcome::unstarted_run_json(None, &context.output.with_config_hints(&error)))?;
    context.output.print_error_text(&error);
    Ok(exit)
}
