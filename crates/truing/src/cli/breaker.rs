//! The command `truing breaker`: shows the circuit breakers of jobs, and closes one.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::{Value, json};
use truing_core::id::SlotKey;
use truing_core::line::format_count;
use truing_core::port::{OperatorAction, OperatorStore as _, RunReference, RunStore as _};
use truing_core::slot::{LoopKind, SlotCommand, StepOutcome};
use truing_core::sync::job::{self, JobState};
use truing_loops::machine::new_run_id;
use truing_loops::slots::{SlotCommandError, apply_slot_command};
use truing_loops::text::format_instant;
use truing_service::manual_lease;
use truing_store::Store;

use super::error::{CliError, CommandExit};
use super::sync::missing_job_run_error;
use super::target::{acquire_command_lock, actor_name, open_existing_store, store_error};
use super::{CommandContext, runtime};
use crate::wiring;

/// Show and close the circuit breakers of sync jobs
#[derive(clap::Args, Debug)]
pub struct BreakerArgs {
    #[command(subcommand)]
    action: BreakerCommand,
}

#[derive(Subcommand, Debug)]
enum BreakerCommand {
    /// List all circuit breakers
    List,
    /// Show one circuit breaker, with its failures
    Show {
        /// The key of the circuit breaker: sync/JOB, or JOB alone
        key: String,
    },
    /// Close one circuit breaker: the next run starts without past failures
    Reset {
        /// The key of the circuit breaker: sync/JOB, or JOB alone
        key: String,
    },
}

pub(crate) fn run(args: &BreakerArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    let config = context.config(&[])?;
    let limits = wiring::slot_limits(&config.review, config.server.lease_duration);
    runtime::start()?.block_on(async {
        let store = open_existing_store(&config, &context.environment).await?;
        let jobs = match &store {
            Some(store) => store.jobs().await.map_err(store_error)?,
            None => vec![],
        };
        match &args.action {
            BreakerCommand::List => {
                let rows: Vec<Value> = jobs.iter().map(|(key, job)| breaker_row(key, job)).collect();
                context.output.print_answer(&rows, || render_list(&jobs))?;
            }
            BreakerCommand::Show { key } => {
                let (key, job) = find_job(&jobs, key)?;
                context.output.print_answer(&breaker_row(key, job), || render_job(key, job))?;
            }
            BreakerCommand::Reset { key } => {
                let (key, _) = find_job(&jobs, key)?;
                let store = store.as_ref().ok_or_else(|| unknown_breaker_error(key.as_str()))?;
                let _at_work = acquire_command_lock(store, &limits).await?;
                reset_breaker(store, key, &limits, &actor_name(&context.environment)).await?;
                context.output.print_note(format_args!(
                    "{key}: the circuit breaker is closed; the next run starts without recorded failures"
                ));
            }
        }
        Ok(CommandExit::Success)
    })
}

fn find_job<'a>(
    jobs: &'a [(SlotKey, JobState)],
    text: &str,
) -> Result<(&'a SlotKey, &'a JobState), CliError> {
    let wanted = [SlotKey::new(text), job::job_key(text)];
    let found = jobs.iter().find(|(key, _)| wanted.contains(key));
    found.map(|(key, job)| (key, job)).ok_or_else(|| unknown_breaker_error(text))
}

fn unknown_breaker_error(text: &str) -> CliError {
    CliError::usage("unknown_breaker", format!("there is no circuit breaker for `{text}`")).hint(
        "`truing breaker list` shows all circuit breakers; a job has a circuit breaker after its \
            first run",
    )
}

/// Closes the circuit breaker, under a lease of the job's slot. No lease is granted while the job runs.
async fn reset_breaker(
    store: &Store,
    key: &SlotKey,
    limits: &truing_core::slot::SlotLimits,
    actor: &str,
) -> Result<(), CliError> {
    let lease = manual_lease::lease_slot_ignoring_switches(store, key, LoopKind::Sync, limits).await;
    let lease = lease
        .map_err(|error| missing_job_run_error(job::job_from_key(key).unwrap_or_default(), error.into()))?;
    let run = RunReference { id: new_run_id(), key: key.clone(), token: lease.token };
    let mut job = store.begin_job_run(&run).await.map_err(store_error)?;
    job.breaker.reset();
    store.store_job(&run, &job).await.map_err(store_error)?;
    store
        .append_audit_log(&[OperatorAction::new(actor, "breaker reset", key.as_str(), "")])
        .await
        .map_err(store_error)?;
    match apply_slot_command(store, key, SlotCommand::Finish(lease.token, StepOutcome::Done), limits).await {
        Ok(_) | Err(SlotCommandError::SlotRefused(_)) => Ok(()),
        Err(SlotCommandError::Store(error)) => Err(store_error(error)),
    }
}

fn breaker_row(key: &SlotKey, job: &JobState) -> Value {
    let (failures, streak) = job.breaker.failure_counts();
    json!({
        "key": key,
        "state": job.breaker_state(),
        "why": job.breaker.trip().map(|open| open.reason),
        "since": job.breaker.trip().map(|open| format_instant(open.since)),
        "failures": failures,
        "streak": streak,
        "target": job.breaker.target(),
        "question": job.question.as_ref().and_then(|question| question.url.as_ref()),
        "told": job.breaker.recent_failures().iter().map(|failure| json!({
            "at": format_instant(failure.failed_at), "version": failure.version, "why": failure.reason,
        })).collect::<Vec<_>>(),
    })
}

fn render_list(jobs: &[(SlotKey, JobState)]) -> String {
    if jobs.is_empty() {
        return "no job has run yet\n".to_owned();
    }
    let line = |(key, job): &(SlotKey, JobState)| {
        let (failures, streak) = job.breaker.failure_counts();
        format!(
            "{key}  {}  {} with one release, {streak} in a row\n",
            job.breaker_state(),
            format_count(failures, "failure")
        )
    };
    jobs.iter().map(line).collect()
}

fn render_job(key: &SlotKey, job: &JobState) -> String {
    let mut text = render_list(&[(key.clone(), job.clone())]);
    for failure in job.breaker.recent_failures() {
        let _ = writeln!(
            text,
            "  {}  {:<10}  {}",
            format_instant(failure.failed_at),
            failure.version,
            failure.reason
        );
    }
    if let Some(url) = job.question.as_ref().and_then(|question| question.url.as_ref()) {
        let _ = writeln!(text, "a question is waiting for an answer: {url}");
    }
    if job.breaker.trip().is_some() {
        let _ = writeln!(text, "to close the circuit breaker: truing breaker reset {key}");
    }
    text
}
