//! `truing converge`: audit, fix, verify, push, until a fresh audit finds nothing, or says why it stopped.

mod audit;
mod local;
pub(in crate::cli) mod outcome;
mod pull;
mod team;

use std::path::Path;

use clap::builder::NonEmptyStringValueParser;
use truing_core::converge::record::Record;
use truing_core::converge::{Code, Kind};
use truing_git::Mirror;

use super::error::{CliError, Exit};
use super::review::Target;
use super::{Context, runtime};
use crate::budget::name_of_remote;
use crate::config::converge::Bugteam;
use crate::config::converge::Lifecycle;
use crate::wiring;

/// Drive a branch to a state in which a fresh audit finds nothing
///
/// A model audits the whole change of the branch, another one mends what was found on a private copy in the sandbox, the
/// repository's own checks and the gate look at the fix, and it is committed; again, until an audit finds nothing or
/// there is no getting on. Of a local branch, commits go to a branch of the run's own, `truing/run/ID`: what is checked
/// out stays as it is. Costs money, at most `budget.converge_usd`. Run again, it goes on where it was.
#[derive(clap::Args, Default, Debug)]
pub struct Args {
    /// Pull requests, by their pages' URLs, OWNER/NAME#NUMBER, or NUMBER alone in a clone; or a folder of the repository whose branch is meant
    /// [default: the current one]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// So many audits at most [default: converge.max_audits]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    max_audits: Option<u32>,
    /// Lead the run of this name, join the one that leads it, or whichever there is
    #[arg(long, value_enum, value_name = "HOW")]
    lifecycle: Option<Lifecycle>,
    /// The name that runs are led and joined by [default: BUGTEAM_TEAM_NAME]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    team: Option<String>,
    /// Tell what would be worked on, and ask no model
    #[arg(long)]
    dry_run: bool,
}

pub use audit::Args as AuditArgs;
pub(crate) use audit::run as run_audit;

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, CliError> {
    let ended = runtime::start()?.block_on(args.run(context));
    ended.or_else(|error| refused(error, context))
}

/// A run on one target as the command makes it, and its report.
///
/// # Errors
/// As the command.
#[cfg(feature = "demo")]
pub(crate) async fn ended(target: &str, context: &Context) -> Result<(Record, String), CliError> {
    let args = Args { targets: vec![target.to_owned()], ..Args::default() };
    let (record, mirror) = args.one(context, target).await?;
    let text = outcome::text(&record, &mirror).await?;
    Ok((record, text))
}

impl Args {
    async fn run(&self, context: &Context) -> Result<Exit, CliError> {
        not_disabled(context)?;
        let config = context.config(&[])?;
        let folder = config.store.database()?.parent().unwrap_or(Path::new(".")).join(local::LOCKS);
        let _team = team::Team::of(self, context, &folder)?;
        let here = context.environment.directory();
        let mut worst = Exit::Done;
        if self.targets.is_empty() {
            return outcome::print(&local::run(self, context, here).await?, context).await;
        }
        for target in &self.targets {
            let ended = self.one(context, target).await;
            let exit = match ended {
                Ok(ended) => outcome::print(&ended, context).await?,
                // With several, one that cannot be worked on keeps no other one waiting.
                Err(error) if self.targets.len() == 1 => return Err(error),
                Err(error) => refused(error, context).or_else(|error| {
                    context.output.error(&error);
                    Ok::<_, CliError>(error.exit)
                })?,
            };
            worst = if exit.code() > worst.code() { exit } else { worst };
            if exit == Exit::Interrupted {
                break;
            }
        }
        Ok(worst)
    }

    /// A run on one target, and where its commits are.
    async fn one(&self, context: &Context, target: &str) -> Result<(Record, Mirror), CliError> {
        let named = of_origin(context, target).await?;
        match self.pull(context, named.as_deref().unwrap_or(target))? {
            Some(pull) => Box::pin(pull::run(self, context, pull)).await,
            None => {
                let folder = context.environment.directory().join(target);
                Box::pin(local::run(self, context, &folder)).await
            }
        }
    }

    /// The pull request that a target names; none: it names a folder.
    fn pull(&self, context: &Context, target: &str) -> Result<Option<Target>, CliError> {
        let is_folder = context.environment.directory().join(target).is_dir();
        if is_folder && !target.contains("://") {
            return Ok(None);
        }
        Target::find(target, &context.config(&[])?, &context.environment).map(Some)
    }
}

/// What is said where nothing differs from the default branch (R1).
pub(super) const NO_TARGET: &str = "No PR or upstream diff. /bugteam needs a target.";
/// What is said where an audit would not see everything (R2).
pub(super) const UNCOMMITTED: &str =
    "Uncommitted changes detected. Stash, commit, or revert before /bugteam.";

/// Refuses where reviews are switched off by a variable (R0).
pub(super) fn not_disabled(context: &Context) -> Result<(), CliError> {
    if !Bugteam::of(&context.environment)?.is_disabled {
        return Ok(());
    }
    Err(refusal(Code::Disabled, "/bugteam is disabled via CLAUDE_REVIEWS_DISABLED.")
        .hint("take `bugteam` out of that variable, or unset it"))
}

/// A run that is not begun.
fn refusal(code: Code, line: &str) -> CliError {
    let exit = match code.exit_code() {
        2 => Exit::Usage,
        _ => Exit::Refused,
    };
    CliError::new(exit, code.as_str(), line)
}

/// A number alone is one of the repository that is stood in, by where it was cloned from.
async fn of_origin(context: &Context, target: &str) -> Result<Option<String>, CliError> {
    let here = context.environment.directory();
    if target.parse::<u64>().is_err() || here.join(target).is_dir() {
        return Ok(None);
    }
    let git = wiring::git(&context.environment).await?;
    let repository = git.open(here).await.map_err(wiring::git_error)?;
    let name = repository.remote_url().and_then(name_of_remote).ok_or_else(|| {
        CliError::usage(
            "bad_target",
            format!("`{target}`: this repository has no remote `origin` to be one of"),
        )
        .hint("name it in full: OWNER/NAME#NUMBER, or its page's URL")
    })?;
    Ok(Some(format!("{name}#{target}")))
}

/// A refusal is an answer, too: with `--format json` the object of a run says it.
fn refused(error: CliError, context: &Context) -> Result<Exit, CliError> {
    let is_refusal = Code::ALL.iter().any(|code| code.kind() == Kind::Refused && code.as_str() == error.code);
    if !(is_refusal && context.output.is_json()) {
        return Err(error);
    }
    let exit = error.exit;
    context.output.json(&outcome::refused(&error))?;
    context.output.insist(format_args!("error: {}\n", error.message));
    for hint in &error.hints {
        context.output.insist(format_args!("hint: {hint}\n"));
    }
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
