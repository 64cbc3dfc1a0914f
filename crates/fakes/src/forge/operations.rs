//! Changes that both API callers and people make. Each changes the state and sends its event.

pub(crate) mod branches;
pub(crate) mod comments;
pub(crate) mod issues;
pub(crate) mod merging;
pub(crate) mod pulls;
pub(crate) mod reviewers;
