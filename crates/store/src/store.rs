//! The store: a handle to the engine that contains its data.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use truing_core::port::{Clock, RecordStore, SharedStateStore, StoreError};

use crate::clock::StoreClock;
use crate::fault::StoreFault;
use crate::postgres::{PostgresConnectError, PostgresDatabase};
use crate::read_only::SchemaVersions;
use crate::sql::{
    SqlTransaction, StoreOpenPurpose, TransactionMode, TransactionResult, TransactionWork, run_erased,
};
use crate::sqlite::{DatabaseFile, SqliteFile, SqliteOpenError};
use crate::valkey::ValkeyServer;
use crate::watch::StoreMonitor;

/// The whole store. Clones share the data. When the last clone is dropped, the store finishes the accepted
/// writes and is closed.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<StoreInner>);

pub(crate) struct StoreInner {
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) monitor: Arc<StoreMonitor>,
    pub(crate) engine: StoreEngine,
}

/// The engines that can keep a store.
pub(crate) enum StoreEngine {
    /// An SQLite file, from which one process serves.
    Sqlite(SqliteFile),
    /// Valkey and PostgreSQL, which any number of processes use.
    Servers {
        /// Contains all data but the slots.
        records: PostgresDatabase,
        slots: Arc<ValkeyServer>,
    },
}

impl Store {
    /// Opens an SQLite file, and migrates it to this version's schema. Creates a missing file (mode 0600) and
    /// folder (0700). Blocks the thread, but waits at most 5 s for another process that writes.
    ///
    /// # Errors
    /// Every [`SqliteOpenError`] names the path. A file that is refused is not changed.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, SqliteOpenError> {
        Self::open_for_purpose(StoreOpenPurpose::ReadWrite, path, clock)
    }

    /// Opens an SQLite file as the target of [`Store::copy_to`]. The file may contain an unfinished copy.
    ///
    /// # Errors
    /// The errors of [`Store::open`].
    pub fn open_for_transfer(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, SqliteOpenError> {
        Self::open_for_purpose(StoreOpenPurpose::Transfer, path, clock)
    }

    fn open_for_purpose(
        purpose: StoreOpenPurpose,
        path: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SqliteOpenError> {
        let (clock, watch) = (Arc::new(StoreClock::new(clock)), Arc::new(StoreMonitor::default()));
        let file = SqliteFile::open(path, purpose, &clock, &watch)?;
        Ok(Self(Arc::new(StoreInner { clock, monitor: watch, engine: StoreEngine::Sqlite(file) })))
    }

    /// Connects to Valkey for the slots, and to PostgreSQL for all other data. Migrates the database to this
    /// version's schema. `clock` replaces Valkey's clock in tests.
    ///
    /// # Errors
    /// Every [`PostgresConnectError`] names the server, without the password.
    #[truing_core::boxed_future]
    pub async fn connect(
        valkey_url: &str,
        postgres_url: &str,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Self, PostgresConnectError> {
        Self::connect_for_purpose(StoreOpenPurpose::ReadWrite, valkey_url, postgres_url, clock).await
    }

    /// Connects to Valkey and PostgreSQL as the target of [`Store::copy_to`]. The servers may contain an
    /// unfinished copy.
    ///
    /// # Errors
    /// The errors of [`Store::connect`].
    #[truing_core::boxed_future]
    pub async fn connect_for_transfer(
        valkey_url: &str,
        postgres_url: &str,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Self, PostgresConnectError> {
        Self::connect_for_purpose(StoreOpenPurpose::Transfer, valkey_url, postgres_url, clock).await
    }

    pub(crate) async fn connect_for_purpose(
        purpose: StoreOpenPurpose,
        valkey_url: &str,
        postgres_url: &str,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Self, PostgresConnectError> {
        let watch = Arc::new(StoreMonitor::default());
        let slots = Arc::new(ValkeyServer::open(valkey_url, clock, Arc::clone(&watch)).await?);
        let records = PostgresDatabase::open(postgres_url, purpose, Arc::clone(&watch)).await?;
        let clock = Arc::new(StoreClock::new(slots.clock()));
        Ok(Self(Arc::new(StoreInner {
            clock,
            monitor: watch,
            engine: StoreEngine::Servers { records, slots },
        })))
    }

    /// Returns the schema version of the database. For an SQLite file, this is always the version of this
    /// program.
    pub(crate) async fn records_schema_versions(&self) -> Result<SchemaVersions, PostgresConnectError> {
        match &self.0.engine {
            StoreEngine::Sqlite(_) => Ok(SqliteFile::current_versions()),
            StoreEngine::Servers { records, .. } => records.schema_versions().await,
        }
    }

    /// Creates a missing file and folder without opening the database. Refuses a path that cannot be a store.
    ///
    /// # Errors
    /// The errors of [`Store::open`].
    pub fn prepare_database_file(path: &Path) -> Result<(), SqliteOpenError> {
        SqliteFile::prepare_database_file(path)
    }

    /// Refuses an existing file that [`Store::prepare_database_file`] refuses. Neither opens nor changes the
    /// file.
    ///
    /// # Errors
    /// The errors of [`Store::open`].
    pub fn check_database_file(path: &Path) -> Result<(), SqliteOpenError> {
        SqliteFile::check_database_file(path)
    }

    /// Returns the store as the port that loops use.
    pub fn as_record_store(&self) -> Arc<dyn RecordStore> {
        Arc::new(self.clone())
    }

    /// Returns the state that all processes of a deployment share. Returns `None` for an SQLite file, from
    /// which only one process serves.
    pub fn shared_state(&self) -> Option<Arc<dyn SharedStateStore>> {
        Some(Arc::clone(self.valkey_server()?) as Arc<dyn SharedStateStore>)
    }

    /// Returns the Valkey server. Returns `None` if the slots are in an SQLite file.
    pub(crate) fn valkey_server(&self) -> Option<&Arc<ValkeyServer>> {
        match &self.0.engine {
            StoreEngine::Sqlite(_) => None,
            StoreEngine::Servers { slots, .. } => Some(slots),
        }
    }

    /// Returns an error if the opened file is no longer at its path. Writes to such a file would be lost.
    pub(crate) fn check_file_in_place(&self) -> Result<(), StoreError> {
        match &self.0.engine {
            StoreEngine::Sqlite(file) => file.database_file().check_in_place(),
            StoreEngine::Servers { .. } => Ok(()),
        }
    }

    /// Returns a name of the store for people: the path of the file, or the names of both servers without
    /// passwords.
    pub fn name(&self) -> String {
        match &self.0.engine {
            StoreEngine::Sqlite(file) => {
                let path = file.database_file().path();
                path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
            }
            StoreEngine::Servers { records, slots } => format!("{} with {}", records.name(), slots.name()),
        }
    }

    /// Returns the absolute path of the SQLite file, or `None` for a store on servers.
    pub fn path(&self) -> Option<&Path> {
        self.database_file().map(|opened| opened.path())
    }

    /// Returns the path and identity of the opened file, or `None` for a store on servers.
    pub(crate) fn database_file(&self) -> Option<&Arc<DatabaseFile>> {
        match &self.0.engine {
            StoreEngine::Sqlite(file) => Some(file.database_file()),
            StoreEngine::Servers { .. } => None,
        }
    }

    /// Runs `work` in a transaction, and returns when the transaction is durable. If `work` returns an error,
    /// only its own changes are rolled back. If another process changes rows that `work` has read, `work` is
    /// run again.
    pub(crate) fn write<T, F>(&self, work: F) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send + 'static,
        F: Fn(&SqlTransaction) -> Result<T, StoreFault> + Send + 'static,
    {
        self.run(TransactionMode::Write, work)
    }

    /// Runs `work` in a transaction that conflicts with no other transaction. `work` may write only rows on
    /// which no decision depends, such as entries of the history.
    pub(crate) fn append<T, F>(&self, work: F) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send + 'static,
        F: Fn(&SqlTransaction) -> Result<T, StoreFault> + Send + 'static,
    {
        self.run(TransactionMode::Append, work)
    }

    /// Runs `work` on rows that all processes use. Each transaction waits until the previous one has ended,
    /// instead of retrying after conflicts.
    pub(crate) fn write_serialized<T, F>(&self, work: F) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send + 'static,
        F: Fn(&SqlTransaction) -> Result<T, StoreFault> + Send + 'static,
    {
        self.run(TransactionMode::SerialWrite, work)
    }

    /// Runs `work` in a snapshot that includes every acknowledged write.
    pub(crate) fn read<T, F>(&self, work: F) -> impl Future<Output = Result<T, StoreError>> + Send
    where
        T: Send + 'static,
        F: Fn(&SqlTransaction) -> Result<T, StoreFault> + Send + 'static,
    {
        self.run(TransactionMode::Read, work)
    }

    fn run<T, F>(
        &self,
        mode: TransactionMode,
        work: F,
    ) -> impl Future<Output = Result<T, StoreError>> + Send + use<'_, T, F>
    where
        T: Send + 'static,
        F: Fn(&SqlTransaction) -> Result<T, StoreFault> + Send + 'static,
    {
        run_erased(move |work| self.run_work(mode, work), work)
    }

    #[truing_core::boxed_future]
    async fn run_work(
        &self,
        mode: TransactionMode,
        work: TransactionWork,
    ) -> Result<TransactionResult, StoreError> {
        match (&self.0.engine, mode) {
            (StoreEngine::Sqlite(file), TransactionMode::Read) => file.read(work).await,
            // SQLite's single writing thread already runs the jobs one after another.
            (
                StoreEngine::Sqlite(file),
                TransactionMode::Write | TransactionMode::Append | TransactionMode::SerialWrite,
            ) => file.write(work).await,
            (StoreEngine::Servers { records, .. }, mode) => records.run(mode, work).await,
        }
    }
}

/// Boxes a future in a separate stack frame. In an unoptimised build, a large future would otherwise use
/// stack space of every caller, even of callers that use an SQLite file.
#[inline(never)]
pub(crate) fn box_future<'a, F: Future + Send + 'a>(
    make: impl FnOnce() -> F,
) -> Pin<Box<dyn Future<Output = F::Output> + Send + 'a>> {
    Box::pin(make())
}
