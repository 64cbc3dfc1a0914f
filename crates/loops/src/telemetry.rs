//! What reviews did, as OpenTelemetry traces in the form that Langfuse reads: one trace a review, named after it, a span
//! for each call of a model, of a tool and to a forge that writes.
//!
//! The span that is under way is the ambient [`opentelemetry::Context`], as in every program that is traced: below a
//! review's [`review`] others begin by themselves, without one nothing is done. An export that fails is told in the log
//! and changes nothing else.

mod export;
mod model;
mod review;
mod step;

pub use export::{Exporting, TelemetryError, start};
pub use model::Traced;
pub use review::{deferred, done, ended, event, failed, head, review, servers_failed};
pub use step::{Step, tool, write};
