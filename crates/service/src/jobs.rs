//! One run of a job that follows a package, on the store that a server may be serving: the slot of the job is leased, the
//! run keeps the lease alive, and its end frees the slot.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::Context;
use opentelemetry::trace::FutureExt as _;
use tokio::sync::watch;
use truing_core::id::{PrId, UnixMillis};
use truing_core::port::{
    Clock as _, EffectOwner, HistoryEvent, RecordStore, RunRef, SlotDescription, StoreError, WriteGate,
};
use truing_core::publish::Producer;
use truing_core::run::StepCost;
use truing_core::slot::{LoopKind, SlotLimits, StepOutcome, WaitReason};
use truing_core::switch::RepositoryRef;
use truing_core::sync::breaker::BreakerOutcome;
use truing_core::sync::job;
use truing_core::sync::record::{SyncDetail, SyncEvidence, SyncOutcome as Outcome, SyncRecord, SyncStep};
use truing_forge::effects::EffectExecutor;
use truing_forge::remote::{RemoteError, RemotePurpose};
use truing_forge::watch::WriteMonitor;
use truing_forge::{AnyForgeServer, ForgeServer as _};
use truing_git::Remote;
use truing_loops::checkout;
use truing_loops::machine::{SystemClock, new_run_id};
use truing_loops::run_gate::{RunGate, SwitchReader};
use truing_loops::stopped::StepStopReason;
use truing_loops::sync::job::SyncJob;
use truing_loops::sync::run::SyncRun;
use truing_loops::telemetry;
use truing_loops::versions;

use super::by_hand;
use super::calendar::AGAIN;
use super::drive::{self, LeaseDriver, LeaseSuccessor, LeasedStep, NextSlotState, trace_stop};
use super::no_run::RunFailure;

/// A job, and where its runs go.
#[derive(Clone, Copy, Debug)]
pub struct JobRun<'a> {
    /// The job.
    pub job: SyncJob<'a>,
    /// The project's repository, `owner/name`.
    pub repo: &'a str,
    /// The forge that it is at.
    pub forge: &'a AnyForgeServer,
    /// Where mirrors are.
    pub mirrors: &'a Path,
    /// The limits of slots.
    pub limits: &'a SlotLimits,
    /// The kill switches; also in a dry run, which works on a copy of the records, the real ones.
    pub switches: &'a Arc<SwitchReader>,
    /// How often the lease is renewed.
    pub heartbeat: Duration,
}

impl JobRun<'_> {
    /// Leases the job's slot, runs it, and frees the slot. The record, whatever the run came to.
    ///
    /// # Errors
    /// [`RunFailure`]; of a run that did not come to its repository there is a record all the same.
    #[truing_core::boxed_future]
    pub async fn run(
        &self,
        store: &Arc<dyn RecordStore>,
        give_back: watch::Receiver<bool>,
    ) -> Result<SyncRecord, RunFailure> {
        let key = job::key(self.job.name);
        let lease = by_hand::lease(&**store, &key, LoopKind::Sync, self.limits).await?;
        tracing::info!(%key, token = lease.token.0, "leased");
        let run = RunRef { id: new_run_id(), key, token: lease.token };
        // What runs for it ends with it.
        let trace = telemetry::sync(&run.id, &run.key, self.repo, (self.job.name, &self.job.config.package));
        let forge = self.forge.for_review(run.id.as_str());
        let job = &JobRun { forge: &forge, ..*self };
        let leased = LeasedJob { job, store, run: &run, trace: &trace };
        let driver = LeaseDriver { store, clock: &SystemClock, limits: self.limits };
        let told = drive::told(give_back);
        let ended = driver.drive((&lease, LeaseSuccessor::Nobody), self.heartbeat, told, &leased).await?;
        ended.unwrap_or_else(|stopped| {
            trace_stop(&trace, &stopped);
            Err(RunFailure::Stopped(stopped))
        })
    }

    /// One run under its lease. Returns its record, or why there is none, and when the slot is due again.
    async fn leased(
        &self,
        store: &Arc<dyn RecordStore>,
        run: &RunRef,
        trace: &Context,
    ) -> (StepOutcome, Result<SyncRecord, RunFailure>) {
        let began = SystemClock.now();
        let (id, remote) = match self.repository().await {
            Ok(found) => found,
            Err(error) => {
                return match self.unreached(store, run, began, &error).await {
                    Ok(ended) => (self.soon(ended), Err(error.into())),
                    Err(error) => (StepOutcome::Idle, Err(error.into())),
                };
            }
        };
        let repository = RepositoryRef::of_id(&self.job.config.forge, &id).called(self.repo);
        // Whoever begins a run asks by the name; this one has another by now.
        let switches = self.switches.read().await.switches;
        if switches.at(&repository).is_some() && switches.at(&RepositoryRef::named(self.repo)).is_none() {
            return (self.soon(SystemClock.now()), Err(RunFailure::Stopped(StepStopReason::Halted)));
        }
        match self.followed(store, run, (&id, &remote)).with_context(trace.clone()).await {
            Ok((record, again)) => {
                telemetry::synced(trace, &record);
                // Only a server serves what is due.
                let again = again.filter(|_| self.job.config.cron.is_some());
                (
                    again.map_or(StepOutcome::Idle, |until| StepOutcome::DueAt(until, WaitReason::Settling)),
                    Ok(record),
                )
            }
            Err(error) => (StepOutcome::Idle, Err(error.into())),
        }
    }

    /// A job of a server is due a little after `ended`: the next time of its pattern may be a week away.
    fn soon(&self, ended: UnixMillis) -> StepOutcome {
        let soon = StepOutcome::DueAt(UnixMillis(ended.0.saturating_add(AGAIN)), WaitReason::Backoff);
        if self.job.config.cron.is_some() { soon } else { StepOutcome::Idle }
    }

    /// Follows the package in the repository of this id. The record, and when to run again if that is known.
    async fn followed(
        &self,
        store: &Arc<dyn RecordStore>,
        run: &RunRef,
        (id, remote): (&str, &Remote),
    ) -> Result<(SyncRecord, Option<UnixMillis>), StoreError> {
        let watch = WriteMonitor { dry_run: self.job.dry_run, ..telemetry::WRITES.clone() };
        let place = PrId { forge: self.job.config.forge.clone(), repository: id.to_owned(), number: 0 };
        let repository = RepositoryRef::of_key(&place.key()).called(self.repo);
        let gate = RunGate::of_run(self.switches, repository);
        let gate: Arc<dyn WriteGate> = Arc::new(gate.under_lease(store, &run.key, run.token));
        let forge = self.forge.client(&place, self.repo, Producer::Sync);
        let effects = EffectExecutor {
            forge: &forge,
            log: &**store,
            gate: &gate,
            clock: &SystemClock,
            writer: EffectOwner { key: run.key.clone(), producer: Producer::Sync, token: Some(run.token) },
            watch: &watch,
        };
        let following = SyncRun {
            job: &self.job,
            run,
            forge: &forge,
            server: self.forge,
            store: &**store,
            effects,
            mirror: &checkout::mirror(self.mirrors, &place),
            remote,
        };
        let page = remote.url().trim_end_matches(".git").to_owned();
        let named = SlotDescription { name: run.key.to_string(), url: page, head: None };
        store.describe(&[(run.key.clone(), named)]).await?;
        let (record, again) = Box::pin(following.run()).await?;
        let why = record.detail.exit_reason.lines().next().unwrap_or_default();
        let what = format!("{}: {why}", record.detail.result.as_str().replace('_', " "));
        let event = HistoryEvent { at: record.ended, key: run.key.clone(), run: Some(run.id.clone()), what };
        store.note(&[event]).await?;
        Ok((record, again))
    }

    /// The repository's id, and where to push to.
    async fn repository(&self) -> Result<(String, Remote), RemoteError> {
        let id = self.forge.repository(self.repo).await?.id;
        let remote = self.forge.remote(&id, self.repo, RemotePurpose::Push).await?;
        Ok((id, remote))
    }

    /// Records a run that did not reach its repository: a job that fails so for weeks must not look as if it never ran. It does
    /// not count for the breaker: it says nothing of the release, and nobody could be asked while the forge is unreachable.
    async fn unreached(
        &self,
        store: &Arc<dyn RecordStore>,
        run: &RunRef,
        began: UnixMillis,
        error: &RemoteError,
    ) -> Result<UnixMillis, StoreError> {
        let mut job = store.begin_job(run).await?;
        let ended = SystemClock.now();
        job.breaker.lost(self.job.config.breaker, ended);
        let ms = u64::try_from(ended.0.saturating_sub(began.0)).unwrap_or_default();
        let detail = SyncDetail {
            job: self.job.name.to_owned(),
            result: Outcome::Failed,
            exit_reason: error.to_string(),
            update_type: None,
            package: self.job.config.package.clone(),
            from: None,
            to: None,
            highest_step: SyncStep::Detect,
            pull: None,
            question: job.question.as_ref().and_then(|question| question.url.clone()),
            evidence: SyncEvidence::default(),
        };
        let steps = vec![StepCost { ms, ..StepCost::zero(SyncStep::Detect) }];
        let begun = SyncRecord::begin(run.id.clone(), run.key.clone(), detail, began);
        let record = SyncRecord { steps, versions: versions(), ended, ..begun };
        store.end_job(run, &job, &record).await?;
        Ok(ended)
    }
}

/// A run of a job under its lease.
struct LeasedJob<'a> {
    job: &'a JobRun<'a>,
    store: &'a Arc<dyn RecordStore>,
    run: &'a RunRef,
    trace: &'a Context,
}

#[async_trait]
impl LeasedStep for LeasedJob<'_> {
    /// Its record; or why there is none, for whoever asked.
    type Ended = Result<SyncRecord, RunFailure>;

    async fn step(&self) -> Result<(NextSlotState, Self::Ended), StepStopReason> {
        let (then, ended) = Box::pin(self.job.leased(self.store, self.run, self.trace)).await;
        let ended = RunFailure::unless_fenced(ended)?;
        if let Err(error) = &ended {
            telemetry::failed(self.trace, &error.to_string());
        }
        Ok((NextSlotState::Then(then), ended))
    }

    async fn stopped(&self, why: &StepStopReason) -> Result<(), StoreError> {
        match why {
            // A run that was told to stop says nothing of its target.
            StepStopReason::Interrupted => {
                let mut job = self.store.begin_job(self.run).await?;
                job.breaker.ended(BreakerOutcome::GivenBack, self.job.job.config.breaker, SystemClock.now());
                self.store.keep_job(self.run, &job).await
            }
            // What else there is to say stands in its record.
            StepStopReason::Lost
            | StepStopReason::Fenced(_)
            | StepStopReason::NotThere { .. }
            | StepStopReason::Moved
            | StepStopReason::Halted
            | StepStopReason::RateLimited { .. }
            | StepStopReason::Failed { .. } => Ok(()),
        }
    }
}
