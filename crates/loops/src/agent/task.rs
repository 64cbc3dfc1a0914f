//! A model's run: what it is told, what pays for it, and how it ended. What follows from its report, the loop knows.

use std::mem::take;
use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use truing_agent::fixer::{EDIT, WRITE};
use truing_agent::native::{
    AgentRun, AgentRunEnd, CallOutput, ReportForm, RunBrief, RunLimit, RunLimits, RunTools,
};
use truing_agent::prompt::route::FilledPrompts;
use truing_agent::prompt::{DataFence, PromptError, PromptValues};
use truing_core::RepoPath;
use truing_core::ledger::RunBudget;
use truing_core::money::MicroUsd;
use truing_core::run::StepCost;
use truing_core::port::{HaltReason, WriteGate};
use truing_model::gateway::ModelError;
use truing_model::messages::ToolDefinition;
use truing_reader::redact::redact;
use truing_reader::tools::DIFF;

use super::ModelAgent;
use crate::budget;
use crate::telemetry::{self, TracedModel};

/// Characters of the word in the marks around data.
const FENCE_CHARS: usize = 32;

/// What a model is to do.
pub(crate) struct ModelTask<'a> {
    /// What pays for it.
    pub(crate) purse: RunBudget,
    /// The loop and the part in it that traces and cassettes know it by.
    pub(crate) name: (&'a str, &'a str),
    /// What it begins with.
    pub(crate) told: &'a BuiltPrompt,
    /// Within which limits.
    pub(crate) limits: RunLimits,
    /// The gate that is asked between turns.
    pub(crate) gate: Arc<dyn WriteGate>,
}

/// A prompt, and what it was made of.
pub(crate) struct BuiltPrompt {
    pub(crate) brief: RunBrief,
    pub(crate) hash: String,
}

/// What asking models took, whatever became of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ModelSpend {
    pub(crate) turns: u32,
    pub(crate) tokens: u64,
    pub(crate) cost: MicroUsd,
    /// Calls of tools that the policy denied.
    pub(crate) denied: u32,
    pub(crate) model: Option<String>,
    pub(crate) prompt_hash: Option<String>,
}

impl ModelSpend {
    /// Takes the numbers, for the record of a step. Who was asked stays.
    pub(crate) fn take(&mut self) -> StepCost<()> {
        let (turns, tokens) = (take(&mut self.turns), take(&mut self.tokens));
        let (cost_micro_usd, denied) = (take(&mut self.cost), take(&mut self.denied));
        StepCost { id: (), turns, tokens, cost_micro_usd, ms: 0, denied }
    }
}

impl ModelAgent {
    /// What a model begins with: the modules of these names, with these values; those of the task are data of others.
    ///
    /// # Errors
    /// [`PromptError`], if the operator's own prompts want something else.
    pub(crate) fn told(
        &self,
        (frame, system): (&str, &PromptValues),
        (about, values): (&str, &[(&str, String)]),
    ) -> Result<BuiltPrompt, PromptError> {
        let fence = fence(values.iter().map(|(_, value)| value.as_bytes()))?;
        let task = values.iter().fold(PromptValues::default(), |all, (name, value)| all.with(name, value));
        let FilledPrompts { system, task, hash } =
            self.prompts.filled((frame, about), (system, &task), &fence)?;
        Ok(BuiltPrompt { brief: RunBrief { model: self.model.clone(), system, task }, hash })
    }

    /// Lets the model work until it has reported, or a limit ends it. `judge` says what is wrong with a report, for the
    /// model, which is told once.
    ///
    /// # Errors
    /// [`HaltReason`]
    pub(crate) async fn sent<F: ReportForm>(
        &self,
        task: ModelTask<'_>,
        tools: &dyn RunTools,
        spent: &mut ModelSpend,
        judge: impl Fn(&F) -> Option<String> + Send,
    ) -> Result<AgentRun<F>, HaltReason> {
        (spent.model, spent.prompt_hash) = (Some(self.model.clone()), Some(task.told.hash.clone()));
        let ran = self.conversed(task, tools, judge).await;
        if ran.turns > 0 {
            // A fallback may have answered.
            spent.model = Some(ran.model.clone());
        }
        spent.turns = spent.turns.saturating_add(ran.turns);
        spent.tokens = spent.tokens.saturating_add(ran.usage.all());
        spent.cost.0 = spent.cost.0.saturating_add(ran.cost.0);
        let denied = ran.denials.values().fold(0, |sum: u32, count| sum.saturating_add(*count));
        spent.denied = spent.denied.saturating_add(denied);
        if let AgentRunEnd::Refused(ModelError::Halted(reason)) = ran.end { Err(reason) } else { Ok(ran) }
    }

    /// The same, however it ends.
    pub(super) async fn conversed<F: ReportForm>(
        &self,
        task: ModelTask<'_>,
        tools: &dyn RunTools,
        judge: impl Fn(&F) -> Option<String> + Send,
    ) -> AgentRun<F> {
        let ModelTask { purse, name: (run, who), told, limits, gate } = task;
        let id = purse.run.clone();
        let session = self.gateway.session(purse, [self.model.clone()], gate);
        let model = TracedModel(self.tape.of(Box::new(session), run, who));
        let ran = self.runtime.run_judged(&model, tools, &told.brief, &limits, judge).await;
        telemetry::ended(&ran.end);
        if let AgentRunEnd::Refused(ModelError::Budget { level }) = &ran.end {
            budget::exceeded(&id, level);
        }
        let end = redact(&words(&ran.end));
        let denied: u32 = ran.denials.values().sum();
        tracing::info!(run, who, end, turns = ran.turns, cost = ran.cost.0, denied, "the model has ended");
        ran
    }
}

/// Tools whose calls are in the traces, for work that begins without a change: none is offered to look at one.
pub(crate) struct TracedTools<T>(pub(crate) T);

#[async_trait]
impl<T: RunTools> RunTools for TracedTools<T> {
    fn offered(&self) -> Vec<ToolDefinition> {
        self.0.offered().into_iter().filter(|tool| tool.name != DIFF).collect()
    }

    async fn call(&self, name: &str, input: &Value) -> CallOutput {
        let step = telemetry::tool(name, input);
        let output = self.0.call(name, input).await;
        step.answered(&output.text, output.is_error);
        output
    }
}

/// Tools of a fixer that change only files that may be changed.
pub(crate) struct RestrictedTools<T, A> {
    pub(crate) tools: T,
    /// May this one be changed?
    pub(crate) admits: A,
    /// What it is for, in a word for the model.
    pub(crate) what: &'static str,
}

#[async_trait]
impl<T: RunTools, A: Fn(&RepoPath) -> bool + Send + Sync> RunTools for RestrictedTools<T, A> {
    fn offered(&self) -> Vec<ToolDefinition> {
        self.tools.offered()
    }

    async fn call(&self, name: &str, input: &Value) -> CallOutput {
        if let (EDIT | WRITE, Some(path)) = (name, input.get("path").and_then(Value::as_str))
            && !(self.admits)(&RepoPath::from_bytes(path.as_bytes()))
        {
            let text = format!("denied: `{path}` is not among the files that this {} may change", self.what);
            return CallOutput { text, is_error: true, denied: true };
        }
        self.tools.call(name, input).await
    }
}

/// Why a report does not count, if it does not: what is wrong with it, or how the work ended. One that was made in the last
/// turn counts.
pub(crate) fn unheld(end: &AgentRunEnd, wrong: Option<String>) -> Option<String> {
    match (end, wrong) {
        (AgentRunEnd::Done | AgentRunEnd::Limit(_), None) => None,
        (AgentRunEnd::Done, Some(why)) => Some(why),
        (
            AgentRunEnd::Limit(_)
            | AgentRunEnd::Declined
            | AgentRunEnd::Cut
            | AgentRunEnd::Full
            | AgentRunEnd::Unreadable(_)
            | AgentRunEnd::Refused(_)
            | AgentRunEnd::Failed(_),
            _,
        ) => Some(words(end)),
    }
}

/// How a model's work ended, for people.
pub(crate) fn words(end: &AgentRunEnd) -> String {
    match end {
        AgentRunEnd::Done => "the model has handed its work over".to_owned(),
        AgentRunEnd::Limit(RunLimit::Turns) => "the model's turns are used up".to_owned(),
        AgentRunEnd::Limit(RunLimit::Time) => "the model's time is used up".to_owned(),
        AgentRunEnd::Limit(RunLimit::Money) => "the money for one run is nearly used up".to_owned(),
        AgentRunEnd::Limit(RunLimit::Calls) => "the model called tools without end".to_owned(),
        AgentRunEnd::Declined => "the model declines".to_owned(),
        AgentRunEnd::Cut
        | AgentRunEnd::Full
        | AgentRunEnd::Unreadable(_)
        | AgentRunEnd::Refused(_)
        | AgentRunEnd::Failed(_) => end.to_string(),
    }
}

/// The word in the marks around data: of all that is shown, so that the same is asked the same way again, and nobody can
/// have written it in there.
pub(super) fn fence<'a>(data: impl IntoIterator<Item = &'a [u8]>) -> Result<DataFence, PromptError> {
    let mut word = hash_of(data);
    word.truncate(FENCE_CHARS);
    DataFence::new(&word)
}

/// A digest of several values, each with its length.
pub(crate) fn hash_of<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for value in values {
        hash.update(value.len().to_le_bytes());
        hash.update(value);
    }
    hex::encode(hash.finalize())
}
