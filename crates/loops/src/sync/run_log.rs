//! The progress of a job's run, and its result. The run's record is built from both.

use std::time::Instant;

use truing_core::id::UnixMillis;
use truing_core::money::MicroUsd;
use truing_core::run::{self, StepCost};
use truing_core::sync::SyncVerdict;
use truing_core::sync::breaker::BreakerOutcome;
use truing_core::sync::record::{
    JobPull, MAX_UNGUARDED_PARTS, SyncEvidence, SyncOutcome as Outcome, SyncStep,
};

use super::ReleaseDecision;
use super::question::QuestionDraft;
use crate::agent::ModelSpend;

/// The progress of a run.
pub(super) struct SyncRunLog {
    pub(super) started_at: UnixMillis,
    pub(super) current_step: Option<(SyncStep, Instant)>,
    pub(super) steps: Vec<StepCost<SyncStep>>,
    pub(super) from_version: Option<String>,
    pub(super) to_version: Option<String>,
    pub(super) verdict: Option<SyncVerdict>,
    pub(super) evidence: SyncEvidence,
    pub(super) pull: Option<JobPull>,
    pub(super) model_spend: ModelSpend,
}

impl SyncRunLog {
    pub(super) fn begin_step(&mut self, step: SyncStep) {
        self.end_step();
        self.current_step = Some((step, Instant::now()));
    }

    pub(super) fn end_step(&mut self) {
        if let Some((id, began)) = self.current_step.take() {
            let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let mut step = StepCost { duration_ms: ms, ..StepCost::zero(id) };
            step.add(&std::mem::take(&mut self.model_spend.step_cost));
            self.steps.push(step);
        }
    }

    /// Returns the current step of the run. After the run has ended, returns the last step of the run.
    pub(super) fn current_step(&self) -> SyncStep {
        let at = self.current_step.map(|(step, _)| step);
        at.or_else(|| self.steps.last().map(|step| step.step)).unwrap_or(SyncStep::Detect)
    }

    /// Returns the evidence of a decision.
    pub(super) fn evidence(release_decision: &ReleaseDecision) -> SyncEvidence {
        let decision = &release_decision.decision;
        SyncEvidence {
            reason: decision.reason.clone(),
            pin_changes: decision.pin_changes.clone(),
            unguarded_parts: decision.unguarded_parts.iter().take(MAX_UNGUARDED_PARTS).cloned().collect(),
            unguarded_count: decision.unguarded_parts.len(),
            classification: release_decision.classification.clone(),
        }
    }

    /// Sets the cost of the model in the current step.
    pub(super) fn set_spend(&mut self, model_spend: ModelSpend) {
        self.model_spend = model_spend;
    }

    /// Returns the cost of the earlier steps.
    pub(super) fn finished_steps_cost(&self) -> MicroUsd {
        MicroUsd(self.steps.iter().map(|step| step.cost_micro_usd.0).fold(0, u64::saturating_add))
    }
}

/// The outcome of a run, and the change that the run makes to the job's question.
pub(super) struct SyncRunResult {
    pub(super) outcome: Outcome,
    pub(super) reason: String,
    pub(super) question_update: QuestionUpdate,
    /// Address of the pull request that `reason` names.
    pub(super) pull_url: Option<String>,
}

/// The change that a run makes to the job's question.
pub(super) enum QuestionUpdate {
    /// The given question must be open.
    Ask(QuestionDraft),
    /// The question stays unchanged.
    Keep,
    /// The open question must be closed.
    Close,
}

impl SyncRunResult {
    pub(super) fn new(outcome: Outcome, reason: impl Into<String>, question_update: QuestionUpdate) -> Self {
        Self { outcome, reason: reason.into(), question_update, pull_url: None }
    }

    /// Adds the address of the pull request that the reason names.
    pub(super) fn with_pull(self, url: &str) -> Self {
        Self { pull_url: Some(url.to_owned()), ..self }
    }

    /// Returns the outcome that the circuit breaker records for this run.
    pub(super) fn to_breaker_outcome(&self) -> BreakerOutcome {
        match self.outcome.run_outcome() {
            run::RunOutcome::Failed => BreakerOutcome::Failure(self.reason.clone()),
            run::RunOutcome::Deferred => BreakerOutcome::Interrupted,
            run::RunOutcome::Partial => BreakerOutcome::Neutral,
            run::RunOutcome::Done | run::RunOutcome::Skipped => match self.outcome {
                Outcome::RangeWidened
                | Outcome::CodePorted
                | Outcome::UpToDate
                | Outcome::CoveredByPull
                | Outcome::SkippedByUser => BreakerOutcome::Success,
                Outcome::QuestionAsked
                | Outcome::WaitingForUsers
                | Outcome::CircuitOpen
                | Outcome::DryRun
                | Outcome::DraftSaved
                | Outcome::Postponed
                | Outcome::Failed => BreakerOutcome::Neutral,
            },
        }
    }
}
