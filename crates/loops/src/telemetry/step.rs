//! Spans below a root. A span begins if the run is traced, and ends when its value is dropped.

use std::sync::Arc;

use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue, global};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use truing_core::line;
use truing_core::money::MicroUsd;
use truing_forge::write_monitor::{WriteMonitor, WriteSpan};
use truing_reader::redact::redact_secrets;

use super::export::can_capture_texts;

/// Name of the instrumentation scope for all spans.
pub(super) const INSTRUMENTATION_SCOPE_NAME: &str = "truing";
/// Maximum number of characters of a text in a span.
const MAX_TEXT_CHARS: usize = 32 << 10;
/// Maximum number of characters of the reason for a failure.
const MAX_FAILURE_REASON_CHARS: usize = 300;

/// Converts micro-dollars to dollars, the unit in traces.
#[allow(clippy::cast_precision_loss, reason = "the cost of a run is far below the limit of exact numbers")]
pub(super) fn to_dollars(cost: MicroUsd) -> f64 {
    cost.0 as f64 / 1e6
}

/// The attributes of every span of a trace.
#[derive(Clone)]
pub(super) struct CommonSpanAttributes(pub(super) Arc<[KeyValue]>);

/// A span that has not ended yet; `None` if the run is not traced.
pub struct StepSpan(Option<Context>);

impl StepSpan {
    /// Begins a span. `attributes` is only called if the run is traced.
    pub(super) fn start(
        name: impl FnOnce() -> String,
        kind: SpanKind,
        attributes: impl FnOnce() -> Vec<KeyValue>,
    ) -> Self {
        let current = Context::current();
        if !current.span().is_recording() {
            return Self(None);
        }
        let mut attributes = attributes();
        attributes
            .extend(current.get::<CommonSpanAttributes>().iter().flat_map(|common| common.0.iter().cloned()));
        let tracer = global::tracer(INSTRUMENTATION_SCOPE_NAME);
        let builder = tracer.span_builder(name()).with_kind(kind).with_attributes(attributes);
        let span = tracer.build_with_context(builder, &current);
        Self(Some(current.with_span(span)))
    }

    /// Adds attributes. `attributes` is only called if the run is traced.
    pub fn add_attributes(&self, attributes: impl FnOnce() -> Vec<KeyValue>) {
        if let Some(context) = &self.0 {
            context.span().set_attributes(attributes());
        }
    }

    /// Marks the span as failed. `kind` is the type of the error.
    pub fn record_failure(&self, kind: &'static str, reason: &str) {
        if let Some(context) = &self.0 {
            context.span().set_attribute(KeyValue::new("error.type", kind));
            context.span().set_status(Status::error(line::clean_line(
                &redact_secrets(reason),
                MAX_FAILURE_REASON_CHARS,
            )));
        }
    }
}

impl Drop for StepSpan {
    fn drop(&mut self) {
        if let Some(context) = &self.0 {
            context.span().end();
        }
    }
}

/// Begins the span of a tool call.
pub fn start_tool_span(name: &str, input: &Value) -> StepSpan {
    let attributes = || {
        let mut attributes = vec![
            KeyValue::new("gen_ai.operation.name", "execute_tool"),
            KeyValue::new("gen_ai.tool.name", name.to_owned()),
            KeyValue::new("gen_ai.tool.type", "function"),
            KeyValue::new("langfuse.observation.type", "tool"),
        ];
        attributes.extend(text_attributes(TOOL_INPUT, &input.to_string()));
        attributes
    };
    StepSpan::start(|| format!("execute_tool {name}"), SpanKind::Internal, attributes)
}

/// Permits writes to a forge, and traces each write below the current span.
pub static WRITE_MONITOR: WriteMonitor =
    WriteMonitor { dry_run: false, recording: None, begin_span: Some(start_write_span) };

impl WriteSpan for StepSpan {
    fn record_failure(&self, reason: &str) {
        Self::record_failure(self, "forge", reason);
    }
}

/// Begins the span of a write to a forge.
fn start_write_span(action: &'static str, item_count: usize) -> Box<dyn WriteSpan> {
    let attributes = || {
        let items = i64::try_from(item_count).unwrap_or(i64::MAX);
        vec![
            KeyValue::new("truing.forge.action", action),
            KeyValue::new("truing.forge.items", items),
            KeyValue::new("langfuse.observation.type", "span"),
        ]
    };
    Box::new(StepSpan::start(|| format!("forge {action}"), SpanKind::Client, attributes))
}

/// The attribute keys for a text: the key of the OpenTelemetry conventions, the key of Langfuse, and the keys
/// for the text's hash and size.
pub(super) struct TextAttributeKeys {
    pub(super) opentelemetry_key: &'static str,
    pub(super) langfuse_key: &'static str,
    pub(super) digest_keys: [&'static str; 2],
}

const TOOL_INPUT: TextAttributeKeys = TextAttributeKeys {
    opentelemetry_key: "gen_ai.tool.call.arguments",
    langfuse_key: "langfuse.observation.input",
    digest_keys: ["truing.tool.arguments.sha256", "truing.tool.arguments.bytes"],
};
/// The keys of a tool's output.
pub(crate) const TOOL_OUTPUT: TextAttributeKeys = TextAttributeKeys {
    opentelemetry_key: "gen_ai.tool.call.result",
    langfuse_key: "langfuse.observation.output",
    digest_keys: ["truing.tool.result.sha256", "truing.tool.result.bytes"],
};

/// Returns a text without secrets, if traces may contain texts; otherwise returns the hash and the size of
/// the text.
pub(super) fn text_attributes(keys: TextAttributeKeys, text: &str) -> Vec<KeyValue> {
    if can_capture_texts() {
        let shown = line::truncate_text(redact_secrets(text), MAX_TEXT_CHARS);
        return vec![
            KeyValue::new(keys.opentelemetry_key, shown.clone()),
            KeyValue::new(keys.langfuse_key, shown),
        ];
    }
    let [hash, bytes] = keys.digest_keys;
    vec![
        KeyValue::new(hash, hex::encode(Sha256::digest(text))),
        KeyValue::new(bytes, i64::try_from(text.len()).unwrap_or(i64::MAX)),
    ]
}

impl StepSpan {
    /// Records a tool's output.
    pub fn record_output(&self, text: &str, is_error: bool) {
        self.add_attributes(|| text_attributes(TOOL_OUTPUT, text));
        if is_error {
            self.record_failure("tool_error", "the tool call failed");
        }
    }
}
