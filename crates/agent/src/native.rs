//! The native runtime: lets a model take turns within limits of cost, turns, time and permissions.
//!
//! [`run`] sends requests and runs the model's tool calls until the model has reported ([`ReportSchema`], by
//! default findings) or a limit ends the run. The runtime makes no decision about a change: the model's text
//! is data that [`crate::schema`] checks. At a limit, the model is asked once for a partial result, because
//! the results so far would otherwise be lost.

mod run_end;
mod run_input;
pub(crate) mod turns;
mod window;

#[cfg(test)]
mod tests;

use truing_model::gateway::LanguageModel;

use crate::schema::UncheckedFindings;

pub use run_end::{AgentRunEnd, AgentRunResult, RunLimit};
pub use run_input::{
    AgentRunInput, DEFAULT_CONTEXT_TOKENS, DEFAULT_MAX_RESPONSE_TOKENS, DEFAULT_MAX_TURNS,
    DEFAULT_TIME_LIMIT, MAX_CALLS_PER_RESPONSE, MAX_DENIALS, MAX_TOOL_CALLS, ReportSchema, RunLimits,
    RunTools, ToolCallOutput,
};
pub(crate) use run_input::{CheckedReport, CollectedReport};

/// Runs a model until it has reported or a limit ends the run. Dropping the future stops the run immediately.
#[truing_core::boxed_future]
pub async fn run(
    model: &dyn LanguageModel,
    tools: &dyn RunTools,
    input: &AgentRunInput,
    limits: &RunLimits,
) -> AgentRunResult {
    let mut report = CheckedReport::<UncheckedFindings, _>::new(|_: &UncheckedFindings| None);
    let result = collect_report(model, tools, input, limits, &mut report).await;
    result.map(|()| report.report)
}

/// Runs as [`run`] does, and collects the model's report in `report`.
pub(crate) async fn collect_report(
    model: &dyn LanguageModel,
    tools: &dyn RunTools,
    run_input: &AgentRunInput,
    limits: &RunLimits,
    report: &mut dyn CollectedReport,
) -> AgentRunResult<()> {
    let mut turns = turns::ActiveAgentRun::new(model, tools, run_input, *limits, report);
    let end = tokio::time::timeout(limits.time, turns.run_turns()).await;
    turns.finish_run(end.unwrap_or(AgentRunEnd::Limit(RunLimit::Time))).await
}
