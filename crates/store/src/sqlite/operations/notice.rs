//! Notices: each wanted once, told once, and forgotten when it is old.

use rusqlite::Connection;
use truing_core::id::Millis;
use truing_core::port::{NewNotice, Notice};

use super::super::fault::Fault;
use super::super::history::sql_limit;

/// Adds those that were not wanted before.
pub(in super::super) fn add(
    connection: &Connection,
    notices: &[NewNotice],
    now: Millis,
) -> Result<(), Fault> {
    let sql = "INSERT INTO notice (kind, key, period, text, created) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (kind, key, period) DO NOTHING";
    let mut insert = connection.prepare_cached(sql)?;
    for NewNotice { kind, key, period, text } in notices {
        insert.execute((kind.as_str(), key, period, text, now.0))?;
    }
    Ok(())
}

/// The oldest that are still to be told.
pub(super) fn untold(connection: &Connection, limit: usize) -> Result<Vec<Notice>, Fault> {
    let sql = "SELECT id, kind, created, text FROM notice WHERE sent IS NULL ORDER BY id LIMIT ?1";
    connection
        .prepare_cached(sql)?
        .query_and_then([sql_limit(limit)], |row| {
            Ok(Notice { id: row.get(0)?, kind: row.get(1)?, created: Millis(row.get(2)?), text: row.get(3)? })
        })?
        .collect()
}

/// It is told. The first time counts.
pub(super) fn told(connection: &Connection, id: i64, now: Millis) -> Result<(), Fault> {
    let sql = "UPDATE notice SET sent = ?2 WHERE id = ?1 AND sent IS NULL";
    connection.prepare_cached(sql)?.execute((id, now.0))?;
    Ok(())
}

/// Deletes some of what was told and is older, at most `limit` rows. How many it were.
pub(super) fn forget(connection: &Connection, before: Millis, limit: i64) -> Result<usize, Fault> {
    let sql = "DELETE FROM notice WHERE id IN
               (SELECT id FROM notice WHERE sent IS NOT NULL AND created < ?1 ORDER BY id LIMIT ?2)";
    Ok(connection.prepare_cached(sql)?.execute((before.0, limit))?)
}
