//! Runs one sync job, which updates a package in a repository. A server may use the same store at the same
//! time, so each run holds a lease of the job's slot. The run renews the lease, and frees the slot at its
//! end.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::Context;
use opentelemetry::trace::FutureExt as _;
use tokio::sync::watch;
use truing_core::id::{PrId, UnixMillis};
use truing_core::port::{
    Clock as _, EffectOwner, HistoryEvent, RecordStore, RunReference, SlotDescription, StoreError, WriteGate,
};
use truing_core::publish::CommentProducer;
use truing_core::run::StepCost;
use truing_core::slot::{LoopKind, SlotLimits, StepOutcome, WaitReason};
use truing_core::switch::RepositoryRef;
use truing_core::sync::breaker::BreakerOutcome;
use truing_core::sync::job;
use truing_core::sync::record::{SyncDetail, SyncEvidence, SyncOutcome as Outcome, SyncRecord, SyncStep};
use truing_forge::effects::EffectExecutor;
use truing_forge::remote::{RemoteError, RemotePurpose};
use truing_forge::write_monitor::WriteMonitor;
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_git::Remote;
use truing_loops::checkout;
use truing_loops::machine::{SystemClock, new_run_id};
use truing_loops::program_versions;
use truing_loops::run_gate::{RunGate, SwitchReader};
use truing_loops::step_stop_reason::StepStopReason;
use truing_loops::sync::job::SyncJob;
use truing_loops::sync::run::SyncRun;
use truing_loops::telemetry;

use super::job_scheduler::FIRST_RETRY_DELAY_MS;
use super::lease_driver::{self, LeaseDriver, LeaseSuccessor, LeasedStep, NextSlotState, trace_stop};
use super::manual_lease;
use super::run_failure::RunFailure;

/// A job with everything that its runs need.
#[derive(Clone, Copy, Debug)]
pub struct JobRun<'a> {
    pub job: SyncJob<'a>,
    /// Name of the project's repository, `owner/name`.
    pub repo: &'a str,
    /// The forge that hosts the repository.
    pub forge: &'a AnyForgeServer,
    /// Folder of the mirrors.
    pub mirrors_folder: &'a Path,
    /// Limits of the slot machine.
    pub limits: &'a SlotLimits,
    /// The kill switches of the real store. A dry run works on a copy of the records, but also uses the real
    /// kill switches.
    pub switches: &'a Arc<SwitchReader>,
    /// Interval at which the lease is renewed.
    pub heartbeat: Duration,
}

impl JobRun<'_> {
    /// Leases the job's slot, runs the job, and frees the slot. Returns the record even if the run failed.
    ///
    /// # Errors
    /// [`RunFailure`]. If the run could not reach its repository, a record is stored as well.
    #[truing_core::boxed_future]
    pub async fn run(
        &self,
        store: &Arc<dyn RecordStore>,
        return_requested: watch::Receiver<bool>,
    ) -> Result<SyncRecord, RunFailure> {
        let key = job::job_key(self.job.name);
        let lease = manual_lease::lease_slot(&**store, &key, LoopKind::Sync, self.limits).await?;
        tracing::info!(%key, token = lease.token.0, "leased");
        let run = RunReference { id: new_run_id(), key, token: lease.token };
        // The trace ends only when all work in the trace has ended.
        let trace = telemetry::start_sync_trace(
            &run.id,
            &run.key,
            self.repo,
            self.job.name,
            &self.job.config.package,
        );
        let forge = self.forge.with_review_id(run.id.as_str());
        let job = &JobRun { forge: &forge, ..*self };
        let leased = LeasedJob { job, store, run: &run, trace: &trace };
        let driver = LeaseDriver { store, clock: &SystemClock, limits: self.limits };
        let stop = lease_driver::wait_for_return_request(return_requested);
        let ended = driver.drive(&lease, LeaseSuccessor::Nobody, self.heartbeat, stop, &leased).await?;
        ended.unwrap_or_else(|stopped| {
            trace_stop(&trace, &stopped);
            Err(RunFailure::StepStopped(stopped))
        })
    }

    /// Does one run under its lease. Returns the record of the run, or the reason why no record exists. The
    /// first value is the next state of the slot.
    async fn run_under_lease(
        &self,
        store: &Arc<dyn RecordStore>,
        run: &RunReference,
        trace: &Context,
    ) -> (StepOutcome, Result<SyncRecord, RunFailure>) {
        let began = SystemClock.now();
        let (id, remote) = match self.resolve_repository().await {
            Ok(found) => found,
            Err(error) => {
                return match self.record_unreachable(store, run, began, &error).await {
                    Ok(ended) => (self.retry_outcome(ended), Err(error.into())),
                    Err(error) => (StepOutcome::Done, Err(error.into())),
                };
            }
        };
        let repository = RepositoryRef::from_id(&self.job.config.forge, &id).with_name(self.repo);
        // The caller checked the kill switches by the configured name. The repository may have been renamed,
        // so this check uses the repository's id.
        let switches = self.switches.read().await.switches;
        if switches.switch_for(&repository).is_some()
            && switches.switch_for(&RepositoryRef::from_name(self.repo)).is_none()
        {
            return (
                self.retry_outcome(SystemClock.now()),
                Err(RunFailure::StepStopped(StepStopReason::Halted)),
            );
        }
        match self.follow_package(store, run, &id, &remote).with_context(trace.clone()).await {
            Ok((record, again)) => {
                telemetry::record_sync_result(trace, &record);
                // Only jobs with a cron pattern are run by a server, so other jobs get no due time.
                let again = again.filter(|_| self.job.config.cron.is_some());
                (
                    again.map_or(StepOutcome::Done, |until| StepOutcome::DueAt(until, WaitReason::Settling)),
                    Ok(record),
                )
            }
            Err(error) => (StepOutcome::Done, Err(error.into())),
        }
    }

    /// Makes a job with a cron pattern due [`FIRST_RETRY_DELAY_MS`] after `ended_at`, because the pattern's
    /// next time may be a week away.
    fn retry_outcome(&self, ended_at: UnixMillis) -> StepOutcome {
        let soon = StepOutcome::DueAt(
            UnixMillis(ended_at.0.saturating_add(FIRST_RETRY_DELAY_MS)),
            WaitReason::Backoff,
        );
        if self.job.config.cron.is_some() { soon } else { StepOutcome::Done }
    }

    /// Runs the sync loop in the repository with the id `repository_id`. Also returns the time at which the
    /// run must continue, if there is one.
    async fn follow_package(
        &self,
        store: &Arc<dyn RecordStore>,
        run: &RunReference,
        repository_id: &str,
        remote: &Remote,
    ) -> Result<(SyncRecord, Option<UnixMillis>), StoreError> {
        let watch = WriteMonitor { dry_run: self.job.dry_run, ..telemetry::WRITE_MONITOR.clone() };
        let place =
            PrId { forge: self.job.config.forge.clone(), repository: repository_id.to_owned(), number: 0 };
        let repository = RepositoryRef::from_key(&place.key()).with_name(self.repo);
        let gate = RunGate::for_run(self.switches, repository);
        let gate: Arc<dyn WriteGate> = Arc::new(gate.with_lease(store, &run.key, run.token));
        let forge = self.forge.client(&place, self.repo, CommentProducer::Sync);
        let effects = EffectExecutor {
            forge: &forge,
            log: &**store,
            gate: &gate,
            clock: &SystemClock,
            owner: EffectOwner {
                key: run.key.clone(),
                producer: CommentProducer::Sync,
                token: Some(run.token),
            },
            monitor: &watch,
        };
        let following = SyncRun {
            job: &self.job,
            run,
            repository_client: &forge,
            server: self.forge,
            store: &**store,
            effects,
            mirror_path: &checkout::mirror_path(self.mirrors_folder, &place),
            remote,
        };
        let page = remote.url().trim_end_matches(".git").to_owned();
        let named = SlotDescription { name: run.key.to_string(), url: page, head: None };
        store.store_descriptions(&[(run.key.clone(), named)]).await?;
        let (record, again) = Box::pin(following.run()).await?;
        let reason = record.detail.exit_reason.lines().next().unwrap_or_default();
        let what = format!("{}: {reason}", record.detail.result.as_str().replace('_', " "));
        let event = HistoryEvent {
            at: record.ended_at,
            key: run.key.clone(),
            run: Some(run.id.clone()),
            description: what,
        };
        store.append_history(&[event]).await?;
        Ok((record, again))
    }

    /// Returns the repository's id, and the remote for pushes.
    async fn resolve_repository(&self) -> Result<(String, Remote), RemoteError> {
        let id = self.forge.repository(self.repo).await?.id;
        let remote = self.forge.resolve_remote(&id, self.repo, RemotePurpose::Push).await?;
        Ok((id, remote))
    }

    /// Records a run that did not reach its repository. Without a record, a job that never reaches its
    /// repository would look as if it never ran. The circuit breaker does not count this run as a failure,
    /// because the run did not test the release. Also, no question could be posted while the forge is
    /// unreachable.
    async fn record_unreachable(
        &self,
        store: &Arc<dyn RecordStore>,
        run: &RunReference,
        started_at: UnixMillis,
        error: &RemoteError,
    ) -> Result<UnixMillis, StoreError> {
        let mut job = store.begin_job_run(run).await?;
        let ended = SystemClock.now();
        job.breaker.record_lost_run(self.job.config.breaker, ended);
        let duration_ms = u64::try_from(ended.0.saturating_sub(started_at.0)).unwrap_or_default();
        let detail = SyncDetail {
            job: self.job.name.to_owned(),
            result: Outcome::Failed,
            exit_reason: error.to_string(),
            verdict: None,
            package: self.job.config.package.clone(),
            current_release: None,
            target_release: None,
            highest_step: SyncStep::Detect,
            pull: None,
            question_url: job.question.as_ref().and_then(|question| question.url.clone()),
            evidence: SyncEvidence::default(),
        };
        let steps = vec![StepCost { duration_ms, ..StepCost::zero(SyncStep::Detect) }];
        let begun = SyncRecord::new(run.id.clone(), run.key.clone(), detail, started_at);
        let record = SyncRecord { steps, versions: program_versions(), ended_at: ended, ..begun };
        store.end_job_run(run, &job, &record).await?;
        Ok(ended)
    }
}

/// A run of a job under its lease.
struct LeasedJob<'a> {
    job: &'a JobRun<'a>,
    store: &'a Arc<dyn RecordStore>,
    run: &'a RunReference,
    trace: &'a Context,
}

#[async_trait]
impl LeasedStep for LeasedJob<'_> {
    /// The record of the run, or the reason why no record exists.
    type Output = Result<SyncRecord, RunFailure>;

    async fn step(&self) -> Result<(NextSlotState, Self::Output), StepStopReason> {
        let (then, ended) = Box::pin(self.job.run_under_lease(self.store, self.run, self.trace)).await;
        let ended = RunFailure::separate_fenced_error(ended)?;
        if let Err(error) = &ended {
            telemetry::record_failure(self.trace, &error.to_string());
        }
        Ok((NextSlotState::Outcome(then), ended))
    }

    async fn record_stop(&self, reason: &StepStopReason) -> Result<(), StoreError> {
        match reason {
            // An interrupted run does not show whether the release works, so only the interruption is
            // recorded in the circuit breaker.
            StepStopReason::Interrupted => {
                let mut job = self.store.begin_job_run(self.run).await?;
                job.breaker.record_end(
                    BreakerOutcome::Interrupted,
                    self.job.job.config.breaker,
                    SystemClock.now(),
                );
                self.store.store_job(self.run, &job).await
            }
            // For other reasons, only the run's record is stored.
            StepStopReason::LeaseLost
            | StepStopReason::Fenced(_)
            | StepStopReason::NotFound { .. }
            | StepStopReason::HeadChanged
            | StepStopReason::Halted
            | StepStopReason::RateLimited { .. }
            | StepStopReason::StepFailed { .. } => Ok(()),
        }
    }
}
