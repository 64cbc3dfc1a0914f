//! Does one step of a run on a pull request, under a worker's lease.

use std::sync::Arc;
use std::time::SystemTime;

use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeExit, ConvergeExitCode, ConvergeExitKind};
use truing_core::id::PrId;
use truing_core::markdown;
use truing_core::port::{
    Clock as _, ForgeError, ForgeRead as _, HistoryEvent, RecordStore, RunReference, WriteGate,
};
use truing_core::publish::CommentProducer;
use truing_core::slot::{ConvergeRequest, StepOutcome, WaitReason};
use truing_forge::effects::EffectExecutor;
use truing_forge::{ForgeServer as _, RepositoryClient};
use truing_loops::converge::post_audit::PullRequestRunner;
use truing_loops::converge::{ConvergeCallOutcome, ConvergeRunMode};
use truing_loops::machine::SystemClock;
use truing_loops::step_stop_reason::StepStopReason;
use truing_loops::telemetry;

use crate::lease::Lease;
use crate::lease_driver::trace_stop;
use crate::run_failure::RunFailure;

use super::end::{
    record_abandonment, report_abandoned_run, report_comment, report_error_outcome, step_stop_reason,
};
use super::progress::{
    ConvergeRunEnd, ProgressMessage, RETRY_HINT, RunTimeline, record_end_event, render_report, run_event,
};
use super::{ConvergeCheckout, ConvergeRunContext};

/// The exit reason of a run that a person has stopped.
const USER_STOP_REASON: &str = "stopped by `/converge stop`: `/converge` resumes the run";

impl ConvergeRunContext<'_> {
    /// Does one step of an existing run, or begins a new run. Returns the slot's next state and, if the run
    /// has ended, the end of the run. If the run was given up, posts a comment with the reason.
    ///
    /// # Errors
    /// [`StepStopReason`] if the step cannot be completed.
    #[truing_core::boxed_future]
    pub async fn step(
        &self,
        store: &dyn RecordStore,
        lease: &Lease,
        run: &RunReference,
        id: &PrId,
    ) -> Result<(StepOutcome, Option<ConvergeRunEnd>), StepStopReason> {
        let gate = self.leased_gate(lease);
        let client = self.forge.1.client(id, self.repo, CommentProducer::Converge);
        let stepped = Box::pin(self.perform_step(store, lease, run, id, &client, &gate)).await;
        match stepped.map_err(|stopped| stopped.with_forge_name(&id.forge)) {
            // The slot is freed, because pending reviews must not wait. The requester may write `/converge`
            // again.
            Err(StepStopReason::StepFailed { failure_class: class, message, .. })
                if lease.is_last_attempt =>
            {
                tracing::warn!(class, "given up: {message}");
                let ended = record_abandonment(store, lease, self.display_name(), &message).await?;
                let gone = format!("converge: given up: {class}: {message}");
                let at = SystemClock.now();
                store
                    .append_history(&[HistoryEvent {
                        at,
                        key: lease.key.clone(),
                        run: None,
                        description: gone,
                    }])
                    .await?;
                let body =
                    format!("## /converge: error\n\n{}{RETRY_HINT}", markdown::code_block("text", &message));
                report_abandoned_run(
                    &self.effect_executor(&client, &gate, &lease.key, Some(lease.token)),
                    body,
                )
                .await;
                Ok((StepOutcome::Done, Some(ended)))
            }
            Err(stopped) => Err(stopped),
            Ok(StepOutcome::Done) => {
                let last = store.last_converge(&lease.key).await?;
                Ok((StepOutcome::Done, last.as_ref().map(ConvergeRunEnd::from_record)))
            }
            Ok(then) => Ok((then, None)),
        }
    }

    async fn perform_step(
        &self,
        store: &dyn RecordStore,
        lease: &Lease,
        run: &RunReference,
        id: &PrId,
        client: &RepositoryClient,
        gate: &Arc<dyn WriteGate>,
    ) -> Result<StepOutcome, StepStopReason> {
        let began = SystemTime::now();
        let effects = || self.effect_executor(client, gate, &lease.key, Some(lease.token));
        if lease.converge_request == Some(ConvergeRequest::Stop) {
            let last = store.last_converge(&lease.key).await?;
            return self.end_stopped_run(store, lease, last, &effects()).await;
        }
        let (ground, record) = match self.prepare_step(store, lease, id, client).await {
            Ok(prepared) => prepared,
            Err(stopped) => {
                let trace =
                    telemetry::start_failed_converge_trace(&run.id, &run.key, self.repo, self.number, began);
                trace_stop(&trace, &stopped);
                return Err(stopped);
            }
        };
        // The span ends when all work inside the span has ended, including child processes.
        let span = self.span(&record, began);
        let workspace = self.workspace(client, effects(), &ground);
        let mut runner = self.runner(&ground, &workspace, gate, record, ConvergeRunMode::Step);
        let stepping = Box::pin(self.advance_run(store, lease, &ground, &mut runner));
        let ended = span.wrap(stepping).await;
        match &ended {
            Ok(_) => span.record_state(&runner.runner.record),
            Err(stopped) => {
                span.record_usage(&runner.runner.record);
                trace_stop(span.context(), stopped);
            }
        }
        ended
    }

    /// Fetches the commits for a step. Returns the record of the existing run or of a new run.
    async fn prepare_step(
        &self,
        store: &dyn RecordStore,
        lease: &Lease,
        id: &PrId,
        client: &RepositoryClient,
    ) -> Result<(ConvergeCheckout, ConvergeRecord), StepStopReason> {
        let settle = client.publish_limits().settle_delay;
        let of = |error: ForgeError| RunFailure::Forge(error).into_stop_reason(settle);
        let last = store.last_converge(&lease.key).await?;
        let now = client.pull_details().await.map_err(of)?;
        let ground = self.fetch_checkout(id, now).await.map_err(|error| error.into_stop_reason(settle))?;
        let record = match last {
            // If the report of the last run was not posted, that report is posted before another run begins.
            Some(last) if !last.detail.is_told && !last.is_unfinished() => last,
            last if lease.converge_request == Some(ConvergeRequest::Audit) => {
                self.resume_or_new_audit(last, &lease.key, &ground).await?
            }
            last => {
                let dismissals = store.dismissals(&lease.key).await?;
                let record = self.resume_or_new_record(client, last, &dismissals, &lease.key, &ground).await;
                record.map_err(|error| error.into_stop_reason(settle))?
            }
        };
        Ok((ground, record))
    }

    /// Continues the run by one step. At the end of the run, its report is posted on the pull request.
    async fn advance_run(
        &self,
        store: &dyn RecordStore,
        lease: &Lease,
        checkout: &ConvergeCheckout,
        runner: &mut PullRequestRunner<'_>,
    ) -> Result<StepOutcome, StepStopReason> {
        let timeline = RunTimeline {
            store,
            mirror: &checkout.mirror,
            report_progress: &|message: ProgressMessage<'_>| tracing::info!("{}", message.text()),
        };
        let mut left = Box::pin(runner.run_until_ready(store, lease.token, &timeline)).await?;
        if left == ConvergeCallOutcome::NoFurtherAct {
            left =
                Box::pin(runner.describe_change()).await?.map_or(left, ConvergeCallOutcome::CannotContinue);
        }
        let effects = &runner.workspace.effects;
        let record = &mut runner.runner.record;
        record.ended_at = SystemClock.now();
        store.store_converge_record(lease.token, record).await?;
        match left {
            ConvergeCallOutcome::BeforeNextStep => {
                return Ok(StepOutcome::DueAt(record.ended_at, WaitReason::Step));
            }
            ConvergeCallOutcome::WaitUntil(at, why, what) => {
                tracing::info!("waiting: {what}");
                return Ok(StepOutcome::DueAt(at, why));
            }
            ConvergeCallOutcome::CannotContinue(exit) => return Err(step_stop_reason(&exit)),
            ConvergeCallOutcome::NoFurtherAct => {}
        }
        let exit = record.detail.state.exit.as_ref();
        let is_failed = |exit: &&ConvergeExit| {
            matches!(exit.code, ConvergeExitCode::Interrupted | ConvergeExitCode::Infrastructure)
        };
        // A degraded audit is not retried, because the auditors without a valid answer were asked a second
        // time already.
        if let Some(exit) = exit.filter(is_failed)
            && !record.detail.state.is_degraded_audit()
        {
            return Err(step_stop_reason(exit));
        }
        record_end_event(store, record).await?;
        // No report is posted if the audit's review contains the result, or if the pull request is closed.
        // `truing why` and `truing report` show the end of the run.
        let has_review = |exit: &ConvergeExit| {
            matches!(exit.kind(), ConvergeExitKind::Converged | ConvergeExitKind::CapReached)
        };
        let is_shown = record.detail.state.audits_only && exit.is_some_and(has_review);
        if !is_shown && exit.is_none_or(|exit| exit.code != ConvergeExitCode::Closed) {
            let body = render_report(&checkout.mirror, record).await?;
            if let Err(error) = effects.perform(&report_comment(body)).await {
                return report_error_outcome(error, effects.forge.visibility_delay());
            }
        }
        record.detail.is_told = true;
        store.store_converge_record(lease.token, record).await?;
        Ok(StepOutcome::Done)
    }

    /// Ends a run that a person has stopped, and reports the end on the pull request. A command can resume
    /// the run.
    async fn end_stopped_run(
        &self,
        store: &dyn RecordStore,
        lease: &Lease,
        last_record: Option<ConvergeRecord>,
        effects: &EffectExecutor<'_>,
    ) -> Result<StepOutcome, StepStopReason> {
        let Some(mut record) = last_record.filter(ConvergeRecord::is_unfinished) else {
            return Ok(StepOutcome::Done);
        };
        let exit = ConvergeExit::new(ConvergeExitCode::Interrupted, USER_STOP_REASON);
        // If our audit found the head clean, `record_exit` keeps that result.
        record.record_exit(exit.clone());
        record.ended_at = SystemClock.now();
        let body = format!("## /converge: {}\n\n{USER_STOP_REASON}.", exit.kind().as_str());
        if let Err(error) = effects.perform(&report_comment(body)).await {
            return report_error_outcome(error, effects.forge.visibility_delay());
        }
        store
            .append_history(&[run_event(
                &record,
                format!("converge: {}: {}", exit.kind().as_str(), exit.reason),
            )])
            .await?;
        record.detail.is_told = true;
        store.store_converge_record(lease.token, &record).await?;
        Ok(StepOutcome::Done)
    }
}
