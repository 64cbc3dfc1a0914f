//! The traces of runs, as OpenTelemetry spans with the attributes that Langfuse reads. A review, a converge
//! run and a run of a sync job have one trace each, named after the run. A root span represents the run, or
//! one step of the run. Below the root span is a span for each model call, each tool call and each write to a
//! forge.
//!
//! Functions find their parent span in the current [`opentelemetry::Context`]. If this context contains a
//! root span ([`start_review_trace`], [`ConvergeSpan`], [`start_sync_trace`]), the traced functions create
//! child spans. Without a root span, the traced functions create no spans. If an export fails, the failure is
//! logged and has no other effect.

mod export;
mod model;
mod review;
mod root_span;
mod step;

pub use export::{ForeignEndpoint, TelemetryError, TraceExport, endpoint_of_variables, start_trace_export};
pub use model::TracedModel;
pub use review::{record_event, record_head, record_model_end, record_review, record_server_failures};
pub use root_span::{
    ConvergeSpan, record_failure, record_sync_result, start_failed_converge_trace, start_review_trace,
    start_sync_trace,
};
pub use step::{StepSpan, WRITE_MONITOR, start_tool_span};
