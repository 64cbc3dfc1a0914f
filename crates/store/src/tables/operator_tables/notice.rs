//! Notices: each is added once, sent once, and deleted when it is old.

use crate::sql::SqlTransaction;
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::port::{NewNotice, PendingNotice};

use super::super::history::sql_limit;
use crate::fault::StoreFault;

/// Adds the notices that were not added before.
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

/// Condition for notices that may be sent. A notice about a parked slot is added before the slot is parked,
/// so a crash between these two writes cannot lose the notice. The notice is sent only after the slot is
/// parked.
const PENDING_NOTICE_CONDITION: &str = "sent IS NULL AND (kind <> 'parked' OR EXISTS
    (SELECT 1 FROM slot WHERE slot.key = notice.key AND shown = 'held/parked'))";

/// Counts the notices that may be sent.
pub(in super::super) fn count_pending_notices(connection: &SqlTransaction) -> Result<u64, StoreFault> {
    let sql = format!("SELECT count(*) FROM notice WHERE {PENDING_NOTICE_CONDITION}");
    connection.sql(&sql).single_row((), |row| row.get(0))
}

/// Returns the oldest notices that may be sent.
pub(super) fn pending_notices(
    connection: &SqlTransaction,
    limit: usize,
) -> Result<Vec<PendingNotice>, StoreFault> {
    let sql = format!(
        "SELECT id, kind, created, text FROM notice WHERE {PENDING_NOTICE_CONDITION} ORDER BY id LIMIT ?1"
    );
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

/// Returns the oldest unsent notices. A notice about a parked slot is returned with the slot's key, because
/// the caller must check that the slot is parked.
pub(super) fn unsent_notices(
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

/// Marks a notice as sent. The time of the first call is kept if the function is called again.
pub(super) fn finish_notice(connection: &SqlTransaction, id: i64, now: UnixMillis) -> Result<(), StoreFault> {
    let sql = "UPDATE notice SET sent = ?2 WHERE id = ?1 AND sent IS NULL";
    connection.sql(sql).execute((id, now.0))?;
    Ok(())
}

/// Deletes at most `limit` old notices that were sent, or that are about a parked slot. Returns the number of
/// deleted rows.
pub(super) fn delete_old_notices(
    connection: &SqlTransaction,
    before: UnixMillis,
    limit: i64,
) -> Result<usize, StoreFault> {
    let sql = "DELETE FROM notice WHERE id IN
               (SELECT id FROM notice WHERE (sent IS NOT NULL OR kind = 'parked') AND created < ?1
                ORDER BY id LIMIT ?2)";
    connection.sql(sql).execute((before.0, limit))
}
