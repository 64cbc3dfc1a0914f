//! The commands `truing sync run` and `truing sync status`.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::sync::JobConfig;
use truing_core::id::UnixMillis;
use truing_core::line::format_count;
use truing_core::port::{Clock as _, OperatorAction, OperatorStore as _, RunStore as _};
use truing_core::switch::RepositoryRef;
use truing_core::sync::job::{self, JobState};
use truing_core::sync::record::{SyncOutcome as Outcome, SyncRecord};
use truing_git::PrivateFolder;
use truing_loops::machine::SystemClock;
use truing_loops::reader::ChildProcessReader;
use truing_loops::run_gate::SwitchReader;
use truing_loops::sync::PackageSources;
use truing_loops::sync::job::SyncJob;
use truing_loops::text::format_instant;
use truing_service::job_scheduler;
use truing_service::jobs::JobRun;
use truing_store::Store;
use truing_upstream::archives::ArchiveFolder;

use super::job_run_error::missing_job_run_error;
use super::outcome;
use super::sync_errors::{parse_version, render_item, unknown_job_error};
use crate::cli::destination::follow_links;
use crate::cli::error::{CliError, CommandExit};
use crate::cli::output::{OutputPrinter, shell_quote};
use crate::cli::target::{
    acquire_command_lock, actor_name, check_kill_switches, dry_run_store, open_existing_store, store_error,
};
use crate::cli::{CommandContext, runtime};
use crate::wiring::jobs::{archives_folder, package_index};
use crate::wiring::{self, child_process_reader};
use truing_service::report::markdown;
use truing_service::report::outcome::merge_objects;

/// Maximum time that an interrupted run has to release its lease.
const LEASE_RELEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum number of records that `status` shows of each job.
const MAX_SHOWN_RECORDS: usize = 5;
/// Environment variable with the path of a CI job's summary.
const SUMMARY_PATH_VARIABLE: &str = "GITHUB_STEP_SUMMARY";

#[derive(clap::Args, Debug)]
pub(crate) struct SyncRunArgs {
    /// The job: `[sync.NAME]` of the configuration
    #[arg(value_name = "JOB")]
    pub(crate) job: String,
    /// The release to follow [default: the job's target]
    #[arg(long, value_name = "V")]
    pub(crate) to: Option<String>,
    /// Write nothing to the forge and record nothing: show the change or the question
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// For cron and CI: an open circuit breaker is not an error
    #[arg(long)]
    pub(crate) scheduled: bool,
    /// Write the outcome record to this file as JSON, even if the run fails
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

#[derive(clap::Args, Debug)]
pub(super) struct SyncStatusArgs {
    /// The job [default: all jobs]
    #[arg(value_name = "JOB")]
    job: Option<String>,
}

impl SyncRunArgs {
    pub(super) fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        let began = SystemClock.now();
        let ran = self.run_job(context);
        let record = match &ran {
            Ok(record) => outcome::record_json(record),
            Err(error) => outcome::error_json(&self.job, began, SystemClock.now(), error),
        };
        let json = merge_objects(record, json!({ "dry_run": self.dry_run }));
        let kept = self.save_record(&json, context);
        let record = ran?;
        append_ci_summary(&record, context);
        context.output.print_answer(&json, || outcome::render_text(&record, self.dry_run))?;
        kept?;
        Ok(self.exit_for_record(&record))
    }

    /// Writes the record to the file of `--record`.
    fn save_record(&self, record: &Value, context: &CommandContext) -> Result<(), CliError> {
        let Some(file) = &self.record else { return Ok(()) };
        let file = context.environment.directory().join(file);
        let wrong = |reason: String| {
            CliError::failure("record", format!("{} cannot be written: {reason}", file.display()))
                .hint("the run has ended, and its record is stored: `truing sync status` shows the record")
        };
        let target = follow_links(&file)
            .map_err(|link| wrong(format!("{} is a link in a repository", link.display())))?;
        std::fs::write(target, format!("{record:#}\n")).map_err(|error| wrong(error.to_string()))
    }

    /// Runs the job once.
    fn run_job(&self, context: &CommandContext) -> Result<SyncRecord, CliError> {
        let mut config = context.config(&[])?;
        let job = config.sync_jobs.get(&self.job).ok_or_else(|| {
            let command = format!("`truing sync init {}`", shell_quote(&self.job));
            unknown_job_error(&self.job, &config.sync_jobs, context).hint(format!(
                "if the project requires the package, {command} prints the lines that configure a job"
            ))
        })?;
        let forge = job.forge.clone();
        config.forges.retain(|name, _| *name == forge);
        let runtime = runtime::start()?;
        let traces = wiring::start_telemetry(&config, &context.environment, runtime.handle())?;
        let (stop_sender, stop_receiver) = watch::channel(false);
        let ran = runtime.block_on(async {
            let mut signals = runtime::StopSignals::new()?;
            let reader = child_process_reader(&config.rules, &config.sandbox)?;
            let mut work =
                Box::pin(self.run_with_config(&config, &context.environment, &reader, stop_receiver));
            tokio::select! {
                record = &mut work => record,
                _ = signals.next_signal() => {
                    stop_sender.send_replace(true);
                    // The run gets time to release its lease. Work that is unfinished after this time is
                    // stopped when the run is dropped.
                    let _ = tokio::time::timeout(LEASE_RELEASE_TIMEOUT, work).await;
                    Err(CliError::new(CommandExit::Interrupted, "interrupted", "interrupted before the run \
                         was done")
                        .hint("run the command again: the run continues where it stopped, and nothing is \
                            written twice"))
                }
            }
        });
        drop(traces);
        ran
    }

    /// Returns the exit code for the result of a run.
    pub(crate) fn exit_for_record(&self, record: &SyncRecord) -> CommandExit {
        match record.detail.result {
            Outcome::UpToDate
            | Outcome::CoveredByPull
            | Outcome::SkippedByUser
            | Outcome::RangeWidened
            | Outcome::CodePorted
            | Outcome::DryRun => CommandExit::Success,
            Outcome::DraftSaved | Outcome::QuestionAsked | Outcome::WaitingForUsers => {
                CommandExit::NegativeAnswer
            }
            Outcome::CircuitOpen if self.scheduled => CommandExit::Success,
            Outcome::CircuitOpen | Outcome::Postponed => CommandExit::Refusal,
            Outcome::Failed => CommandExit::Failure,
        }
    }

    /// Runs the job and returns its record. The run stops when `stop_signal` becomes true.
    pub(crate) async fn run_with_config(
        &self,
        config: &Config,
        environment: &Environment,
        reader: &ChildProcessReader,
        stop_signal: watch::Receiver<bool>,
    ) -> Result<SyncRecord, CliError> {
        let job = config
            .sync_jobs
            .get(&self.job)
            .ok_or_else(|| CliError::usage("unknown_job", format!("there is no job `{}`", self.job)))?;
        let repo = job.repo.as_deref().ok_or_else(|| {
            CliError::usage(
                "no_repo",
                format!("sync.{}.repo is not set (required to open a pull request)", self.job),
            )
            .hint(format!(
                "set `repo` to the repository's name, owner/name; or only show what the release requires: \
                    `truing sync decide {}`",
                self.job
            ))
        })?;
        let to = self.to.as_deref().map(|text| parse_version(job.registry, text)).transpose()?;
        let folder = &wiring::ensure_machine_folder(config)?;
        let store = wiring::open_store(config, environment).await?;
        check_kill_switches(&store, &RepositoryRef::from_name(repo)).await?;
        // The temporary folder is deleted when the run ends.
        let temp = PrivateFolder::new().map_err(truing_loops::local::LocalReviewError::TemporaryFolder)?;
        let key = job::job_key(&self.job);
        // A dry run also pays for model calls, so a dry run uses the real ledger.
        let ledger = store.clone();
        let common = store.shared_state();
        let store = if self.dry_run { dry_run_store(&store, temp.path(), &key).await? } else { store };
        let act = OperatorAction::new(&actor_name(environment), "sync run", key.as_str(), repo);
        store.append_audit_log(&[act]).await.map_err(store_error)?;
        let limits = wiring::slot_limits(&config.review, config.server.lease_duration);
        let _at_work = acquire_command_lock(&store, &limits).await?;
        let porter = wiring::agent::migration_agent(config, environment, &ledger, job, None)?;
        let locker = wiring::verify::lock_verifier(&config.verify, environment, job)?;
        let verifier = wiring::verify::check_verifier(&config.verify, environment)?;
        let forge =
            wiring::forge_client(config, &job.forge, environment, folder)?.with_shared_rate_limits(common);
        let work = JobRun {
            job: SyncJob {
                name: &self.job,
                config: job,
                git: &wiring::open_git(environment).await?,
                sources: PackageSources {
                    index: &package_index(job, environment)?,
                    archives: &ArchiveFolder::new(archives_folder(environment)?),
                    reader,
                },
                migration_agent: porter.as_ref(),
                lock_command_runner: locker.as_ref(),
                verifier: verifier.as_ref(),
                target_version: to.as_ref(),
                dry_run: self.dry_run,
            },
            repo,
            forge: &forge,
            mirrors_folder: &wiring::mirrors_folder(folder),
            limits: &limits,
            switches: &SwitchReader::new(ledger.as_record_store(), Arc::new(SystemClock)),
            heartbeat: config.server.heartbeat_interval,
        };
        work.run(&store.as_record_store(), stop_signal)
            .await
            .map_err(|error| missing_job_run_error(&self.job, error))
    }
}

/// Appends the result to the summary of the CI job, if the environment names a summary file. If the summary
/// cannot be written, the command only warns, because the run is already complete.
fn append_ci_summary(record: &SyncRecord, context: &CommandContext) {
    let Some(file) = context.environment.get(SUMMARY_PATH_VARIABLE).filter(|file| !file.is_empty()) else {
        return;
    };
    let file = context.environment.directory().join(file);
    let opened = OpenOptions::new().append(true).create(true).open(&file);
    let written =
        opened.and_then(|mut to| to.write_all(format!("{}\n", markdown::render_job_run(record)).as_bytes()));
    if let Err(error) = written {
        context
            .output
            .warn(format_args!("{SUMMARY_PATH_VARIABLE}: {} cannot be written: {error}", file.display()));
    }
}

impl SyncStatusArgs {
    pub(super) fn run(&self, context: &CommandContext) -> Result<CommandExit, CliError> {
        let config = context.config(&[])?;
        let names: Vec<&String> = match &self.job {
            Some(name) if !config.sync_jobs.contains_key(name) => {
                return Err(unknown_job_error(name, &config.sync_jobs, context));
            }
            Some(name) => vec![name],
            None => config.sync_jobs.keys().collect(),
        };
        let mut told = Vec::new();
        runtime::start()?.block_on(async {
            let store = open_existing_store(&config, &context.environment).await?;
            for name in &names {
                let job = config
                    .sync_jobs
                    .get(*name)
                    .ok_or_else(|| unknown_job_error(name, &config.sync_jobs, context))?;
                told.push((name.as_str(), job, load_job(store.as_ref(), name).await?));
            }
            Ok::<_, CliError>(())
        })?;
        let rows: Vec<Value> =
            told.iter().map(|(name, set, (job, records))| job_json(name, set, job, records)).collect();
        context.output.print_answer(&rows, || {
            if told.is_empty() {
                return "no job is configured: see [sync.NAME] in `truing config schema`\n".to_owned();
            }
            told.iter()
                .map(|(name, set, (job, records))| render_job(name, set, job, records, context.output))
                .collect()
        })?;
        Ok(CommandExit::Success)
    }
}

/// Returns a job's state and the job's last records, newest first.
async fn load_job(store: Option<&Store>, name: &str) -> Result<(JobState, Vec<SyncRecord>), CliError> {
    let Some(store) = store else { return Ok((JobState::default(), vec![])) };
    let key = job::job_key(name);
    let job = store.jobs().await.map_err(store_error)?.into_iter().find(|(known, _)| *known == key);
    let records = store.records(Some(&key), UnixMillis(0), MAX_SHOWN_RECORDS).await.map_err(store_error)?;
    Ok((job.map(|(_, job)| job).unwrap_or_default(), records))
}

/// Returns the time of the job's next scheduled run, which a server would start.
fn next_run_time(job: &JobConfig, records: &[SyncRecord]) -> Option<UnixMillis> {
    let cron = job.cron.as_deref()?.parse().ok()?;
    let last = records.first().map(|record| record.started_at);
    job_scheduler::next_run_time(&cron, last.unwrap_or_else(|| SystemClock.now()))
}

/// Returns a job as a JSON object.
fn job_json(name: &str, config: &JobConfig, state: &JobState, records: &[SyncRecord]) -> Value {
    let (failures, streak) = state.breaker.failure_counts();
    json!({
        "job": name,
        "breaker": state.breaker_state(),
        "failures": failures,
        "streak": streak,
        "question": state.question.as_ref().and_then(|question| question.url.as_ref()),
        "next": next_run_time(config, records).map(format_instant),
        "outcomes": records.iter().map(outcome::record_json).collect::<Vec<_>>(),
    })
}

fn render_job(
    name: &str,
    config: &JobConfig,
    state: &JobState,
    records: &[SyncRecord],
    output: OutputPrinter,
) -> String {
    let (failures, streak) = state.breaker.failure_counts();
    let mut text = format!("{name}: breaker {}", state.breaker_state());
    if streak > 0 {
        let _ = write!(text, " ({} with this release, {streak} in a row)", format_count(failures, "failure"));
    }
    text.push('\n');
    if let Some((question, url)) =
        state.question.as_ref().and_then(|question| Some((question, question.url.as_ref()?)))
    {
        let what = if question.is_closed {
            "people closed the question, so Truing does not ask again"
        } else {
            "a question to people is open"
        };
        text += &render_item(&format!("{what}:"), url);
    }
    if let Some(next) = next_run_time(config, records) {
        let _ = writeln!(text, "  next run by a server: {}", format_instant(next));
    }
    if records.is_empty() {
        let _ = writeln!(
            text,
            "  this job has never run; to run the job: {}",
            output.command_line(&format!("sync run {name}"))
        );
    }
    for record in records {
        let to = record.detail.target_release.as_deref().unwrap_or("-");
        let result = record.detail.result.as_str().replace('_', " ");
        let head = format!("{}  {to:<10}  {result:<10}", format_instant(record.ended_at));
        text += &render_item(&head, record.detail.exit_reason.lines().next().unwrap_or_default());
    }
    text
}
