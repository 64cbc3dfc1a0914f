//! Opens the file: checks its permissions and owner, and migrates it to this version's schema.

use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, OptionalExtension as _, TransactionBehavior};

use super::database_file::DatabaseFile;
use super::fault::sqlite_error_message;
use crate::fault::StoreFault;
use crate::lock::{ServeLockHolder, has_lock_file, holder_text, io_advice, serving_process};
use crate::sql::StoreOpenPurpose;

/// Seconds that a connection waits for another process's lock.
pub(super) const BUSY_SECONDS: u64 = 5;

/// Number of statements that a connection keeps prepared. The default of the `rusqlite` crate is smaller.
const STATEMENT_CACHE_CAPACITY: usize = 128;

/// Number of attempts to turn on the write-ahead log while other processes also try this. Once one process
/// has succeeded, the others have nothing left to do.
const WAL_TRIES: u32 = 8;

/// Value of `PRAGMA application_id` that marks a database as Truing's: the bytes `True`.
const APPLICATION_ID: i64 = 0x5472_7565;

/// The schema, as one migration file for each version. `PRAGMA user_version` is the number of files that were
/// applied. A migration that a running server of the version before cannot use must first refuse a file that
/// such a server has open ([`serving_process`]).
const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/0001.sql")];

/// The schema version that this program reads and writes.
pub(super) const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// Reasons why a file cannot be used as the store.
#[derive(Debug, thiserror::Error)]
pub enum SqliteOpenError {
    /// The folder is missing and cannot be created.
    #[error("cannot create the folder {}: {source}; {}", path.display(),
        io_advice(source, "create the folder, or set `store.url` to another file"))]
    Folder {
        /// Path of the folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The path is the path of a folder.
    #[error("{} is a folder; set `store.url` to a file", path.display())]
    IsAFolder {
        /// Path of the folder.
        path: PathBuf,
    },
    /// The file cannot be created or inspected.
    #[error("cannot open {}: {source}; {}", path.display(),
        io_advice(source, "check the permissions of the file, or set `store.url` to another file"))]
    File {
        /// Path of the file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file is read only, or its file system is mounted read-only.
    #[error("{} is read only; allow writing to the file (chmod u+w), or set `store.url` to another file",
        path.display())]
    ReadOnly {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file is an SQLite database of another program.
    #[error("{} is a database of another program; set `store.url` to another file", path.display())]
    ForeignDatabase {
        /// Path of the file.
        path: PathBuf,
    },
    /// A later version has changed the schema.
    #[error("{} was made by a newer or an unreleased truing (schema version {found_version}; this program \
        has version {SCHEMA_VERSION}); upgrade truing, or set `store.url` to another file", path.display())]
    Newer {
        /// Path of the file.
        path: PathBuf,
        found_version: i64,
    },
    /// The file has several names, which are hard links.
    #[error("{} has {link_count} names (hard links), but a database must have only one name: remove the \
        other \
        names, or set `store.url` to another file", path.display())]
    HasHardLinks {
        /// Path of the file.
        path: PathBuf,
        /// Number of the file's names.
        link_count: u64,
    },
    /// A server has the file open under another name.
    #[error("{} is already served under another name (a mount), or its lock file ({}.lock) was deleted; \
        use the name that the server uses, or restart the server", path.display(), path.display())]
    ServedByOtherName {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file was deleted, and a server still has it open.
    #[error("{} was deleted, but is still served{}; stop that server, put the file back, and start the \
        server again",
        path.display(), holder_text(server))]
    Deleted {
        /// Path of the file.
        path: PathBuf,
        /// The process that serves the file.
        server: ServeLockHolder,
    },
    /// The file replaced an earlier file that a server still has open.
    #[error("{} replaced a database that is still served{}; that server does not use the new file: stop \
        the server, and start it again", path.display(), holder_text(server))]
    FileReplaced {
        /// Path of the file.
        path: PathBuf,
        /// The process that serves the earlier file.
        server: ServeLockHolder,
    },
    /// The file is empty, but was used as a store before.
    #[error("{} is empty, but the lock files beside it show that it was used: restore a backup, or delete \
        the file to start over without queued work, records and kill switch", path.display())]
    Emptied {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file's tables do not match its recorded schema version.
    #[error("{} records schema version {recorded_version}, but its tables do not match that version; \
        restore a backup, or set `store.url` to another file", path.display())]
    SchemaMismatch {
        /// Path of the file.
        path: PathBuf,
        /// The recorded schema version.
        recorded_version: usize,
    },
    /// The file contains an unfinished copy of another store.
    #[error("{} holds an unfinished copy of {source_name}; to continue, run `truing store migrate` again \
        with the same addresses. To start over, delete this file", path.display())]
    UnfinishedCopy {
        /// Path of the file.
        path: PathBuf,
        /// The store that is copied.
        source_name: String,
    },
    /// The file system does not support shared memory between processes, which SQLite's write-ahead log
    /// requires.
    #[error("{} cannot keep a write-ahead log (SQLite stays in mode `{mode}`); put the file on a local disk",
        path.display())]
    NoWal {
        /// Path of the file.
        path: PathBuf,
        /// The journal mode that SQLite kept.
        mode: String,
    },
    /// Another error of SQLite, such as a file that is locked, damaged or not a database, or a full disk.
    #[error("{0}")]
    Sqlite(String),
    /// The writing thread could not be started.
    #[error("cannot start the thread that writes {}: {source}", path.display())]
    StartWriterThread {
        /// Path of the file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

/// Returns the absolute path of the file. Creates the file if it is missing. Does not open the database.
pub(super) fn prepare_path(path: &Path) -> Result<Arc<Path>, SqliteOpenError> {
    // An absolute path also cannot be one of the names that are special for SQLite, such as `:memory:`.
    let path =
        std::path::absolute(path).map_err(|source| SqliteOpenError::File { path: path.into(), source })?;
    create_folder(&path)?;
    create_file(&path)?;
    Ok(path.into())
}

/// Opens a further connection, for reading, to a file that is already open. Returns an error if another file
/// has replaced the open file. The new file may be empty. SQLite would then delete the log beside the file.
/// Some data exists only in this log.
pub(super) fn open_reader(database: &DatabaseFile) -> Result<Connection, StoreFault> {
    database.check_in_place()?;
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(database.path(), flags)?;
    // SQLite reads the log only when it executes the first statement. A second check at this point is
    // therefore early enough to detect a replaced file.
    database.check_in_place()?;
    configure_connection(&connection)?;
    Ok(connection)
}

/// Copies the database to a new file, and returns its schema version. The original file and its folder are
/// not changed.
pub(super) fn copy_database(path: &Path, to: &Path) -> Result<i64, SqliteOpenError> {
    let to_open_error = |error: rusqlite::Error| SqliteOpenError::Sqlite(sqlite_error_message(path, &error));
    let connection = open_read_only(path).map_err(to_open_error)?;
    connection.busy_timeout(Duration::from_secs(BUSY_SECONDS)).map_err(to_open_error)?;
    let schema_version = read_schema_version(path, &connection)?;
    let name = to.to_str().ok_or_else(|| to_open_error(rusqlite::Error::InvalidPath(to.to_owned())))?;
    connection.execute("VACUUM INTO ?1", [name]).map_err(to_open_error)?;
    Ok(schema_version)
}

/// Opens a read-only connection. If there is no log beside the file, no process uses the file. The file is
/// then opened as immutable, so that SQLite creates no log and no index beside it.
fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if Path::new(&log).exists() {
        return Connection::open_with_flags(path, flags);
    }
    let mut name = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                name.push(char::from(*byte));
            }
            _ => name += &format!("%{byte:02X}"),
        }
    }
    Connection::open_with_flags(name + "?immutable=1", flags | OpenFlags::SQLITE_OPEN_URI)
}

fn create_folder(path: &Path) -> Result<(), SqliteOpenError> {
    let Some(folder) = path.parent() else { return Ok(()) };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| SqliteOpenError::Folder { path: folder.into(), source })
}

/// Creates the file with mode 0600, because SQLite would create it with wider permissions.
fn create_file(path: &Path) -> Result<(), SqliteOpenError> {
    // When a process closes any descriptor of a file, it loses all its POSIX locks on that file, including
    // SQLite's. This function opens a descriptor only to create the file. Until the descriptor is closed, the
    // mutex blocks other threads.
    static FILE_CREATION_LOCK: Mutex<()> = Mutex::new(());
    let _making = FILE_CREATION_LOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let to_open_error = |source: io::Error| SqliteOpenError::File { path: path.into(), source };
    // A running server still has the deleted file open, so it would not use the new file.
    if let Some(server) = serving_process(path).filter(|_| !path.exists()) {
        return Err(SqliteOpenError::Deleted { path: path.into(), server });
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => {
            return Err(SqliteOpenError::ReadOnly { path: path.into() });
        }
        Err(error) => return Err(to_open_error(error)),
    }
    check_existing_file(path)
}

/// Refuses an existing file that cannot be a store. Neither opens nor changes the file.
pub(super) fn check_existing_file(path: &Path) -> Result<(), SqliteOpenError> {
    let metadata =
        std::fs::metadata(path).map_err(|source| SqliteOpenError::File { path: path.into(), source })?;
    if metadata.is_dir() {
        return Err(SqliteOpenError::IsAFolder { path: path.into() });
    }
    // SQLite treats any empty file as a new database. The file is new if it was never locked. It is also new
    // if a process serves it, because that process is still creating the database.
    if metadata.len() == 0 && serving_process(path).is_none() && has_lock_file(path) {
        return Err(SqliteOpenError::Emptied { path: path.into() });
    }
    // SQLite keeps its log beside the name under which the file was opened. Writes under another name could
    // therefore be lost.
    if metadata.nlink() > 1 {
        return Err(SqliteOpenError::HasHardLinks { path: path.into(), link_count: metadata.nlink() });
    }
    // A file without write permission is refused even if this user could write to it, because the permission
    // was removed on purpose.
    if metadata.permissions().readonly() {
        return Err(SqliteOpenError::ReadOnly { path: path.into() });
    }
    Ok(())
}

/// Opens the connection that may write to the file, and migrates the file to this version's schema.
pub(super) fn connect(path: &Path, purpose: StoreOpenPurpose) -> Result<Connection, SqliteOpenError> {
    let to_open_error = |error: rusqlite::Error| SqliteOpenError::Sqlite(sqlite_error_message(path, &error));
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(to_open_error)?;
    configure_connection(&connection).map_err(to_open_error)?;
    // If SQLite may not write to the file, it opens the file as read-only without an error.
    if connection.is_readonly(MAIN_DB).map_err(to_open_error)? {
        return Err(SqliteOpenError::ReadOnly { path: path.into() });
    }
    // The schema version is checked before anything in the file changes, including the journal mode.
    read_schema_version(path, &connection)?;
    let mode = enable_write_ahead_log(&connection).map_err(to_open_error)?;
    if mode != "wal" {
        return Err(SqliteOpenError::NoWal { path: path.into(), mode });
    }
    migrate(path, purpose, &mut connection)?;
    Ok(connection)
}

/// Turns on the write-ahead log. Returns the journal mode after that.
fn enable_write_ahead_log(connection: &Connection) -> rusqlite::Result<String> {
    let turn_on = || connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0));
    for _ in 1..WAL_TRIES {
        match turn_on() {
            // If two connections turn on the log at the same time, SQLite rejects one of them immediately,
            // without the busy timeout. The transaction below waits for the other connection, with the busy
            // timeout. After that, the loop retries.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                connection.execute_batch("BEGIN IMMEDIATE; COMMIT")?;
            }
            done => return done,
        }
    }
    turn_on()
}

fn configure_connection(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(BUSY_SECONDS))?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE_CAPACITY);
    // The mode is FULL because a webhook is acknowledged only after its mark is on the disk. Without FULL,
    // the mark could be lost in a power failure.
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
}

/// Returns the schema version of the file. Refuses a file that this program must not change.
fn read_schema_version(path: &Path, connection: &Connection) -> Result<i64, SqliteOpenError> {
    let (schema_version, application, tables): (i64, i64, i64) = connection
        .query_row(
            "SELECT (SELECT user_version FROM pragma_user_version),
                    (SELECT application_id FROM pragma_application_id),
                    (SELECT count(*) FROM sqlite_schema)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
        )
        .map_err(|error| SqliteOpenError::Sqlite(sqlite_error_message(path, &error)))?;
    let fresh = schema_version == 0 && application == 0 && tables == 0;
    if !fresh && application != APPLICATION_ID {
        return Err(SqliteOpenError::ForeignDatabase { path: path.into() });
    }
    if schema_version > SCHEMA_VERSION {
        return Err(SqliteOpenError::Newer { path: path.into(), found_version: schema_version });
    }
    Ok(schema_version)
}

/// Applies the missing migrations, in one transaction, because another process may be doing the same.
fn migrate(
    path: &Path,
    purpose: StoreOpenPurpose,
    connection: &mut Connection,
) -> Result<(), SqliteOpenError> {
    let to_open_error = |error: rusqlite::Error| SqliteOpenError::Sqlite(sqlite_error_message(path, &error));
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(to_open_error)?;
    let schema_version = read_schema_version(path, &transaction)?;
    if schema_version < SCHEMA_VERSION {
        let applied = usize::try_from(schema_version).unwrap_or(0);
        for migration in MIGRATIONS.iter().skip(applied) {
            // The failed statement is left out of the message, because it would not help a user.
            transaction.execute_batch(migration).map_err(|error| {
                if matches!(error, rusqlite::Error::SqlInputError { .. }) {
                    return SqliteOpenError::SchemaMismatch { path: path.into(), recorded_version: applied };
                }
                to_open_error(error)
            })?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(to_open_error)?;
        transaction.pragma_update(None, "user_version", SCHEMA_VERSION).map_err(to_open_error)?;
    }
    if purpose == StoreOpenPurpose::ReadWrite {
        let half =
            transaction.query_row("SELECT source FROM transfer LIMIT 1", [], |row| row.get(0)).optional();
        if let Some(source_name) = half.map_err(to_open_error)? {
            return Err(SqliteOpenError::UnfinishedCopy { path: path.into(), source_name });
        }
    }
    transaction.commit().map_err(to_open_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writing_connection_flushes_and_checks() {
        let folder = tempfile::tempdir().unwrap();
        let connection =
            connect(&prepare_path(&folder.path().join("truing.db")).unwrap(), StoreOpenPurpose::ReadWrite)
                .unwrap();
        let pragma = |name: &str| -> String {
            connection
                .query_row(&format!("SELECT cast({name} AS text) FROM pragma_{name}"), [], |row| row.get(0))
                .unwrap()
        };
        assert_eq!(pragma("journal_mode"), "wal");
        assert_eq!(pragma("synchronous"), "2", "FULL");
        assert_eq!(pragma("foreign_keys"), "1");
        assert_eq!(pragma("user_version"), SCHEMA_VERSION.to_string());
    }

    #[test]
    fn whoever_turns_the_log_on_waits_for_another_that_is_about_to() {
        /// The other connection. Its transaction stays open until the connection under test has to wait.
        static OTHER_CONNECTION: Mutex<Option<Connection>> = Mutex::new(None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("truing.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        *OTHER_CONNECTION.lock().unwrap() = Some(other);
        let mut connection = Connection::open(&path).unwrap();
        let let_go = |_| OTHER_CONNECTION.lock().unwrap().take().is_some();
        connection.busy_handler(Some(let_go)).unwrap();
        assert_eq!(enable_write_ahead_log(&connection).unwrap(), "wal");
        assert!(OTHER_CONNECTION.lock().unwrap().is_none(), "it waited");
    }

    #[test]
    fn a_copy_of_a_file_leaves_the_file_and_its_folder_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let path = prepare_path(&folder.path().join("tru ing?.db")).unwrap();
        let names = || {
            let names = std::fs::read_dir(folder.path()).unwrap();
            names.map(|entry| entry.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>()
        };
        let writer = connect(&path, StoreOpenPurpose::ReadWrite).unwrap();
        writer.execute("UPDATE store SET counter = 7", []).unwrap();
        let other = tempfile::tempdir().unwrap();
        // The first copy is made while the file is in use and some of its data is only in the log. The second
        // copy is made while no connection is open.
        let (used, while_used) = (other.path().join("used.db"), names());
        assert_eq!(copy_database(&path, &used).unwrap(), SCHEMA_VERSION);
        assert_eq!(names(), while_used);
        drop(writer);
        let (rest, at_rest) = (other.path().join("rest.db"), names());
        let before = std::fs::read(&path).unwrap();
        assert_eq!(copy_database(&path, &rest).unwrap(), SCHEMA_VERSION);
        assert_eq!((names(), std::fs::read(&path).unwrap()), (at_rest, before));
        for copy in [used, rest] {
            let copy = Connection::open(copy).unwrap();
            let counter: i64 = copy.query_row("SELECT counter FROM store", [], |row| row.get(0)).unwrap();
            assert_eq!(counter, 7);
        }
    }

    #[test]
    fn a_reading_connection_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = prepare_path(&folder.path().join("truing.db")).unwrap();
        let _writer = connect(&path, StoreOpenPurpose::ReadWrite).unwrap();
        let reader = open_reader(&DatabaseFile::from_path(path)).unwrap();
        reader.execute("UPDATE store SET counter = 9", []).unwrap_err();
    }
}
