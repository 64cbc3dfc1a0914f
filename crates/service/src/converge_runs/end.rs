//! Handles the end of a run that cannot end in one of its steps: it is given up, or the delivery of its
//! report is uncertain.

use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeExit, ConvergeExitCode, ConvergeExitKind};
use truing_core::effect::Effect;
use truing_core::id::{TimeSpan, Topic};
use truing_core::port::{Clock as _, RecordStore, StoreError};
use truing_core::slot::{StepOutcome, WaitReason};
use truing_forge::effects::{EffectError, EffectExecutor};
use truing_loops::machine::{SystemClock, new_run_id};
use truing_loops::program_versions;
use truing_loops::step_stop_reason::StepStopReason;

use crate::lease::Lease;
use crate::run_failure::{CONVERGE_FAILURE_CLASS, RunFailure};

use super::progress::ConvergeRunEnd;

/// The topic of the comment with the report.
const REPORT_TOPIC: &str = "converge/report";
/// The topic of the comment that reports a run as given up.
const GIVE_UP_TOPIC: &str = "converge/given-up";

/// Returns the stop reason for a step that ended with the exit `exit` and cannot continue.
pub(super) fn step_stop_reason(exit: &ConvergeExit) -> StepStopReason {
    if exit.code == ConvergeExitCode::Interrupted {
        return StepStopReason::Halted;
    }
    StepStopReason::StepFailed {
        failure_class: CONVERGE_FAILURE_CLASS,
        message: exit.reason.clone(),
        not_before: None,
    }
}

/// Records that a run is given up, even if the run has no record yet (ADR 56). Returns the run's end.
///
/// # Errors
/// [`StoreError`] if the end cannot be recorded.
pub(crate) async fn record_abandonment(
    store: &dyn RecordStore,
    lease: &Lease,
    name: String,
    reason: &str,
) -> Result<ConvergeRunEnd, StoreError> {
    let (exit, now) = (ConvergeExit::new(ConvergeExitCode::Infrastructure, reason), SystemClock.now());
    let record = match store.last_converge(&lease.key).await?.filter(ConvergeRecord::is_unfinished) {
        // If the record already contains an exit other than convergence, that exit is kept. If our audit
        // found the head clean, `record_exit` below keeps that result.
        Some(last)
            if last
                .detail
                .state
                .exit
                .as_ref()
                .is_some_and(|exit| exit.kind() != ConvergeExitKind::Converged) =>
        {
            return Ok(ConvergeRunEnd::from_failed_record(&last));
        }
        Some(mut last) => {
            last.record_exit(exit);
            last.ended_at = now;
            last
        }
        None => {
            let names = (name, String::new());
            let versions = program_versions();
            let mut record =
                ConvergeRecord::from_early_failure((new_run_id(), lease.key.clone()), names, exit, now);
            (record.detail.is_told, record.versions) = (true, versions);
            record
        }
    };
    store
        .store_converge_record(lease.token, &record)
        .await
        .map(|()| ConvergeRunEnd::from_failed_record(&record))
}

/// Returns the comment with the report of a served run. A pull request has one such comment.
pub(super) fn report_comment(body: String) -> Effect {
    Effect::Comment { topic: Topic::new(REPORT_TOPIC), body }
}

/// Posts the comment that a run is given up, in place of the run's report. If the report was written moments
/// ago and may not be visible yet, posts a separate comment. No later step of the run could post the report.
pub(super) async fn report_abandoned_run(effects: &EffectExecutor<'_>, body: String) {
    let mut performed = effects.perform(&report_comment(body.clone())).await;
    if matches!(performed, Err(EffectError::Settling { .. })) {
        performed = effects.perform(&Effect::Comment { topic: Topic::new(GIVE_UP_TOPIC), body }).await;
    }
    if let Err(error) = performed {
        tracing::warn!(%error, "could not update the pull request");
    }
}

/// Returns the outcome of a step that failed to post its report. The report may or may not be at the forge.
pub(super) fn report_error_outcome(
    error: EffectError,
    settle_delay: TimeSpan,
) -> Result<StepOutcome, StepStopReason> {
    let reason = error.to_string();
    Err(match error {
        EffectError::Settling { until, .. } => {
            tracing::info!("waiting: {reason}");
            return Ok(StepOutcome::DueAt(until, WaitReason::Settling));
        }
        EffectError::Halted(halt) => halt.into(),
        EffectError::Refused(error) | EffectError::Unanswered { error, .. } => {
            RunFailure::Forge(error).into_stop_reason(settle_delay)
        }
        EffectError::Store(error) => error.into(),
        EffectError::Git(error) => error.into(),
    })
}
