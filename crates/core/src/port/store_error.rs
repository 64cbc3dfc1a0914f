//! Errors that a store returns.

use crate::id::{FencingToken, SlotKey};

/// An error of a store.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer run, with a greater token, has begun: the calling run must stop and write nothing more.
    #[error("a newer run holds {key} (token {greatest_token:?}): this run's writes are refused")]
    Fenced {
        /// Slot key that both runs use.
        key: SlotKey,
        /// Greatest token that the store has accepted.
        greatest_token: FencingToken,
    },
    /// The store cannot be used, for example because of its file, the disk, a lock or the store's version.
    #[error("{0}")]
    Unavailable(String),
    /// A stored value cannot be parsed.
    #[error("the store contains unreadable data: {0}")]
    Corrupt(String),
}

/// An operation of the store that a webhook or a review needs, and that failed when it was tried.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the store's operation `{operation}` failed: {error}")]
pub struct StoreCheckError {
    /// Name of the operation: a command with the pattern of its keys, for example. The name contains no
    /// address and no name of a repository.
    pub operation: String,
    /// The error of the operation.
    pub error: StoreError,
}

impl StoreCheckError {
    /// Creates the error of an operation.
    pub fn new(operation: impl Into<String>, error: StoreError) -> Self {
        Self { operation: operation.into(), error }
    }
}
