//! Changes that callers and people make alike. Each changes the state, and has it tell of the change.

pub(crate) mod branches;
pub(crate) mod comments;
pub(crate) mod issues;
pub(crate) mod merging;
pub(crate) mod pulls;
pub(crate) mod reviewers;
