//! The SQLite file: one thread writes, a few connections read, and everything that must outlive a process is in
//! the file, because commands open the same one while a server runs.

mod backup;
mod clock;
mod dismissals;
mod effects;
mod fault;
mod history;
mod insight;
mod ledger;
mod marks;
mod named;
mod one_table;
mod open;
mod operations;
mod readers;
mod report;
mod runs;
mod slots;
mod watchlist;
mod whole;
mod writer;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use truing_core::port::{Clock, StoreError};

pub use self::backup::{BackupError, RunMark};
pub use self::history::RunEntry;
pub use self::insight::{Census, Meter};
pub use self::open::OpenError;
pub use self::report::Ended;

use self::clock::StoreClock;
use self::fault::Fault;
use self::insight::Watch;
use self::named::Named;
use self::readers::Readers;
use self::writer::Writer;

/// A store in one SQLite file. Clones share it; the last one to go finishes what was accepted and closes it.
#[derive(Clone)]
pub struct Sqlite(Arc<Inner>);

struct Inner {
    path: Arc<Path>,
    /// Device and number of the file at its path when it was opened.
    file: Option<(u64, u64)>,
    clock: Arc<StoreClock>,
    readers: Arc<Readers>,
    watch: Arc<Watch>,
    writer: Writer,
    /// Given up once nothing else here has the file open.
    _named: Arc<Named>,
}

/// Device and number of the file at a path; none if there is none.
fn file_at(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

impl Sqlite {
    /// Opens the file, making it (mode 0600) and its folder (0700) if they are missing, and brings it to this
    /// version's form. Blocks: for as long as `open::BUSY_SECONDS` if another process is writing.
    ///
    /// # Errors
    /// Every [`OpenError`] names the path. A file that is refused is not changed.
    pub fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let path = open::prepared(path)?;
        let named = Arc::new(Named::of(&path)?);
        let connection = open::connect(&path)?;
        let clock = Arc::new(StoreClock::new(clock));
        clock.observe(&connection).map_err(|fault| OpenError::Sqlite(fault.told(&path).to_string()))?;
        let readers = Arc::new(Readers::new(Arc::clone(&path), Arc::clone(&named)));
        let watch = Arc::new(Watch::default());
        let writer = Writer::start(connection, Arc::clone(&path), Arc::clone(&clock), Arc::clone(&watch))?;
        let file = file_at(&path);
        Ok(Self(Arc::new(Inner { path, file, clock, readers, watch, writer, _named: named })))
    }

    /// Makes the file and its folder if they are missing, and refuses what can be no store, without opening it.
    ///
    /// # Errors
    /// As those of [`Sqlite::open`].
    pub fn prepare(path: &Path) -> Result<(), OpenError> {
        open::prepared(path).map(drop)
    }

    /// Is the file that was opened still at its path?
    fn in_place(&self) -> Result<(), StoreError> {
        if file_at(&self.0.path) == self.0.file {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{} was deleted or replaced after it was opened: what is written would be lost; stop this process, put the file \
             back, and start it again",
            self.0.path.display()
        )))
    }

    /// The file, as an absolute path.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Runs `work` on the writing thread. The answer comes when its transaction is durable; an error of `work`
    /// undoes what `work` did and nothing else.
    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.in_place()?;
        self.0.writer.write(work).await
    }

    /// Runs `work` on a reading connection, in one snapshot that includes every write answered before.
    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.0.readers.read(work).await
    }
}
