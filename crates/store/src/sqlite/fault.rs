//! What can go wrong inside a piece of work, and how it is told to people: with the file and what to do next.

use std::path::Path;

use rusqlite::ErrorCode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use truing_core::port::StoreError;

use super::open::BUSY_SECONDS;

/// Why a piece of work was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Refused in the port's own words.
    #[error(transparent)]
    Refused(#[from] StoreError),
    /// SQLite could not do it.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// A stored value is not what this version writes.
    #[error("{what}: {source}")]
    Unreadable {
        /// Which row.
        what: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A value cannot be stored.
    #[error("it cannot be stored as JSON: {0}")]
    Unwritable(serde_json::Error),
    /// SQLite undid the whole transaction because of a neighbour's failure.
    #[error("the transaction was undone because the disk failed under another write; try again")]
    Undone,
}

impl Fault {
    /// The same for the port's callers.
    pub(super) fn told(self, path: &Path) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Sql(error) if is_unreadable(&error) => StoreError::Corrupt(sql_message(path, &error)),
            Self::Sql(error) => StoreError::Unavailable(sql_message(path, &error)),
            Self::Unreadable { .. } => StoreError::Corrupt(format!("{}: {self}", path.display())),
            Self::Unwritable(_) | Self::Undone => {
                StoreError::Unavailable(format!("{}: {self}", path.display()))
            }
        }
    }
}

/// What SQLite's codes mean for the person at the keyboard.
const HINTS: [(ErrorCode, &str); 7] = [
    (ErrorCode::DiskFull, "the disk is full: free some space and try again; what was acknowledged is safe"),
    (ErrorCode::ReadOnly, "it cannot be written: give this user write permission on the file and its folder"),
    (
        ErrorCode::PermissionDenied,
        "it cannot be opened: give this user permission on the file and its folder",
    ),
    (
        ErrorCode::CannotOpen,
        "it cannot be opened: check that its folder exists and can be written (SQLite keeps `-wal` and `-shm` files beside it)",
    ),
    (ErrorCode::NotADatabase, "the file is not a database: move it away, or name another one in `store.url`"),
    (
        ErrorCode::DatabaseCorrupt,
        "the database is damaged: stop every process that uses it and restore a backup",
    ),
    (ErrorCode::SystemIoFailure, "reading or writing it failed: check the disk"),
];

/// What happened to the file at `path`, in words.
pub(super) fn sql_message(path: &Path, error: &rusqlite::Error) -> String {
    let code = error.sqlite_error_code();
    if code == Some(ErrorCode::DatabaseBusy) {
        return format!(
            "{}: another process has kept it locked for {BUSY_SECONDS} s; try again when it is done",
            path.display()
        );
    }
    match HINTS.iter().find(|(known, _)| code == Some(*known)) {
        Some((_, hint)) => format!("{}: {hint} ({error})", path.display()),
        None => format!("{}: SQLite could not do it: {error}", path.display()),
    }
}

/// Is it the content that is wrong, not the circumstances?
fn is_unreadable(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
        || matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
        )
}

/// A value as the JSON that is stored.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(Fault::Unwritable)
}

/// The value of stored JSON; `what` names the row in the error.
pub(super) fn from_json<T: DeserializeOwned>(json: &str, what: impl FnOnce() -> String) -> Result<T, Fault> {
    serde_json::from_str(json).map_err(|source| Fault::Unreadable { what: what(), source })
}

/// The rows that can be read. One that cannot is told in the log and left out: it hides no other.
pub(super) fn readable<T>(rows: impl Iterator<Item = Result<T, Fault>>) -> Result<Vec<T>, Fault> {
    let told = |row: Result<T, Fault>| match row {
        Err(Fault::Unreadable { what, source }) => {
            tracing::warn!("{what} cannot be read and is left out: {source}");
            None
        }
        Ok(_) | Err(Fault::Refused(_) | Fault::Sql(_) | Fault::Unwritable(_) | Fault::Undone) => Some(row),
    };
    rows.filter_map(told).collect()
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    #[test]
    fn what_sqlite_says_is_told_with_the_file_and_what_to_do() {
        let path = Path::new("/state/truing.db");
        let cases = [
            (ffi::SQLITE_FULL, false, "free some space"),
            (ffi::SQLITE_BUSY, false, "another process has kept it locked for 5 s"),
            (ffi::SQLITE_READONLY, false, "write permission"),
            (ffi::SQLITE_CANTOPEN, false, "check that its folder exists"),
            (ffi::SQLITE_IOERR_WRITE, false, "check the disk"),
            (ffi::SQLITE_NOTADB, true, "not a database"),
            (ffi::SQLITE_CORRUPT, true, "restore a backup"),
            (ffi::SQLITE_CONSTRAINT, false, "SQLite could not do it"),
        ];
        for (code, corrupt, hint) in cases {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let told = Fault::from(error).told(path);
            assert_eq!(matches!(told, StoreError::Corrupt(_)), corrupt, "{told}");
            let told = told.to_string();
            assert!(told.contains(hint) && told.contains("/state/truing.db"), "{told}");
        }
    }
}
