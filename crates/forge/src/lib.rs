//! The forges: clients that carry a publish plan's steps to a pull request, the markers by which our comments are
//! known again, and webhooks.

pub mod capability;
pub mod effects;
pub mod github;
pub mod marker;
pub mod publisher;
pub mod webhook;

mod http;
#[cfg(test)]
mod testing;

pub use http::{ClientError, Patience, Quota};
pub use truing_git::Secret;
