//! The traces of runs, in OpenTelemetry's form as Langfuse reads it. A review, a converge run and a run of a
//! sync job have one trace each, named after the run. A root span stands for the run, or for a step of it.
//! Below it is a span for each call of a model or a tool, and for each write to a forge.
//!
//! The current span is the ambient [`opentelemetry::Context`]: below a root ([`start_review_trace`],
//! [`ConvergeSpan`], [`start_sync_trace`]) other spans begin by themselves; without a root there are none. An
//! export that fails is logged and changes nothing else.

mod export;
mod model;
mod review;
mod root;
mod step;

pub use export::{TelemetryError, TraceExport, start_trace_export};
pub use model::TracedModel;
pub use review::{record_event, record_head, record_model_end, record_review, record_server_failures};
pub use root::{
    ConvergeSpan, record_failure, record_sync, start_review_trace, start_sync_trace, start_unknown_converge,
};
pub use step::{StepSpan, WRITES, start_tool_span};
