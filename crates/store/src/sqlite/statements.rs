//! The tables' statements on a connection to SQLite.

use rusqlite::types::{ToSqlOutput, Value as SqliteValue, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::fault::Fault;
use crate::sql::{Dialect, Engine, Field, Row, Value, names, places};

impl Engine for Connection {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn change(&self, sql: &str, values: &[Value]) -> Result<usize, Fault> {
        Ok(self.prepare_cached(sql)?.execute(params_from_iter(values))?)
    }

    fn select(&self, sql: &str, values: &[Value], limit: usize) -> Result<Vec<Row>, Fault> {
        let mut statement = self.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(values))?;
        let mut read = Vec::new();
        while read.len() < limit
            && let Some(row) = rows.next()?
        {
            let value = |column| Ok::<_, rusqlite::Error>(value(row.get_ref(column)?));
            read.push(Row((0..columns).map(value).collect::<Result<_, _>>()?));
        }
        Ok(read)
    }

    fn insert(&self, table: &str, fields: &[Field], rows: &[Row]) -> Result<(), Fault> {
        let (names, places) = (names(fields), places(1, fields.len()));
        let mut insert = self.prepare_cached(&format!("INSERT INTO {table} ({names}) VALUES ({places})"))?;
        for row in rows {
            insert.execute(params_from_iter(&row.0))?;
        }
        Ok(())
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null | Self::Other => ToSqlOutput::Owned(SqliteValue::Null),
            Self::Integer(number) => ToSqlOutput::Owned(SqliteValue::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(SqliteValue::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
        })
    }
}

fn value(column: ValueRef<'_>) -> Value {
    match column {
        ValueRef::Null => Value::Null,
        ValueRef::Blob(_) => Value::Other,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(text) => {
            std::str::from_utf8(text).map_or(Value::Other, |text| Value::Text(text.to_owned()))
        }
    }
}
