//! The progress of a copy: a row in the target. The transaction that adds copied rows also updates this row.
//! While the row exists, the target is not opened for normal use.

use crate::fault::{StoreFault, from_json, to_json};
use crate::sql::{SqlDialect, SqlTransaction, SqlValue};

use super::table_list::{TABLES, TableSchema};

/// The progress of an unfinished copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CopyProgress {
    /// Name of the store that is copied.
    pub(super) source: String,
    /// Name of the target's Valkey server.
    pub(super) slot_server_name: String,
    /// Name of the part that is being copied.
    pub(super) part_name: String,
    /// The key of the last copied row of this part, as JSON.
    pub(super) last_key: Option<String>,
    /// Number of rows of this part that were copied.
    pub(super) copied_rows: u64,
}

/// A part of a store, in the order of copying. Slots are copied first, so an unreadable slot stops the copy
/// at the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum StorePart {
    /// The slots of either engine.
    Slots,
    /// One table of the records.
    Table(&'static TableSchema),
    /// The end of the copy, after all other parts.
    End,
}

const END_PART_NAME: &str = "end";
/// The part name of the slots, which are in no table.
pub(super) const SLOT_PART_NAME: &str = "slot";

impl StorePart {
    /// Returns all parts that can have rows, in the order of copying.
    pub(super) fn all_parts() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Slots).chain(TABLES.iter().map(Self::Table))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Slots => SLOT_PART_NAME,
            Self::Table(table) => table.name,
            Self::End => END_PART_NAME,
        }
    }

    /// Returns the part with this name.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::all_parts().chain([Self::End]).find(|part| part.name() == name)
    }

    /// Returns the part that is copied after this one.
    fn next_part(self) -> Self {
        Self::all_parts().skip_while(|part| *part != self).nth(1).unwrap_or(Self::End)
    }
}

impl CopyProgress {
    /// Returns the progress of a copy that has just begun.
    pub(super) fn new(source: String, slot_server_name: String) -> Self {
        Self {
            source,
            slot_server_name,
            part_name: SLOT_PART_NAME.to_owned(),
            last_key: None,
            copied_rows: 0,
        }
    }

    /// Returns the progress after `rows` more rows of this part. `key` is the key of the last of these rows.
    /// After the last page of a part, returns the beginning of the next part.
    pub(super) fn after_page(
        &self,
        part: StorePart,
        rows: usize,
        key: Option<&[SqlValue]>,
        is_last: bool,
    ) -> Result<Self, StoreFault> {
        let Self { source, slot_server_name: slots, .. } = self.clone();
        if is_last {
            return Ok(Self {
                source,
                slot_server_name: slots,
                part_name: part.next_part().name().to_owned(),
                last_key: None,
                copied_rows: 0,
            });
        }
        let last_key = key.map(key_to_json).transpose()?.or_else(|| self.last_key.clone());
        let copied = self.copied_rows.saturating_add(rows as u64);
        Ok(Self {
            source,
            slot_server_name: slots,
            part_name: part.name().to_owned(),
            last_key,
            copied_rows: copied,
        })
    }

    /// Returns the key of the last copied row.
    pub(super) fn last_copied_key(&self) -> Result<Option<Vec<SqlValue>>, StoreFault> {
        let Some(reached) = &self.last_key else { return Ok(None) };
        let values: Vec<serde_json::Value> =
            from_json(reached, || "the key of the last row that was copied".to_owned())?;
        let value = |value: serde_json::Value| match value {
            serde_json::Value::Number(number) => number.as_i64().map_or(SqlValue::Null, SqlValue::Integer),
            serde_json::Value::String(text) => SqlValue::Text(text),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Array(_)
            | serde_json::Value::Object(_) => SqlValue::Null,
        };
        Ok(Some(values.into_iter().map(value).collect()))
    }
}

/// Serializes a key as JSON.
fn key_to_json(key: &[SqlValue]) -> Result<String, StoreFault> {
    let value = |value: &SqlValue| match value {
        SqlValue::Integer(number) => serde_json::Value::from(*number),
        SqlValue::Text(text) => serde_json::Value::from(text.as_str()),
        SqlValue::Null | SqlValue::Real(_) | SqlValue::Other => serde_json::Value::Null,
    };
    to_json(&key.iter().map(value).collect::<Vec<_>>())
}

/// Reads the progress of a copy in a store. Returns `None` if the store contains no unfinished copy.
pub(super) fn find(connection: &SqlTransaction) -> Result<Option<CopyProgress>, StoreFault> {
    let sql = "SELECT source, slots, part, reached, copied FROM transfer LIMIT 1";
    connection.sql(sql).first_row((), |row| {
        Ok(CopyProgress {
            source: row.get(0)?,
            slot_server_name: row.get(1)?,
            part_name: row.get(2)?,
            last_key: row.get(3)?,
            copied_rows: row.get(4)?,
        })
    })
}

/// Returns the progress in the target. If the target is new, writes the initial progress and returns it. If
/// the target is not new and has no unfinished copy, the inner error describes the target's content.
pub(super) fn start_transfer(
    connection: &SqlTransaction,
    initial_progress: &CopyProgress,
) -> Result<Result<CopyProgress, String>, StoreFault> {
    if let Some(found) = find(connection)? {
        return Ok(Ok(found));
    }
    if connection.dialect() == SqlDialect::Sqlite && connection.sql("SELECT 1 FROM slot LIMIT 1").exists(())?
    {
        return Ok(Err("slots".to_owned()));
    }
    for table in &TABLES {
        if table.has_data(connection)? {
            return Ok(Err(format!("rows of table {}", table.name)));
        }
    }
    let sql = "INSERT INTO transfer (source, slots, part, copied) VALUES (?1, ?2, ?3, 0)";
    connection.sql(sql).execute((
        &initial_progress.source,
        &initial_progress.slot_server_name,
        &initial_progress.part_name,
    ))?;
    Ok(Ok(initial_progress.clone()))
}

/// Replaces the progress `from` by the next progress. Returns false if the stored progress is not `from`,
/// because another process has advanced the copy.
pub(super) fn advance(
    connection: &SqlTransaction,
    from: &CopyProgress,
    to: &CopyProgress,
) -> Result<bool, StoreFault> {
    let sql = "UPDATE transfer SET part = ?1, reached = ?2, copied = ?3 WHERE part = ?4 AND copied = ?5";
    let values = (&to.part_name, to.last_key.as_deref(), to.copied_rows, &from.part_name, from.copied_rows);
    Ok(connection.sql(sql).execute(values)? == 1)
}

/// Deletes the progress, so that the store can be opened for normal use. Returns false if the progress was
/// already deleted or has not reached the end.
pub(super) fn finish_transfer(connection: &SqlTransaction) -> Result<bool, StoreFault> {
    Ok(connection.sql("DELETE FROM transfer WHERE part = ?1").execute([END_PART_NAME])? == 1)
}
