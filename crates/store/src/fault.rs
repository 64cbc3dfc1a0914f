//! Faults inside a piece of work. Each engine tells them to people in its own words.

use serde::Serialize;
use serde::de::DeserializeOwned;
use truing_core::port::StoreError;

use crate::sql::SqlValue;

/// The reason for which a piece of work was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreFault {
    /// Refused in the port's own words.
    #[error(transparent)]
    Refused(#[from] StoreError),
    /// SQLite could not do it.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL could not do it.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    /// PostgreSQL has not begun a transaction.
    #[error(transparent)]
    NotBegun(tokio_postgres::Error),
    /// The server has not answered within so many seconds.
    #[error("it has not answered within {0} s; check the network to it")]
    NoAnswer(u64),
    /// A statement that always has a row had none.
    #[error("a row is missing that is always there")]
    NoRow,
    /// A column holds what this version does not write there.
    #[error("column {column} of a row holds {value:?}")]
    Column {
        /// Its number, counted from 0.
        column: usize,
        /// Its value.
        value: SqlValue,
    },
    /// A stored value is not what this version writes.
    #[error("{what}: {source}")]
    Unreadable {
        /// The row.
        what: String,
        /// Its fault.
        source: serde_json::Error,
    },
    /// A value cannot be stored.
    #[error("it cannot be stored as JSON: {0}")]
    Unwritable(serde_json::Error),
    /// SQLite undid the whole transaction because of a neighbour's failure.
    #[error("the transaction was undone because the disk failed under another write; try again")]
    Undone,
}

/// A value as the JSON that is stored.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreFault> {
    serde_json::to_string(value).map_err(StoreFault::Unwritable)
}

/// The value of stored JSON; `what` names the row in the error.
pub(crate) fn from_json<T: DeserializeOwned>(
    json: &str,
    what: impl FnOnce() -> String,
) -> Result<T, StoreFault> {
    serde_json::from_str(json).map_err(|source| StoreFault::Unreadable { what: what(), source })
}

/// The rows that can be read. One that cannot is told in the log and left out: it hides no other.
pub(crate) fn readable<T>(rows: impl Iterator<Item = Result<T, StoreFault>>) -> Result<Vec<T>, StoreFault> {
    let told = |row: Result<T, StoreFault>| match row {
        Err(StoreFault::Unreadable { what, source }) => {
            tracing::warn!("{what} cannot be read and is left out: {source}");
            None
        }
        Ok(_)
        | Err(
            StoreFault::Refused(_)
            | StoreFault::Sqlite(_)
            | StoreFault::Postgres(_)
            | StoreFault::NotBegun(_)
            | StoreFault::NoAnswer(_)
            | StoreFault::NoRow
            | StoreFault::Column { .. }
            | StoreFault::Unwritable(_)
            | StoreFault::Undone,
        ) => Some(row),
    };
    rows.filter_map(told).collect()
}
