//! Changes of the forge's state that both API calls and a test's simulated people make. Each function changes
//! the state and sends an event about the change.

pub(crate) mod branches;
pub(crate) mod comments;
pub(crate) mod issues;
pub(crate) mod merging;
pub(crate) mod pulls;
pub(crate) mod reviewers;
