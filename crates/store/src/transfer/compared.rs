//! The outcome of a comparison.

use std::fmt;

/// The comparison of one table of two stores; `slot` is the slots, wherever they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableComparison {
    /// The table.
    pub table: &'static str,
    /// Its rows in each store.
    pub rows: (u64, u64),
    /// The first row that differs or stands in one of them only, as a condition of SQL; none: all rows are the same.
    pub first: Option<String>,
}

impl TableComparison {
    /// Are all rows the same?
    pub fn is_alike(&self) -> bool {
        self.first.is_none()
    }
}

impl fmt::Display for TableComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, other) = self.rows;
        match &self.first {
            None => write!(f, "{one} rows, the same"),
            Some(first) if one == other => {
                write!(f, "{one} rows in both; the first difference: {first}")
            }
            Some(first) => {
                write!(f, "{one} rows, {other} in the other store; the first difference: {first}")
            }
        }
    }
}
