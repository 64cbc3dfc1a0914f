//! Adds the facts about a review to the review's span, while the review runs and at its end.

use std::collections::BTreeMap;

use opentelemetry::trace::{Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use truing_agent::mcp::client::ServerProblem;
use truing_agent::native::{AgentRunEnd, RunLimit};
use truing_core::line;
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewOutcome, ReviewOutcomeKind, ReviewRecord, ReviewRuntime};
use truing_model::gateway::ModelError;
use truing_reader::redact::redact_secrets;

use super::root_span::{COST_ATTRIBUTE, OUTCOME_ATTRIBUTE};
use super::step::to_dollars;

/// Maximum number of characters of a reason in a span.
pub(super) const MAX_REASON_CHARS: usize = 300;

/// Records the commit that is reviewed.
pub fn record_head(sha: &str) {
    Context::current().span().set_attribute(KeyValue::new("headSha", sha.to_owned()));
}

/// Adds an event to the current span. Operators can search traces for the event's name.
pub fn record_event(name: &'static str, attributes: Vec<KeyValue>) {
    Context::current().span().add_event(name, attributes);
}

/// Logs and traces the MCP servers that a review could not use. Returns the number of failures of each
/// server.
pub fn record_server_failures(problems: &[ServerProblem]) -> BTreeMap<String, u32> {
    let mut failed = BTreeMap::new();
    for ServerProblem { server, description: what, server_output: said } in problems {
        let about = [("server", server), ("what", what)];
        record_event("mcp.failed", about.map(|(name, value)| KeyValue::new(name, value.clone())).into());
        tracing::warn!(event = "mcp.failed", server, what, said, "an MCP server failed");
        *failed.entry(server.clone()).or_default() += 1;
    }
    failed
}

/// Records the reason why the model's run ended. If the agent SDK has a name for this reason, that name is
/// recorded.
pub fn record_model_end(end: &AgentRunEnd) {
    let (subtype, stop_reason) = match end {
        AgentRunEnd::Reported => ("success", "end_turn"),
        AgentRunEnd::Limit(RunLimit::Turns) => ("error_max_turns", "max_turns"),
        AgentRunEnd::Limit(RunLimit::Money) | AgentRunEnd::ModelFailed(ModelError::Budget { .. }) => {
            ("error_max_budget_usd", "budget")
        }
        AgentRunEnd::Limit(RunLimit::Time) => ("error_during_execution", "time_limit"),
        AgentRunEnd::Limit(RunLimit::Calls) => ("error_during_execution", "tool_limit"),
        AgentRunEnd::Declined => ("error_during_execution", "refusal"),
        AgentRunEnd::ResponseTooLong => ("error_during_execution", "max_tokens"),
        AgentRunEnd::ContextExceeded => ("error_during_execution", "model_context_window_exceeded"),
        AgentRunEnd::InvalidReport(_) => ("error_during_execution", "unreadable"),
        AgentRunEnd::ModelFailed(_) => ("error_during_execution", "refused"),
        AgentRunEnd::ProgramFailed(_) => ("error_during_execution", "runtime"),
    };
    let span = [KeyValue::new("subtype", subtype), KeyValue::new("stop_reason", stop_reason)];
    Context::current().span().set_attributes(span);
}

/// Records the outcome, cost, turns and denied tool calls of the review.
pub fn record_review(record: &ReviewRecord) {
    let denials =
        record.detail.model_review.iter().flat_map(|did| did.denials.values()).copied().map(i64::from).sum();
    record_review_end(&record.detail.outcome, record.turns(), record.cost(), denials);
}

fn record_review_end(outcome: &ReviewOutcome, turns: u32, cost: MicroUsd, denials: i64) {
    let current = Context::current();
    let span = current.span();
    if !span.is_recording() {
        return;
    }
    span.set_attributes([
        KeyValue::new("cost_usd", to_dollars(cost)),
        KeyValue::new("num_turns", i64::from(turns)),
        KeyValue::new("permission_denials", denials),
        KeyValue::new("truing.outcome", outcome.kind.as_str()),
        KeyValue::new(OUTCOME_ATTRIBUTE, outcome.kind.as_str()),
        KeyValue::new(COST_ATTRIBUTE, to_dollars(cost).to_string()),
    ]);
    // In a review with a model, `record_model_end` has already set this attribute.
    if outcome.runtime == ReviewRuntime::Rules {
        let subtype = match outcome.kind {
            ReviewOutcomeKind::Reviewed | ReviewOutcomeKind::Partial | ReviewOutcomeKind::Skipped => {
                "success"
            }
            ReviewOutcomeKind::Deferred | ReviewOutcomeKind::Failed => "error_during_execution",
        };
        span.set_attribute(KeyValue::new("subtype", subtype));
    }
    let reason =
        outcome.reason.as_ref().map(|reason| line::clean_line(&redact_secrets(reason), MAX_REASON_CHARS));
    match (outcome.kind, reason) {
        (ReviewOutcomeKind::Failed, reason) => span.set_status(Status::error(reason.unwrap_or_default())),
        (_, Some(reason)) => span.set_attribute(KeyValue::new("truing.outcome.reason", reason)),
        (_, None) => {}
    }
}
