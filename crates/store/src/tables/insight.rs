//! Counts the content of a store for metrics: the number of slots in each state, the wait of the oldest due
//! slot, and the number of waiting notices. Every query uses an index whose size depends on the pending work,
//! not on the length of the history.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::sql::SqlTransaction;
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::ledger::BudgetLevelKind;
use truing_core::port::{OperatorStore as _, StoreError};

use crate::fault::StoreFault;
use crate::store::{Store, box_future};
use crate::watch::{StoreMonitor, WriteMetrics};

/// The present content of the store in numbers.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoreStatistics {
    /// Number of slots by state and reason, in the words of `truing queue list`.
    pub slot_counts: Vec<(String, String, u64)>,
    /// Time for which the oldest due slot has been due; none if no slot is due.
    pub oldest_due_age: Option<Duration>,
    /// Number of notices that are still to be sent.
    pub pending_notices: u64,
    /// For each kind of budget level, the largest spent fraction of a limit, in thousandths. Only levels of
    /// the current periods are included.
    pub used_budget_permille: Vec<(BudgetLevelKind, u64)>,
    /// Number of slots with an unreadable row. Every function ignores these slots until a user deletes them.
    pub unreadable_slots: u64,
    /// The size in bytes of the database. For an SQLite file, this includes the write-ahead log.
    pub bytes: u64,
}

impl Store {
    /// Starts to measure every transaction that writes. Only the first call has an effect.
    pub fn enable_write_metrics(&self, meter: WriteMetrics) {
        let _ = self.0.monitor.write_metrics.set(meter);
    }

    /// Counts the content of the store at the present time of the store's clock.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn collect_statistics(&self) -> Result<StoreStatistics, StoreError> {
        let now = self.0.clock.now();
        let watch = Arc::clone(&self.0.monitor);
        let path = self.path().map(Path::to_owned);
        if let Some(valkey) = self.valkey_server() {
            let (slots, oldest) = (
                box_future(|| valkey.state_counts()).await?,
                box_future(|| valkey.oldest_due_time(now)).await?,
            );
            let known = watch.known_unreadable_slots();
            let rows = box_future(|| valkey.read_rows(&known)).await?;
            let bad: HashSet<&str> = known
                .iter()
                .zip(&rows)
                .filter(|(_, row)| row.is_err())
                .map(|(key, _)| key.as_str())
                .collect();
            let unreadable = watch.retain_unreadable(|key| bad.contains(key));
            let untold = self.pending_notices(usize::MAX).await?.len();
            let (budgets, bytes) = self
                .read(move |connection| {
                    Ok((
                        super::ledger::greatest_used_thousandths(connection, now)?,
                        database_size(connection, None)?,
                    ))
                })
                .await?;
            return Ok(StoreStatistics {
                slot_counts: slots
                    .into_iter()
                    .map(|(shown, count)| split_state_count(&shown, count))
                    .collect(),
                oldest_due_age: oldest.map(|at| elapsed_since(at, now)),
                pending_notices: untold as u64,
                used_budget_permille: budgets,
                unreadable_slots: unreadable as u64,
                bytes,
            });
        }
        self.read(move |connection| {
            Ok(StoreStatistics {
                slot_counts: slot_counts(connection)?,
                oldest_due_age: longest_overdue(connection, now)?,
                pending_notices: super::operator_tables::notice::count_pending_notices(connection)?,
                used_budget_permille: super::ledger::greatest_used_thousandths(connection, now)?,
                unreadable_slots: count_still_unreadable(&watch, connection),
                bytes: database_size(connection, path.as_deref())?,
            })
        })
        .await
    }

    /// Returns the keys of all unreadable slots, each with the fault, ordered by key.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn unreadable_slots(&self) -> Result<Vec<(SlotKey, String)>, StoreError> {
        Ok(self.list_slots_and_faults().await?.1)
    }

    /// Deletes an unreadable slot. Returns false if the slot is readable or does not exist.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn delete_unreadable_slot(&self, key: &SlotKey) -> Result<bool, StoreError> {
        if let Some(valkey) = self.valkey_server() {
            return box_future(|| valkey.delete_unreadable_slot(key)).await;
        }
        let wanted = key.clone();
        self.write(move |connection| {
            let found = super::slots::find(connection, wanted.clone());
            if !matches!(found, Err(StoreFault::Unreadable { .. })) {
                return found.map(|_| false);
            }
            connection.sql("DELETE FROM slot WHERE key = ?1").execute([wanted.as_str()])?;
            Ok(true)
        })
        .await
    }
}

/// Counts the reported slots that are still unreadable. Another process may have deleted some of them.
fn count_still_unreadable(monitor: &StoreMonitor, connection: &SqlTransaction) -> u64 {
    let is = |key: &str| {
        matches!(super::slots::find(connection, SlotKey::new(key)), Err(StoreFault::Unreadable { .. }))
    };
    monitor.retain_unreadable(is) as u64
}

/// Returns the size of the database in bytes. For an SQLite file, this includes the write-ahead log.
fn database_size(connection: &SqlTransaction, file: Option<&Path>) -> Result<u64, StoreFault> {
    let Some(file) = file else {
        return connection
            .sql("SELECT pg_database_size(current_database())")
            .single_row((), |row| row.get(0));
    };
    let mut log = file.to_owned().into_os_string();
    log.push("-wal");
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    Ok(size(file) + size(log.as_ref()))
}

fn slot_counts(connection: &SqlTransaction) -> Result<Vec<(String, String, u64)>, StoreFault> {
    let sql = "SELECT shown, count(*) FROM slot GROUP BY shown";
    connection.sql(sql).query((), |row| Ok(split_state_count(row.text(0), row.get(1)?)))?.collect()
}

/// Returns how long the oldest waiting slot has been due. Leased and idle slots are skipped, because the
/// scheduler changes their state in its next one or two passes.
fn longest_overdue(connection: &SqlTransaction, now: UnixMillis) -> Result<Option<Duration>, StoreFault> {
    let by = connection.dialect().choose("INDEXED BY slot_wakes", "");
    let sql = format!(
        "SELECT wakes_at FROM slot {by}
               WHERE wakes_at <= ?1 AND shown >= 'waiting/' AND shown < 'waiting0'
               ORDER BY wakes_at, key LIMIT 1"
    );
    let at: Option<i64> = connection.sql(&sql).first_row([now.0], |row| row.get(0))?;
    Ok(at.map(|at| elapsed_since(UnixMillis(at), now)))
}

fn elapsed_since(start: UnixMillis, now: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(now.0.saturating_sub(start.0)).unwrap_or(0))
}

/// Splits the words of a state into state and reason, and adds the count.
fn split_state_count(state_text: &str, count: u64) -> (String, String, u64) {
    let (state, reason) = state_text.split_once('/').unwrap_or((state_text, ""));
    (state.to_owned(), reason.to_owned(), count)
}
