//! The audit log: entries are appended, deleted when they are old, and never edited.

use crate::sql::SqlTransaction;
use truing_core::id::UnixMillis;
use truing_core::port::{AuditEntry, OperatorAction};

use super::super::history::sql_limit;
use crate::fault::StoreFault;

/// Appends entries to the log.
pub(in super::super) fn append(
    connection: &SqlTransaction,
    actions: &[OperatorAction],
    now: UnixMillis,
) -> Result<(), StoreFault> {
    let sql = "INSERT INTO audit (at, actor, action, target, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
    let insert = connection.sql(sql);
    for OperatorAction { actor, action, target, detail } in actions {
        insert.execute((now.0, actor, action, target, detail))?;
    }
    Ok(())
}

/// Returns the last entries, newest first.
pub(super) fn last_entries(connection: &SqlTransaction, limit: usize) -> Result<Vec<AuditEntry>, StoreFault> {
    let sql = "SELECT at, actor, action, target, detail FROM audit ORDER BY id DESC LIMIT ?1";
    connection
        .sql(sql)
        .query([sql_limit(limit)], |row| {
            let act = OperatorAction {
                actor: row.get(1)?,
                action: row.get(2)?,
                target: row.get(3)?,
                detail: row.get(4)?,
            };
            Ok(AuditEntry { at: UnixMillis(row.get(0)?), action: act })
        })?
        .collect()
}

/// Deletes at most `limit` of the entries before the given time. Returns the number of deleted rows.
pub(super) fn delete_old_entries(
    connection: &SqlTransaction,
    before: UnixMillis,
    limit: i64,
) -> Result<usize, StoreFault> {
    let sql = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1 ORDER BY id LIMIT ?2)";
    connection.sql(sql).execute((before.0, limit))
}
