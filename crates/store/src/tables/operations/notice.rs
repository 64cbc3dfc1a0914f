//! Notices: each wanted once, told once, and forgotten when it is old.

use crate::sql::SqlTransaction;
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::port::{NewNotice, PendingNotice};

use super::super::history::sql_limit;
use crate::fault::StoreFault;

/// Adds those that were not wanted before.
pub(in super::super) fn add(
    connection: &SqlTransaction,
    notices: &[NewNotice],
    now: UnixMillis,
) -> Result<(), StoreFault> {
    let sql = "INSERT INTO notice (kind, key, period, text, created) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT (kind, key, period) DO NOTHING";
    let insert = connection.sql(sql);
    for NewNotice { kind, key, period, text } in notices {
        insert.execute((kind.as_str(), key, period, text, now.0))?;
    }
    Ok(())
}

/// Those that are still to be told. That a slot is parked is wanted before it is, so that a crash in between cannot
/// lose it, and told when it is.
const UNTOLD: &str = "sent IS NULL AND (kind <> 'parked' OR EXISTS
    (SELECT 1 FROM slot WHERE slot.key = notice.key AND shown = 'held/parked'))";

/// How many are still to be told.
pub(in super::super) fn count_untold(connection: &SqlTransaction) -> Result<u64, StoreFault> {
    let sql = format!("SELECT count(*) FROM notice WHERE {UNTOLD}");
    connection.sql(&sql).only((), |row| row.get(0))
}

/// The oldest that are still to be told.
pub(super) fn untold(connection: &SqlTransaction, limit: usize) -> Result<Vec<PendingNotice>, StoreFault> {
    let sql = format!("SELECT id, kind, created, text FROM notice WHERE {UNTOLD} ORDER BY id LIMIT ?1");
    connection
        .sql(&sql)
        .query([sql_limit(limit)], |row| {
            Ok(PendingNotice {
                id: row.get(0)?,
                kind: row.get(1)?,
                created: UnixMillis(row.get(2)?),
                text: row.get(3)?,
            })
        })?
        .collect()
}

/// The oldest that were not sent, each with the slot whose being parked it tells.
pub(super) fn unsent(
    connection: &SqlTransaction,
    limit: usize,
) -> Result<Vec<(PendingNotice, Option<SlotKey>)>, StoreFault> {
    let sql = "SELECT id, kind, created, text, key FROM notice WHERE sent IS NULL ORDER BY id LIMIT ?1";
    let rows = connection.sql(sql).query([sql_limit(limit)], |row| {
        let kind: String = row.get(1)?;
        let key = (kind == "parked").then(|| SlotKey::new(row.text(4)));
        Ok((
            PendingNotice { id: row.get(0)?, kind, created: UnixMillis(row.get(2)?), text: row.get(3)? },
            key,
        ))
    })?;
    rows.collect()
}

/// It is told. The first time counts.
pub(super) fn told(connection: &SqlTransaction, id: i64, now: UnixMillis) -> Result<(), StoreFault> {
    let sql = "UPDATE notice SET sent = ?2 WHERE id = ?1 AND sent IS NULL";
    connection.sql(sql).execute((id, now.0))?;
    Ok(())
}

/// Deletes some of what was told, or was never to be, and is older; at most `limit` rows. How many it were.
pub(super) fn forget(
    connection: &SqlTransaction,
    before: UnixMillis,
    limit: i64,
) -> Result<usize, StoreFault> {
    let sql = "DELETE FROM notice WHERE id IN
               (SELECT id FROM notice WHERE (sent IS NOT NULL OR kind = 'parked') AND created < ?1
                ORDER BY id LIMIT ?2)";
    connection.sql(sql).execute((before.0, limit))
}
