//! The audit log: appended to, forgotten when it is old, never edited.

use crate::sql::Connection;
use truing_core::id::Millis;
use truing_core::port::{Act, Audited};

use super::super::history::sql_limit;
use crate::fault::Fault;

/// Adds acts.
pub(in super::super) fn append(connection: &Connection, acts: &[Act], now: Millis) -> Result<(), Fault> {
    let sql = "INSERT INTO audit (at, actor, action, target, detail) VALUES (?1, ?2, ?3, ?4, ?5)";
    let insert = connection.sql(sql);
    for Act { actor, action, target, detail } in acts {
        insert.execute((now.0, actor, action, target, detail))?;
    }
    Ok(())
}

/// The last acts, newest first.
pub(super) fn last(connection: &Connection, limit: usize) -> Result<Vec<Audited>, Fault> {
    let sql = "SELECT at, actor, action, target, detail FROM audit ORDER BY id DESC LIMIT ?1";
    connection
        .sql(sql)
        .query([sql_limit(limit)], |row| {
            let act =
                Act { actor: row.get(1)?, action: row.get(2)?, target: row.get(3)?, detail: row.get(4)? };
            Ok(Audited { at: Millis(row.get(0)?), act })
        })?
        .collect()
}

/// Deletes some of what is older, at most `limit` rows. How many it were.
pub(super) fn forget(connection: &Connection, before: Millis, limit: i64) -> Result<usize, Fault> {
    let sql = "DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ?1 ORDER BY id LIMIT ?2)";
    connection.sql(sql).execute((before.0, limit))
}
