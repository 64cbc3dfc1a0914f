//! Errors of the fake forge.

use crate::repo::FakeGitError;

/// The error of an operation of the fake.
#[derive(Debug, thiserror::Error)]
pub enum FakeError {
    /// No port or no folder was available.
    #[error("the fake forge cannot start: {0} (is loopback usable, and the temporary folder writable?)")]
    Start(#[from] std::io::Error),
    #[error(transparent)]
    Git(#[from] FakeGitError),
    /// The object with this name does not exist.
    #[error("there is no {0} here: make it first")]
    Missing(String),
    /// The real forge would reject the operation.
    #[error("refused: {0}")]
    Refused(String),
    /// A delivery got no response.
    #[error("the webhook's receiver does not answer: {0}")]
    Delivery(#[from] reqwest::Error),
}
