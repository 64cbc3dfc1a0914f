//! Is the file whole? SQLite notices a damaged page when it comes to it, which may be days after the start.

use rusqlite::ffi;
use truing_core::port::StoreError;

use crate::fault::StoreFault;
use crate::sql::SqlDialect;
use crate::store::Store;

/// What SQLite says of a file that is whole.
const WHOLE: &str = "ok";

impl Store {
    /// Reads every page and looks at its form (`PRAGMA quick_check`). What it costs grows with the file: some 25 ms for
    /// each 10 MB that the system has in memory, otherwise as long as the disk takes to read it. PostgreSQL looks after its
    /// files by itself.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it is damaged, [`StoreError::Unavailable`] if it cannot be read.
    #[truing_core::boxed_future]
    pub async fn check(&self) -> Result<(), StoreError> {
        self.read(|connection| {
            if connection.dialect() == SqlDialect::Postgres {
                return Ok(());
            }
            let said: String = connection.sql("PRAGMA quick_check(1)").only((), |row| row.get(0))?;
            if said == WHOLE {
                return Ok(());
            }
            Err(StoreFault::Sqlite(rusqlite::Error::SqliteFailure(
                ffi::Error::new(ffi::SQLITE_CORRUPT),
                Some(said),
            )))
        })
        .await
    }
}
