//! Errors of the fake forge.

use crate::repo::FakeGitError;

/// The reason why the fake could not do it.
#[derive(Debug, thiserror::Error)]
pub enum FakeError {
    /// No port, no folder.
    #[error("the fake forge cannot start: {0} (is loopback usable, and the temporary folder writable?)")]
    Start(#[from] std::io::Error),
    /// Git refused.
    #[error(transparent)]
    Git(#[from] FakeGitError),
    /// A name nobody has made.
    #[error("there is no {0} here: make it first")]
    Missing(String),
    /// GitHub would not allow it.
    #[error("refused: {0}")]
    Refused(String),
    /// A delivery got no answer.
    #[error("the webhook's receiver does not answer: {0}")]
    Delivery(#[from] reqwest::Error),
}
