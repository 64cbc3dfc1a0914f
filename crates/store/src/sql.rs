//! Defines a transaction that either engine can run. Except for slots, SQLite and PostgreSQL run the same
//! statements. Each statement is written once, with placeholders such as `?1`. If a statement must differ
//! between the engines, it depends on the [`SqlDialect`].

use truing_core::port::StoreError;

use crate::fault::StoreFault;

/// A transaction, independent of the engine, as the code of the tables uses it.
pub(crate) type SqlTransaction = dyn SqlEngine;

/// Work in a transaction. The type of its result is erased, so the compiler generates the code that runs a
/// transaction once, not once for each type.
pub(crate) type TransactionWork =
    Box<dyn Fn(&SqlTransaction) -> Result<TransactionResult, StoreFault> + Send>;

/// The result of [`TransactionWork`].
pub(crate) type TransactionResult = Box<dyn std::any::Any + Send>;

/// Runs `work` through `run`, and restores the type of the result that `run` does not have.
pub(crate) async fn run_erased<T, F, R>(
    run: impl FnOnce(TransactionWork) -> R,
    work: F,
) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: Fn(&SqlTransaction) -> Result<T, StoreFault> + Send + 'static,
    R: Future<Output = Result<TransactionResult, StoreError>>,
{
    let result = run(Box::new(move |transaction| Ok(Box::new(work(transaction)?)))).await?;
    let mismatch = |_| StoreError::Unavailable("the result of a transaction has another type".to_owned());
    result.downcast().map(|result| *result).map_err(mismatch)
}

/// An engine that executes statements.
pub(crate) trait SqlEngine {
    /// Returns the dialect of SQL that the engine uses.
    fn dialect(&self) -> SqlDialect;

    /// Executes a statement; returns the number of rows that it changed.
    fn execute_sql(&self, sql: &str, values: &[SqlValue]) -> Result<usize, StoreFault>;

    /// Returns the rows of a statement, but at most `limit` rows.
    fn select(&self, sql: &str, values: &[SqlValue], limit: usize) -> Result<Vec<SqlRow>, StoreFault>;

    /// Inserts rows into a table as fast as the engine can. Each row has a value for each field, in order.
    /// The values are inserted even into columns whose numbers the engine would normally generate.
    fn insert(&self, table: &str, columns: &[TableColumn], rows: &[SqlRow]) -> Result<(), StoreFault>;
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
    /// Holds whole numbers, or null.
    Integer,
    /// Holds texts, or null.
    Text,
}

/// Lists the names of columns for a statement.
pub(crate) fn column_names(columns: &[TableColumn]) -> String {
    columns.iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
}

/// Lists `count` placeholders for a statement, numbered from `first_number`: `?3, ?4`.
pub(crate) fn placeholders(first_number: usize, count: usize) -> String {
    (first_number..first_number + count).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ")
}

/// The purpose for which a store is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StoreOpenPurpose {
    /// Normal use. A store that contains an unfinished copy of another store is refused.
    ReadWrite,
    /// All data of another store is copied into this store.
    Transfer,
    /// The store is only inspected, and its schema is not changed.
    ReadOnly,
}

/// The mode of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TransactionMode {
    /// Reads one consistent state.
    Read,
    /// Writes as if the transactions ran one after another.
    Write,
    /// Writes rows on which no decision depends, so that other processes can write during the transaction.
    Append,
    /// Writes rows that all processes use. Each transaction waits until the previous one has ended.
    SerialWrite,
}

/// A dialect of SQL.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SqlDialect {
    /// The SQL of SQLite.
    Sqlite,
    /// The SQL of PostgreSQL.
    Postgres,
}

impl SqlDialect {
    /// Returns the text for this dialect.
    pub(crate) fn choose<'a>(self, sqlite: &'a str, postgres: &'a str) -> &'a str {
        match self {
            Self::Sqlite => sqlite,
            Self::Postgres => postgres,
        }
    }
}

/// A value of a statement or of a row.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum SqlValue {
    /// The absence of a value.
    Null,
    /// A whole number of 64 bits.
    Integer(i64),
    /// A floating-point number of 64 bits.
    Real(f64),
    /// A text in UTF-8.
    Text(String),
    /// A value that no table should hold: bytes, or a text that is not UTF-8.
    Other,
}

/// A row of a result.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct SqlRow(pub(crate) Vec<SqlValue>);

impl SqlRow {
    /// Returns the value of a column, counted from 0.
    pub(crate) fn get<T: FromSqlValue>(&self, column: usize) -> Result<T, StoreFault> {
        let value = self.0.get(column).cloned().unwrap_or(SqlValue::Null);
        T::read(value).map_err(|value| StoreFault::InvalidColumn { column, value })
    }

    /// Returns the text of a column; empty if the column holds no text.
    pub(crate) fn text(&self, column: usize) -> &str {
        match self.0.get(column) {
            Some(SqlValue::Text(text)) => text,
            Some(SqlValue::Null | SqlValue::Integer(_) | SqlValue::Real(_) | SqlValue::Other) | None => "",
        }
    }
}

/// A type to which the value of a column can be converted.
pub(crate) trait FromSqlValue: Sized {
    /// Converts the value to this type, or returns it unchanged as an error.
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
            // A number above `i64::MAX`, the largest number that both engines can store, is replaced by
            // `i64::MAX`. No number in this program is that large.
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

/// The values for a statement's placeholders, in order: a tuple, an array, or `()`.
pub(crate) trait SqlParameters {
    /// Returns the values as a list.
    fn into_values(self) -> Vec<SqlValue>;
}

impl SqlParameters for () {
    fn into_values(self) -> Vec<SqlValue> {
        Vec::new()
    }
}

impl<T: Into<SqlValue>, const N: usize> SqlParameters for [T; N] {
    fn into_values(self) -> Vec<SqlValue> {
        self.into_iter().map(Into::into).collect()
    }
}

macro_rules! tuples {
    ($(($($name:ident),+)),+) => {$(
        impl<$($name: Into<SqlValue>),+> SqlParameters for ($($name,)+) {
            fn into_values(self) -> Vec<SqlValue> {
                #[allow(non_snake_case, reason = "each value has the name of its type parameter")]
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

/// Makes the list of values of a long row, in order.
macro_rules! values {
    ($($value:expr),+ $(,)?) => { vec![$($crate::sql::SqlValue::from($value)),+] };
}
pub(crate) use values;

impl SqlParameters for Vec<SqlValue> {
    fn into_values(self) -> Vec<SqlValue> {
        self
    }
}

/// A statement on a transaction. The engines keep the prepared statement for later calls.
#[derive(Clone, Copy)]
pub(crate) struct SqlStatement<'a> {
    connection: &'a SqlTransaction,
    sql: &'a str,
}

impl dyn SqlEngine {
    /// Makes a statement on this transaction.
    pub(crate) fn sql<'a>(&'a self, sql: &'a str) -> SqlStatement<'a> {
        SqlStatement { connection: self, sql }
    }
}

impl SqlStatement<'_> {
    /// Executes the statement; returns the number of changed rows.
    pub(crate) fn execute(self, values: impl SqlParameters) -> Result<usize, StoreFault> {
        self.connection.execute_sql(self.sql, &values.into_values())
    }

    /// Returns the statement's rows, each converted by `parse_row`.
    pub(crate) fn query<T>(
        self,
        values: impl SqlParameters,
        parse_row: impl FnMut(&SqlRow) -> Result<T, StoreFault>,
    ) -> Result<impl Iterator<Item = Result<T, StoreFault>>, StoreFault> {
        let mut parse_row = parse_row;
        let rows = self.connection.select(self.sql, &values.into_values(), usize::MAX)?;
        Ok(rows.into_iter().map(move |row| parse_row(&row)))
    }

    /// Returns the first row of the statement, or none if the statement has no rows.
    pub(crate) fn first_row<T>(
        self,
        values: impl SqlParameters,
        parse_row: impl FnOnce(&SqlRow) -> Result<T, StoreFault>,
    ) -> Result<Option<T>, StoreFault> {
        let rows = self.connection.select(self.sql, &values.into_values(), 1)?;
        rows.first().map(parse_row).transpose()
    }

    /// Returns true if the statement has rows.
    pub(crate) fn exists(self, values: impl SqlParameters) -> Result<bool, StoreFault> {
        self.first_row(values, |_| Ok(())).map(|found| found.is_some())
    }

    /// Returns the first row of a statement that always returns a row.
    pub(crate) fn single_row<T>(
        self,
        values: impl SqlParameters,
        parse_row: impl FnOnce(&SqlRow) -> Result<T, StoreFault>,
    ) -> Result<T, StoreFault> {
        self.first_row(values, parse_row)?.ok_or(StoreFault::NoRow)
    }
}
