//! Runs a model with a prompt and a budget until the run ends. The loop that calls this module interprets the
//! model's report.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use truing_agent::fixer::{EDIT_TOOL, WRITE_TOOL};
use truing_agent::native::{
    AgentRunEnd, AgentRunInput, AgentRunResult, ReportSchema, RunLimit, RunLimits, RunTools, ToolCallOutput,
};
use truing_agent::prompt::route::FilledPrompts;
use truing_agent::prompt::{DataBoundary, PromptError, PromptValues};
use truing_core::RepoPath;
use truing_core::ledger::RunBudget;
use truing_core::money::MicroUsd;
use truing_core::port::{HaltReason, WriteGate};
use truing_core::run::StepCost;
use truing_model::gateway::ModelError;
use truing_model::messages::ToolDefinition;
use truing_reader::redact::redact_secrets;
use truing_reader::tools::DIFF_TOOL_NAME;

use super::ModelAgent;
use crate::budget;
use crate::telemetry::{self, TracedModel};

/// Number of characters of the unpredictable word in the marks that enclose data.
const BOUNDARY_CHARS: usize = 32;

/// The task of a model.
pub(crate) struct ModelTask<'a> {
    /// The budget that the cost of the task is charged to.
    pub(crate) budget: RunBudget,
    /// The name of the loop and the name of the agent, for traces and cassettes.
    pub(crate) loop_and_agent_names: (&'a str, &'a str),
    /// The prompt that the model begins with.
    pub(crate) prompt: &'a BuiltPrompt,
    /// Limits of turns, time and money.
    pub(crate) limits: RunLimits,
    /// The gate, which is checked between turns.
    pub(crate) gate: Arc<dyn WriteGate>,
}

/// A prompt and the digest of its parts.
pub(crate) struct BuiltPrompt {
    pub(crate) run_input: AgentRunInput,
    pub(crate) prompt_hash: String,
}

/// The cost of calling models, even if a call had no result.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct ModelSpend {
    /// The turns, tokens and cost, for the record of a step.
    pub(crate) step_cost: StepCost<()>,
    pub(crate) model: Option<String>,
    pub(crate) prompt_hash: Option<String>,
}

impl ModelAgent {
    /// Returns the part of a model's cost that a subscription covers.
    pub(super) fn covered_cost(&self, cost: MicroUsd) -> MicroUsd {
        if self.gateway.uses_subscription() { cost } else { MicroUsd(0) }
    }

    /// Builds a prompt from the named modules and the given values. The values of the task are untrusted
    /// data.
    ///
    /// # Errors
    /// [`PromptError`], if the operator's own prompts require other values.
    pub(crate) fn build_prompt(
        &self,
        system_prompt: &str,
        system: &PromptValues,
        task_prompt: &str,
        values: &[(&str, String)],
    ) -> Result<BuiltPrompt, PromptError> {
        let fence = data_boundary(values.iter().map(|(_, value)| value.as_bytes()))?;
        let task =
            values.iter().fold(PromptValues::default(), |all, (name, value)| all.with_value(name, value));
        let FilledPrompts { system, task, hash } =
            self.prompts.fill_prompts(system_prompt, task_prompt, system, &task, &fence)?;
        Ok(BuiltPrompt {
            run_input: AgentRunInput { model: self.model.clone(), system_prompt: system, review_text: task },
            prompt_hash: hash,
        })
    }

    /// Runs the model until it has reported, or until a limit ends the run. `check_report` returns the fault
    /// of a report; `None` if the report is valid. The model receives the fault once and can then correct the
    /// report.
    ///
    /// # Errors
    /// [`HaltReason`]
    pub(crate) async fn run_task<F: ReportSchema>(
        &self,
        task: ModelTask<'_>,
        tools: &dyn RunTools,
        spent: &mut ModelSpend,
        check_report: impl Fn(&F) -> Option<String> + Send,
    ) -> Result<AgentRunResult<F>, HaltReason> {
        (spent.model, spent.prompt_hash) = (Some(self.model.clone()), Some(task.prompt.prompt_hash.clone()));
        let ran = self.run_conversation(task, tools, check_report).await;
        if ran.turns > 0 {
            // The model that answered may be the fallback model and not the requested model.
            spent.model = Some(ran.model.clone());
        }
        let (turns, tokens, cost_micro_usd) = (ran.turns, ran.usage.total(), ran.cost);
        let denied = ran.denials.values().fold(0, |sum: u32, count| sum.saturating_add(*count));
        spent.step_cost.add(&StepCost {
            step: (),
            turns,
            tokens,
            cost_micro_usd,
            covered_micro_usd: self.covered_cost(cost_micro_usd),
            duration_ms: 0,
            denied_tool_calls: denied,
        });
        if let AgentRunEnd::ModelFailed(ModelError::Halted(reason)) = ran.end { Err(reason) } else { Ok(ran) }
    }

    /// Runs the model like [`Self::run_task`], but also returns a result if the gate stopped the run.
    pub(super) async fn run_conversation<F: ReportSchema>(
        &self,
        task: ModelTask<'_>,
        tools: &dyn RunTools,
        check_report: impl Fn(&F) -> Option<String> + Send,
    ) -> AgentRunResult<F> {
        let ModelTask { budget: purse, loop_and_agent_names: (run, who), prompt, limits, gate } = task;
        let id = purse.run.clone();
        let session = self.gateway.open_session(purse, [self.model.clone()], gate);
        let model = TracedModel(self.cassette.wrap_model(Box::new(session), run, who));
        let ran =
            self.runtime.run_with_report_check(&model, tools, &prompt.run_input, &limits, check_report).await;
        telemetry::record_model_end(&ran.end);
        if let AgentRunEnd::ModelFailed(ModelError::Budget { level }) = &ran.end {
            budget::log_exceeded(&id, level);
        }
        let end = redact_secrets(&describe_end(&ran.end));
        let denied: u32 = ran.denials.values().sum();
        tracing::info!(run, who, end, turns = ran.turns, cost = ran.cost.0, denied, "the model has stopped");
        ran
    }
}

/// Tools whose calls are recorded in the traces. These tools are for tasks without a change under review, so
/// they do not include the tool that shows a change.
pub(crate) struct TracedTools<T>(pub(crate) T);

#[async_trait]
impl<T: RunTools> RunTools for TracedTools<T> {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        self.0.tool_definitions().into_iter().filter(|tool| tool.name != DIFF_TOOL_NAME).collect()
    }

    async fn call(&self, name: &str, input: &Value) -> ToolCallOutput {
        let step = telemetry::start_tool_span(name, input);
        let output = self.0.call(name, input).await;
        step.record_output(&output.text, output.is_error);
        output
    }
}

/// Tools of a fixer that change only permitted files.
pub(crate) struct RestrictedTools<T, A> {
    pub(crate) tools: T,
    /// Decides if a file may be changed.
    pub(crate) allows_path: A,
    /// Noun for the model's work in messages to the model, as in "the files that this … may change".
    pub(crate) work_noun: &'static str,
}

#[async_trait]
impl<T: RunTools, A: Fn(&RepoPath) -> bool + Send + Sync> RunTools for RestrictedTools<T, A> {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        self.tools.tool_definitions()
    }

    async fn call(&self, name: &str, input: &Value) -> ToolCallOutput {
        if let (EDIT_TOOL | WRITE_TOOL, Some(path)) = (name, input.get("path").and_then(Value::as_str))
            && !(self.allows_path)(&RepoPath::from_bytes(path.as_bytes()))
        {
            let text =
                format!("denied: `{path}` is not among the files that this {} may change", self.work_noun);
            return ToolCallOutput { text, is_error: true, is_denied: true };
        }
        self.tools.call(name, input).await
    }
}

/// Returns the reason why a report is not valid: the fault in the report, or the way in which the run ended.
/// Returns `None` if the report is valid. If a limit ended the run, a report without a fault is valid.
pub(crate) fn invalid_report_reason(end: &AgentRunEnd, fault: Option<String>) -> Option<String> {
    match (end, fault) {
        (AgentRunEnd::Reported | AgentRunEnd::Limit(_), None) => None,
        (AgentRunEnd::Reported, Some(why)) => Some(why),
        (
            AgentRunEnd::Limit(_)
            | AgentRunEnd::Declined
            | AgentRunEnd::ResponseTooLong
            | AgentRunEnd::ContextExceeded
            | AgentRunEnd::InvalidReport(_)
            | AgentRunEnd::ModelFailed(_)
            | AgentRunEnd::ProgramFailed(_),
            _,
        ) => Some(describe_end(end)),
    }
}

/// Describes the end of a model's work, for people.
pub(crate) fn describe_end(end: &AgentRunEnd) -> String {
    match end {
        AgentRunEnd::Reported => "the model has finished its work".to_owned(),
        AgentRunEnd::Limit(RunLimit::Turns) => "the model's turns are used up".to_owned(),
        AgentRunEnd::Limit(RunLimit::Time) => "the model's time is used up".to_owned(),
        AgentRunEnd::Limit(RunLimit::Money) => "the budget of this run is nearly used up".to_owned(),
        AgentRunEnd::Limit(RunLimit::Calls) => "the model made too many tool calls".to_owned(),
        AgentRunEnd::Declined => "the model declines".to_owned(),
        AgentRunEnd::ResponseTooLong
        | AgentRunEnd::ContextExceeded
        | AgentRunEnd::InvalidReport(_)
        | AgentRunEnd::ModelFailed(_)
        | AgentRunEnd::ProgramFailed(_) => end.to_string(),
    }
}

/// Returns the word in the marks around data. The word is derived from all the data that the prompt shows.
/// The same data therefore gives the same prompt. No author can predict the word and write it into the data.
pub(super) fn data_boundary<'a>(
    data: impl IntoIterator<Item = &'a [u8]>,
) -> Result<DataBoundary, PromptError> {
    let mut word = hash_values(data);
    word.truncate(BOUNDARY_CHARS);
    DataBoundary::new(&word)
}

/// Returns a digest of several values. The digest includes the length of each value.
pub(crate) fn hash_values<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for value in values {
        hash.update(value.len().to_le_bytes());
        hash.update(value);
    }
    hex::encode(hash.finalize())
}
