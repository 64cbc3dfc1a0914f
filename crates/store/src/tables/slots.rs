//! The slots: compare-and-swap by version, and an index by wake time to find the due slots.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::sql::{SqlDialect, SqlParameters, SqlRow, SqlTransaction};
use async_trait::async_trait;
use truing_core::id::{FencingToken, SlotKey, SlotVersion, TimeSpan, UnixMillis};
use truing_core::port::{
    HaltPolicy, LeaseRefusal, MarkOutcome, SlotMark, SlotStore, StoreCheckError, StoreError, VersionConflict,
};
use truing_core::slot::{Slot, SlotLimits};
use truing_core::switch::RepositoryRef;
use truing_core::worker_group::WorkerGroup;

use super::{marks, operator_tables, watchlist};
use crate::due::{MAX_RANKED_SLOTS, interleave_repositories};
use crate::fault::{StoreFault, from_json, to_json};
use crate::lock;
use crate::store::{Store, StoreEngine, box_future};
use crate::valkey::{SlotReadResult, state_label};
use crate::watch::StoreMonitor;

#[async_trait]
impl SlotStore for Store {
    async fn now(&self) -> Result<UnixMillis, StoreError> {
        if let Some(valkey) = self.valkey_server() {
            box_future(|| valkey.now()).await?;
        }
        Ok(self.0.clock.now())
    }

    async fn due_slots(&self, now: UnixMillis, limit: usize) -> Result<Vec<Slot>, StoreError> {
        if let Some(valkey) = self.valkey_server() {
            return box_future(|| valkey.due_slots(now, limit)).await;
        }
        let watch = Arc::clone(&self.0.monitor);
        self.read(move |connection| {
            let mut slots = Vec::new();
            let mut after = (i64::MIN, String::new());
            // If a window contains unreadable rows, further windows are read, until there are enough readable
            // slots.
            while slots.len() < limit {
                let window = due_keys_after(connection, now, &after)?;
                let is_last = window.len() < MAX_RANKED_SLOTS;
                if let Some((key, at)) = window.last() {
                    after = (*at, key.clone());
                }
                for key in interleave_repositories(window) {
                    if slots.len() == limit {
                        break;
                    }
                    match find(connection, key.clone()) {
                        Ok(slot) => slots.push(slot),
                        Err(fault @ StoreFault::Unreadable { .. }) => {
                            watch.report_unreadable(key.as_str(), &fault);
                        }
                        Err(fault) => return Err(fault),
                    }
                }
                if is_last {
                    break;
                }
            }
            Ok(slots)
        })
        .await
    }

    async fn next_due(&self, from: UnixMillis) -> Result<Option<UnixMillis>, StoreError> {
        if let Some(valkey) = self.valkey_server() {
            return box_future(|| valkey.next_due(from)).await;
        }
        self.read(move |connection| {
            let sql = "SELECT min(wakes_at) FROM slot WHERE wakes_at >= ?1";
            let next: Option<i64> = connection.sql(sql).single_row([from.0], |row| row.get(0))?;
            Ok(next.map(UnixMillis))
        })
        .await
    }

    async fn load_slots(&self, keys: &[SlotKey]) -> Result<Vec<Slot>, StoreError> {
        if let Some(valkey) = self.valkey_server() {
            return box_future(|| valkey.load_slots(keys)).await;
        }
        let (keys, watch) = (keys.to_vec(), Arc::clone(&self.0.monitor));
        self.read(move |connection| {
            let find_one = |key: SlotKey| {
                let found = find(connection, key.clone());
                if let Err(fault @ StoreFault::Unreadable { .. }) = &found {
                    watch.report_unreadable(key.as_str(), fault);
                }
                found
            };
            keys.iter().cloned().map(find_one).collect()
        })
        .await
    }

    async fn orphaned_slots(&self) -> Result<Vec<Slot>, StoreError> {
        // While this function runs, no command can lease a slot beside the server. Therefore the returned
        // slots contain no lease of a running command, and commands get other tokens later.
        let Some(path) = self.path() else { return Ok(Vec::new()) };
        let Some(_alone) =
            lock::lock_out_commands(path).map_err(|error| StoreError::Unavailable(error.to_string()))?
        else {
            return Ok(Vec::new());
        };
        Ok(self.list_slots().await?.into_iter().filter(|slot| slot.token().is_some()).collect())
    }

    async fn commit_slots(
        &self,
        changes: &[(SlotVersion, Slot)],
    ) -> Result<Vec<Result<SlotVersion, VersionConflict>>, StoreError> {
        if let Some(valkey) = self.valkey_server() {
            return box_future(|| valkey.swap_slots_unchecked(changes)).await;
        }
        let changes = changes.to_vec();
        self.write(move |connection| {
            changes.iter().map(|(version, slot)| swap(connection, *version, slot.clone())).collect()
        })
        .await
    }

    async fn grant_leases(
        &self,
        leases: &[(SlotVersion, Slot)],
    ) -> Result<Vec<Result<SlotVersion, LeaseRefusal>>, StoreError> {
        if let Some(valkey) = self.valkey_server() {
            let switches = self.read(operator_tables::switch::read).await?;
            return box_future(|| valkey.grant_leases(leases, &switches)).await;
        }
        let leases = leases.to_vec();
        self.write(move |connection| {
            let switches = operator_tables::switch::read(connection)?;
            let granted = leases.iter().map(|(version, slot)| {
                if switches.switch_for(&RepositoryRef::from_key(&slot.key)).is_some() {
                    return Ok(Err(LeaseRefusal::BlockedByKillSwitch));
                }
                Ok(swap(connection, *version, slot.clone())?.map_err(LeaseRefusal::from))
            });
            granted.collect()
        })
        .await
    }

    async fn mark_slots(
        &self,
        marks: &[SlotMark],
        limits: &SlotLimits,
        halt_policy: HaltPolicy,
    ) -> Result<MarkOutcome, StoreError> {
        if let Some(valkey) = self.valkey_server() {
            return box_future(|| marks::mark_valkey_slots(self, valkey, marks, limits, halt_policy)).await;
        }
        let (marks, limits, now) = (marks.to_vec(), limits.clone(), self.0.clock.now());
        self.write(move |connection| marks::mark_slots(connection, &marks, &limits, halt_policy, now)).await
    }

    async fn raise_version(&self, version: SlotVersion) -> Result<(), StoreError> {
        if let Some(valkey) = self.valkey_server() {
            return box_future(|| valkey.raise_counter(version.0)).await;
        }
        self.write(move |connection| raise_counter(connection, version.0)).await
    }

    fn check_store_file(&self) -> Result<(), StoreError> {
        self.check_file_in_place()
    }

    async fn wait_for_change(&self) {
        match self.valkey_server() {
            Some(valkey) => valkey.wait_for_slot_report().await,
            None => std::future::pending().await,
        }
    }

    async fn lease_exclusive_tasks(&self, duration: TimeSpan) -> Result<bool, StoreError> {
        match self.valkey_server() {
            Some(valkey) => box_future(|| valkey.take_duty_lease(duration)).await,
            None => Ok(true),
        }
    }

    async fn announce_worker(&self, is_leasing: bool) -> Result<WorkerGroup, StoreError> {
        match self.valkey_server() {
            Some(valkey) => box_future(|| valkey.announce_worker(is_leasing)).await,
            None => Ok(WorkerGroup::default()),
        }
    }

    async fn check_operations(&self) -> Result<(), StoreCheckError> {
        if let StoreEngine::Servers { records, slots } = &self.0.engine {
            box_future(|| slots.check_operations()).await?;
            return box_future(|| records.check_operations()).await;
        }
        let written = self.write(|connection| {
            // SQLite does not write an unchanged row. It does write the schema version, even if the value is
            // unchanged.
            let form: i64 = connection.sql("PRAGMA user_version").single_row((), |row| row.get(0))?;
            connection.sql(&format!("PRAGMA user_version = {form}")).execute(()).map(drop)
        });
        written.await.map_err(|error| StoreCheckError::new("write to the SQLite file", error))
    }
}

impl Store {
    /// Ensures that all later tokens and versions are greater than `token`, which the records have accepted.
    pub(super) async fn raise_counter_to_token(&self, token: FencingToken) -> Result<(), StoreError> {
        match self.valkey_server() {
            Some(valkey) => box_future(|| valkey.raise_counter_if_needed(token.0)).await,
            None => Ok(()),
        }
    }

    /// Returns every readable slot, ordered by key. For unreadable slots, see [`Store::unreadable_slots`].
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn list_slots(&self) -> Result<Vec<Slot>, StoreError> {
        if let Some(valkey) = self.valkey_server() {
            return box_future(|| valkey.slots_with_prefix("")).await;
        }
        let watch = Arc::clone(&self.0.monitor);
        self.read(move |connection| {
            let sql = "SELECT key, version, body FROM slot ORDER BY key";
            query_readable(connection, sql, (), &watch)
        })
        .await
    }

    /// Returns every readable slot. For every unreadable slot, returns the key and the fault. Both lists are
    /// ordered by key.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn list_slots_and_faults(&self) -> Result<(Vec<Slot>, Vec<(SlotKey, String)>), StoreError> {
        if let Some(valkey) = self.valkey_server() {
            return box_future(|| valkey.list_slots_and_faults()).await;
        }
        self.read(|connection| {
            let (mut slots, mut unreadable) = (Vec::new(), Vec::new());
            let sql = "SELECT key, version, body FROM slot ORDER BY key";
            let rows = connection.sql(sql).query((), |row| match parse_slot(row) {
                Ok(slot) => {
                    slots.push(slot);
                    Ok(())
                }
                Err(fault) => {
                    unreadable.push((SlotKey::new(row.text(0)), fault.to_string()));
                    Ok(())
                }
            })?;
            rows.collect::<Result<(), StoreFault>>()?;
            Ok((slots, unreadable))
        })
        .await
    }
}

/// Returns the keys and wake times of the due slots after the position `after`, oldest first. The query reads
/// only the index by wake time.
fn due_keys_after(
    connection: &SqlTransaction,
    now: UnixMillis,
    after: &(i64, String),
) -> Result<Vec<(String, i64)>, StoreFault> {
    let sql = "SELECT key, wakes_at FROM slot WHERE wakes_at <= ?1 AND (wakes_at, key) > (?2, ?3)
               ORDER BY wakes_at, key LIMIT ?4";
    let rows = connection
        .sql(sql)
        .query((now.0, after.0, &after.1, MAX_RANKED_SLOTS), |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

/// Returns the slot of a key.
pub(super) fn find(connection: &SqlTransaction, key: SlotKey) -> Result<Slot, StoreFault> {
    let find = connection.sql("SELECT key, version, body FROM slot WHERE key = ?1");
    Ok(find.first_row([key.as_str()], parse_slot)?.unwrap_or_else(|| Slot::new(key)))
}

/// Returns every slot whose key begins with `prefix`, ordered by key. `prefix` must end in `/`.
pub(super) fn slots_with_prefix(
    connection: &SqlTransaction,
    prefix: &str,
    monitor: &StoreMonitor,
) -> Result<Vec<Slot>, StoreFault> {
    let sql = "SELECT key, version, body FROM slot WHERE key >= ?1 AND key < ?2 ORDER BY key";
    query_readable(connection, sql, (prefix, watchlist::prefix_upper_bound(prefix)), monitor)
}

/// Returns the slots of all readable rows. An unreadable row is reported, and does not make the whole query
/// fail.
fn query_readable(
    connection: &SqlTransaction,
    sql: &str,
    values: impl SqlParameters,
    monitor: &StoreMonitor,
) -> Result<Vec<Slot>, StoreFault> {
    let rows = connection.sql(sql).query(values, |row| match parse_slot(row) {
        Ok(slot) => Ok(Some(slot)),
        Err(fault @ StoreFault::Unreadable { .. }) => {
            monitor.report_unreadable(row.text(0), &fault);
            Ok(None)
        }
        Err(fault) => Err(fault),
    })?;
    rows.filter_map(Result::transpose).collect()
}

/// Writes one slot if its row still has the version `expected`.
pub(super) fn swap(
    connection: &SqlTransaction,
    expected: SlotVersion,
    slot: Slot,
) -> Result<Result<SlotVersion, VersionConflict>, StoreFault> {
    let stored: Option<u64> = connection
        .sql("SELECT version FROM slot WHERE key = ?1")
        .first_row([slot.key.as_str()], |row| row.get(0))?;
    if stored.unwrap_or(0) != expected.0 {
        return Ok(Err(VersionConflict));
    }
    write_slot(connection, slot).map(Ok)
}

/// Writes a slot without a check of its version. Returns the new version.
pub(super) fn write_slot(connection: &SqlTransaction, mut slot: Slot) -> Result<SlotVersion, StoreFault> {
    if slot.is_deletable() {
        connection.sql("DELETE FROM slot WHERE key = ?1").execute([slot.key.as_str()])?;
        return Ok(SlotVersion(0));
    }
    slot.version = SlotVersion(next_counter_value(connection)?);
    upsert_slot(connection, &slot)?;
    Ok(slot.version)
}

/// Writes the row of a slot. The slot's version is not changed.
pub(super) fn upsert_slot(connection: &SqlTransaction, slot: &Slot) -> Result<(), StoreFault> {
    connection
        .sql(
            "INSERT INTO slot (key, version, wakes_at, body, shown) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (key) DO UPDATE
             SET version = excluded.version, wakes_at = excluded.wakes_at, body = excluded.body,
                 shown = excluded.shown",
        )
        .execute((
            slot.key.as_str(),
            slot.version.0,
            slot.wake_time().map(|at| at.0),
            to_json(slot)?,
            state_label(&slot.state),
        ))?;
    Ok(())
}

/// Returns the next version or token. Versions and tokens share one counter, so a token is greater than all
/// earlier versions and tokens.
fn next_counter_value(connection: &SqlTransaction) -> Result<u64, StoreFault> {
    Ok(*next_counter_values(connection, 1)?.end())
}

/// Returns the next `count` numbers of the counter.
pub(super) fn next_counter_values(
    connection: &SqlTransaction,
    count: usize,
) -> Result<RangeInclusive<u64>, StoreFault> {
    let count = count as u64;
    // The statement has no `RETURNING` clause, because SQLite would materialise the returned rows.
    connection.sql("UPDATE store SET counter = counter + ?1").execute([count])?;
    let last: u64 = connection.sql("SELECT counter FROM store").single_row((), |row| row.get(0))?;
    Ok(last + 1 - count..=last)
}

/// Returns a token for a run without a slot.
pub(super) fn next_token(connection: &SqlTransaction) -> Result<FencingToken, StoreFault> {
    next_counter_value(connection).map(FencingToken)
}

/// Raises the counter to at least `number`, so that later tokens and versions are greater.
pub(super) fn raise_counter(connection: &SqlTransaction, number: u64) -> Result<(), StoreFault> {
    // With PostgreSQL, the counter is in Valkey ([`Store::raise_counter_to_token`]).
    if connection.dialect() == SqlDialect::Postgres {
        return Ok(());
    }
    // The limit is one less than SQLite's greatest integer, so that the counter can still be increased.
    let number = number.min(i64::MAX as u64 - 1);
    connection.sql("UPDATE store SET counter = ?1 WHERE counter < ?1").execute([number])?;
    Ok(())
}

/// Returns at most `limit` slots after the given key, ordered by key. Returns the fault in place of an
/// unreadable slot.
pub(crate) fn read_slot_page(
    connection: &SqlTransaction,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<SlotReadResult>, StoreFault> {
    let sql = "SELECT key, version, body FROM slot WHERE key > ?1 ORDER BY key LIMIT ?2";
    let rows = connection.sql(sql).query((after.unwrap_or(""), limit), |row| {
        match (SlotKey::new(row.text(0)), parse_slot(row)) {
            (key, found @ (Ok(_) | Err(StoreFault::Unreadable { .. }))) => Ok((key, found)),
            (_, Err(fault)) => Err(fault),
        }
    })?;
    rows.collect()
}

/// Writes slots with their versions from another store. Afterwards, the counter is at least as great as each
/// of these versions.
pub(crate) fn write_versioned_slots(connection: &SqlTransaction, slots: &[Slot]) -> Result<(), StoreFault> {
    for slot in slots {
        upsert_slot(connection, slot)?;
    }
    let greatest = slots.iter().map(|slot| slot.version.0).max();
    raise_counter(connection, greatest.unwrap_or(0))
}

/// Returns the greatest version or token that was issued.
pub(crate) fn last_counter_value(connection: &SqlTransaction) -> Result<SlotVersion, StoreFault> {
    Ok(SlotVersion(connection.sql("SELECT counter FROM store").single_row((), |row| row.get(0))?))
}

pub(super) fn parse_slot(row: &SqlRow) -> Result<Slot, StoreFault> {
    let (key, body): (String, String) = (row.get(0)?, row.get(2)?);
    let what = || format!("slot {key}");
    let mut slot: Slot = from_json(&body, what)?;
    let version: i64 = row.get(1)?;
    slot.version = SlotVersion(u64::try_from(version).map_err(|_| StoreFault::Unreadable {
        row: what(),
        source: serde::de::Error::custom(format!("its version is negative: {version}")),
    })?);
    Ok(slot)
}
