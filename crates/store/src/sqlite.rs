//! The SQLite file: one thread writes, a few connections read, and everything that must outlive a process is in
//! the file, because commands open the same one while a server runs.

mod backup;
pub(crate) mod fault;
mod named;
mod one_table;
mod open;
mod readers;
mod statements;
mod whole;
mod writer;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use truing_core::port::StoreError;

pub use self::backup::BackupError;
pub use self::open::OpenError;

use self::named::Named;
use self::readers::Readers;
use self::writer::Writer;
use crate::clock::StoreClock;
use crate::fault::Fault;
use crate::sql::{Connection, Purpose};
use crate::watch::Watch;

/// A file as it was when it was opened.
pub(crate) struct Opened {
    path: Arc<Path>,
    /// Device and number of the file that was at the path.
    file: Option<(u64, u64)>,
}

/// A file that is open.
pub(crate) struct File {
    opened: Arc<Opened>,
    readers: Arc<Readers>,
    writer: Writer,
    /// Given up once nothing else here has the file open.
    _named: Arc<Named>,
}

/// Device and number of the file at a path; none if there is none.
fn file_at(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

impl Opened {
    fn at(path: Arc<Path>) -> Self {
        let file = file_at(&path);
        Self { path, file }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Is the file that was opened still at its path?
    pub(crate) fn in_place(&self) -> Result<(), StoreError> {
        if file_at(&self.path) == self.file {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "{} was deleted or replaced after it was opened: what is written would be lost; stop this process, put the file \
             back, and start it again",
            self.path.display()
        )))
    }
}

impl File {
    /// Opens it, making what is missing, and brings it to this version's form.
    pub(crate) fn open(
        path: &Path,
        purpose: Purpose,
        clock: &Arc<StoreClock>,
        watch: &Arc<Watch>,
    ) -> Result<Self, OpenError> {
        let path = open::prepared(path)?;
        let named = Arc::new(Named::of(&path)?);
        let connection = open::connect(&path, purpose)?;
        clock.observe(&connection).map_err(|fault| OpenError::Sqlite(fault.told(&path).to_string()))?;
        let opened = Arc::new(Opened::at(Arc::clone(&path)));
        let readers = Arc::new(Readers::new(Arc::clone(&opened), Arc::clone(&named)));
        let writer = Writer::start(connection, path, Arc::clone(clock), Arc::clone(watch))?;
        Ok(Self { opened, readers, writer, _named: named })
    }

    pub(crate) fn prepare(path: &Path) -> Result<(), OpenError> {
        open::prepared(path).map(drop)
    }

    pub(crate) fn opened(&self) -> &Arc<Opened> {
        &self.opened
    }

    /// Runs `work` on the writing thread.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.opened.in_place()?;
        self.writer.write(work).await
    }

    /// Runs `work` on a reading connection.
    pub(crate) async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, Fault> + Send + 'static,
    {
        self.readers.read(work).await
    }
}
