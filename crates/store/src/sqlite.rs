//! The SQLite file. One thread writes, and a few connections read. All durable state is in the file, because
//! commands open the same file while a server runs.

mod backup;
mod database_file;
pub(crate) mod fault;
mod integrity_check;
mod open;
mod open_file_guard;
mod readers;
mod statements;
mod writer;

use std::path::Path;
use std::sync::Arc;

use truing_core::port::StoreError;

pub use self::backup::BackupError;
pub use self::open::SqliteOpenError;

pub(crate) use self::database_file::DatabaseFile;

use self::open_file_guard::OpenFileGuard;
use self::readers::ReaderPool;
use self::writer::WriterHandle;
use crate::clock::StoreClock;
use crate::read_only::SchemaVersions;
use crate::sql::{StoreOpenPurpose, TransactionResult, TransactionWork};
use crate::watch::StoreMonitor;

/// An open SQLite file.
pub(crate) struct SqliteFile {
    database_file: Arc<DatabaseFile>,
    readers: Arc<ReaderPool>,
    writer: WriterHandle,
    /// This field is the last, because the guard must be dropped after all fields that keep the file open.
    _open_file_guard: Arc<OpenFileGuard>,
}

impl SqliteFile {
    /// Opens the file, creates it if it is missing, and migrates it to this version's schema.
    pub(crate) fn open(
        path: &Path,
        purpose: StoreOpenPurpose,
        clock: &Arc<StoreClock>,
        monitor: &Arc<StoreMonitor>,
    ) -> Result<Self, SqliteOpenError> {
        let path = open::prepare_path(path)?;
        let named = Arc::new(OpenFileGuard::acquire(&path)?);
        let connection = open::connect(&path, purpose)?;
        clock
            .advance_to_stored_time(&connection)
            .map_err(|fault| SqliteOpenError::Sqlite(fault.into_store_error(&path).to_string()))?;
        let opened = Arc::new(DatabaseFile::from_path(Arc::clone(&path)));
        let readers = Arc::new(ReaderPool::new(Arc::clone(&opened), Arc::clone(&named)));
        let writer = WriterHandle::start(connection, path, Arc::clone(clock), Arc::clone(monitor))?;
        Ok(Self { database_file: opened, readers, writer, _open_file_guard: named })
    }

    /// Copies the file at `from` to a new file at `to`; returns the schema version. The file at `from` is
    /// only read.
    pub(crate) fn copy_file(from: &Path, to: &Path) -> Result<SchemaVersions, SqliteOpenError> {
        let from = std::path::absolute(from)
            .map_err(|source| SqliteOpenError::File { path: from.into(), source })?;
        Ok(SchemaVersions { database: open::copy_database(&from, to)?, program: open::SCHEMA_VERSION })
    }

    /// Returns the schema version of an open file.
    pub(crate) fn current_versions() -> SchemaVersions {
        SchemaVersions { database: open::SCHEMA_VERSION, program: open::SCHEMA_VERSION }
    }

    pub(crate) fn prepare_database_file(path: &Path) -> Result<(), SqliteOpenError> {
        open::prepare_path(path).map(drop)
    }

    pub(crate) fn check_database_file(path: &Path) -> Result<(), SqliteOpenError> {
        open::check_existing_file(path)
    }

    pub(crate) fn database_file(&self) -> &Arc<DatabaseFile> {
        &self.database_file
    }

    /// Runs `work` on the writing thread.
    pub(crate) async fn write(&self, work: TransactionWork) -> Result<TransactionResult, StoreError> {
        self.database_file.check_in_place()?;
        self.writer.write(work).await
    }

    /// Runs `work` on a reading connection.
    pub(crate) async fn read(&self, work: TransactionWork) -> Result<TransactionResult, StoreError> {
        self.readers.read(work).await
    }
}
