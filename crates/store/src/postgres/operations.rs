//! Checks the operations on PostgreSQL that reviews need: sessions that keep their state between
//! transactions, privileges on all tables, and a durable write.

use deadpool_postgres::{Object, PoolError};
use truing_core::port::{StoreCheckError, StoreError};

use super::{MAX_SESSIONS, PostgresDatabase, SESSION_TIMEOUT, fault};
use crate::sql::{SqlTransaction, TransactionMode, run_erased};

/// Returns the process of the server that executes the statement, and a setting that
/// [`SESSION_SETUP_SQL`](super::session::SESSION_SETUP_SQL) has set.
const SESSION_STATE_SQL: &str = "SELECT pg_backend_pid(), current_setting('search_path')";
const SEARCH_PATH: &str = "truing";

/// Returns a privilege that the user lacks.
const MISSING_PRIVILEGE_SQL: &str = "SELECT 'USAGE on schema truing'
     WHERE NOT has_schema_privilege(to_regnamespace('truing'), 'USAGE')
     UNION ALL SELECT format('%s on table truing.%s', needed.privilege, pg_class.relname)
     FROM pg_class CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS needed (privilege)
     WHERE pg_class.relnamespace = to_regnamespace('truing') AND pg_class.relkind = 'r'
         AND NOT has_table_privilege(pg_class.oid, needed.privilege)
     LIMIT 1";

/// Writes a row without changing its values. If another process is writing the row, writes nothing. A new
/// version of a small row replaces the old version in its page, so the table does not grow.
const WRITE_SQL: &str = "WITH unlocked AS (SELECT version FROM schema_version FOR UPDATE SKIP LOCKED)
     UPDATE schema_version SET version = schema_version.version FROM unlocked
     WHERE schema_version.version = unlocked.version";

/// The process of the server, and the search path, with which a statement was executed.
struct SessionState {
    backend_pid: i32,
    search_path: String,
}

impl SessionState {
    fn from_row(row: &tokio_postgres::Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { backend_pid: row.try_get(0)?, search_path: row.try_get(1)? })
    }

    /// Returns true if a later transaction of the same session was executed by the same process, and with
    /// Truing's settings.
    fn is_kept_in(&self, later: &Self) -> bool {
        self.backend_pid == later.backend_pid && later.search_path == SEARCH_PATH
    }
}

impl PostgresDatabase {
    /// Tries the operations that reviews need. The only write leaves all values unchanged.
    pub(crate) async fn check_operations(&self) -> Result<(), StoreCheckError> {
        self.check_sessions().await?;
        let missing_privilege = |connection: &SqlTransaction| {
            connection.sql(MISSING_PRIVILEGE_SQL).first_row((), |row| row.get::<String>(0))
        };
        let missing = run_erased(|work| self.run(TransactionMode::Read, work), missing_privilege).await;
        if let Some(privilege) =
            missing.map_err(|error| StoreCheckError::new("read from PostgreSQL", error))?
        {
            let message = format!(
                "{}: this user lacks the privilege {privilege}; make the user the owner of the schema \
                    `truing`, or GRANT the user USAGE ON SCHEMA truing, and SELECT, INSERT, UPDATE, \
                    DELETE ON ALL TABLES IN SCHEMA truing",
                self.name
            );
            return Err(StoreCheckError::new(privilege, StoreError::Unavailable(message)));
        }
        let write = |connection: &SqlTransaction| connection.sql(WRITE_SQL).execute(()).map(drop);
        let written = run_erased(|work| self.run(TransactionMode::Append, work), write).await;
        written.map_err(|error| StoreCheckError::new("write to PostgreSQL", error))
    }

    /// Returns an error if a session loses its prepared statements and settings between transactions. This
    /// happens behind a pooler in transaction mode, such as `PgBouncer`, where each transaction may run in
    /// another session of the server.
    pub(super) async fn check_sessions(&self) -> Result<(), StoreCheckError> {
        let connect_error = |error: PoolError| {
            let error = fault::missing_session_error(&self.name, &error);
            StoreCheckError::new("open two sessions of PostgreSQL", error)
        };
        let mut attempt = 1;
        let message = loop {
            let first = self.pool.get().await.map_err(connect_error)?;
            let mut second = self.pool.get().await.map_err(connect_error)?;
            match tokio::time::timeout(SESSION_TIMEOUT, is_state_kept(&first, &mut second)).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => break fault::TRANSACTION_POOLER.to_owned(),
                // The server had closed a session while the session was idle.
                Ok(Err(error)) if fault::is_ended(&error) && attempt < MAX_SESSIONS => attempt += 1,
                Ok(Err(error)) => break fault::error_text(&error),
                Err(_) => break fault::timeout_message(),
            }
        };
        let error = StoreError::Unavailable(format!("{}: {message}", self.name));
        Err(StoreCheckError::new("use a prepared statement in two transactions", error))
    }
}

/// Returns true if the first session keeps its state although the second session executes a transaction
/// between its transactions. A pooler in transaction mode passes on a session of the server as soon as a
/// transaction ends, so the first session then continues in another session of the server.
async fn is_state_kept(first: &Object, second: &mut Object) -> Result<bool, tokio_postgres::Error> {
    let statement = first.prepare_cached(SESSION_STATE_SQL).await?;
    let state = SessionState::from_row(&first.query_one(&statement, &[]).await?)?;
    // A pooler that uses its sessions in turn is found without the second session.
    if !state.is_kept_in(&SessionState::from_row(&first.query_one(&statement, &[]).await?)?) {
        return Ok(false);
    }
    let transaction = second.transaction().await?;
    let statement_of_second = transaction.prepare_cached(SESSION_STATE_SQL).await?;
    let of_second = SessionState::from_row(&transaction.query_one(&statement_of_second, &[]).await?)?;
    // If both sessions use the same session of the server, the first one would have to wait for it.
    let is_kept = of_second.backend_pid != state.backend_pid
        && state.is_kept_in(&SessionState::from_row(&first.query_one(&statement, &[]).await?)?);
    transaction.rollback().await?;
    Ok(is_kept)
}
