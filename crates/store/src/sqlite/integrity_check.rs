//! Checks a file for damage. SQLite itself notices a damaged page only when it reads the page, perhaps days
//! after the start.

use rusqlite::ffi;
use truing_core::port::StoreError;

use crate::fault::StoreFault;
use crate::sql::SqlDialect;
use crate::store::Store;

/// SQLite's result for an intact file.
const INTACT_RESULT: &str = "ok";

impl Store {
    /// Reads every page and checks its structure (`PRAGMA quick_check`). The check takes about 25 ms for each
    /// 10 MB of a cached file. If the file is not cached, the check takes as long as reading the file from
    /// the disk. PostgreSQL checks its files itself, so this check does nothing for a store on servers.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if the file is damaged, [`StoreError::Unavailable`] if it cannot be read.
    #[truing_core::boxed_future]
    pub async fn check_integrity(&self) -> Result<(), StoreError> {
        self.read(|connection| {
            if connection.dialect() == SqlDialect::Postgres {
                return Ok(());
            }
            let check_result: String =
                connection.sql("PRAGMA quick_check(1)").single_row((), |row| row.get(0))?;
            if check_result == INTACT_RESULT {
                return Ok(());
            }
            Err(StoreFault::Sqlite(rusqlite::Error::SqliteFailure(
                ffi::Error::new(ffi::SQLITE_CORRUPT),
                Some(check_result),
            )))
        })
        .await
    }
}
