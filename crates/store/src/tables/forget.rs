//! Deletes old rows in small batches.

use truing_core::id::{SlotKey, UnixMillis};
use truing_core::port::StoreError;
use truing_core::slot::Slot;

use super::runs::row;
use crate::fault::StoreFault;
use crate::sql::SqlTransaction;
use crate::store::{Store, box_future};

/// Largest number of rows that one write deletes. The limit bounds how long other writers must wait.
pub(super) const DELETE_BATCH_SIZE: i64 = 256;

/// The last examined run, after which the next call of `Store::delete_old_reviews` continues.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RunDeletionCursor {
    ended_at: i64,
    row_id: i64,
}

impl Store {
    /// Deletes a batch of the reviews that ended before the given time. For each key, keeps the newest
    /// published run and all later runs. If no run was published, keeps the newest run. Returns the number of
    /// deleted rows, and the cursor for the next call. The cursor is `None` if no reviews are left to
    /// examine.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn delete_old_reviews(
        &self,
        before: UnixMillis,
        after: Option<RunDeletionCursor>,
    ) -> Result<(usize, Option<RunDeletionCursor>), StoreError> {
        self.write(move |connection| delete_old_reviews(connection, before, after)).await
    }

    /// Deletes a batch of the converge and sync runs that were last written before the given time. Returns
    /// the number of deleted rows, which is 0 if no such run is left.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn delete_old_loop_runs(&self, before: UnixMillis) -> Result<usize, StoreError> {
        self.write(move |connection| row::delete_old_loop_runs(connection, before, DELETE_BATCH_SIZE)).await
    }

    /// Deletes a batch of the history entries from before the given time. Returns the number of deleted
    /// entries, which is 0 if no such entry is left.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn delete_old_events(&self, before: UnixMillis) -> Result<usize, StoreError> {
        // Ids grow with time, unless the clock was set back. The old events therefore usually have the
        // smallest ids, so they are found fast. The search is a read, so other writers never wait for it.
        let old: Vec<i64> = self
            .read(move |connection| {
                let sql = "SELECT id FROM event WHERE at < ?1 ORDER BY id LIMIT ?2";
                let select = connection.sql(sql);
                select.query((before.0, DELETE_BATCH_SIZE), |row| row.get(0))?.collect::<Result<_, _>>()
            })
            .await?;
        if old.is_empty() {
            return Ok(0);
        }
        self.write(move |connection| {
            let delete = connection.sql("DELETE FROM event WHERE id = ?1");
            old.iter().try_fold(0, |gone, id| Ok(gone + delete.execute([id])?))
        })
        .await
    }

    /// Deletes a batch of the served comments that were recorded before the given time. Returns the number of
    /// deleted rows, which is 0 if no such comment is left.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn delete_served_comments(&self, before: UnixMillis) -> Result<usize, StoreError> {
        self.write(move |connection| {
            let sql = "DELETE FROM comment_seen WHERE (forge, repository, kind, id) IN
                       (SELECT forge, repository, kind, id FROM comment_seen
                        WHERE at < ?1 AND served = 1 LIMIT ?2)";
            connection.sql(sql).execute((before.0, DELETE_BATCH_SIZE))
        })
        .await
    }

    /// Deletes a batch of slots that are held because of a closed pull request and have no history left.
    /// Returns the number of deleted slots, which is 0 if no such slot is left.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn delete_closed_slots(&self) -> Result<usize, StoreError> {
        if let Some(valkey) = self.valkey_server() {
            let closed = box_future(|| valkey.keys_in_state("held/cancelled")).await?;
            let old = self.read(move |connection| keys_without_history(connection, &closed)).await?;
            let slots = box_future(|| valkey.load_slots(&old)).await?.into_iter();
            let gone: Vec<_> = slots.map(|slot| (slot.version, Slot::new(slot.key))).collect();
            let forgotten = box_future(|| valkey.swap_slots_unchecked(&gone)).await?;
            return Ok(forgotten.iter().filter(|swapped| swapped.is_ok()).count());
        }
        self.write(move |connection| {
            let sql = "DELETE FROM slot WHERE key IN
                       (SELECT key FROM slot WHERE shown = 'held/cancelled'
                        AND NOT EXISTS (SELECT 1 FROM event WHERE event.key = slot.key)
                        AND NOT EXISTS (SELECT 1 FROM run WHERE run.key = slot.key AND loop = 'review' AND \
                 run.ended IS NULL)
                        LIMIT ?1)";
            connection.sql(sql).execute([DELETE_BATCH_SIZE])
        })
        .await
    }
}

/// Returns those of the given keys that have no history, at most `DELETE_BATCH_SIZE` keys.
fn keys_without_history(connection: &SqlTransaction, keys: &[SlotKey]) -> Result<Vec<SlotKey>, StoreFault> {
    let event = connection.sql("SELECT 1 FROM event WHERE key = ?1 LIMIT 1");
    let run =
        connection.sql("SELECT 1 FROM run WHERE key = ?1 AND loop = 'review' AND ended IS NULL LIMIT 1");
    let mut unheard = Vec::new();
    for key in keys {
        if unheard.len() as i64 == DELETE_BATCH_SIZE {
            break;
        }
        if !event.exists([key.as_str()])? && !run.exists([key.as_str()])? {
            unheard.push(key.clone());
        }
    }
    Ok(unheard)
}

fn delete_old_reviews(
    connection: &SqlTransaction,
    before: UnixMillis,
    after: Option<RunDeletionCursor>,
) -> Result<(usize, Option<RunDeletionCursor>), StoreFault> {
    let after = after.unwrap_or(RunDeletionCursor { ended_at: i64::MIN, row_id: i64::MIN });
    let sql = "SELECT ended, rowid, key, token FROM run
               WHERE loop = 'review' AND ended < ?1 AND (ended, rowid) > (?2, ?3) ORDER BY ended, rowid \
         LIMIT ?4";
    let looked: Vec<(RunDeletionCursor, String, u64)> = connection
        .sql(sql)
        .query((before.0, after.ended_at, after.row_id, DELETE_BATCH_SIZE), |row| {
            Ok::<_, StoreFault>((
                RunDeletionCursor { ended_at: row.get(0)?, row_id: row.get(1)? },
                row.get(2)?,
                row.get(3)?,
            ))
        })?
        .collect::<Result<_, _>>()?;
    // Runs before the newest published run of a key are no longer needed. If no run of the key was published,
    // runs before its newest run are no longer needed. A run without an end is deleted together with the next
    // run that has ended.
    let sql = "DELETE FROM run WHERE key = ?1 AND loop = 'review' AND token <= ?2 AND began < ?3
               AND token < coalesce((SELECT max(token) FROM run WHERE key = ?1 AND stage = 'published'),
                                    (SELECT max(token) FROM run WHERE key = ?1 AND loop = 'review'))";
    let delete = connection.sql(sql);
    let mut gone = 0;
    for (_, key, token) in &looked {
        gone += delete.execute((key, token, before.0))?;
    }
    Ok((gone, looked.last().map(|(mark, ..)| *mark)))
}
