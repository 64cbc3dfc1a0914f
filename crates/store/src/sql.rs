//! One transaction of either engine. Everything but slots is kept by the same statements in SQLite and in PostgreSQL: they are
//! written once, with places `?1`, `?2`, and the few that differ ask for the [`SqlDialect`].

use crate::fault::StoreFault;

/// A transaction as the tables see it.
pub(crate) type SqlTransaction = dyn SqlEngine;

/// The side of an engine that carries statements out.
pub(crate) trait SqlEngine {
    /// Its form of SQL.
    fn dialect(&self) -> SqlDialect;

    /// Carries a statement out; the number of rows it changed.
    fn change(&self, sql: &str, values: &[SqlValue]) -> Result<usize, StoreFault>;

    /// The rows of a statement that gives `limit` of them at most.
    fn select(&self, sql: &str, values: &[SqlValue], limit: usize) -> Result<Vec<SqlRow>, StoreFault>;

    /// Adds rows to a table, as fast as the engine can. Each has a value for each field, in order; numbers that the engine would
    /// give by itself are kept.
    fn insert(&self, table: &str, fields: &[TableColumn], rows: &[SqlRow]) -> Result<(), StoreFault>;
}

/// A column of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TableColumn {
    pub(crate) name: &'static str,
    pub(crate) kind: ColumnKind,
}

/// The kind of a column's values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ColumnKind {
    /// Whole numbers.
    Integer,
    /// Texts.
    Text,
}

/// The names of columns, as a statement lists them.
pub(crate) fn names(fields: &[TableColumn]) -> String {
    fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
}

/// Places of a statement, from that number on: `?3, ?4`.
pub(crate) fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ")
}

/// The purpose for which a store is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum OpenPurpose {
    /// To be used. A store that holds a part of another one is refused.
    Use,
    /// To be filled with everything of another store.
    Transfer,
    /// To be read as it is: its form is not changed.
    Look,
}

/// The purpose of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TransactionMode {
    /// To read one state of everything.
    Read,
    /// To write as if nobody else did.
    Write,
    /// To write what no decision depends on: others may write in between.
    Append,
    /// The same, on rows that everybody draws on.
    WriteByTurns,
}

/// A form of SQL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SqlDialect {
    /// That of SQLite.
    Sqlite,
    /// That of PostgreSQL.
    Postgres,
}

impl SqlDialect {
    /// The text of this form.
    pub(crate) fn of<'a>(self, sqlite: &'a str, postgres: &'a str) -> &'a str {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }
}

/// A value of a statement or of a row.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum SqlValue {
    /// None.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// A text.
    Text(String),
    /// Something else, which stands in no table of ours: bytes, or a text that is none.
    Other,
}

/// A row of an answer.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct SqlRow(pub(crate) Vec<SqlValue>);

impl SqlRow {
    /// The value of a column, counted from 0.
    pub(crate) fn get<T: FromSqlValue>(&self, column: usize) -> Result<T, StoreFault> {
        let value = self.0.get(column).cloned().unwrap_or(SqlValue::Null);
        T::read(value).map_err(|value| StoreFault::Column { column, value })
    }

    /// The text of a column; empty if it holds another thing.
    pub(crate) fn text(&self, column: usize) -> &str {
        match self.0.get(column) {
            Some(SqlValue::Text(text)) => text,
            Some(SqlValue::Null | SqlValue::Integer(_) | SqlValue::Real(_) | SqlValue::Other) | None => "",
        }
    }
}

/// A type that columns are read as.
pub(crate) trait FromSqlValue: Sized {
    /// The value as this type; itself if it is of another.
    fn read(value: SqlValue) -> Result<Self, SqlValue>;
}

impl FromSqlValue for i64 {
    fn read(value: SqlValue) -> Result<Self, SqlValue> {
        match value {
            SqlValue::Integer(number) => Ok(number),
            SqlValue::Null | SqlValue::Real(_) | SqlValue::Text(_) | SqlValue::Other => Err(value),
        }
    }
}

impl FromSqlValue for f64 {
    fn read(value: SqlValue) -> Result<Self, SqlValue> {
        match value {
            SqlValue::Real(number) => Ok(number),
            SqlValue::Null | SqlValue::Integer(_) | SqlValue::Text(_) | SqlValue::Other => Err(value),
        }
    }
}

impl FromSqlValue for String {
    fn read(value: SqlValue) -> Result<Self, SqlValue> {
        match value {
            SqlValue::Text(text) => Ok(text),
            SqlValue::Null | SqlValue::Integer(_) | SqlValue::Real(_) | SqlValue::Other => Err(value),
        }
    }
}

impl FromSqlValue for bool {
    fn read(value: SqlValue) -> Result<Self, SqlValue> {
        i64::read(value).map(|number| number != 0)
    }
}

impl<T: FromSqlValue> FromSqlValue for Option<T> {
    fn read(value: SqlValue) -> Result<Self, SqlValue> {
        match value {
            SqlValue::Null => Ok(None),
            SqlValue::Integer(_) | SqlValue::Real(_) | SqlValue::Text(_) | SqlValue::Other => {
                T::read(value).map(Some)
            }
        }
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl FromSqlValue for $number {
            fn read(value: SqlValue) -> Result<Self, SqlValue> {
                let number = i64::read(value)?;
                Self::try_from(number).map_err(|_| SqlValue::Integer(number))
            }
        }

        impl From<$number> for SqlValue {
            // One beyond the greatest that both engines hold is that one: no number of ours comes near it.
            fn from(number: $number) -> Self {
                Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
    )+};
}

numbers!(u64, u32, usize);

impl From<i64> for SqlValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for SqlValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for SqlValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Clone + Into<SqlValue>> From<&T> for SqlValue {
    fn from(value: &T) -> Self {
        value.clone().into()
    }
}

impl<T: Into<SqlValue>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The values of a statement, in order: a tuple, an array, or nothing.
pub(crate) trait SqlParameters {
    /// As a list.
    fn list(self) -> Vec<SqlValue>;
}

impl SqlParameters for () {
    fn list(self) -> Vec<SqlValue> {
        Vec::new()
    }
}

impl<T: Into<SqlValue>, const N: usize> SqlParameters for [T; N] {
    fn list(self) -> Vec<SqlValue> {
        self.into_iter().map(Into::into).collect()
    }
}

macro_rules! tuples {
    ($(($($name:ident),+)),+) => {$(
        impl<$($name: Into<SqlValue>),+> SqlParameters for ($($name,)+) {
            fn list(self) -> Vec<SqlValue> {
                #[allow(non_snake_case, reason = "a value is named as its type is")]
                let ($($name,)+) = self;
                vec![$($name.into()),+]
            }
        }
    )+};
}

tuples!(
    (A, B),
    (A, B, C),
    (A, B, C, D),
    (A, B, C, D, E),
    (A, B, C, D, E, F),
    (A, B, C, D, E, F, G),
    (A, B, C, D, E, F, G, H),
    (A, B, C, D, E, F, G, H, I)
);

/// The values of a long row, in order.
macro_rules! values {
    ($($value:expr),+ $(,)?) => { vec![$($crate::sql::SqlValue::from($value)),+] };
}
pub(crate) use values;

impl SqlParameters for Vec<SqlValue> {
    fn list(self) -> Vec<SqlValue> {
        self
    }
}

/// A statement on a transaction. Engines keep it prepared.
#[derive(Clone, Copy)]
pub(crate) struct SqlStatement<'a> {
    connection: &'a SqlTransaction,
    sql: &'a str,
}

impl dyn SqlEngine {
    /// A statement.
    pub(crate) fn sql<'a>(&'a self, sql: &'a str) -> SqlStatement<'a> {
        SqlStatement { connection: self, sql }
    }
}

impl SqlStatement<'_> {
    /// Carries it out; the number of rows it changed.
    pub(crate) fn execute(self, values: impl SqlParameters) -> Result<usize, StoreFault> {
        self.connection.change(self.sql, &values.list())
    }

    /// Its rows, each as `read` makes it.
    pub(crate) fn query<T>(
        self,
        values: impl SqlParameters,
        read: impl FnMut(&SqlRow) -> Result<T, StoreFault>,
    ) -> Result<impl Iterator<Item = Result<T, StoreFault>>, StoreFault> {
        let mut read = read;
        let rows = self.connection.select(self.sql, &values.list(), usize::MAX)?;
        Ok(rows.into_iter().map(move |row| read(&row)))
    }

    /// Its first row; none if it has none.
    pub(crate) fn first<T>(
        self,
        values: impl SqlParameters,
        read: impl FnOnce(&SqlRow) -> Result<T, StoreFault>,
    ) -> Result<Option<T>, StoreFault> {
        let rows = self.connection.select(self.sql, &values.list(), 1)?;
        rows.first().map(read).transpose()
    }

    /// Has it any?
    pub(crate) fn exists(self, values: impl SqlParameters) -> Result<bool, StoreFault> {
        self.first(values, |_| Ok(())).map(|found| found.is_some())
    }

    /// The first row of a statement that always has one.
    pub(crate) fn only<T>(
        self,
        values: impl SqlParameters,
        read: impl FnOnce(&SqlRow) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        self.first(values, read)?.ok_or(StoreFault::NoRow)
    }
}
