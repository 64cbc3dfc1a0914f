//! Rows that do not depend on the engine: SQL conditions that name a row, and a check for values that cannot
//! be transferred.

use crate::sql::{ColumnKind, SqlRow, SqlValue, TableColumn};

use super::table_list::TableSchema;

/// Decides how the copy handles a text with a zero character (U+0000), which PostgreSQL cannot store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NulPolicy {
    /// The copy stops with an error that names the row.
    #[default]
    Refuse,
    /// U+FFFD replaces the zero character, as in all texts that the store writes to PostgreSQL. A zero
    /// character in a key is always refused, because two keys could become equal after the replacement.
    Replace,
}

/// The column of a run's fencing token.
pub(super) const TOKEN_COLUMN: &str = "token";

/// A value that cannot be transferred.
pub(super) struct UnfitValue {
    pub(super) column: &'static str,
    pub(super) reason: &'static str,
    pub(super) advice: &'static str,
}

/// Finds the first value of a row that cannot be transferred. If `nul_policy` is `None`, texts may contain
/// zero characters.
pub(super) fn find_unfit_value(
    table: &TableSchema,
    row: &SqlRow,
    nul_policy: Option<NulPolicy>,
) -> Option<UnfitValue> {
    let correct = "correct that row, or delete it";
    let unfit_value = |(at, (field, value)): (usize, (&TableColumn, &SqlValue))| {
        let is_key = at < table.key_len;
        let (reason, advice) = match (value, field.kind, nul_policy) {
            (SqlValue::Integer(number), ColumnKind::Integer, _)
                if field.name == TOKEN_COLUMN && *number < 0 =>
            {
                ("is less than zero", correct)
            }
            (SqlValue::Null, _, _) | (SqlValue::Integer(_), ColumnKind::Integer, _) => return None,
            (SqlValue::Text(text), ColumnKind::Text, Some(nul_policy)) if text.contains('\0') => {
                match nul_policy {
                    NulPolicy::Replace if !is_key => return None,
                    NulPolicy::Refuse if !is_key => (
                        "contains a zero character (U+0000), which PostgreSQL cannot store",
                        "add --replace-zeros to write U+FFFD in place of each zero character, or correct \
                            that row",
                    ),
                    NulPolicy::Refuse | NulPolicy::Replace => {
                        ("contains a zero character (U+0000), which PostgreSQL cannot store", correct)
                    }
                }
            }
            (SqlValue::Text(_), ColumnKind::Text, _) => return None,
            (SqlValue::Other, _, _) => ("is not valid UTF-8", correct),
            (SqlValue::Integer(_), ColumnKind::Text, _)
            | (SqlValue::Text(_), ColumnKind::Integer, _)
            | (SqlValue::Real(_), _, _) => ("has a value of the wrong type", correct),
        };
        Some(UnfitValue { column: field.name, reason, advice })
    };
    table.columns.iter().zip(&row.0).enumerate().find_map(unfit_value)
}

/// Replaces zero characters in texts by U+FFFD, as the store does for PostgreSQL.
pub(super) fn replace_nul_chars(row: &mut SqlRow) {
    for value in &mut row.0 {
        if let SqlValue::Text(text) = value
            && text.contains('\0')
        {
            *text = text.replace('\0', "\u{fffd}");
        }
    }
}

/// Renders the key of a row as an SQL condition, which a user can paste into a statement.
pub(super) fn key_condition(fields: &[TableColumn], key: &[SqlValue]) -> String {
    if fields.is_empty() {
        return "there is one".to_owned();
    }
    let equals = fields.iter().zip(key).map(|(field, value)| match value {
        SqlValue::Integer(number) => format!("{} = {number}", field.name),
        SqlValue::Real(number) => format!("{} = {number}", field.name),
        SqlValue::Text(text) if text.contains('\0') => {
            let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            format!("{} = CAST(x'{hex}' AS TEXT)", field.name)
        }
        SqlValue::Text(text) => format!("{} = '{}'", field.name, text.replace('\'', "''")),
        SqlValue::Null | SqlValue::Other => format!("{} is not readable", field.name),
    });
    equals.collect::<Vec<_>>().join(" AND ")
}

/// Estimates the memory size of a row in bytes.
pub(super) fn estimate_bytes(row: &SqlRow) -> usize {
    let of = |value: &SqlValue| match value {
        SqlValue::Text(text) => text.len(),
        SqlValue::Null | SqlValue::Integer(_) | SqlValue::Real(_) | SqlValue::Other => 0,
    };
    row.0.iter().map(|value| size_of::<SqlValue>() + of(value)).sum()
}
