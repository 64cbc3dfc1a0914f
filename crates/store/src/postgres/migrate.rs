//! The schema of the database, and the migration of an older schema while servers of the previous version
//! still use the database. If the previous version cannot use the result of a migration, the migration is
//! split over two versions. The first of these versions only adds tables or columns, so the previous version
//! can still use the database. The second version removes the tables or columns that are no longer used.

use std::sync::Arc;

use super::PostgresDatabase;
use super::fault::{self, PostgresConnectError};
use crate::read_only::SchemaVersions;
use crate::sql::StoreOpenPurpose;

/// The oldest supported version of the server. From version 14 on, `extract` returns exact numbers. Version
/// 13 is no longer maintained.
const MIN_SERVER_VERSION: i64 = 140_000;

/// One migration for each schema version; the first is for an empty database. Each migration names the oldest
/// program version that can use the migrated database.
const MIGRATIONS: [SchemaMigration; 1] = [SchemaMigration {
    sql: include_str!("../../migrations/postgres/0001.sql"),
    min_program_schema_version: 1,
}];

struct SchemaMigration {
    sql: &'static str,
    /// The lowest schema version that a program must have to use the database after this migration.
    min_program_schema_version: i64,
}

/// The schema version that this program reads and writes.
const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// The key of the lock for migrations, an arbitrary constant. If two servers migrate at the same time, the
/// second server waits, and then finds that nothing is left to migrate.
const MIGRATION_LOCK_KEY: i64 = 0x5472_7565;

impl PostgresDatabase {
    /// Migrates the database to this version's schema, in one transaction. Refuses a database with an
    /// unfinished copy of another store, unless `purpose` is a transfer. Does not change a database that is
    /// opened only for reading.
    pub(super) async fn migrate(&self, purpose: StoreOpenPurpose) -> Result<(), PostgresConnectError> {
        let mut client =
            self.pool.get().await.map_err(|error| fault::first_session_error(&self.name, &error))?;
        let to_connect_error = |error: tokio_postgres::Error| fault::connect_error(&self.name, &error);
        let row = client
            .query_one(
                "SELECT current_setting('server_version_num')::BIGINT, pg_is_in_recovery(), \
                 current_setting('server_version')",
                &[],
            )
            .await
            .map_err(to_connect_error)?;
        let (version, is_replica): (i64, bool) = (row.get(0), row.get(1));
        if version < MIN_SERVER_VERSION {
            return Err(PostgresConnectError::ServerTooOld {
                name: Arc::clone(&self.name),
                version: row.get(2),
            });
        }
        if is_replica {
            return Err(PostgresConnectError::Replica { name: Arc::clone(&self.name) });
        }
        if purpose == StoreOpenPurpose::ReadOnly {
            return Ok(());
        }
        let transaction = client.transaction().await.map_err(to_connect_error)?;
        transaction
            .execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK_KEY])
            .await
            .map_err(to_connect_error)?;
        transaction
            .batch_execute(
                "CREATE SCHEMA IF NOT EXISTS truing;
                 CREATE TABLE IF NOT EXISTS truing.schema_version
                     (version BIGINT NOT NULL, min_program_version BIGINT NOT NULL)",
            )
            .await
            .map_err(to_connect_error)?;
        let found = transaction
            .query_opt("SELECT version, min_program_version FROM truing.schema_version", &[])
            .await
            .map_err(to_connect_error)?;
        let (found, oldest): (i64, i64) = found.map_or((0, 0), |row| (row.get(0), row.get(1)));
        if oldest > SCHEMA_VERSION {
            return Err(PostgresConnectError::SchemaTooNew {
                name: Arc::clone(&self.name),
                found_version: found,
                min_program_schema_version: oldest,
                own_version: SCHEMA_VERSION,
            });
        }
        let applied = usize::try_from(found).unwrap_or(0);
        for migration in MIGRATIONS.iter().skip(applied) {
            transaction.batch_execute(migration.sql).await.map_err(to_connect_error)?;
        }
        if let Some(last) = MIGRATIONS.get(applied..).and_then(<[SchemaMigration]>::last) {
            transaction.execute("DELETE FROM truing.schema_version", &[]).await.map_err(to_connect_error)?;
            let sql = "INSERT INTO truing.schema_version VALUES ($1, $2)";
            transaction
                .execute(sql, &[&SCHEMA_VERSION, &last.min_program_schema_version])
                .await
                .map_err(to_connect_error)?;
        }
        let half = transaction
            .query_opt("SELECT source FROM truing.transfer LIMIT 1", &[])
            .await
            .map_err(to_connect_error)?;
        if let (StoreOpenPurpose::ReadWrite, Some(half)) = (purpose, half) {
            return Err(PostgresConnectError::HalfCopied {
                name: Arc::clone(&self.name),
                source_name: half.get(0),
            });
        }
        transaction.commit().await.map_err(to_connect_error)
    }

    /// Returns the schema version of the database, and of this program. The version of an empty database is
    /// 0.
    pub(crate) async fn schema_versions(&self) -> Result<SchemaVersions, PostgresConnectError> {
        let client = self.pool.get().await.map_err(|error| fault::first_session_error(&self.name, &error))?;
        let to_connect_error = |error: tokio_postgres::Error| fault::connect_error(&self.name, &error);
        let is_there = "SELECT to_regclass('truing.schema_version') IS NOT NULL";
        let database = match client.query_one(is_there, &[]).await.map_err(to_connect_error)?.get(0) {
            true => client
                .query_opt("SELECT version, min_program_version FROM truing.schema_version", &[])
                .await
                .map_err(to_connect_error)?,
            false => None,
        };
        let (database, oldest): (i64, i64) = database.map_or((0, 0), |row| (row.get(0), row.get(1)));
        if oldest > SCHEMA_VERSION {
            return Err(PostgresConnectError::SchemaTooNew {
                name: Arc::clone(&self.name),
                found_version: database,
                min_program_schema_version: oldest,
                own_version: SCHEMA_VERSION,
            });
        }
        Ok(SchemaVersions { database, program: SCHEMA_VERSION })
    }
}
