//! What a service shows of itself: how many slots there are of each kind, how old the oldest due one is, how many
//! notices wait. Every answer comes from an index whose size is that of the work in hand, never from history.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::sql::SqlTransaction;
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::ledger::BudgetLevelKind;
use truing_core::port::{OperatorStore as _, StoreError};

use crate::fault::StoreFault;
use crate::store::{Store, apart};
use crate::watch::{StoreMonitor, WriteMetrics};

/// What is in the store now.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StoreCensus {
    /// How many slots there are by state and why, as `truing queue list` names them.
    pub slots: Vec<(String, String, u64)>,
    /// How long the oldest due slot has been due; none if no slot is.
    pub oldest_due: Option<Duration>,
    /// Notices that are still to be told.
    pub untold: u64,
    /// By kind of level, in the periods that are now: how many thousandths of its limit the one has spent that has
    /// spent the greatest part.
    pub budgets: Vec<(BudgetLevelKind, u64)>,
    /// Slots whose row cannot be read: each is left out of everything until it is dropped.
    pub unreadable: u64,
    /// The size of the file and of its write-ahead log, in bytes.
    pub bytes: u64,
}

impl Store {
    /// Measures every transaction from now on. The first meter stays.
    pub fn measure(&self, meter: WriteMetrics) {
        let _ = self.0.watch.meter.set(meter);
    }

    /// What is in the store at its own instant.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    #[truing_core::boxed_future]
    pub async fn census(&self) -> Result<StoreCensus, StoreError> {
        let now = self.0.clock.now();
        let watch = Arc::clone(&self.0.watch);
        let path = self.path().map(Path::to_owned);
        if let Some(valkey) = self.slots() {
            let (slots, oldest) = (apart(|| valkey.counts()).await?, apart(|| valkey.oldest_due(now)).await?);
            let known = watch.known_unreadable();
            let rows = apart(|| valkey.rows(&known)).await?;
            let bad: HashSet<&str> = known
                .iter()
                .zip(&rows)
                .filter(|(_, row)| row.is_err())
                .map(|(key, _)| key.as_str())
                .collect();
            let unreadable = watch.still(|key| bad.contains(key));
            let untold = self.untold(usize::MAX).await?.len();
            let (budgets, bytes) = self
                .read(move |connection| {
                    Ok((super::ledger::greatest_parts(connection, now)?, bytes(connection, None)?))
                })
                .await?;
            return Ok(StoreCensus {
                slots: slots.into_iter().map(|(shown, count)| counted(&shown, count)).collect(),
                oldest_due: oldest.map(|at| since(at, now)),
                untold: untold as u64,
                budgets,
                unreadable: unreadable as u64,
                bytes,
            });
        }
        self.read(move |connection| {
            Ok(StoreCensus {
                slots: slots(connection)?,
                oldest_due: oldest_due(connection, now)?,
                untold: super::operations::notice::count_untold(connection)?,
                budgets: super::ledger::greatest_parts(connection, now)?,
                unreadable: still_unreadable(&watch, connection),
                bytes: bytes(connection, path.as_deref())?,
            })
        })
        .await
    }

    /// The keys of the slots that cannot be read, each with what is wrong with it; by key.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    #[truing_core::boxed_future]
    pub async fn unreadable(&self) -> Result<Vec<(SlotKey, String)>, StoreError> {
        Ok(self.list_all().await?.1)
    }

    /// Forgets a slot that cannot be read. False: it can be read, or there is none.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be written.
    #[truing_core::boxed_future]
    pub async fn forget_unreadable(&self, key: &SlotKey) -> Result<bool, StoreError> {
        if let Some(valkey) = self.slots() {
            return apart(|| valkey.forget_unreadable(key)).await;
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

/// The number of those that were told of and still cannot be read: another process may have dropped some.
fn still_unreadable(watch: &StoreMonitor, connection: &SqlTransaction) -> u64 {
    let is = |key: &str| {
        matches!(super::slots::find(connection, SlotKey::new(key)), Err(StoreFault::Unreadable { .. }))
    };
    watch.still(is) as u64
}

/// The bytes that it takes, with its log of writes.
fn bytes(connection: &SqlTransaction, file: Option<&Path>) -> Result<u64, StoreFault> {
    let Some(file) = file else {
        return connection.sql("SELECT pg_database_size(current_database())").only((), |row| row.get(0));
    };
    let mut log = file.to_owned().into_os_string();
    log.push("-wal");
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    Ok(size(file) + size(log.as_ref()))
}

fn slots(connection: &SqlTransaction) -> Result<Vec<(String, String, u64)>, StoreFault> {
    let sql = "SELECT shown, count(*) FROM slot GROUP BY shown";
    connection.sql(sql).query((), |row| Ok(counted(row.text(0), row.get(1)?)))?.collect()
}

/// Past what is leased or idle, the first that waits: what is due before it is ended within a look or two.
fn oldest_due(connection: &SqlTransaction, now: UnixMillis) -> Result<Option<Duration>, StoreFault> {
    let by = connection.dialect().of("INDEXED BY slot_wakes", "");
    let sql = format!(
        "SELECT wakes_at FROM slot {by}
               WHERE wakes_at <= ?1 AND shown >= 'waiting/' AND shown < 'waiting0'
               ORDER BY wakes_at, key LIMIT 1"
    );
    let at: Option<i64> = connection.sql(&sql).first([now.0], |row| row.get(0))?;
    Ok(at.map(|at| since(UnixMillis(at), now)))
}

fn since(at: UnixMillis, now: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(now.0.saturating_sub(at.0)).unwrap_or(0))
}

/// State, why, and how many.
fn counted(shown: &str, count: u64) -> (String, String, u64) {
    let (state, why) = shown.split_once('/').unwrap_or((shown, ""));
    (state.to_owned(), why.to_owned(), count)
}
