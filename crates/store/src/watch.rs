//! An open store's knowledge of itself beyond what it keeps: its meter, and the slots that cannot be read.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use prometheus::{Histogram, IntCounter};
use truing_core::id::SlotKey;

use crate::fault::StoreFault;

/// The measures of writing.
#[derive(Clone, Debug)]
pub struct WriteMetrics {
    /// Seconds from the beginning of a transaction until it is durable.
    pub commit: Histogram,
    /// Transactions that failed as a whole: every write in them.
    pub failed: IntCounter,
    /// Slots that were to be changed, where a server keeps them.
    pub swaps: IntCounter,
    /// Those of them that somebody else had changed first.
    pub conflicts: IntCounter,
}

/// The meter, and the slots that cannot be read.
#[derive(Default)]
pub(crate) struct StoreMonitor {
    pub(crate) meter: OnceLock<WriteMetrics>,
    unreadable: Mutex<BTreeSet<String>>,
}

impl StoreMonitor {
    /// So many slots were to be changed, and somebody else had changed some of them first.
    pub(crate) fn swapped(&self, all: usize, conflicts: usize) {
        if let Some(meter) = self.meter.get() {
            meter.swaps.inc_by(all as u64);
            meter.conflicts.inc_by(conflicts as u64);
        }
    }

    /// A slot that cannot be read, told once.
    pub(crate) fn unreadable(&self, key: &str, why: &StoreFault) {
        if self.known().insert(key.to_owned()) {
            tracing::error!(
                key,
                %why,
                "a slot cannot be read and is left out: `truing queue drop {key}` forgets it, and the next event or \
                 sweep makes a new one"
            );
        }
    }

    /// Those that were told of.
    pub(crate) fn known_unreadable(&self) -> Vec<SlotKey> {
        self.known().iter().map(SlotKey::new).collect()
    }

    /// Those that were told of and for which this holds; the others are forgotten.
    pub(crate) fn still(&self, holds: impl Fn(&str) -> bool) -> usize {
        let mut known = self.known();
        known.retain(|key| holds(key));
        known.len()
    }

    fn known(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.unreadable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
