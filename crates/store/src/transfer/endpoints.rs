//! The two stores of a transfer: their names, the lock on the source, and the lock on the target.

use std::fs::File;
use std::path::Path;

use crate::lock::{self, ServeLock, ServeLockError};
use crate::postgres::AdvisoryLock;
use crate::store::{Store, StoreEngine, box_future};

use super::fault::TransferError;

/// Text in place of an address that a transferring process writes into the lock file.
const LOCK_ADDRESS_TEXT: &str = "truing store migrate";

/// Returns the name of a store's Valkey server. Returns an empty text for an SQLite file. A continued
/// transfer requires the same server as before.
pub(super) fn valkey_server_name(store: &Store) -> String {
    store.valkey_server().map_or("", |valkey| valkey.name()).to_owned()
}

/// Returns true if the two stores share an SQLite file, a database, or a Valkey server.
pub(super) fn share_storage(one: &Store, other: &Store) -> bool {
    let slots = valkey_server_name(one);
    let records = |store: &Store| match &store.0.engine {
        StoreEngine::Sqlite(_) => store.name(),
        StoreEngine::Servers { records, .. } => records.name().to_owned(),
    };
    records(one) == records(other) || (!slots.is_empty() && slots == valkey_server_name(other))
}

/// Returns true if the store keeps texts in PostgreSQL.
pub(super) fn is_postgres(store: &Store) -> bool {
    match &store.0.engine {
        StoreEngine::Sqlite(_) => false,
        StoreEngine::Servers { .. } => true,
    }
}

/// The lock on a source file, which must not change during the transfer. Until the lock is dropped, no
/// process can serve the file and no command can lease its slots.
pub(super) struct SourceLock {
    _command_lock: File,
    _serve_lock: ServeLock,
}

impl SourceLock {
    /// Takes the lock. Returns `None` for a store on servers, whose processes cannot be locked out.
    pub(super) fn acquire(source: &Store) -> Result<Option<Self>, TransferError> {
        let Some(path) = source.path() else { return Ok(None) };
        match lock::lock_out_commands(path)? {
            Some(_commands) => {
                Ok(Some(Self { _command_lock: _commands, _serve_lock: acquire_serve_lock(source, path)? }))
            }
            None => Err(TransferError::CommandRunning { source_name: source.name() }),
        }
    }
}

/// Takes the lock of a file, in the same way as a process that serves from the file.
fn acquire_serve_lock(store: &Store, path: &Path) -> Result<ServeLock, TransferError> {
    match ServeLock::acquire(path, LOCK_ADDRESS_TEXT, store.0.clock.now()) {
        Ok(lock) => Ok(lock),
        Err(ServeLockError::AlreadyServed { holder, .. }) => {
            Err(TransferError::StoreBusy { store: store.name(), process: lock::holder_text(&holder) })
        }
        Err(error @ (ServeLockError::ServedByOtherName { .. } | ServeLockError::Io { .. })) => {
            Err(error.into())
        }
    }
}

/// The lock on the target of a transfer. While the lock is held, no process may serve the target.
pub(super) enum TargetLock {
    File { _lock: ServeLock },
    Postgres { _lock: Box<AdvisoryLock> },
}

impl TargetLock {
    pub(super) async fn acquire(target: &Store) -> Result<Self, TransferError> {
        match &target.0.engine {
            StoreEngine::Sqlite(file) => {
                Ok(Self::File { _lock: acquire_serve_lock(target, file.database_file().path())? })
            }
            StoreEngine::Servers { records, .. } => {
                match box_future(|| records.try_acquire_copy_lock()).await? {
                    Some(lock) => Ok(Self::Postgres { _lock: Box::new(lock) }),
                    None => Err(TransferError::StoreBusy { store: target.name(), process: String::new() }),
                }
            }
        }
    }
}
