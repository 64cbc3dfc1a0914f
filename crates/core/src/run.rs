//! Record of one run of any loop. Some fields are common to all loops; `detail` is specific to the loop.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::id::{RunId, SlotKey, UnixMillis};
use crate::money::MicroUsd;
use crate::slot::LoopKind;

/// The outcome of a run. All loops have the same five outcomes; a review displays the outcome `Done` as
/// `reviewed`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// The run completed its task, or posted a question to a person.
    Done,
    /// Only a part of the task was completed.
    Partial,
    /// The run had nothing to do, or nothing that it was permitted to do.
    Skipped,
    /// The run was postponed.
    Deferred,
    /// The run could not be completed.
    Failed,
}

impl RunOutcome {
    /// All outcomes, the best first.
    pub const ALL: [Self; 5] = [Self::Done, Self::Partial, Self::Skipped, Self::Deferred, Self::Failed];

    /// Returns the name used in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Skipped => "skipped",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
        }
    }
}

/// Recorded progress of a run. A run of `converge` or `sync` has only the stages `prepared` and `ended`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStage {
    /// The run has begun.
    #[default]
    Prepared,
    /// The findings are recorded; only publishing remains.
    Computed,
    /// The forge shows the findings.
    Published,
    /// The run ended without publishing.
    #[serde(rename = "ended")]
    EndedUnpublished,
}

impl RunStage {
    /// All stages, in order.
    pub const ALL: [Self; 4] = [Self::Prepared, Self::Computed, Self::Published, Self::EndedUnpublished];

    /// Returns the name used in records, text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Computed => "computed",
            Self::Published => "published",
            Self::EndedUnpublished => "ended",
        }
    }
}

pub trait LoopStep: Copy + Ord + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Returns the name used in records.
    fn as_str(self) -> &'static str;

    /// Returns a description of the step's work, for display.
    fn title(self) -> &'static str;
}

/// Cost of one step of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StepCost<S> {
    #[serde(rename = "id")]
    pub step: S,
    /// Number of answers from models.
    pub turns: u32,
    /// Number of input and output tokens for these answers.
    pub tokens: u64,
    /// Cost of these answers.
    pub cost_micro_usd: MicroUsd,
    /// Part of this cost that a subscription covers.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub covered_micro_usd: MicroUsd,
    /// Wall-clock time in milliseconds.
    #[serde(rename = "ms")]
    pub duration_ms: u64,
    /// Number of the models' tool calls that the policy denied.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[serde(rename = "denied")]
    pub denied_tool_calls: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

fn is_nothing(amount: &MicroUsd) -> bool {
    *amount == MicroUsd(0)
}

impl<S> StepCost<S> {
    /// Creates the cost of a step with all values zero.
    pub fn zero(id: S) -> Self {
        Self {
            step: id,
            turns: 0,
            tokens: 0,
            cost_micro_usd: MicroUsd(0),
            covered_micro_usd: MicroUsd(0),
            duration_ms: 0,
            denied_tool_calls: 0,
        }
    }

    /// Adds the cost of another execution of this step. The step in `cost` is ignored.
    pub fn add<T>(&mut self, cost: &StepCost<T>) {
        self.turns = self.turns.saturating_add(cost.turns);
        self.tokens = self.tokens.saturating_add(cost.tokens);
        self.cost_micro_usd = self.cost_micro_usd.plus(cost.cost_micro_usd);
        self.covered_micro_usd = self.covered_micro_usd.plus(cost.covered_micro_usd);
        self.duration_ms = self.duration_ms.saturating_add(cost.duration_ms);
        self.denied_tool_calls = self.denied_tool_calls.saturating_add(cost.denied_tool_calls);
    }
}

/// The fields of a run's record that are specific to one loop.
pub trait RunDetail: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Steps of the loop.
    type Step: LoopStep;

    /// Kind of the loop.
    const LOOP: LoopKind;

    /// Returns the outcome of the run; `None` while the run continues.
    fn run_outcome(&self) -> Option<RunOutcome>;

    /// Returns the loop's own word for an outcome.
    fn outcome_word(outcome: RunOutcome) -> &'static str {
        outcome.as_str()
    }

    /// Returns the result of the run in the words of this loop. Returns `None` while the run continues, or if
    /// the loop has no result apart from the outcome.
    fn result_word(&self) -> Option<String>;

    /// Returns the reason for the outcome, for display. The reason may contain untrusted text.
    fn reason(&self) -> Option<&str>;

    /// Returns the furthest step that the run reached. `steps` contains the steps with a recorded cost.
    fn furthest_step(&self, steps: &[StepCost<Self::Step>]) -> Self::Step;
}

/// Record of one run of a loop. A record is written for every outcome. It contains only measured data, no
/// statements of an agent about its own work.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(bound = "D: RunDetail")]
pub struct RunRecord<D: RunDetail> {
    /// Id of the run.
    pub run: RunId,
    /// Key of the run: the slot of a pull request or a job, or a branch of a local repository.
    pub key: SlotKey,
    /// Cost of each step, in the order of the steps.
    pub steps: Vec<StepCost<D::Step>>,
    /// Cost of earlier runs that were killed or stopped and wrote no record.
    pub carried_micro_usd: MicroUsd,
    /// Model that was called; `None` if no model was called.
    pub model: Option<String>,
    /// Hash that identifies the text of the prompt.
    pub prompt_hash: Option<String>,
    /// Versions of the programs that took part in the run, by the program's name, such as `truing`.
    pub versions: BTreeMap<String, String>,
    /// Start time of the run.
    #[serde(rename = "started")]
    pub started_at: UnixMillis,
    /// End time, or the time at which the record was last stored.
    #[serde(rename = "ended")]
    pub ended_at: UnixMillis,
    /// Fields that are specific to the loop.
    pub detail: D,
}

impl<D: RunDetail> RunRecord<D> {
    /// Creates the record of a run that begins at `now`.
    pub fn new(run: RunId, key: SlotKey, detail: D, now: UnixMillis) -> Self {
        Self {
            run,
            key,
            steps: Vec::new(),
            carried_micro_usd: MicroUsd(0),
            model: None,
            prompt_hash: None,
            versions: BTreeMap::new(),
            started_at: now,
            ended_at: now,
            detail,
        }
    }

    /// Adds a cost to the step `id`. The step in `cost` is ignored.
    pub fn add_step_cost<T>(&mut self, id: D::Step, cost: &StepCost<T>) {
        let at = self.steps.partition_point(|step| step.step < id);
        if self.steps.get(at).is_none_or(|step| step.step != id) {
            self.steps.insert(at, StepCost::zero(id));
        }
        if let Some(step) = self.steps.get_mut(at) {
            step.add(cost);
        }
    }

    /// Returns the sum of the costs of all steps and the carried cost.
    pub fn cost(&self) -> MicroUsd {
        self.steps.iter().fold(self.carried_micro_usd, |all, step| all.plus(step.cost_micro_usd))
    }

    /// Returns the part of the cost that a subscription covers.
    pub fn covered_cost(&self) -> MicroUsd {
        self.steps.iter().fold(MicroUsd(0), |all, step| all.plus(step.covered_micro_usd))
    }

    /// Returns the cost for people. A cost is marked as estimated if a step cost money, but its provider
    /// reported no tokens. The part that a subscription covers is marked.
    pub fn cost_text(&self) -> String {
        let is_estimated = self.steps.iter().any(|step| step.cost_micro_usd.0 > 0 && step.tokens == 0);
        let cost = format!("{}{}", self.cost(), if is_estimated { " (estimated)" } else { "" });
        match self.covered_cost() {
            MicroUsd(0) => cost,
            covered if covered == self.cost() => {
                format!("{cost} at list price, covered by a subscription")
            }
            covered => format!("{cost}; a subscription covers {covered} of it at list price"),
        }
    }

    /// Returns the number of answers from models.
    pub fn turns(&self) -> u32 {
        self.steps.iter().map(|step| step.turns).fold(0, u32::saturating_add)
    }

    /// Returns the number of the models' tool calls that the policy denied, in all steps. For a review,
    /// `detail` contains the denied calls by tool.
    pub fn denied_tool_calls(&self) -> u32 {
        self.steps.iter().map(|step| step.denied_tool_calls).fold(0, u32::saturating_add)
    }

    /// Returns the wall-clock time in milliseconds.
    pub fn duration_ms(&self) -> u64 {
        u64::try_from(self.ended_at.0.saturating_sub(self.started_at.0)).unwrap_or(0)
    }

    /// Returns the outcome; `None` while the run continues.
    pub fn run_outcome(&self) -> Option<RunOutcome> {
        self.detail.run_outcome()
    }

    /// Returns the result in the words of the loop.
    pub fn result_word(&self) -> Option<String> {
        self.detail.result_word()
    }

    /// Returns the reason for the outcome, for display.
    pub fn reason(&self) -> Option<&str> {
        self.detail.reason()
    }

    /// Returns the furthest step that the run reached.
    pub fn furthest_step(&self) -> D::Step {
        self.detail.furthest_step(&self.steps)
    }
}
