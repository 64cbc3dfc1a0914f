//! The outcome of a comparison.

use std::fmt;

/// The comparison of one table of two stores; `slot` is the slots, wherever they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compared {
    /// The table.
    pub table: &'static str,
    /// Its rows in each store.
    pub rows: (u64, u64),
    /// A SHA-256 over all rows of each store, in hexadecimal digits.
    pub hashes: (String, String),
    /// Are all rows the same?
    pub alike: bool,
    /// The first row that differs or stands in one of them only, as a condition of SQL.
    pub first: Option<String>,
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, other) = self.rows;
        match &self.first {
            None => write!(f, "{one} rows, the same"),
            Some(first) if one == other => {
                write!(f, "{one} rows, and the first that differs is where {first}")
            }
            Some(first) => {
                write!(f, "{one} rows, and {other} there; the first that differs is where {first}")
            }
        }
    }
}
