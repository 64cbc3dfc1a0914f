//! The root span of each loop: of a review, of a step of a converge run, and of a run of a sync job.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{FutureExt as _, SpanKind, Status, TraceContextExt as _, TraceId, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use sha2::{Digest as _, Sha256};
use truing_core::converge::record::ConvergeRecord as Converged;
use truing_core::id::{PrId, RunId, SlotKey};
use truing_core::line;
use truing_core::money::MicroUsd;
use truing_core::run::RunOutcome;
use truing_core::sync::record::SyncRecord as Synced;
use truing_reader::redact::redact_secrets;
use uuid::Uuid;

use super::export::set_next_trace_id;
use super::review::MAX_REASON_CHARS;
use super::step::{CommonSpanAttributes, INSTRUMENTATION_SCOPE_NAME, to_dollars};

/// The attribute by which Langfuse filters traces by the outcome of the run.
pub(super) const OUTCOME_ATTRIBUTE: &str = "langfuse.trace.metadata.outcome";
/// The attribute by which Langfuse filters traces by the cost of the run, in dollars.
pub(super) const COST_ATTRIBUTE: &str = "langfuse.trace.metadata.cost_usd";
/// The name of a review's span.
const REVIEW_SPAN_NAME: &str = "pr-review";
/// The name of the span of a step of a converge run.
const CONVERGE_SPAN_NAME: &str = "pr-converge";
/// The name of the span of a run of a sync job.
const SYNC_SPAN_NAME: &str = "sync";

/// Begins the trace of a review. Returns the context in which the future of the traced run must be polled and
/// dropped.
pub fn start_review_trace(
    run: &RunId,
    key: &SlotKey,
    repository: Option<&str>,
    number: Option<u64>,
) -> Context {
    let mut common = vec![KeyValue::new("reviewId", run.as_str().to_owned())];
    common.extend(pull_request_attributes(run, key, repository, number));
    start_root_span(REVIEW_SPAN_NAME, run, common, None)
}

/// Begins the trace of a run of a sync job. Returns the context in which the future of the traced run must be
/// polled and dropped.
pub fn start_sync_trace(run: &RunId, key: &SlotKey, repository: &str, job: &str, package: &str) -> Context {
    let common = [
        ("repo", repository),
        ("job", job),
        ("package", package),
        ("langfuse.session.id", key.as_str()),
        ("langfuse.trace.metadata.run", run.as_str()),
        ("langfuse.trace.metadata.repository", repository),
        ("langfuse.trace.metadata.job", job),
        ("langfuse.trace.metadata.package", package),
    ];
    start_root_span(
        SYNC_SPAN_NAME,
        run,
        common.map(|(name, value)| KeyValue::new(name, value.to_owned())).into(),
        None,
    )
}

/// The span of one step of a converge run, or of a whole run that has only one step. All steps of a run
/// belong to one trace.
#[derive(Debug)]
pub struct ConvergeSpan {
    context: Context,
    /// Cost and turns of the run before the step.
    previous_usage: (MicroUsd, u32),
}

impl ConvergeSpan {
    /// Begins the span of a step of this run. `number` is the pull request's number. The span starts at
    /// `started_at`.
    pub fn start(
        record: &Converged,
        repository: Option<&str>,
        number: Option<u64>,
        started_at: SystemTime,
    ) -> Self {
        let common = pull_request_attributes(&record.run, &record.key, repository, number);
        let context = start_root_span(CONVERGE_SPAN_NAME, &record.run, common, Some(started_at));
        context.span().set_attribute(KeyValue::new("headSha", record.detail.state.head.to_string()));
        Self { context, previous_usage: (record.cost(), record.turns()) }
    }

    /// Runs a step in this span's context, so the spans of the step become children of this span.
    pub fn wrap<F: Future>(&self, step: F) -> impl Future<Output = F::Output> {
        step.with_context(self.context.clone())
    }

    /// Returns the span as a context.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Records the state of the run after the step.
    pub fn record_state(&self, record: &Converged) {
        self.record_usage(record);
        // If the run continues with another step, it has no outcome yet.
        if let Some(end) = record.run_outcome() {
            record_run_end(&self.context, end, record.reason().unwrap_or_default(), self.step_turns(record));
        }
    }

    /// Records the cost and turns of a step that stopped before its end.
    pub fn record_usage(&self, record: &Converged) {
        let cost = record.cost().0.saturating_sub(self.previous_usage.0.0);
        record_spend(&self.context, MicroUsd(cost), self.step_turns(record));
    }

    fn step_turns(&self, record: &Converged) -> u32 {
        record.turns().saturating_sub(self.previous_usage.1)
    }

    /// Records that the step failed.
    pub fn record_failure(&self, reason: &str) {
        record_failure(&self.context, reason);
    }
}

/// Begins the span of a converge step that failed before its run was known. The id of the step's lease
/// replaces the id of the run in this trace.
pub fn start_failed_converge_trace(
    run: &RunId,
    key: &SlotKey,
    repository: &str,
    number: u64,
    started_at: SystemTime,
) -> Context {
    start_root_span(
        CONVERGE_SPAN_NAME,
        run,
        pull_request_attributes(run, key, Some(repository), Some(number)),
        Some(started_at),
    )
}

/// Records the result of a run of a sync job.
pub fn record_sync_result(context: &Context, record: &Synced) {
    record_spend(context, record.cost(), record.turns());
    record_run_end(context, record.detail.result.run_outcome(), &record.detail.exit_reason, record.turns());
}

/// Records that the run failed, in the span of this context.
pub fn record_failure(context: &Context, reason: &str) {
    let reason = line::clean_line(&redact_secrets(reason), MAX_REASON_CHARS);
    context.span().set_attribute(KeyValue::new("subtype", "error_during_execution"));
    context.span().set_status(Status::error(reason));
}

/// Records the cost of a run and the number of model turns.
fn record_spend(context: &Context, cost: MicroUsd, turns: u32) {
    let took = [KeyValue::new("cost_usd", to_dollars(cost)), KeyValue::new("num_turns", i64::from(turns))];
    context.span().set_attributes(took);
    context.span().set_attribute(KeyValue::new(COST_ATTRIBUTE, to_dollars(cost).to_string()));
}

/// Records the outcome of a run and the reason for this outcome.
fn record_run_end(context: &Context, outcome: RunOutcome, reason: &str, turns: u32) {
    let span = context.span();
    if !span.is_recording() {
        return;
    }
    span.set_attribute(KeyValue::new("truing.outcome", outcome.as_str()));
    span.set_attribute(KeyValue::new(OUTCOME_ATTRIBUTE, outcome.as_str()));
    match outcome {
        RunOutcome::Failed => return record_failure(context, reason),
        RunOutcome::Done | RunOutcome::Partial | RunOutcome::Skipped | RunOutcome::Deferred => {}
    }
    // In a run with a model, `record_model_end` has already set this attribute.
    if turns == 0 {
        span.set_attribute(KeyValue::new("subtype", "success"));
    }
    let reason = line::clean_line(&redact_secrets(reason), MAX_REASON_CHARS);
    span.set_attribute(KeyValue::new("truing.outcome.reason", reason));
}

/// Returns the attributes of a run and of its pull request.
fn pull_request_attributes(
    run: &RunId,
    key: &SlotKey,
    repository: Option<&str>,
    number: Option<u64>,
) -> Vec<KeyValue> {
    let name = repository.zip(number).map(|(repository, number)| format!("{repository}#{number}"));
    let session = match (PrId::from_key(key), &name) {
        (Some(id), Some(name)) => format!("{}/{name}", id.forge),
        (None, Some(name)) => name.clone(),
        (_, None) => key.as_str().to_owned(),
    };
    let mut common = vec![
        KeyValue::new("langfuse.session.id", session),
        KeyValue::new("langfuse.trace.metadata.run", run.as_str().to_owned()),
    ];
    if let Some(repository) = repository {
        common.push(KeyValue::new("repo", repository.to_owned()));
        common.push(KeyValue::new("langfuse.trace.metadata.repository", repository.to_owned()));
    }
    common.extend(name.map(|name| KeyValue::new("langfuse.trace.metadata.pull_request", name)));
    let number = number.and_then(|number| i64::try_from(number).ok());
    common.extend(number.map(|number| KeyValue::new("prNumber", number)));
    common
}

/// Begins a root span. The span starts at `started_at` if it is set, otherwise now. Every span below the root
/// span inherits the attributes in `common_attributes`.
fn start_root_span(
    name: &'static str,
    run: &RunId,
    mut common_attributes: Vec<KeyValue>,
    started_at: Option<SystemTime>,
) -> Context {
    common_attributes.extend([
        KeyValue::new("langfuse.trace.name", name),
        KeyValue::new("gen_ai.conversation.id", run.as_str().to_owned()),
        KeyValue::new("runId", run.as_str().to_owned()),
    ]);
    let own = [
        KeyValue::new("gen_ai.operation.name", "invoke_agent"),
        KeyValue::new("gen_ai.agent.name", name),
        KeyValue::new("gen_ai.agent.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("langfuse.observation.type", "agent"),
    ];
    let attributes: Vec<KeyValue> = common_attributes.iter().cloned().chain(own).collect();
    let tracer = global::tracer(INSTRUMENTATION_SCOPE_NAME);
    let mut builder = tracer.span_builder(name).with_kind(SpanKind::Internal).with_attributes(attributes);
    builder.start_time = started_at;
    set_next_trace_id(trace_id(run));
    let span = tracer.build_with_context(builder, &Context::new());
    Context::new().with_value(CommonSpanAttributes(Arc::from(common_attributes))).with_span(span)
}

/// Returns the trace's id: the run's id if this id is a UUID, otherwise a hash of the run's id.
fn trace_id(run: &RunId) -> TraceId {
    let id = Uuid::parse_str(run.as_str()).map_or_else(
        |_| {
            let mut half = [0; 16];
            half.copy_from_slice(Sha256::digest(run.as_str()).get(..16).unwrap_or(&[1; 16]));
            half
        },
        |id| *id.as_bytes(),
    );
    TraceId::from_bytes(id)
}
