//! The errors of a store.

use crate::id::{FencingToken, SlotKey};

/// The error of a store.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// A run with a greater token has begun: this one must stop and write nothing more.
    #[error("a newer run holds {key} (token {last:?}): this run's writes are refused")]
    Fenced {
        /// The key.
        key: SlotKey,
        /// The greatest token that records have accepted.
        last: FencingToken,
    },
    /// The store cannot work: file, disk, lock, version.
    #[error("{0}")]
    Unavailable(String),
    /// A stored value cannot be read.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}
