//! Runs the tables' statements on a connection to SQLite.

use rusqlite::types::{ToSqlOutput, Value as SqliteValue, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::fault::StoreFault;
use crate::sql::{SqlDialect, SqlEngine, SqlRow, SqlValue, TableColumn, column_names, placeholders};

impl SqlEngine for Connection {
    fn dialect(&self) -> SqlDialect {
        SqlDialect::Sqlite
    }

    fn execute_sql(&self, sql: &str, values: &[SqlValue]) -> Result<usize, StoreFault> {
        Ok(self.prepare_cached(sql)?.execute(params_from_iter(values))?)
    }

    fn select(&self, sql: &str, values: &[SqlValue], limit: usize) -> Result<Vec<SqlRow>, StoreFault> {
        let mut statement = self.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(values))?;
        let mut read = Vec::new();
        while read.len() < limit
            && let Some(row) = rows.next()?
        {
            let value = |column| Ok::<_, rusqlite::Error>(to_sql_value(row.get_ref(column)?));
            read.push(SqlRow((0..columns).map(value).collect::<Result<_, _>>()?));
        }
        Ok(read)
    }

    fn insert(&self, table: &str, fields: &[TableColumn], rows: &[SqlRow]) -> Result<(), StoreFault> {
        let (names, places) = (column_names(fields), placeholders(1, fields.len()));
        let mut insert = self.prepare_cached(&format!("INSERT INTO {table} ({names}) VALUES ({places})"))?;
        for row in rows {
            insert.execute(params_from_iter(&row.0))?;
        }
        Ok(())
    }
}

impl ToSql for SqlValue {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null | Self::Other => ToSqlOutput::Owned(SqliteValue::Null),
            Self::Integer(number) => ToSqlOutput::Owned(SqliteValue::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(SqliteValue::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

fn to_sql_value(column: ValueRef<'_>) -> SqlValue {
    match column {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Blob(_) => SqlValue::Other,
        ValueRef::Integer(number) => SqlValue::Integer(number),
        ValueRef::Real(number) => SqlValue::Real(number),
        ValueRef::Text(text) => {
            std::str::from_utf8(text).map_or(SqlValue::Other, |text| SqlValue::Text(text.to_owned()))
        }
    }
}
