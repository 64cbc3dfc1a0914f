//! Prepares the scheduled jobs of a server: package indexes, models and verifiers.

use std::path::PathBuf;
use std::time::Duration;

use truing_agent::verify::Verifier;
use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::sync::JobConfig;
use truing_loops::reader::ChildProcessReader;
use truing_loops::sync::PackageSources;
use truing_loops::sync::job::SyncJob;
use truing_loops::sync::port::MigrationAgent;
use truing_service::ServiceContext;
use truing_service::job_scheduler::JobScheduler;
use truing_service::jobs::JobRun;
use truing_store::Store;
use truing_upstream::archives::ArchiveFolder;
use truing_upstream::index::PackageIndex;
use truing_upstream::user_index::UserEnvironment;

use super::{agent, mirrors_folder, verify};
use crate::cli::error::CliError;

/// The scheduled jobs of a server, with the parts that the service context does not contain, such as package
/// indexes and the archive folder.
#[derive(Debug)]
pub struct ScheduledJobs<'a> {
    jobs: Vec<ScheduledJob<'a>>,
    mirrors_folder: PathBuf,
    archive_folder: ArchiveFolder,
    heartbeat: Duration,
    reader: ChildProcessReader,
}

/// A scheduled job with its package index, model and verifiers.
#[derive(Debug)]
struct ScheduledJob<'a> {
    name: &'a String,
    job: &'a JobConfig,
    index: PackageIndex,
    migration_agent: Option<MigrationAgent>,
    lock_verifier: Option<Verifier>,
    verifier: Option<Verifier>,
}

impl<'a> ScheduledJobs<'a> {
    /// Prepares the jobs that have a schedule.
    ///
    /// # Errors
    /// Returns exit 2 if a job's repository or forge is not configured.
    pub fn new(
        config: &'a Config,
        environment: &Environment,
        context: &ServiceContext,
        store: &Store,
        reader: ChildProcessReader,
    ) -> Result<Self, CliError> {
        let wanted = config.sync_jobs.iter().filter(|(_, job)| job.cron.is_some());
        let server_runtime = context.agent.as_ref().map(|agent| &agent.runtime);
        let mut jobs = Vec::new();
        for (name, job) in wanted {
            if job.repo.is_none() || !context.forges.servers().contains_key(&job.forge) {
                let message = format!(
                    "sync.{name}.cron is set, but the job's repository or [forge.{}] is missing",
                    job.forge
                );
                return Err(CliError::usage("no_repo", message).hint(format!(
                    "set sync.{name}.repo to the repository's name, owner/name, or remove sync.{name}.cron"
                )));
            }
            let porter = agent::migration_agent(config, environment, store, job, server_runtime)?;
            let locker = verify::lock_verifier(&config.verify, environment, job)?;
            let verifier = verify::check_verifier(&config.verify, environment)?;
            jobs.push(ScheduledJob {
                name,
                job,
                index: package_index(job, environment)?,
                migration_agent: porter,
                lock_verifier: locker,
                verifier,
            });
        }
        let folder = config.store.local_data_folder()?;
        // Without jobs, no archive is stored, so a missing cache folder is not an error.
        let archives = if jobs.is_empty() { folder.to_owned() } else { archives_folder(environment)? };
        let (mirrors, heartbeat) = (mirrors_folder(folder), config.server.heartbeat_interval);
        Ok(Self {
            jobs,
            mirrors_folder: mirrors,
            archive_folder: ArchiveFolder::new(archives),
            heartbeat,
            reader,
        })
    }

    /// Returns the calendar of the jobs.
    pub fn calendar<'b>(&'b self, context: &'b ServiceContext) -> JobScheduler<'b> {
        let run = |ScheduledJob {
                       name,
                       job,
                       index,
                       migration_agent: porter,
                       lock_verifier: locker,
                       verifier,
                   }: &'b ScheduledJob<'a>| {
            let job = SyncJob {
                name,
                config: job,
                git: &context.git,
                sources: PackageSources { index, archives: &self.archive_folder, reader: &self.reader },
                migration_agent: porter.as_ref(),
                lock_command_runner: locker.as_ref(),
                verifier: verifier.as_ref(),
                target_version: None,
                dry_run: false,
            };
            Some(JobRun {
                repo: job.config.repo.as_deref()?,
                forge: context.forges.servers().get(&job.config.forge)?,
                job,
                mirrors_folder: &self.mirrors_folder,
                limits: &context.slot_limits,
                switches: &context.switches,
                heartbeat: self.heartbeat,
            })
        };
        JobScheduler::new(self.jobs.iter().filter_map(run).collect())
    }
}

/// Returns the package index that this user's package manager uses.
pub(crate) fn package_index(job: &JobConfig, environment: &Environment) -> Result<PackageIndex, CliError> {
    let variable = |name: &str| environment.get(name)?.to_str().map(str::to_owned);
    let home = environment.get("HOME").map(PathBuf::from);
    let user = UserEnvironment { read_variable: &variable, home: home.as_deref() };
    let wrong = |reason: String| CliError::usage("index", reason);
    let own = user.find_index(job.registry, &job.package).map_err(|error| wrong(error.to_string()))?;
    let index = PackageIndex::new(job.registry, &own.address).map_err(|error| {
        let named_by = own.configured_by.as_ref().map_or(String::new(), |name| format!("{name}: "));
        wrong(format!("{named_by}{error}"))
    })?;
    Ok(index.with_token(own.token))
}

/// Returns the folder that stores downloaded archives.
pub(crate) fn archives_folder(environment: &Environment) -> Result<PathBuf, CliError> {
    let folder = environment.user_folder("XDG_CACHE_HOME", ".cache");
    let folder = folder.ok_or_else(|| {
        CliError::usage("no_cache", "Truing has no folder for downloaded archives")
            .hint("set HOME or XDG_CACHE_HOME")
    })?;
    Ok(folder.join("truing/archives"))
}
