//! A look at a store that changes nothing: nothing is made, no form is changed, and no process that uses it has to wait.

use std::path::Path;
use std::sync::Arc;

use truing_core::port::Clock;

use crate::postgres::PostgresConnectError;
use crate::sql::OpenPurpose;
use crate::sqlite::{SqliteFile, SqliteOpenError};
use crate::store::Store;

/// The form of a database, and that to which this program brings it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SchemaVersions {
    /// The form that it has; 0: it is empty.
    pub found: i64,
    /// The form that this program reads and writes.
    pub own: i64,
}

impl SchemaVersions {
    /// True: a program that opens the database changes its form.
    pub fn is_changed(self) -> bool {
        self.found < self.own
    }
}

impl Store {
    /// A copy of the SQLite file `from` in the file `to`, which must not exist; it has this version's form. `from` is only read,
    /// and its form is in the answer. Blocks for as long as the copy takes.
    ///
    /// # Errors
    /// As those of [`Store::open`].
    pub fn copy_of(
        from: &Path,
        to: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, SchemaVersions), SqliteOpenError> {
        let form = SqliteFile::copied(from, to)?;
        Ok((Self::open(to, clock)?, form))
    }

    /// Connects to Valkey and PostgreSQL as [`Store::connect`] does, but leaves the database in its form. Where that is an older one
    /// ([`SchemaVersions::is_changed`]), its tables are not to be read.
    ///
    /// # Errors
    /// As those of [`Store::connect`].
    #[truing_core::boxed_future]
    pub async fn look(slots: &str, records: &str) -> Result<(Self, SchemaVersions), PostgresConnectError> {
        let store = Self::connect_as(OpenPurpose::Look, slots, records, None).await?;
        let form = store.records_form().await?;
        Ok((store, form))
    }
}
