//! `truing converge`: audit, fix, verify, push, until a fresh audit finds nothing, or says why it stopped.

mod audit;
mod local;
pub(in crate::cli) mod outcome;
mod owners;
mod pull;
mod targets;
mod team;
mod turn;

use std::path::Path;

use clap::builder::NonEmptyStringValueParser;
use truing_config::Config;
use truing_config::converge::Bugteam;
use truing_config::converge::no_model;
use truing_core::converge::record::Record;
use truing_core::converge::{Code, Kind};
use truing_core::finding::Severity;

use super::error::{CliError, Exit};
use super::{Context, runtime};
use crate::wiring;

/// Audit and fix a branch or a pull request until a fresh audit finds nothing
///
/// A model audits the whole change. A model fixes what was found, on a private copy in the sandbox. The repository's own
/// checks and the gate test the fix, and Truing commits it. This repeats until an audit finds nothing, or a limit or an
/// obstacle stops it. Fixes of a local branch go to a new branch, `truing/run/ID`; your checkout stays as it is. It costs
/// money, at most `budget.converge_usd`. If it was interrupted, run it again: it continues where it was.
#[derive(clap::Args, Default, Debug)]
pub struct Args {
    /// Pull requests: URL, OWNER/NAME#NUMBER, OWNER/NAME/NUMBER, or NUMBER in a clone; or a folder of a repository, for
    /// the branch that is checked out there [default: the pull request of the current branch, else that branch]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    way: Way,
    /// Lead the run of this name, join the run that leads it, or decide by what there is
    #[arg(long, value_enum, value_name = "HOW")]
    lifecycle: Option<team::LifecycleFlag>,
    /// The name that runs are led and joined by [default: BUGTEAM_TEAM_NAME]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    team: Option<String>,
    /// Show what would be worked on, and call no model
    #[arg(long)]
    dry_run: bool,
    /// It is an audit alone
    #[arg(skip)]
    is_audit: bool,
}

/// Flags of a run.
#[derive(clap::Args, Clone, Default, Debug)]
struct Way {
    /// The most audits of a run [default: converge.max_audits]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_audits: Option<u32>,
    /// Work on several targets one after the other, not side by side
    #[arg(long)]
    serial: bool,
    /// The `NAME` of the `[model.NAME]` that fixes what is found [default: converge.fixer]
    #[arg(long, value_name = "NAME")]
    fixer: Option<String>,
    /// Findings of less weight are fixed once and then left [default: converge.min_blocking_severity]
    #[arg(long, value_name = "SEVERITY", value_parser = severity)]
    min_severity: Option<Severity>,
    /// After each push to a pull request, comment `bugbot run` to trigger Cursor's Bugbot
    #[arg(long)]
    bugbot_retrigger: bool,
}

impl Way {
    /// The configuration as the flags want it.
    ///
    /// # Errors
    /// Exit 2 for a model that is not configured.
    fn of(&self, mut config: Config) -> Result<Config, CliError> {
        if let Some(many) = self.max_audits {
            config.converge.limits.max_audits = many;
        }
        if let Some(severity) = self.min_severity {
            config.converge.limits.min_blocking = severity;
        }
        config.converge.bugbot_retrigger = self.bugbot_retrigger;
        if let Some(name) = &self.fixer {
            if !config.models.contains_key(name) {
                let wrong = no_model(name, config.models.keys());
                return Err(CliError::usage("bad_value", format!("--fixer {wrong}"))
                    .hint(format!("configure it: [model.{name}] with base_url, api_key and name")));
            }
            config.converge.fixer = Some(name.clone());
        }
        Ok(config)
    }
}

pub(in crate::cli) use local::{SHALLOW, not_written};
pub(in crate::cli) use targets::{Workspace, workspace};

pub use audit::Args as AuditArgs;
pub(crate) use audit::run as run_audit;
pub use owners::Args as WatchArgs;
pub(crate) use owners::run as run_watch;

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    args.run(context).or_else(|error| refused(error, context))
}

/// A run on one target as the command makes it, and its report.
///
/// # Errors
/// As the command.
#[cfg(feature = "demo")]
pub(crate) async fn ended(target: &str, context: &Context) -> Result<(Record, String), CliError> {
    let args = Args { targets: vec![target.to_owned()], ..Args::default() };
    let workspace = targets::workspace(target, &wiring::git(&context.environment).await?, context).await?;
    let (record, mirror) = turn::Turn::alone(context).run(&args, &workspace).await?;
    let text = outcome::text(&record, &mirror, &outcome::Merge::FastForward).await?;
    Ok((record, text))
}

impl Args {
    fn run(&self, context: &Context) -> Result<Exit, CliError> {
        not_disabled(context)?;
        let config = context.config(&[])?;
        let runtime = runtime::start()?;
        let traces = wiring::telemetry(&config, &context.environment, runtime.handle())?;
        let ended = runtime.block_on(self.run_all(&config, context));
        drop(traces);
        ended
    }

    async fn run_all(&self, config: &Config, context: &Context) -> Result<Exit, CliError> {
        let folder = config.store.database()?.parent().unwrap_or(Path::new(".")).join(local::LOCKS);
        let _team = team::Team::of(self, context, &folder)?;
        let asked = targets::of(&self.targets, context).await?;
        let ended = turn::run_all(self, &asked, asked.len() > 1, context).await?;
        Ok(turn::highest(&ended))
    }
}

/// A severity as flags name it.
fn severity(name: &str) -> Result<Severity, String> {
    let known = Severity::ALL.into_iter().find(|severity| severity.as_str() == name);
    known.ok_or_else(|| "must be P0, P1 or P2".to_owned())
}

/// What is said where nothing differs from the default branch (R1).
pub(super) const NO_TARGET: &str = "No PR or upstream diff: there is nothing to work on.";
/// What is said where an audit would not see everything (R2).
pub(super) const UNCOMMITTED: &str = "Uncommitted changes detected. Stash, commit, or revert them first.";

/// Refuses where reviews are switched off by a variable (R0).
pub(super) fn not_disabled(context: &Context) -> Result<(), CliError> {
    if !Bugteam::of(&context.environment)?.is_disabled {
        return Ok(());
    }
    Err(wiring::converge::disabled())
}

/// A run that is not begun.
fn refusal(code: Code, line: &str) -> CliError {
    let exit = match code.exit_code() {
        2 => Exit::Usage,
        _ => Exit::Refused,
    };
    CliError::new(exit, code.as_str(), line)
}

/// A refusal is an answer, too: with `--format json` the object of a run says it.
fn refused(error: CliError, context: &Context) -> Result<Exit, CliError> {
    let is_refusal = Code::ALL.iter().any(|code| code.kind() == Kind::Refused && code.as_str() == error.code);
    if !(is_refusal && context.output.is_json()) {
        return Err(error);
    }
    let exit = error.exit;
    context.output.json(&outcome::not_begun(None, &context.output.advised(&error)))?;
    context.output.complain(&error);
    Ok(exit)
}

/// What a run means to a script.
fn exit(record: &Record) -> Exit {
    match record.state.exit.as_ref().map(|exit| exit.code.exit_code()) {
        Some(0) => Exit::Done,
        Some(1) => Exit::No,
        Some(2) => Exit::Usage,
        Some(4) => Exit::Refused,
        Some(130) | None => Exit::Interrupted,
        Some(_) => Exit::Failed,
    }
}
