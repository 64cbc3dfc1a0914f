//! Does converge runs by a person's command: a whole run, a dry run, or one audit.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::watch;
use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeExit, ConvergeExitCode, ConvergeExitKind};
use truing_core::id::{FencingToken, PrId};
use truing_core::port::{
    Clock as _, ForgeRead as _, PullDetails, RecordStore, SlotDescription, StoreError, WriteGate,
    read_only_gate,
};
use truing_core::publish::CommentProducer;
use truing_core::slot::{LoopKind, SlotCommand, SlotState, StepOutcome};
use truing_core::switch::RepositoryRef;
use truing_forge::{ForgeServer as _, RepositoryClient};
use truing_git::Mirror;
use truing_loops::converge::pull::PullRequestWorkspace;
use truing_loops::converge::{ConvergeCallOutcome, ConvergeRunMode, run_texts};
use truing_loops::machine::SystemClock;
use truing_loops::slots::apply_slot_command;
use truing_loops::step_stop_reason::StepStopReason;

use crate::lease::Lease;
use crate::lease_driver::{self, LeaseDriver, LeaseSuccessor, LeasedStep, NextSlotState};
use crate::manual_lease::{self, LeaseError};
use crate::run_failure::RunFailure;

use super::ConvergeRunContext;
use super::listener::StopListener;
use super::progress::{ProgressMessage, RunTimeline, record_end_event};

impl ConvergeRunContext<'_> {
    /// Leases the slot, resumes or begins a run, works until the run ends, and frees the slot.
    /// `report_progress` is called with each progress message.
    ///
    /// # Errors
    /// [`RunFailure`] if there is no record of the run.
    #[truing_core::boxed_future]
    pub async fn run_by_operator(
        &self,
        store: &Arc<dyn RecordStore>,
        heartbeat: Duration,
        return_requested: watch::Receiver<bool>,
        report_progress: &(dyn Fn(ProgressMessage<'_>) + Sync),
    ) -> Result<(ConvergeRecord, Mirror), RunFailure> {
        let (forge, id) = (self.forge.1, self.id().await?);
        let now = forge.client(&id, self.repo, CommentProducer::Converge).pull_details().await?;
        let key = id.key();
        let described = SlotDescription { name: self.display_name(), url: now.url.clone(), head: None };
        store.store_descriptions(&[(key.clone(), described)]).await?;
        let slots = store.load_slots(std::slice::from_ref(&key)).await?;
        let is_served = slots.first().is_some_and(|slot| slot.active_loop == Some(LoopKind::Converge));
        // A lease of a review does not count as a converge run, even if a converge run waits to continue.
        let of = slots.first().map(|slot| &slot.state);
        let is_run = matches!(of, Some(SlotState::Leased { loop_kind: LoopKind::Converge, .. }));
        let lease = match manual_lease::lease_slot(&**store, &key, LoopKind::Converge, self.limits).await {
            Err(busy @ LeaseError::Leased(_)) if is_run => {
                let last = store.last_converge(&key).await?.filter(ConvergeRecord::is_unfinished);
                return Err(last.map_or(busy.into(), |last| RunFailure::AlreadyRunning(last.run)));
            }
            leased => leased?,
        };
        tracing::info!(%key, token = lease.token.0, "leased");
        let gate = self.leased_gate(&lease);
        let client = forge.client(&id, self.repo, CommentProducer::Converge);
        let whole = LeasedConvergeRun {
            context: self,
            store: &**store,
            lease: &lease,
            id: &id,
            client: &client,
            pull_details: &now,
            gate: &gate,
            return_requested,
            report_progress,
        };
        // If the server began the unfinished run, the server resumes it.
        let heir = if is_served { LeaseSuccessor::Server } else { LeaseSuccessor::Nobody };
        let driver = LeaseDriver { store, clock: &SystemClock, limits: self.limits };
        // The driver receives no stop request, because the run itself handles stop requests and then ends
        // cleanly.
        let ended = driver.drive(&lease, heir, heartbeat, std::future::pending(), &whole).await?;
        ended.unwrap_or_else(|stopped| Err(RunFailure::StepStopped(stopped)))
    }

    /// Returns the record with which a run would begin. Does not lease a slot, store a record or report
    /// anything.
    ///
    /// # Errors
    /// [`RunFailure`] if the run cannot be prepared.
    #[truing_core::boxed_future]
    pub async fn plan_run(&self, store: &dyn RecordStore) -> Result<(ConvergeRecord, Mirror), RunFailure> {
        let (forge, id) = (self.forge.1, self.id().await?);
        let client = forge.client(&id, self.repo, CommentProducer::Converge);
        let ground = self.fetch_checkout(&id, client.pull_details().await?).await?;
        let (key, last) = (id.key(), store.last_converge(&id.key()).await?);
        let dismissals = store.dismissals(&key).await?;
        let record = self.resume_or_new_record(&client, last, &dismissals, &key, &ground).await?;
        Ok((record, ground.mirror))
    }

    /// Audits the head once, until a stop is requested. Writes nothing at the forge. If no other work on the
    /// pull request is active, pending or unfinished, the audit becomes the record of a run. A later run then
    /// continues from the audit's findings. Otherwise the audit is stored outside the runs, only to record
    /// its cost.
    ///
    /// # Errors
    /// [`RunFailure`] if the audit has no record.
    #[truing_core::boxed_future]
    pub async fn audit_once(
        &self,
        store: &dyn RecordStore,
        return_requested: watch::Receiver<bool>,
    ) -> Result<ConvergeRecord, RunFailure> {
        let (forge, id) = (self.forge.1, self.id().await?);
        let looks = read_only_gate();
        let gate: Arc<dyn WriteGate> = Arc::new(self.run_gate(&id.key()));
        let client = forge.client(&id, self.repo, CommentProducer::Converge);
        let switches = self.switches.read().await.switches;
        if switches.switch_for(&RepositoryRef::from_key(&id.key()).with_name(self.repo)).is_some() {
            return Err(RunFailure::StepStopped(StepStopReason::Halted));
        }
        let now = client.pull_details().await?;
        let url = now.url.clone();
        let ground = self.fetch_checkout(&id, now).await?;
        let key = id.key();
        let workspace = self.workspace(&client, self.effect_executor(&client, &looks, &key, None), &ground);
        let mut record = self.resume_or_new_audit(None, &key, &ground).await?;
        record.detail.state.apply_dismissals(store.dismissals(&key).await?);
        store.store_converge_record(FencingToken(0), &record.with_abandoned_key()).await?;
        let span = self.span(&record, SystemTime::now());
        let mut runner = self.runner(&ground, &workspace, &gate, record, ConvergeRunMode::WholeRun).runner;
        let stopped = tokio::select! {
            () = Box::pin(span.wrap(runner.audit_once())) => false,
            () = lease_driver::wait_for_return_request(return_requested) => true,
        };
        runner.finish_audit(stopped).await?;
        span.record_state(&runner.record);
        store
            .store_descriptions(&[(
                key.clone(),
                SlotDescription { name: self.display_name(), url, head: None },
            )])
            .await?;
        let slots = store.load_slots(std::slice::from_ref(&key)).await?;
        let is_free =
            slots.first().is_none_or(|slot| slot.state == SlotState::Idle && slot.pending.is_empty());
        let unfinished = store.last_converge(&key).await?.is_some_and(|last| last.is_unfinished());
        if is_free
            && !unfinished
            && let Some(kept) = runner.record.to_completed_audit()
        {
            match manual_lease::lease_slot(store, &key, LoopKind::Converge, self.limits).await {
                Ok(lease) => {
                    store.store_converge_record(lease.token, &kept).await?;
                    apply_slot_command(
                        store,
                        &key,
                        SlotCommand::Finish(lease.token, StepOutcome::Done),
                        self.limits,
                    )
                    .await?;
                    return Ok(runner.record);
                }
                // For these errors, the audit is only stored outside the runs. A run that holds the slot does
                // its own audits, and no further run begins while a kill switch is on.
                Err(LeaseError::Leased(_) | LeaseError::OwnedByOtherLoop | LeaseError::KillSwitchOn) => {}
                Err(error @ LeaseError::Step(_)) => return Err(error.into()),
            }
        }
        let mut kept = runner.record.with_abandoned_key();
        kept.detail.state.exit.get_or_insert_with(|| runner.record.detail.state.audit_only_exit());
        store.store_converge_record(FencingToken(0), &kept).await?;
        Ok(runner.record)
    }
}

/// A whole run under its lease.
struct LeasedConvergeRun<'a> {
    context: &'a ConvergeRunContext<'a>,
    store: &'a dyn RecordStore,
    lease: &'a Lease,
    id: &'a PrId,
    client: &'a RepositoryClient,
    pull_details: &'a PullDetails,
    gate: &'a Arc<dyn WriteGate>,
    return_requested: watch::Receiver<bool>,
    report_progress: &'a (dyn Fn(ProgressMessage<'_>) + Sync),
}

impl LeasedConvergeRun<'_> {
    /// Does a whole run, including its waits.
    async fn run_whole(&self) -> Result<(ConvergeRecord, Mirror), RunFailure> {
        let Self { context: pull, lease, id, client, pull_details: now, gate, report_progress, .. } = self;
        let (store, give_back) = (self.store, self.return_requested.clone());
        // The listener is opened before the commits are fetched, because a stop request may arrive during the
        // fetch.
        let listener = StopListener::open(pull.forge.1, pull.repo, id).await?;
        let ground = pull.fetch_checkout(id, (*now).clone()).await?;
        let last = store.last_converge(&lease.key).await?;
        let dismissals = store.dismissals(&lease.key).await?;
        let before = last.clone();
        let mut record = pull.resume_or_new_record(client, last, &dismissals, &lease.key, &ground).await?;
        (record.detail.cost_before_resume, record.detail.denials_before_resume) =
            (record.cost(), record.denied_tool_calls());
        if let Some(before) = before.filter(|last| last.run == record.run && is_stuck(last)) {
            report_progress(ProgressMessage::Note(&run_texts::render_stuck_notice(&before)));
        }
        let most = pull.setup.agents.auditor.budgets.max_converge_cost();
        for line in run_texts::describe_plan(&record, most) {
            report_progress(ProgressMessage::Note(&line));
        }
        let effects = pull.effect_executor(client, gate, &lease.key, Some(lease.token));
        let workspace = PullRequestWorkspace {
            stop_requests: Some(&listener),
            ..pull.workspace(client, effects, &ground)
        };
        let span = pull.span(&record, SystemTime::now());
        let mut runner = pull.runner(&ground, &workspace, gate, record, ConvergeRunMode::WholeRun);
        let work = async {
            let timeline = RunTimeline { store, mirror: &ground.mirror, report_progress };
            loop {
                match runner.run_until_ready(store, lease.token, &timeline).await? {
                    ConvergeCallOutcome::WaitUntil(at, _, what) => {
                        report_progress(ProgressMessage::Step(&format!("waiting: {what}")));
                        let wait = u64::try_from((at - SystemClock.now()).0).unwrap_or(0);
                        tokio::time::sleep(Duration::from_millis(wait)).await;
                    }
                    ConvergeCallOutcome::CannotContinue(exit) => return Ok::<_, StoreError>(Some(exit)),
                    ConvergeCallOutcome::BeforeNextStep => {}
                    ConvergeCallOutcome::NoFurtherAct => break,
                }
            }
            runner.describe_change().await
        };
        let left = tokio::select! {
            ended = span.wrap(work) => ended.inspect_err(|error| span.record_failure(&error.to_string()))?,
            () = lease_driver::wait_for_return_request(give_back) => {
                let why = "interrupted: to resume the run where it stopped, run the command again";
                Some(ConvergeExit::new(ConvergeExitCode::Interrupted, why))
            }
        };
        if left.is_some() {
            runner.runner.add_interrupted_cost().await?;
        }
        let mut record = runner.runner.record;
        record.ended_at = SystemClock.now();
        if let Some(exit) = &left {
            record.record_exit(exit.clone());
        }
        record.detail.is_told = true;
        store.store_converge_record(lease.token, &record).await?;
        if left.is_some() {
            // If our audit found the head clean, the stored record keeps that result. The caller receives
            // this exit in either case.
            record.detail.state.exit = left;
        }
        span.record_state(&record);
        record_end_event(store, &record).await?;
        Ok((record, ground.mirror))
    }
}

#[async_trait]
impl LeasedStep for LeasedConvergeRun<'_> {
    /// The record and the mirror, or the failure that is reported to the person.
    type Output = Result<(ConvergeRecord, Mirror), RunFailure>;

    async fn step(&self) -> Result<(NextSlotState, Self::Output), StepStopReason> {
        let ended = Box::pin(self.run_whole()).await;
        let ended = RunFailure::separate_fenced_error(ended)?;
        let is_over = ended.as_ref().is_ok_and(|(record, _)| !record.is_unfinished());
        let after =
            if is_over { NextSlotState::Outcome(StepOutcome::Done) } else { NextSlotState::Unfinished };
        Ok((after, ended))
    }

    /// Records nothing, because the run itself stores each action and reports its end.
    async fn record_stop(&self, _reason: &StepStopReason) -> Result<(), StoreError> {
        Ok(())
    }
}

fn is_stuck(record: &ConvergeRecord) -> bool {
    record.detail.state.exit.as_ref().is_some_and(|exit| exit.kind() == ConvergeExitKind::Stuck)
}
