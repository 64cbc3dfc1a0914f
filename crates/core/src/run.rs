//! The record of one run, whichever loop it is of: what every run has in common, and its loop's own detail.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::id::{RunId, SlotKey, UnixMillis};
use crate::money::MicroUsd;
use crate::slot::LoopKind;

/// The five ends of runs of every loop (design.md section 7). A review calls the first one `reviewed`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// It did what it was for, or a person has been asked.
    Done,
    /// A part of it was done.
    Partial,
    /// There was nothing to do, or nothing may be done.
    Skipped,
    /// Not now.
    Deferred,
    /// It could not be done.
    Failed,
}

impl RunOutcome {
    /// All of them, the best first.
    pub const ALL: [Self; 5] = [Self::Done, Self::Partial, Self::Skipped, Self::Deferred, Self::Failed];

    /// Its name in records.
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

/// The progress of a run in the records. A run of `converge` or `sync` is `prepared` until it is `ended`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStage {
    /// It has begun.
    #[default]
    Prepared,
    /// Its findings are recorded; only publishing is left.
    Computed,
    /// The forge shows its findings.
    Published,
    /// It ended without publishing.
    Ended,
}

impl RunStage {
    /// All of them, in order.
    pub const ALL: [Self; 4] = [Self::Prepared, Self::Computed, Self::Published, Self::Ended];

    /// Its name in records, text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Computed => "computed",
            Self::Published => "published",
            Self::Ended => "ended",
        }
    }
}

/// A step of a loop.
pub trait LoopStep: Copy + Ord + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Its name in records.
    fn as_str(self) -> &'static str;

    /// Its work, for people.
    fn title(self) -> &'static str;
}

/// The cost of one step of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct StepCost<S> {
    /// The step.
    pub id: S,
    /// Answers of models.
    pub turns: u32,
    /// Their tokens, in and out.
    pub tokens: u64,
    /// Their price.
    pub cost_micro_usd: MicroUsd,
    /// Wall clock, in milliseconds.
    pub ms: u64,
    /// Calls of tools that the policy denied the models.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub denied: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl<S> StepCost<S> {
    /// A step that has taken nothing yet.
    pub fn zero(id: S) -> Self {
        Self { id, turns: 0, tokens: 0, cost_micro_usd: MicroUsd(0), ms: 0, denied: 0 }
    }

    /// Adds the cost of doing the step once more; `more.id` does not count.
    pub fn add<T>(&mut self, more: &StepCost<T>) {
        self.turns = self.turns.saturating_add(more.turns);
        self.tokens = self.tokens.saturating_add(more.tokens);
        self.cost_micro_usd = self.cost_micro_usd.plus(more.cost_micro_usd);
        self.ms = self.ms.saturating_add(more.ms);
        self.denied = self.denied.saturating_add(more.denied);
    }
}

/// The part of a run's record that only its loop has.
pub trait RunDetail: Clone + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The loop's steps.
    type Step: LoopStep;

    /// The loop.
    const LOOP: LoopKind;

    /// The end of the run; none while it goes on.
    fn end(&self) -> Option<RunOutcome>;

    /// The loop's own word for that end.
    fn word(end: RunOutcome) -> &'static str {
        end.as_str()
    }

    /// The result in a word of the loop's own; none if the end says it all, or the run goes on.
    fn result(&self) -> Option<String>;

    /// The reason of the end, for people; may hold text of others.
    fn reason(&self) -> Option<&str>;

    /// The furthest step that the run came to; `steps` are those that it has paid for.
    fn furthest(&self, steps: &[StepCost<Self::Step>]) -> Self::Step;
}

/// One run of a loop. It is written whatever happened, by the server, and holds nothing that an agent said of itself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(bound = "D: RunDetail")]
pub struct RunRecord<D: RunDetail> {
    /// Its id.
    pub run: RunId,
    /// The slot of a pull request or of a job, or a branch of a local repository.
    pub key: SlotKey,
    /// The cost of each step, in the order of the steps.
    pub steps: Vec<StepCost<D::Step>>,
    /// The cost of earlier runs that were killed or stopped, and so have no record of their own.
    pub carried_micro_usd: MicroUsd,
    /// The model that was asked; none: none was.
    pub model: Option<String>,
    /// Names the prompt: the hash of its text.
    pub prompt_hash: Option<String>,
    /// Versions of the programs that took part, by name: `truing`.
    pub versions: BTreeMap<String, String>,
    /// The beginning.
    pub started: UnixMillis,
    /// The end, or the last time that it was kept.
    pub ended: UnixMillis,
    /// Its loop's own part.
    pub detail: D,
}

impl<D: RunDetail> RunRecord<D> {
    /// A run that begins now.
    pub fn begin(run: RunId, key: SlotKey, detail: D, now: UnixMillis) -> Self {
        Self {
            run,
            key,
            steps: Vec::new(),
            carried_micro_usd: MicroUsd(0),
            model: None,
            prompt_hash: None,
            versions: BTreeMap::new(),
            started: now,
            ended: now,
            detail,
        }
    }

    /// Adds the cost of doing a step, whatever `more.id` is.
    pub fn took<T>(&mut self, id: D::Step, more: &StepCost<T>) {
        let at = self.steps.partition_point(|step| step.id < id);
        if self.steps.get(at).is_none_or(|step| step.id != id) {
            self.steps.insert(at, StepCost::zero(id));
        }
        if let Some(step) = self.steps.get_mut(at) {
            step.add(more);
        }
    }

    /// The cost of all steps, and what is carried over.
    pub fn cost(&self) -> MicroUsd {
        self.steps.iter().fold(self.carried_micro_usd, |all, step| all.plus(step.cost_micro_usd))
    }

    /// All answers of models.
    pub fn turns(&self) -> u32 {
        self.steps.iter().map(|step| step.turns).fold(0, u32::saturating_add)
    }

    /// Calls of tools that the policy denied the models of its steps. A review counts them by tool, in its detail.
    pub fn denied(&self) -> u32 {
        self.steps.iter().map(|step| step.denied).fold(0, u32::saturating_add)
    }

    /// Its wall clock, in milliseconds.
    pub fn ms(&self) -> u64 {
        u64::try_from(self.ended.0.saturating_sub(self.started.0)).unwrap_or(0)
    }

    /// Its end; none while it goes on.
    pub fn end(&self) -> Option<RunOutcome> {
        self.detail.end()
    }

    /// The result in a word of the loop's own.
    pub fn result(&self) -> Option<String> {
        self.detail.result()
    }

    /// The reason of its end, for people.
    pub fn reason(&self) -> Option<&str> {
        self.detail.reason()
    }

    /// The furthest step that it came to.
    pub fn furthest(&self) -> D::Step {
        self.detail.furthest(&self.steps)
    }
}
