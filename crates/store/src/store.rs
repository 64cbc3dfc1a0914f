//! The store: one handle on the engine that keeps it, whichever it is.

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use truing_core::port::{Clock, RecordStore, SharedStateStore, StoreError};

use crate::clock::StoreClock;
use crate::fault::StoreFault;
use crate::look::SchemaVersions;
use crate::postgres::{PostgresConnectError, PostgresDatabase};
use crate::sql::{OpenPurpose, SqlTransaction, TransactionMode};
use crate::sqlite::{DatabaseFile, SqliteFile, SqliteOpenError};
use crate::valkey::ValkeyServer;
use crate::watch::StoreMonitor;

/// Everything that is remembered. Clones share it; the last one to go finishes what was accepted and closes it.
#[derive(Clone)]
pub struct Store(pub(crate) Arc<StoreInner>);

pub(crate) struct StoreInner {
    pub(crate) clock: Arc<StoreClock>,
    pub(crate) watch: Arc<StoreMonitor>,
    pub(crate) engine: StoreEngine,
}

/// The engines.
pub(crate) enum StoreEngine {
    /// One file, one process that serves.
    Sqlite(SqliteFile),
    /// Two servers that any number of processes use.
    Servers {
        /// Everything but slots.
        records: PostgresDatabase,
        /// The slots.
        slots: Arc<ValkeyServer>,
    },
}

impl Store {
    /// Opens a SQLite file, making it (mode 0600) and its folder (0700) if they are missing, and brings it to this
    /// version's form. Blocks: for 5 s at most if another process is writing.
    ///
    /// # Errors
    /// Every [`SqliteOpenError`] names the path. A file that is refused is not changed.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, SqliteOpenError> {
        Self::open_as(OpenPurpose::Use, path, clock)
    }

    /// The same for a file that is to be filled by [`Store::copy_to`], or is filled in part.
    ///
    /// # Errors
    /// As those of [`Store::open`].
    pub fn open_for_transfer(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, SqliteOpenError> {
        Self::open_as(OpenPurpose::Transfer, path, clock)
    }

    fn open_as(purpose: OpenPurpose, path: &Path, clock: Arc<dyn Clock>) -> Result<Self, SqliteOpenError> {
        let (clock, watch) = (Arc::new(StoreClock::new(clock)), Arc::new(StoreMonitor::default()));
        let file = SqliteFile::open(path, purpose, &clock, &watch)?;
        Ok(Self(Arc::new(StoreInner { clock, watch, engine: StoreEngine::Sqlite(file) })))
    }

    /// Connects to Valkey, which keeps the slots, and to PostgreSQL, which keeps the records, and brings the database to this
    /// version's form. `clock`: in place of Valkey's, for tests.
    ///
    /// # Errors
    /// Every [`PostgresConnectError`] names the server, and not the password.
    #[truing_core::boxed_future]
    pub async fn connect(
        slots: &str,
        records: &str,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Self, PostgresConnectError> {
        Self::connect_as(OpenPurpose::Use, slots, records, clock).await
    }

    /// The same for servers that are to be filled by [`Store::copy_to`], or are filled in part.
    ///
    /// # Errors
    /// As those of [`Store::connect`].
    #[truing_core::boxed_future]
    pub async fn connect_for_transfer(
        slots: &str,
        records: &str,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Self, PostgresConnectError> {
        Self::connect_as(OpenPurpose::Transfer, slots, records, clock).await
    }

    pub(crate) async fn connect_as(
        purpose: OpenPurpose,
        slots: &str,
        records: &str,
        clock: Option<Arc<dyn Clock>>,
    ) -> Result<Self, PostgresConnectError> {
        let watch = Arc::new(StoreMonitor::default());
        let slots = Arc::new(ValkeyServer::open(slots, clock, Arc::clone(&watch)).await?);
        let records = PostgresDatabase::open(records, purpose, Arc::clone(&watch)).await?;
        let clock = Arc::new(StoreClock::new(slots.clock()));
        Ok(Self(Arc::new(StoreInner { clock, watch, engine: StoreEngine::Servers { records, slots } })))
    }

    /// The form of the records at a server; a file has this version's.
    pub(crate) async fn records_form(&self) -> Result<SchemaVersions, PostgresConnectError> {
        match &self.0.engine {
            StoreEngine::Sqlite(_) => Ok(SqliteFile::form()),
            StoreEngine::Servers { records, .. } => records.form().await,
        }
    }

    /// Makes the file and its folder if they are missing, and refuses what can be no store, without opening it.
    ///
    /// # Errors
    /// As those of [`Store::open`].
    pub fn prepare(path: &Path) -> Result<(), SqliteOpenError> {
        SqliteFile::prepare(path)
    }

    /// The store as the ports that loops use.
    pub fn as_record_store(&self) -> Arc<dyn RecordStore> {
        Arc::new(self.clone())
    }

    /// The states that all processes which use it keep in common; none for a file, which one process serves.
    pub fn common(&self) -> Option<Arc<dyn SharedStateStore>> {
        Some(Arc::clone(self.slots()?) as Arc<dyn SharedStateStore>)
    }

    /// The server of slots; none where they are in the tables of the file.
    pub(crate) fn slots(&self) -> Option<&Arc<ValkeyServer>> {
        match &self.0.engine {
            StoreEngine::Sqlite(_) => None,
            StoreEngine::Servers { slots, .. } => Some(slots),
        }
    }

    /// Can what is written still be found?
    pub(crate) fn in_place(&self) -> Result<(), StoreError> {
        match &self.0.engine {
            StoreEngine::Sqlite(file) => file.opened().in_place(),
            StoreEngine::Servers { .. } => Ok(()),
        }
    }

    /// Its name for people: the path of a file, or both servers, without passwords.
    pub fn name(&self) -> String {
        match &self.0.engine {
            StoreEngine::Sqlite(file) => {
                let path = file.opened().path();
                path.canonicalize().unwrap_or_else(|_| path.to_owned()).display().to_string()
            }
            StoreEngine::Servers { records, slots } => format!("{} with {}", records.name(), slots.name()),
        }
    }

    /// The file, as an absolute path; none where a server keeps it.
    pub fn path(&self) -> Option<&Path> {
        self.opened().map(|opened| opened.path())
    }

    /// The file as it was when it was opened; none where a server keeps it.
    pub(crate) fn opened(&self) -> Option<&Arc<DatabaseFile>> {
        match &self.0.engine {
            StoreEngine::Sqlite(file) => Some(file.opened()),
            StoreEngine::Servers { .. } => None,
        }
    }

    /// Runs `work` in a transaction. The answer comes when that is durable; an error of `work` undoes what `work` did and
    /// nothing else. Where others have changed what `work` read, it runs again.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&SqlTransaction) -> Result<T, StoreFault> + Send + 'static,
    {
        self.run(TransactionMode::Write, work).await
    }

    /// The same for work that no decision depends on, such as lines of history: it is in nobody's way.
    pub(crate) async fn append<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&SqlTransaction) -> Result<T, StoreFault> + Send + 'static,
    {
        self.run(TransactionMode::Append, work).await
    }

    /// The same for work on rows that everybody draws on: each waits for its turn, instead of trying again and again.
    pub(crate) async fn write_by_turns<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&SqlTransaction) -> Result<T, StoreFault> + Send + 'static,
    {
        self.run(TransactionMode::WriteByTurns, work).await
    }

    /// Runs `work` in one snapshot that includes every write answered before.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&SqlTransaction) -> Result<T, StoreFault> + Send + 'static,
    {
        self.run(TransactionMode::Read, work).await
    }

    async fn run<T, F>(&self, mode: TransactionMode, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&SqlTransaction) -> Result<T, StoreFault> + Send + 'static,
    {
        match (&self.0.engine, mode) {
            (StoreEngine::Sqlite(file), TransactionMode::Read) => file.read(work).await,
            // Its one thread gives everybody a turn.
            (
                StoreEngine::Sqlite(file),
                TransactionMode::Write | TransactionMode::Append | TransactionMode::WriteByTurns,
            ) => file.write(work).await,
            (StoreEngine::Servers { records, .. }, mode) => apart(move || records.run(mode, work)).await,
        }
    }
}

/// A future in a box, made in a frame of its own: without optimization, frames that make large futures fill the stacks of
/// those who use a file, too.
#[inline(never)]
pub(crate) fn apart<'a, F: Future + Send + 'a>(
    make: impl FnOnce() -> F,
) -> Pin<Box<dyn Future<Output = F::Output> + Send + 'a>> {
    Box::pin(make())
}
