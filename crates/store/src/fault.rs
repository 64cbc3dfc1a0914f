//! Defines the faults that can occur in a unit of work. Each engine converts faults to messages for people.

use serde::Serialize;
use serde::de::DeserializeOwned;
use truing_core::port::StoreError;

use crate::sql::SqlValue;

/// The reason why a unit of work was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreFault {
    /// The store refused the work with an error that the port defines.
    #[error(transparent)]
    PortError(#[from] StoreError),
    /// SQLite returned an error.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL returned an error.
    #[error(transparent)]
    Postgres(#[from] tokio_postgres::Error),
    /// PostgreSQL could not begin a transaction.
    #[error(transparent)]
    TransactionNotBegun(tokio_postgres::Error),
    /// The server has not answered within this many seconds.
    #[error("the server has not answered within {0} s; check the network to the server")]
    NoAnswer(u64),
    /// A statement that always returns a row returned none.
    #[error("a required row is missing")]
    NoRow,
    /// A column contains a value that this version never writes.
    #[error("column {column} of a row holds an invalid value: {value:?}")]
    InvalidColumn {
        /// The number of the column, counted from 0.
        column: usize,
        /// The value that was found.
        value: SqlValue,
    },
    /// A stored value cannot be parsed by this version.
    #[error("{row} cannot be read: {source}")]
    Unreadable {
        /// Name of the row that contains the value.
        row: String,
        /// The error of the parser.
        source: serde_json::Error,
    },
    /// A value cannot be stored.
    #[error("a value cannot be stored as JSON: {0}")]
    NotSerializable(serde_json::Error),
    /// SQLite rolled back the whole transaction because another write in it failed.
    #[error("the transaction was rolled back because another write in it failed on the disk; try again")]
    RolledBack,
}

/// Serializes a value as the JSON that is stored.
pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreFault> {
    serde_json::to_string(value).map_err(StoreFault::NotSerializable)
}

/// Parses stored JSON. `row_name` returns the name of the row for the error.
pub(crate) fn from_json<T: DeserializeOwned>(
    json: &str,
    row_name: impl FnOnce() -> String,
) -> Result<T, StoreFault> {
    truing_core::json::from_str(json).map_err(|source| StoreFault::Unreadable { row: row_name(), source })
}

/// Returns the readable rows. An unreadable row is logged and left out, so the other rows are still returned.
pub(crate) fn skip_unreadable<T>(
    rows: impl Iterator<Item = Result<T, StoreFault>>,
) -> Result<Vec<T>, StoreFault> {
    let log_unreadable = |row: Result<T, StoreFault>| match row {
        Err(StoreFault::Unreadable { row: what, source }) => {
            tracing::warn!("cannot read {what}, which is left out: {source}");
            None
        }
        Ok(_)
        | Err(
            StoreFault::PortError(_)
            | StoreFault::Sqlite(_)
            | StoreFault::Postgres(_)
            | StoreFault::TransactionNotBegun(_)
            | StoreFault::NoAnswer(_)
            | StoreFault::NoRow
            | StoreFault::InvalidColumn { .. }
            | StoreFault::NotSerializable(_)
            | StoreFault::RolledBack,
        ) => Some(row),
    };
    rows.filter_map(log_unreadable).collect()
}
