//! The result of a comparison of two stores.

use std::fmt;

/// The comparison of a table in two stores. The name `slot` also means the slots in Valkey.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableComparison {
    /// Name of the table.
    pub table: &'static str,
    /// Number of the table's rows in each store.
    pub row_counts: (u64, u64),
    /// The first row that differs or exists in only one store, as an SQL condition. `None` if all rows are
    /// equal.
    pub first_difference: Option<String>,
}

impl TableComparison {
    /// Returns true if all rows are equal.
    pub fn is_equal(&self) -> bool {
        self.first_difference.is_none()
    }
}

impl fmt::Display for TableComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, other) = self.row_counts;
        match &self.first_difference {
            None => write!(f, "{one} rows, identical in both stores"),
            Some(first) if one == other => {
                write!(f, "{one} rows in both; the first difference: {first}")
            }
            Some(first) => {
                write!(f, "{one} rows, {other} in the other store; the first difference: {first}")
            }
        }
    }
}
