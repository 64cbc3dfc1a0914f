//! Messages for users about errors of SQLite. Each message names the file and the next step.

use std::path::Path;

use rusqlite::ErrorCode;
use truing_core::port::StoreError;

use super::open::BUSY_SECONDS;
use crate::fault::StoreFault;

impl StoreFault {
    /// Converts a fault to an error of the port.
    pub(super) fn into_store_error(self, path: &Path) -> StoreError {
        match self {
            Self::PortError(error) => error,
            Self::Sqlite(error) if is_corrupt(&error) => {
                StoreError::Corrupt(sqlite_error_message(path, &error))
            }
            Self::Sqlite(error) => StoreError::Unavailable(sqlite_error_message(path, &error)),
            Self::NoRow | Self::InvalidColumn { .. } | Self::Unreadable { .. } => {
                StoreError::Corrupt(format!("{}: {self}", path.display()))
            }
            Self::Postgres(_)
            | Self::TransactionNotBegun(_)
            | Self::NoAnswer(_)
            | Self::NotSerializable(_)
            | Self::RolledBack => StoreError::Unavailable(format!("{}: {self}", path.display())),
        }
    }
}

/// SQLite's error codes, each with a message and a next step.
const ERROR_CODE_HINTS: [(ErrorCode, &str); 7] = [
    (ErrorCode::DiskFull, "the disk is full: free some space and try again; acknowledged writes are safe"),
    (
        ErrorCode::ReadOnly,
        "the file cannot be written: give this user write permission on the file and its folder",
    ),
    (
        ErrorCode::PermissionDenied,
        "the file cannot be opened: give this user permission on the file and its folder",
    ),
    (
        ErrorCode::CannotOpen,
        "the file cannot be opened: check that its folder exists and can be written (SQLite keeps `-wal` \
            and `-shm` files in this folder)",
    ),
    (
        ErrorCode::NotADatabase,
        "the file is not a database: move the file away, or set `store.url` to another file",
    ),
    (
        ErrorCode::DatabaseCorrupt,
        "the database is damaged: stop every process that uses it and restore a backup",
    ),
    (ErrorCode::SystemIoFailure, "reading or writing the file failed: check the disk"),
];

/// Renders an error for the file at `path` as a message.
pub(super) fn sqlite_error_message(path: &Path, error: &rusqlite::Error) -> String {
    let code = error.sqlite_error_code();
    if code == Some(ErrorCode::DatabaseBusy) {
        return format!(
            "{}: another process has kept the file locked for {BUSY_SECONDS} s; try again when that \
                process is done",
            path.display()
        );
    }
    match ERROR_CODE_HINTS.iter().find(|(known, _)| code == Some(*known)) {
        Some((_, hint)) => format!("{}: {hint} ({error})", path.display()),
        None => format!("{}: the SQLite operation failed: {error}", path.display()),
    }
}

/// Returns true if the error means that the file's content is damaged. Returns false if the file cannot be
/// accessed, or if resources are short.
fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt))
        || matches!(
            error,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
        )
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
            (ffi::SQLITE_BUSY, false, "another process has kept the file locked for 5 s"),
            (ffi::SQLITE_READONLY, false, "write permission"),
            (ffi::SQLITE_CANTOPEN, false, "check that its folder exists"),
            (ffi::SQLITE_IOERR_WRITE, false, "check the disk"),
            (ffi::SQLITE_NOTADB, true, "not a database"),
            (ffi::SQLITE_CORRUPT, true, "restore a backup"),
            (ffi::SQLITE_CONSTRAINT, false, "the SQLite operation failed"),
        ];
        for (code, corrupt, hint) in cases {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let told = StoreFault::from(error).into_store_error(path);
            assert_eq!(matches!(told, StoreError::Corrupt(_)), corrupt, "{told}");
            let told = told.to_string();
            assert!(told.contains(hint) && told.contains("/state/truing.db"), "{told}");
        }
    }
}
