//! The runtime state of an open store: metrics, and the known unreadable slots.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use prometheus::{Histogram, IntCounter};
use truing_core::id::SlotKey;

use crate::fault::StoreFault;

/// The metrics of writing.
#[derive(Clone, Debug)]
pub struct WriteMetrics {
    /// Seconds from the beginning of a transaction until it is durable.
    pub commit_seconds: Histogram,
    /// Number of transactions that failed. All writes in such a transaction fail.
    pub failures: IntCounter,
    /// Number of attempts to change a slot in Valkey.
    pub swaps: IntCounter,
    /// Number of attempts to change a slot that failed because another process had changed the slot first.
    pub conflicts: IntCounter,
}

/// The metrics, and the slots that cannot be read.
#[derive(Default)]
pub(crate) struct StoreMonitor {
    pub(crate) write_metrics: OnceLock<WriteMetrics>,
    unreadable_keys: Mutex<BTreeSet<String>>,
}

impl StoreMonitor {
    /// Counts attempts to change slots, and the attempts that failed because another process had changed the
    /// slot first.
    pub(crate) fn record_swap(&self, total: usize, conflicts: usize) {
        if let Some(meter) = self.write_metrics.get() {
            meter.swaps.inc_by(total as u64);
            meter.conflicts.inc_by(conflicts as u64);
        }
    }

    /// Reports an unreadable slot in the log, once for each key.
    pub(crate) fn report_unreadable(&self, key: &str, fault: &StoreFault) {
        if self.lock_unreadable().insert(key.to_owned()) {
            tracing::error!(
                key,
                %fault,
                "a slot cannot be read and is left out: `truing queue drop {key}` deletes the slot, and \
                    the next event or sweep creates a new one"
            );
        }
    }

    /// Returns the slots that were reported as unreadable.
    pub(crate) fn known_unreadable_slots(&self) -> Vec<SlotKey> {
        self.lock_unreadable().iter().map(SlotKey::new).collect()
    }

    /// Keeps the reported slots for which the condition is true, and removes the others. Returns the number
    /// of kept slots.
    pub(crate) fn retain_unreadable(&self, predicate: impl Fn(&str) -> bool) -> usize {
        let mut known = self.lock_unreadable();
        known.retain(|key| predicate(key));
        known.len()
    }

    fn lock_unreadable(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.unreadable_keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
