//! The form of the database: which this program reads and writes, and how an older one is brought to it while servers of the
//! version before still use it. A migration that others cannot live with comes in two versions: the first adds, and is read by
//! both; the next one removes.

use std::sync::Arc;

use super::PostgresDatabase;
use super::fault::{self, PostgresConnectError};
use crate::look::SchemaVersions;
use crate::sql::OpenPurpose;

/// The oldest server that will do: `extract` gives exact numbers from 14 on, and 13 is no longer kept.
const OLDEST_SERVER: i64 = 140_000;

/// One text a form, the first of them for an empty database. Each says with which form a program may still use what it makes.
const MIGRATIONS: [SchemaMigration; 5] = [
    SchemaMigration { sql: include_str!("../../migrations/postgres/0001.sql"), oldest: 1 },
    SchemaMigration { sql: include_str!("../../migrations/postgres/0002.sql"), oldest: 1 },
    SchemaMigration { sql: include_str!("../../migrations/postgres/0003.sql"), oldest: 1 },
    SchemaMigration { sql: include_str!("../../migrations/postgres/0004.sql"), oldest: 1 },
    SchemaMigration { sql: include_str!("../../migrations/postgres/0005.sql"), oldest: 1 },
];

struct SchemaMigration {
    sql: &'static str,
    /// The form of the oldest program that the database serves after it.
    oldest: i64,
}

/// The form that this program reads and writes.
const FORM: i64 = MIGRATIONS.len() as i64;

/// Two servers that migrate at once: the second one waits, and finds nothing to do. Any number, as long as it stays.
const LOCK: i64 = 0x5472_7565;

impl PostgresDatabase {
    /// Brings the database to this version's form, in one transaction. One that holds a part of another store is refused, unless
    /// it is to be filled. One that is only looked at stays as it is.
    pub(super) async fn migrate(&self, purpose: OpenPurpose) -> Result<(), PostgresConnectError> {
        let mut client = self.pool.get().await.map_err(|error| fault::not_connected(&self.name, &error))?;
        let told = |error: tokio_postgres::Error| fault::refused(&self.name, &error);
        let row = client
            .query_one(
                "SELECT current_setting('server_version_num')::BIGINT, pg_is_in_recovery(), current_setting('server_version')",
                &[],
            )
            .await
            .map_err(told)?;
        let (version, is_replica): (i64, bool) = (row.get(0), row.get(1));
        if version < OLDEST_SERVER {
            return Err(PostgresConnectError::TooOld { name: Arc::clone(&self.name), version: row.get(2) });
        }
        if is_replica {
            return Err(PostgresConnectError::Replica { name: Arc::clone(&self.name) });
        }
        if purpose == OpenPurpose::Look {
            return Ok(());
        }
        let transaction = client.transaction().await.map_err(told)?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(told)?;
        transaction
            .batch_execute(
                "CREATE SCHEMA IF NOT EXISTS truing;
                 CREATE TABLE IF NOT EXISTS truing.form (version BIGINT NOT NULL, oldest BIGINT NOT NULL)",
            )
            .await
            .map_err(told)?;
        let found =
            transaction.query_opt("SELECT version, oldest FROM truing.form", &[]).await.map_err(told)?;
        let (found, oldest): (i64, i64) = found.map_or((0, 0), |row| (row.get(0), row.get(1)));
        if oldest > FORM {
            return Err(PostgresConnectError::Newer {
                name: Arc::clone(&self.name),
                found,
                oldest,
                own: FORM,
            });
        }
        let applied = usize::try_from(found).unwrap_or(0);
        for migration in MIGRATIONS.iter().skip(applied) {
            transaction.batch_execute(migration.sql).await.map_err(told)?;
        }
        if let Some(last) = MIGRATIONS.get(applied..).and_then(<[SchemaMigration]>::last) {
            transaction.execute("DELETE FROM truing.form", &[]).await.map_err(told)?;
            let sql = "INSERT INTO truing.form VALUES ($1, $2)";
            transaction.execute(sql, &[&FORM, &last.oldest]).await.map_err(told)?;
        }
        let half =
            transaction.query_opt("SELECT source FROM truing.transfer LIMIT 1", &[]).await.map_err(told)?;
        if let (OpenPurpose::Use, Some(half)) = (purpose, half) {
            return Err(PostgresConnectError::HalfCopied {
                name: Arc::clone(&self.name),
                source_name: half.get(0),
            });
        }
        transaction.commit().await.map_err(told)
    }

    /// The form that the database has now; 0: it is empty.
    pub(crate) async fn form(&self) -> Result<SchemaVersions, PostgresConnectError> {
        let client = self.pool.get().await.map_err(|error| fault::not_connected(&self.name, &error))?;
        let told = |error: tokio_postgres::Error| fault::refused(&self.name, &error);
        let is_there = "SELECT to_regclass('truing.form') IS NOT NULL";
        let found = match client.query_one(is_there, &[]).await.map_err(told)?.get(0) {
            true => client.query_opt("SELECT version, oldest FROM truing.form", &[]).await.map_err(told)?,
            false => None,
        };
        let (found, oldest): (i64, i64) = found.map_or((0, 0), |row| (row.get(0), row.get(1)));
        if oldest > FORM {
            return Err(PostgresConnectError::Newer {
                name: Arc::clone(&self.name),
                found,
                oldest,
                own: FORM,
            });
        }
        Ok(SchemaVersions { found, own: FORM })
    }
}
