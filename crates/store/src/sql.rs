//! One transaction of either engine. Everything but slots is kept by the same statements in SQLite and in PostgreSQL: they are
//! written once, with places `?1`, `?2`, and the few that differ ask for the [`Dialect`].

use crate::fault::Fault;

/// A transaction as the tables see it.
pub(crate) type Connection = dyn Engine;

/// The side of an engine that carries statements out.
pub(crate) trait Engine {
    /// Its form of SQL.
    fn dialect(&self) -> Dialect;

    /// Carries a statement out; the number of rows it changed.
    fn change(&self, sql: &str, values: &[Value]) -> Result<usize, Fault>;

    /// The rows of a statement that gives `limit` of them at most.
    fn select(&self, sql: &str, values: &[Value], limit: usize) -> Result<Vec<Row>, Fault>;

    /// Adds rows to a table, as fast as the engine can. Each has a value for each field, in order; numbers that the engine would
    /// give by itself are kept.
    fn insert(&self, table: &str, fields: &[Field], rows: &[Row]) -> Result<(), Fault>;
}

/// A column of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

/// The kind of a column's values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Whole numbers.
    Integer,
    /// Texts.
    Text,
}

/// The names of columns, as a statement lists them.
pub(crate) fn names(fields: &[Field]) -> String {
    fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ")
}

/// Places of a statement, from that number on: `?3, ?4`.
pub(crate) fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ")
}

/// The purpose for which a store is opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// To be used. A store that holds a part of another one is refused.
    Use,
    /// To be filled with everything of another store.
    Transfer,
    /// To be read as it is: its form is not changed.
    Look,
}

/// The purpose of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
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
pub(crate) enum Dialect {
    /// That of SQLite.
    Sqlite,
    /// That of PostgreSQL.
    Postgres,
}

impl Dialect {
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
pub(crate) enum Value {
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
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    /// The value of a column, counted from 0.
    pub(crate) fn get<T: Column>(&self, column: usize) -> Result<T, Fault> {
        let value = self.0.get(column).cloned().unwrap_or(Value::Null);
        T::read(value).map_err(|value| Fault::Column { column, value })
    }

    /// The text of a column; empty if it holds another thing.
    pub(crate) fn text(&self, column: usize) -> &str {
        match self.0.get(column) {
            Some(Value::Text(text)) => text,
            Some(Value::Null | Value::Integer(_) | Value::Real(_) | Value::Other) | None => "",
        }
    }
}

/// A type that columns are read as.
pub(crate) trait Column: Sized {
    /// The value as this type; itself if it is of another.
    fn read(value: Value) -> Result<Self, Value>;
}

impl Column for i64 {
    fn read(value: Value) -> Result<Self, Value> {
        match value {
            Value::Integer(number) => Ok(number),
            Value::Null | Value::Real(_) | Value::Text(_) | Value::Other => Err(value),
        }
    }
}

impl Column for f64 {
    fn read(value: Value) -> Result<Self, Value> {
        match value {
            Value::Real(number) => Ok(number),
            Value::Null | Value::Integer(_) | Value::Text(_) | Value::Other => Err(value),
        }
    }
}

impl Column for String {
    fn read(value: Value) -> Result<Self, Value> {
        match value {
            Value::Text(text) => Ok(text),
            Value::Null | Value::Integer(_) | Value::Real(_) | Value::Other => Err(value),
        }
    }
}

impl Column for bool {
    fn read(value: Value) -> Result<Self, Value> {
        i64::read(value).map(|number| number != 0)
    }
}

impl<T: Column> Column for Option<T> {
    fn read(value: Value) -> Result<Self, Value> {
        match value {
            Value::Null => Ok(None),
            Value::Integer(_) | Value::Real(_) | Value::Text(_) | Value::Other => T::read(value).map(Some),
        }
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {$(
        impl Column for $number {
            fn read(value: Value) -> Result<Self, Value> {
                let number = i64::read(value)?;
                Self::try_from(number).map_err(|_| Value::Integer(number))
            }
        }

        impl From<$number> for Value {
            // One beyond the greatest that both engines hold is that one: no number of ours comes near it.
            fn from(number: $number) -> Self {
                Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
    )+};
}

numbers!(u64, u32, usize);

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Clone + Into<Value>> From<&T> for Value {
    fn from(value: &T) -> Self {
        value.clone().into()
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The values of a statement, in order: a tuple, an array, or nothing.
pub(crate) trait Values {
    /// As a list.
    fn list(self) -> Vec<Value>;
}

impl Values for () {
    fn list(self) -> Vec<Value> {
        Vec::new()
    }
}

impl<T: Into<Value>, const N: usize> Values for [T; N] {
    fn list(self) -> Vec<Value> {
        self.into_iter().map(Into::into).collect()
    }
}

macro_rules! tuples {
    ($(($($name:ident),+)),+) => {$(
        impl<$($name: Into<Value>),+> Values for ($($name,)+) {
            fn list(self) -> Vec<Value> {
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
    ($($value:expr),+ $(,)?) => { vec![$($crate::sql::Value::from($value)),+] };
}
pub(crate) use values;

impl Values for Vec<Value> {
    fn list(self) -> Vec<Value> {
        self
    }
}

/// A statement on a transaction. Engines keep it prepared.
#[derive(Clone, Copy)]
pub(crate) struct Statement<'a> {
    connection: &'a Connection,
    sql: &'a str,
}

impl dyn Engine {
    /// A statement.
    pub(crate) fn sql<'a>(&'a self, sql: &'a str) -> Statement<'a> {
        Statement { connection: self, sql }
    }
}

impl Statement<'_> {
    /// Carries it out; the number of rows it changed.
    pub(crate) fn execute(self, values: impl Values) -> Result<usize, Fault> {
        self.connection.change(self.sql, &values.list())
    }

    /// Its rows, each as `read` makes it.
    pub(crate) fn query<T>(
        self,
        values: impl Values,
        read: impl FnMut(&Row) -> Result<T, Fault>,
    ) -> Result<impl Iterator<Item = Result<T, Fault>>, Fault> {
        let mut read = read;
        let rows = self.connection.select(self.sql, &values.list(), usize::MAX)?;
        Ok(rows.into_iter().map(move |row| read(&row)))
    }

    /// Its first row; none if it has none.
    pub(crate) fn first<T>(
        self,
        values: impl Values,
        read: impl FnOnce(&Row) -> Result<T, Fault>,
    ) -> Result<Option<T>, Fault> {
        let rows = self.connection.select(self.sql, &values.list(), 1)?;
        rows.first().map(read).transpose()
    }

    /// Has it any?
    pub(crate) fn exists(self, values: impl Values) -> Result<bool, Fault> {
        self.first(values, |_| Ok(())).map(|found| found.is_some())
    }

    /// The first row of a statement that always has one.
    pub(crate) fn only<T>(
        self,
        values: impl Values,
        read: impl FnOnce(&Row) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.first(values, read)?.ok_or(Fault::NoRow)
    }
}
