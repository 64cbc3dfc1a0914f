//! The arguments, refusals and exit codes of a converge run.

use clap::builder::NonEmptyStringValueParser;
use truing_config::Config;
use truing_config::converge::unknown_model_message;
use truing_core::converge::ConvergeExitCode;
use truing_core::converge::record::ConvergeRecord;
use truing_core::finding::Severity;

use super::team;
use crate::cli::error::{CliError, CommandExit};

/// Audit and fix a branch or a pull request until a fresh audit finds nothing
///
/// A model audits the whole change. A model fixes what was found, on a private copy in the sandbox. The
/// repository's own checks and the gate test the fix, and Truing commits it. These steps are repeated until
/// an audit finds nothing, or until a limit or an obstacle ends the run. Fixes of a local branch go to a new
/// branch, `truing/run/ID`; your checkout stays as it is. A run costs at most `budget.converge_usd`. To
/// continue an interrupted run, call the same command again.
#[derive(clap::Args, Default, Debug)]
pub struct ConvergeArgs {
    /// Pull requests: URL, OWNER/NAME#NUMBER, OWNER/NAME/NUMBER, or NUMBER in a clone; or a folder of a
    /// repository, for the branch that is checked out there [default: the pull request of the current branch;
    /// if there is none, the current branch]
    #[arg(value_name = "TARGET")]
    pub(super) targets: Vec<String>,
    #[command(flatten)]
    pub(super) run_args: ConvergeRunArgs,
    /// Lead the team, join the run that leads the team, or lead the team only if no other run leads it
    #[arg(long, value_enum, value_name = "HOW")]
    pub(super) lifecycle: Option<team::LifecycleFlag>,
    /// The name of the team to lead or join [default: BUGTEAM_TEAM_NAME]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub(super) team: Option<String>,
    /// Show what the run would work on, without calling a model
    #[arg(long)]
    pub(super) dry_run: bool,
    /// True for `truing audit`, which runs only an audit
    #[arg(skip)]
    pub(super) is_audit: bool,
}

/// Flags of a run.
#[derive(clap::Args, Clone, Default, Debug)]
pub(super) struct ConvergeRunArgs {
    /// The maximum number of audits in a run [default: converge.max_audits]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) max_audits: Option<u32>,
    /// Work on several targets one after the other, not in parallel
    #[arg(long)]
    pub(super) serial: bool,
    /// The `NAME` of the `[model.NAME]` that fixes the findings [default: converge.fixer]
    #[arg(long, value_name = "NAME")]
    pub(super) fixer: Option<String>,
    /// The lowest severity that blocks; findings below it are fixed only once [default:
    /// converge.min_blocking_severity]
    #[arg(long, value_name = "SEVERITY", value_parser = parse_severity)]
    pub(super) min_severity: Option<Severity>,
    /// After each push to a pull request, comment `bugbot run` to trigger Cursor's Bugbot
    #[arg(long)]
    pub(super) bugbot_retrigger: bool,
}

impl ConvergeRunArgs {
    /// Applies the flags to the configuration.
    ///
    /// # Errors
    /// Returns exit 2 for a model that is not configured.
    pub(super) fn apply_to(&self, mut config: Config) -> Result<Config, CliError> {
        if let Some(many) = self.max_audits {
            config.converge.limits.max_audits = many;
        }
        if let Some(severity) = self.min_severity {
            config.converge.limits.min_blocking = severity;
        }
        config.converge.bugbot_retrigger = self.bugbot_retrigger;
        if let Some(name) = &self.fixer {
            if !config.models.contains_key(name) {
                let wrong = unknown_model_message(name, config.models.keys());
                return Err(CliError::usage("bad_value", format!("--fixer {wrong}"))
                    .hint(format!("configure the model: [model.{name}] with base_url, api_key and name")));
            }
            config.converge.fixer_model = Some(name.clone());
        }
        Ok(config)
    }
}

/// Parses the severity of a flag.
pub(super) fn parse_severity(name: &str) -> Result<Severity, String> {
    let known = Severity::ALL.into_iter().find(|severity| severity.as_str() == name);
    known.ok_or_else(|| "must be P0, P1 or P2".to_owned())
}

/// Message for a branch that does not differ from the default branch (R1).
pub(in crate::cli) const NO_TARGET_MESSAGE: &str = "No PR or upstream diff: there is nothing to work on.";

/// Message for uncommitted changes, which an audit would not include (R2).
pub(in crate::cli) const UNCOMMITTED_CHANGES_MESSAGE: &str =
    "Uncommitted changes detected. Stash, commit, or revert them first.";

/// Returns the error for a run that is refused before it begins.
pub(super) fn refusal_error(code: ConvergeExitCode, message: &str) -> CliError {
    let exit = match code.exit_code() {
        2 => CommandExit::Usage,
        _ => CommandExit::Refusal,
    };
    CliError::new(exit, code.as_str(), message)
}

/// Returns the exit code of a run.
pub(super) fn converge_exit(record: &ConvergeRecord) -> CommandExit {
    match record.detail.state.exit.as_ref().map(|exit| exit.code.exit_code()) {
        Some(0) => CommandExit::Success,
        Some(1) => CommandExit::NegativeAnswer,
        Some(2) => CommandExit::Usage,
        Some(4) => CommandExit::Refusal,
        Some(130) | None => CommandExit::Interrupted,
        Some(_) => CommandExit::Failure,
    }
}
