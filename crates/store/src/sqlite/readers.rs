//! Runs queries on a pool of read-only connections. Each read starts its own snapshot, so it sees every write
//! that was acknowledged before it.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;
use truing_core::port::StoreError;

use crate::sql::{TransactionResult, TransactionWork};

use super::database_file::DatabaseFile;
use super::open;
use super::open_file_guard::OpenFileGuard;
use crate::fault::StoreFault;

/// Number of connections that read at the same time. Further reads wait.
const MAX_READ_CONNECTIONS: usize = 4;

/// A pool of a few connections. Each connection is opened when it is first needed.
pub(super) struct ReaderPool {
    database_file: Arc<DatabaseFile>,
    permits: Arc<Semaphore>,
    idle_connections: Mutex<Vec<Connection>>,
    /// The pool has its own reference to the guard, because a read may still run after the store is dropped.
    _open_file_guard: Arc<OpenFileGuard>,
}

impl ReaderPool {
    pub(super) fn new(database: Arc<DatabaseFile>, file_guard: Arc<OpenFileGuard>) -> Self {
        let permits = Arc::new(Semaphore::new(MAX_READ_CONNECTIONS));
        Self {
            database_file: database,
            permits,
            idle_connections: Mutex::new(Vec::new()),
            _open_file_guard: file_guard,
        }
    }

    pub(super) async fn read(
        self: &Arc<Self>,
        work: TransactionWork,
    ) -> Result<TransactionResult, StoreError> {
        let path = self.database_file.path();
        let stopped = || StoreError::Unavailable(format!("{}: reading was interrupted", path.display()));
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| stopped())?;
        let readers = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            readers.read_blocking(&work).map_err(|fault| fault.into_store_error(readers.database_file.path()))
        })
        .await
        .map_err(|_| stopped())?
    }

    fn read_blocking(&self, work: &TransactionWork) -> Result<TransactionResult, StoreFault> {
        let connection = match self.lock_idle_connections().pop() {
            Some(connection) => connection,
            None => open::open_reader(&self.database_file)?,
        };
        let snapshot = connection.unchecked_transaction()?;
        let answer = work(&*snapshot)?;
        snapshot.finish()?;
        // If a query failed, its connection is closed and does not return to the pool.
        self.lock_idle_connections().push(connection);
        Ok(answer)
    }

    fn lock_idle_connections(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle_connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
