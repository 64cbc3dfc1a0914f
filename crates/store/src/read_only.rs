//! Reads a store without changing it. Creates nothing, does not change the schema, and does not block other
//! processes that use the store.

use std::path::Path;
use std::sync::Arc;

use truing_core::port::Clock;

use crate::postgres::PostgresConnectError;
use crate::sql::StoreOpenPurpose;
use crate::sqlite::{SqliteFile, SqliteOpenError};
use crate::store::Store;

/// The schema version of a database, and the version of this program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SchemaVersions {
    /// The version of the database; 0 if the database is empty.
    pub database: i64,
    /// The version that this program reads and writes.
    pub program: i64,
}

impl SchemaVersions {
    /// Returns true if this program changes the database's schema when it opens the database.
    pub fn is_outdated(self) -> bool {
        self.database < self.program
    }
}

impl Store {
    /// Copies the SQLite file `from` to `to`, which must not exist. Opens the copy and migrates it to this
    /// program's schema. The file `from` is only read. Also returns the schema version of `from`. Blocks the
    /// thread until the copy is complete.
    ///
    /// # Errors
    /// The errors of [`Store::open`].
    pub fn open_copy(
        from: &Path,
        to: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, SchemaVersions), SqliteOpenError> {
        let schema_version = SqliteFile::copy_file(from, to)?;
        Ok((Self::open(to, clock)?, schema_version))
    }

    /// Connects to Valkey and PostgreSQL as [`Store::connect`] does, but does not migrate the schema. If the
    /// schema is outdated ([`SchemaVersions::is_outdated`]), the caller must not read the tables.
    ///
    /// # Errors
    /// The errors of [`Store::connect`].
    #[truing_core::boxed_future]
    pub async fn connect_read_only(
        slots_url: &str,
        records_url: &str,
    ) -> Result<(Self, SchemaVersions), PostgresConnectError> {
        let store =
            Self::connect_for_purpose(StoreOpenPurpose::ReadOnly, slots_url, records_url, None).await?;
        let schema_version = store.records_schema_versions().await?;
        Ok((store, schema_version))
    }
}
