//! Rows in one form for both engines: for people, and the values that PostgreSQL cannot hold.

use crate::sql::{Field, Kind, Row, Value};

use super::list::Table;

/// The fate of a text with a zero character (U+0000) on its way to PostgreSQL, which holds none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Zeros {
    /// The row is named, and the copying stops there.
    #[default]
    Refuse,
    /// U+FFFD is written in its place, as the store does by itself where it writes to PostgreSQL. In a key it is refused still:
    /// two rows could become one.
    Replace,
}

/// The column of a run's fencing token.
pub(super) const TOKEN: &str = "token";

/// The fault of a value.
pub(super) struct Misfit {
    pub(super) column: &'static str,
    pub(super) why: &'static str,
    pub(super) advice: &'static str,
}

/// The first value of a row that cannot be carried over. `zeros`: none where zeros are kept.
pub(super) fn misfit(table: &Table, row: &Row, zeros: Option<Zeros>) -> Option<Misfit> {
    let correct = "correct that row, or delete it";
    let of = |(at, (field, value)): (usize, (&Field, &Value))| {
        let is_key = at < table.key;
        let (why, advice) = match (value, field.kind, zeros) {
            (Value::Integer(number), Kind::Integer, _) if field.name == TOKEN && *number < 0 => {
                ("is less than zero", correct)
            }
            (Value::Null, _, _) | (Value::Integer(_), Kind::Integer, _) => return None,
            (Value::Text(text), Kind::Text, Some(zeros)) if text.contains('\0') => match zeros {
                Zeros::Replace if !is_key => return None,
                Zeros::Refuse if !is_key => (
                    "has a zero character (U+0000), which PostgreSQL cannot hold",
                    "add --replace-zeros to write U+FFFD in place of each, or correct that row",
                ),
                Zeros::Refuse | Zeros::Replace => {
                    ("has a zero character (U+0000), which PostgreSQL cannot hold", correct)
                }
            },
            (Value::Text(_), Kind::Text, _) => return None,
            (Value::Other, _, _) => ("is not valid UTF-8", correct),
            (Value::Integer(_), Kind::Text, _)
            | (Value::Text(_), Kind::Integer, _)
            | (Value::Real(_), _, _) => ("has a value of another kind", correct),
        };
        Some(Misfit { column: field.name, why, advice })
    };
    table.fields.iter().zip(&row.0).enumerate().find_map(of)
}

/// Texts as PostgreSQL holds them.
pub(super) fn replace_zeros(row: &mut Row) {
    for value in &mut row.0 {
        if let Value::Text(text) = value
            && text.contains('\0')
        {
            *text = text.replace('\0', "\u{fffd}");
        }
    }
}

/// The key of a row as a condition that can be pasted into a statement.
pub(super) fn condition(fields: &[Field], key: &[Value]) -> String {
    if fields.is_empty() {
        return "there is one".to_owned();
    }
    let equals = fields.iter().zip(key).map(|(field, value)| match value {
        Value::Integer(number) => format!("{} = {number}", field.name),
        Value::Real(number) => format!("{} = {number}", field.name),
        Value::Text(text) if text.contains('\0') => {
            let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
            format!("{} = CAST(x'{hex}' AS TEXT)", field.name)
        }
        Value::Text(text) => format!("{} = '{}'", field.name, text.replace('\'', "''")),
        Value::Null | Value::Other => format!("{} is not readable", field.name),
    });
    equals.collect::<Vec<_>>().join(" AND ")
}

/// The bytes that a row takes in memory, roughly.
pub(super) fn size(row: &Row) -> usize {
    let of = |value: &Value| match value {
        Value::Text(text) => text.len(),
        Value::Null | Value::Integer(_) | Value::Real(_) | Value::Other => 0,
    };
    row.0.iter().map(|value| size_of::<Value>() + of(value)).sum()
}
