//! What a run of a job has done so far, and how it ends: what its record is made of.

use std::time::Instant;

use truing_core::id::Millis;
use truing_core::money::MicroUsd;
use truing_core::run::{self, StepCost};
use truing_core::sync::Verdict;
use truing_core::sync::breaker::End;
use truing_core::sync::record::{Evidence, MAX_UNGUARDED, Pull, Result as Outcome, Step};

use super::Decided;
use super::question::Wanted;
use crate::agent::Spent;

/// What a run has done so far.
pub(super) struct RunLog {
    pub(super) began: Millis,
    pub(super) at: Option<(Step, Instant)>,
    pub(super) steps: Vec<StepCost<Step>>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) update: Option<Verdict>,
    pub(super) evidence: Evidence,
    pub(super) pull: Option<Pull>,
    pub(super) spent: Spent,
}

impl RunLog {
    pub(super) fn begin(&mut self, step: Step) {
        self.end();
        self.at = Some((step, Instant::now()));
    }

    pub(super) fn end(&mut self) {
        if let Some((id, began)) = self.at.take() {
            let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            let (turns, tokens, cost_micro_usd) = self.spent.take();
            self.steps.push(StepCost { id, turns, tokens, cost_micro_usd, ms });
        }
    }

    /// The step that the run is at, or came to.
    pub(super) fn reached(&self) -> Step {
        let at = self.at.map(|(step, _)| step);
        at.or_else(|| self.steps.last().map(|step| step.id)).unwrap_or(Step::Detect)
    }

    /// What a decision rests on.
    pub(super) fn evidence(decided: &Decided) -> Evidence {
        let decision = &decided.decision;
        Evidence {
            reason: decision.reason.clone(),
            changed: decision.changed.clone(),
            unguarded: decision.unguarded.iter().take(MAX_UNGUARDED).cloned().collect(),
            unguarded_count: decision.unguarded.len(),
            classification: decided.classification.clone(),
        }
    }

    /// What the model took in this step.
    pub(super) fn spent(&mut self, spent: Spent) {
        self.spent = spent;
    }

    /// What it took in those before.
    pub(super) fn cost(&self) -> MicroUsd {
        MicroUsd(self.steps.iter().map(|step| step.cost_micro_usd.0).fold(0, u64::saturating_add))
    }
}

/// How a run ends, and what it asks.
pub(super) struct Ended {
    pub(super) outcome: Outcome,
    pub(super) why: String,
    pub(super) asks: QuestionUpdate,
}

/// What becomes of the question.
pub(super) enum QuestionUpdate {
    /// This is asked.
    This(Wanted),
    /// Whatever is asked stays so.
    Same,
    /// Nothing is, any more.
    Nothing,
}

impl Ended {
    pub(super) fn of(outcome: Outcome, why: impl Into<String>, asks: QuestionUpdate) -> Self {
        Self { outcome, why: why.into(), asks }
    }

    /// What the end means for the breaker.
    pub(super) fn to_breaker(&self) -> End {
        match self.outcome.end() {
            run::End::Failed => End::Failure(self.why.clone()),
            run::End::Deferred => End::GivenBack,
            run::End::Partial => End::Neutral,
            run::End::Done | run::End::Skipped => match self.outcome {
                Outcome::Relaxed
                | Outcome::Bumped
                | Outcome::UpToDate
                | Outcome::Covered
                | Outcome::LeftOut => End::Success,
                Outcome::Asked
                | Outcome::Blocked
                | Outcome::Breaker
                | Outcome::Rehearsed
                | Outcome::Saved
                | Outcome::Held
                | Outcome::Failed => End::Neutral,
            },
        }
    }
}
