//! Messages for users about errors of PostgreSQL. Each message names the server and the next step.

use std::error::Error as _;
use std::sync::Arc;

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use tokio_postgres::error::SqlState;
use truing_core::port::{StoreCheckError, StoreError};

use crate::fault::StoreFault;
use crate::valkey::ValkeyConnectError;

/// Reason why the servers cannot be used as the store.
#[derive(Debug, thiserror::Error)]
pub enum PostgresConnectError {
    /// The server for the slots cannot be used.
    #[error(transparent)]
    Slots(#[from] ValkeyConnectError),
    /// The address is not valid.
    #[error(
        "`store.records` is not a valid PostgreSQL URL: {0}; write postgres://USER@HOST/DATABASE; for TLS, \
            add ?sslmode=require (other values: verify-full, prefer, disable). Truing trusts the system's \
            certificates, or, if SSL_CERT_FILE is set, the certificates in that file"
    )]
    Url(String),
    /// The system's certificates cannot be read.
    #[error(
        "cannot read the system's certificates, which TLS needs: {0}; check that they are installed \
            (ca-certificates), or that the file in SSL_CERT_FILE exists. If the network to the server is \
            safe, `sslmode=disable` in `store.records` turns TLS off"
    )]
    Certificates(String),
    /// The server's version is too old.
    #[error(
        "{name} is PostgreSQL {version}, and 14 or newer is needed; upgrade the server, or set \
            `store.records` to another server"
    )]
    ServerTooOld {
        /// The server and database.
        name: Arc<str>,
        /// The version of the server.
        version: String,
    },
    /// The server is a replica of another server.
    #[error("{name} is a replica, which is read-only; set `store.records` to the primary server")]
    Replica {
        /// The server and database.
        name: Arc<str>,
    },
    /// A later version has changed the schema so much that this program cannot use it.
    #[error(
        "{name} has schema version {found_version}, which needs a program with schema version \
            {min_program_schema_version} or \
            later; this program has {own_version}: upgrade truing"
    )]
    SchemaTooNew {
        /// The server and database.
        name: Arc<str>,
        /// The schema version of the database.
        found_version: i64,
        /// The lowest schema version that a program must have to use the database.
        min_program_schema_version: i64,
        /// The schema version that this program uses.
        own_version: i64,
    },
    /// The database holds an unfinished copy of another store.
    #[error(
        "{name} holds an unfinished copy of {source_name}; to continue, run `truing store migrate` again \
            with the same addresses. To start over, empty both servers: DROP SCHEMA truing CASCADE in \
            PostgreSQL, FLUSHDB in Valkey"
    )]
    HalfCopied {
        /// The server and database.
        name: Arc<str>,
        /// The store that is copied.
        source_name: String,
    },
    /// The sessions of the server cannot be used.
    #[error("{}", .0.error)]
    Check(StoreCheckError),
    /// Any other error while connecting.
    #[error("{name}: {message}")]
    Other {
        /// The server and database.
        name: Arc<str>,
        /// The server's message with a next step.
        message: String,
    },
}

/// Message about a pooler that executes each transaction in another session of the server.
pub(super) const TRANSACTION_POOLER: &str = "the address leads to a pooler in transaction mode (such as \
    PgBouncer with pool_mode = transaction): prepared statements and settings do not survive between two \
    transactions; set pool_mode = session for this database and user, or set `store.records` to the address \
    of the PostgreSQL server itself";

/// The server's error codes, each with a message and a next step.
const SQL_STATE_HINTS: &[(&SqlState, &str)] = &[
    (
        &SqlState::INVALID_PASSWORD,
        "the server does not accept the password; correct the password in `store.records`",
    ),
    (
        &SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        "the server rejects this user; check user and password in `store.records`, and the server's \
            pg_hba.conf",
    ),
    (
        &SqlState::INVALID_CATALOG_NAME,
        "the database does not exist; create the database (createdb), or set another database in \
            `store.records`",
    ),
    (
        &SqlState::INSUFFICIENT_PRIVILEGE,
        "this user lacks a permission; let the user create a schema in the database (GRANT CREATE ON \
            DATABASE), or make the user the owner of the schema `truing`",
    ),
    (
        &SqlState::DISK_FULL,
        "the server's disk is full: free some space and try again; acknowledged writes are safe",
    ),
    (&SqlState::OUT_OF_MEMORY, "the server is out of memory; try again later"),
    (
        &SqlState::TOO_MANY_CONNECTIONS,
        "the server accepts no more connections; raise max_connections, or run fewer processes",
    ),
    (
        &SqlState::READ_ONLY_SQL_TRANSACTION,
        "the server accepts no writes: it may have become a replica; set `store.records` to the primary \
            server",
    ),
    (&SqlState::QUERY_CANCELED, "a statement timed out; try again when the server is less busy"),
    (
        &SqlState::LOCK_NOT_AVAILABLE,
        "another session has held a lock for more than 10 s; find the session in pg_stat_activity",
    ),
    (&SqlState::INVALID_SQL_STATEMENT_NAME, TRANSACTION_POOLER),
    (&SqlState::DUPLICATE_PSTATEMENT, TRANSACTION_POOLER),
    (&SqlState::ADMIN_SHUTDOWN, "the server is being shut down, or the connection was ended; try again"),
    (&SqlState::CRASH_SHUTDOWN, "the server has crashed and is restarting; try again"),
    (&SqlState::CANNOT_CONNECT_NOW, "the server is starting or shutting down; try again"),
    (&SqlState::DATA_CORRUPTED, "the database is damaged: restore a backup"),
    (&SqlState::INDEX_CORRUPTED, "an index is damaged: rebuild it (REINDEX), or restore a backup"),
];

/// Returns the innermost cause of the error. This cause is the most specific one.
pub(super) fn cause(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(message) => message.message().to_owned(),
        None => error.source().map_or_else(|| error.to_string(), ToString::to_string),
    }
}

/// Renders an error as a message.
pub(super) fn error_text(error: &tokio_postgres::Error) -> String {
    if let Some(words) = crate::tls::describe_tls_error(error) {
        return words;
    }
    let message = cause(error);
    let known = error.code().and_then(|code| SQL_STATE_HINTS.iter().find(|(known, _)| *known == code));
    match known {
        Some((_, hint)) => format!("{hint} ({message})"),
        // The client reports a server without TLS only by its message, so the message is searched.
        None if message.contains("does not support TLS") => format!(
            "the server offers no TLS, but `sslmode` requires TLS; turn TLS on in the server (ssl = on), \
                or, if the network is safe, set `sslmode=disable` in `store.records` ({message})"
        ),
        None if error.is_closed() => format!("the connection was lost; try again ({message})"),
        None if error.as_db_error().is_none() => {
            format!(
                "the server cannot be reached; check that it runs, and check its address in \
                    `store.records` ({message})"
            )
        }
        None => format!("the operation failed: {message}"),
    }
}

/// Creates the error for a connection that failed.
pub(super) fn connect_error(name: &Arc<str>, error: &tokio_postgres::Error) -> PostgresConnectError {
    PostgresConnectError::Other { name: Arc::clone(name), message: error_text(error) }
}

/// Creates the error for a failure to open the first session.
pub(super) fn first_session_error(name: &Arc<str>, error: &PoolError) -> PostgresConnectError {
    PostgresConnectError::Other { name: Arc::clone(name), message: pool_error_text(error) }
}

/// Creates the error for a unit of work that got no session from the pool.
pub(super) fn missing_session_error(name: &str, error: &PoolError) -> StoreError {
    StoreError::Unavailable(format!("{name}: {}", pool_error_text(error)))
}

/// Returns the message for a server that does not answer.
pub(super) fn timeout_message() -> String {
    let seconds = super::SESSION_TIMEOUT.as_secs();
    format!(
        "the server has not answered within {seconds} s; check that it runs, and check the network to \
        the server"
    )
}

fn pool_error_text(error: &PoolError) -> String {
    match error {
        PoolError::Backend(error) => error_text(error),
        PoolError::Timeout(TimeoutType::Wait) => {
            format!("all {} sessions are busy; try again", super::MAX_SESSIONS)
        }
        PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => timeout_message(),
        PoolError::PostCreateHook(HookError::Backend(error)) => error_text(error),
        PoolError::PostCreateHook(error @ HookError::Message(_)) => error.to_string(),
        PoolError::Closed | PoolError::NoRuntimeSpecified => error.to_string(),
    }
}

/// Returns true if the session ended before a transaction had begun.
pub(super) fn is_session_lost(fault: &StoreFault) -> bool {
    matches!(fault, StoreFault::TransactionNotBegun(error) if is_ended(error))
}

/// Returns true if the error shows that the server or the network has ended the session.
pub(super) fn is_ended(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    error.is_closed() || matches!(code, Some(&SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN))
}

/// Returns true if the transaction conflicted with another one.
pub(super) fn is_conflict(fault: &StoreFault) -> bool {
    let StoreFault::Postgres(error) = fault else { return false };
    matches!(error.code(), Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED))
}

/// Converts a fault to an error of the port.
pub(super) fn store_error(fault: StoreFault, name: &str) -> StoreError {
    match fault {
        StoreFault::PortError(error) => error,
        StoreFault::Postgres(error) | StoreFault::TransactionNotBegun(error) => {
            let message = format!("{name}: {}", error_text(&error));
            match error.code() {
                Some(&SqlState::DATA_CORRUPTED | &SqlState::INDEX_CORRUPTED) => StoreError::Corrupt(message),
                _ => StoreError::Unavailable(message),
            }
        }
        StoreFault::NoRow | StoreFault::InvalidColumn { .. } | StoreFault::Unreadable { .. } => {
            StoreError::Corrupt(format!("{name}: {fault}"))
        }
        StoreFault::Sqlite(_)
        | StoreFault::NoAnswer(_)
        | StoreFault::NotSerializable(_)
        | StoreFault::RolledBack => StoreError::Unavailable(format!("{name}: {fault}")),
    }
}
