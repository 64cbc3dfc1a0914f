//! Deletes old rows in small batches.

use truing_core::id::{SlotKey, UnixMillis};
use truing_core::port::StoreError;
use truing_core::slot::Slot;

use super::runs::row;
use crate::fault::StoreFault;
use crate::sql::SqlTransaction;
use crate::store::{Store, box_future};

/// Largest number of rows that one write deletes. The limit bounds the time for which other writers wait.
pub(super) const BATCH: i64 = 256;

/// The position after which the deletion of runs continues.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct RunDeletionCursor {
    ended_at: i64,
    row: i64,
}

impl Store {
    /// Deletes some of the reviews that ended before the given time. Keeps the newest run of each key, the
    /// newest published run, and every run after the newest published run. Returns the number of deleted rows
    /// and the position to continue from. The position is none if no reviews remain to be examined.
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

    /// Deletes some of the runs of `converge` and `sync` that were last written before the given time.
    /// Returns the number of deleted rows, or 0 if there are no more such runs.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn delete_old_loop_runs(&self, before: UnixMillis) -> Result<usize, StoreError> {
        self.write(move |connection| row::delete_old_loop_runs(connection, before, BATCH)).await
    }

    /// Deletes some of the history from before the given time. Returns the number of deleted lines, or 0 if
    /// there are no more such lines.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn delete_old_events(&self, before: UnixMillis) -> Result<usize, StoreError> {
        // Ids grow with time, unless the clock was set back. The old events therefore usually have the
        // smallest ids, and the search is short. In any case the search runs in a read, and other writers do
        // not wait for it.
        let old: Vec<i64> = self
            .read(move |connection| {
                let sql = "SELECT id FROM event WHERE at < ?1 ORDER BY id LIMIT ?2";
                let select = connection.sql(sql);
                select.query((before.0, BATCH), |row| row.get(0))?.collect::<Result<_, _>>()
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

    /// Deletes some of the served comments that were recorded before the given time. Returns the number of
    /// deleted rows, or 0 if there are no more such comments.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn delete_served_comments(&self, before: UnixMillis) -> Result<usize, StoreError> {
        self.write(move |connection| {
            let sql = "DELETE FROM comment_seen WHERE (forge, repository, kind, id) IN
                       (SELECT forge, repository, kind, id FROM comment_seen
                        WHERE at < ?1 AND served = 1 LIMIT ?2)";
            connection.sql(sql).execute((before.0, BATCH))
        })
        .await
    }

    /// Deletes some of the slots that are held because their pull request is closed, and that have no history
    /// any more. Returns the number of deleted slots, or 0 if there are no more such slots.
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
            connection.sql(sql).execute([BATCH])
        })
        .await
    }
}

/// Returns those of the given keys that have no history any more.
fn keys_without_history(connection: &SqlTransaction, keys: &[SlotKey]) -> Result<Vec<SlotKey>, StoreFault> {
    let event = connection.sql("SELECT 1 FROM event WHERE key = ?1 LIMIT 1");
    let run =
        connection.sql("SELECT 1 FROM run WHERE key = ?1 AND loop = 'review' AND ended IS NULL LIMIT 1");
    let mut unheard = Vec::new();
    for key in keys {
        if unheard.len() as i64 == BATCH {
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
    let after = after.unwrap_or(RunDeletionCursor { ended_at: i64::MIN, row: i64::MIN });
    let sql = "SELECT ended, rowid, key, token FROM run
               WHERE loop = 'review' AND ended < ?1 AND (ended, rowid) > (?2, ?3) ORDER BY ended, rowid \
         LIMIT ?4";
    let looked: Vec<(RunDeletionCursor, String, u64)> = connection
        .sql(sql)
        .query((before.0, after.ended_at, after.row, BATCH), |row| {
            Ok::<_, StoreFault>((
                RunDeletionCursor { ended_at: row.get(0)?, row: row.get(1)? },
                row.get(2)?,
                row.get(3)?,
            ))
        })?
        .collect::<Result<_, _>>()?;
    // Runs before the newest published run are no longer needed. If no run was published, runs before the
    // newest run are no longer needed. A run that never ended is deleted together with the next run that
    // ended.
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
