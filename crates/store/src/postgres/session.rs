//! A database session, which runs the tables' statements.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use bytes::BytesMut;
use deadpool_postgres::Object;
use tokio::runtime::Handle;
use tokio_postgres::Statement;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::fault::StoreFault;
use crate::sql::{
    self, ColumnKind, SqlDialect, SqlEngine, SqlRow, SqlValue, TableColumn, TransactionMode,
    TransactionResult, TransactionWork, column_names,
};

/// The longest time of a statement, as [`SESSION_SETUP_SQL`] sets it. The server cancels a statement that
/// takes longer. If the server does not respond at all, the client stops waiting a little later.
const STATEMENT_TIMEOUT_SECONDS: u64 = 30;

/// Settings of a new session. The search path contains only Truing's schema, and the server enforces the
/// timeouts.
pub(super) const SESSION_SETUP_SQL: &str =
    "SET search_path = truing; SET statement_timeout = '30s'; SET lock_timeout = '10s';
     SET idle_in_transaction_session_timeout = '60s'; SET client_encoding = 'UTF8'";

/// Returns the statement that begins a transaction. A serializable transaction locks the rows that it reads.
/// A scan of a whole table locks the whole table. Even small tables are therefore read through their indexes
/// (<https://www.postgresql.org/docs/current/transaction-iso.html#XACT-SERIALIZABLE>). A `SerialWrite`
/// transaction locks a table first. Its snapshot is taken after it gets the lock, and therefore contains the
/// writes of the lock's previous holder.
pub(super) fn begin_statement(mode: TransactionMode) -> &'static str {
    match mode {
        TransactionMode::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        TransactionMode::Write => "BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL enable_seqscan = off",
        TransactionMode::Append => "BEGIN ISOLATION LEVEL READ COMMITTED",
        TransactionMode::SerialWrite => {
            "BEGIN ISOLATION LEVEL SERIALIZABLE; LOCK TABLE turn IN EXCLUSIVE MODE; SET LOCAL enable_seqscan \
             = off"
        }
    }
}

/// A session that is used from a blocking thread.
pub(super) struct PostgresSession {
    client: Object,
    runtime: Handle,
    /// True if the session's state is unknown. Such a session is not reused.
    is_lost: Cell<bool>,
}

impl PostgresSession {
    pub(super) fn new(client: Object, runtime: Handle) -> Self {
        Self { client, runtime, is_lost: Cell::new(false) }
    }

    /// Returns the session to the pool, or drops it if its state is unknown.
    pub(super) fn release(self) {
        if self.is_lost.get() {
            drop(Object::take(self.client));
        }
    }

    /// Makes a single attempt to run `work` in a transaction.
    pub(super) fn try_transaction(
        &self,
        begin: &str,
        work: &TransactionWork,
    ) -> Result<TransactionResult, StoreFault> {
        if let Err(fault) = self.block_on_with_timeout(self.client.batch_execute(begin)) {
            self.is_lost.set(true);
            let StoreFault::Postgres(error) = fault else { return Err(fault) };
            return Err(StoreFault::TransactionNotBegun(error));
        }
        let done = work(self).and_then(|answer| {
            self.block_on_with_timeout(self.client.batch_execute("COMMIT"))?;
            Ok(answer)
        });
        // A server that did not respond to the work would not respond to a rollback either.
        let is_silent = matches!(done, Err(StoreFault::NoAnswer(_)));
        if is_silent
            || done.is_err() && self.block_on_with_timeout(self.client.batch_execute("ROLLBACK")).is_err()
        {
            self.is_lost.set(true);
        }
        done
    }

    /// Waits for the server's response, with a timeout.
    fn block_on_with_timeout<T>(
        &self,
        answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreFault> {
        let bound = Duration::from_secs(STATEMENT_TIMEOUT_SECONDS + 5);
        match self.runtime.block_on(async { tokio::time::timeout(bound, answer).await }) {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(StoreFault::NoAnswer(bound.as_secs())),
        }
    }

    fn prepare_statement(&self, sql: &str) -> Result<Statement, StoreFault> {
        self.block_on_with_timeout(self.client.prepare_cached(&to_postgres_placeholders(sql)))
    }
}

/// Replaces placeholders such as `?1` by those of PostgreSQL, such as `$1`.
fn to_postgres_placeholders(sql: &str) -> String {
    sql.replace('?', "$")
}

/// Returns the values as parameters for the PostgreSQL client.
fn sql_parameters(values: &[SqlValue]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl SqlEngine for PostgresSession {
    fn dialect(&self) -> SqlDialect {
        SqlDialect::Postgres
    }

    fn execute_sql(&self, sql: &str, values: &[SqlValue]) -> Result<usize, StoreFault> {
        let statement = self.prepare_statement(sql)?;
        let changed = self.block_on_with_timeout(self.client.execute(&statement, &sql_parameters(values)))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    fn select(&self, sql: &str, values: &[SqlValue], limit: usize) -> Result<Vec<SqlRow>, StoreFault> {
        let statement = self.prepare_statement(sql)?;
        let rows = self.block_on_with_timeout(self.client.query(&statement, &sql_parameters(values)))?;
        rows.iter().take(limit).map(read_row).collect()
    }

    fn insert(&self, table: &str, fields: &[TableColumn], rows: &[SqlRow]) -> Result<(), StoreFault> {
        // `COPY` is used because a round trip for each row would take about a hundred times as long.
        let sql = format!("COPY {table} ({}) FROM STDIN BINARY", column_names(fields));
        let kinds: Vec<Type> = fields.iter().map(|field| column_type(field.kind)).collect();
        self.block_on_with_timeout(async {
            let sink = self.client.copy_in(&sql).await?;
            let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &kinds));
            for row in rows {
                writer.as_mut().write(&sql_parameters(&row.0)).await?;
            }
            writer.as_mut().finish().await.map(drop)
        })
    }
}

fn column_type(kind: ColumnKind) -> Type {
    match kind {
        ColumnKind::Integer => Type::INT8,
        ColumnKind::Text => Type::TEXT,
    }
}

fn read_row(row: &tokio_postgres::Row) -> Result<SqlRow, StoreFault> {
    let values = row.columns().iter().enumerate().map(|(at, column)| {
        Ok(match *column.type_() {
            Type::INT8 => number_value(row.try_get::<_, Option<i64>>(at)?),
            Type::INT4 => number_value(row.try_get::<_, Option<i32>>(at)?.map(i64::from)),
            Type::BOOL => number_value(row.try_get::<_, Option<bool>>(at)?.map(i64::from)),
            Type::FLOAT8 => row.try_get::<_, Option<f64>>(at)?.map_or(SqlValue::Null, SqlValue::Real),
            Type::TEXT => row.try_get::<_, Option<String>>(at)?.map_or(SqlValue::Null, SqlValue::Text),
            _ => SqlValue::Other,
        })
    });
    values.collect::<Result<_, tokio_postgres::Error>>().map(sql::SqlRow).map_err(StoreFault::from)
}

fn number_value(number: Option<i64>) -> SqlValue {
    number.map_or(SqlValue::Null, SqlValue::Integer)
}

impl ToSql for SqlValue {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null | Self::Other => Ok(IsNull::Yes),
            Self::Integer(number) if *kind == Type::INT4 => i32::try_from(*number)?.to_sql(kind, out),
            Self::Integer(number) => number.to_sql(kind, out),
            Self::Real(number) => number.to_sql(kind, out),
            // A text in PostgreSQL cannot contain a zero character, so each zero character is replaced.
            Self::Text(text) if text.contains('\0') => text.replace('\0', "\u{fffd}").to_sql(kind, out),
            Self::Text(text) => text.as_str().to_sql(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
