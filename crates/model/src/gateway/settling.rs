//! Counts calls whose reservations are not settled yet. A process waits until this count is zero before it
//! exits; a run waits before it reports its cost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use tokio::sync::watch;
use truing_core::money::MicroUsd;

/// Number of unsettled calls of all gateways in this process.
static PROCESS_PENDING_CALLS: LazyLock<PendingCallCount> = LazyLock::new(PendingCallCount::default);

/// Waits until all gateways of this process have settled their reservations.
#[truing_core::boxed_future]
pub async fn wait_until_settled() {
    PROCESS_PENDING_CALLS.wait_until_zero().await;
}

/// The number of calls whose reservations are not settled.
#[derive(Clone, Debug)]
pub(super) struct PendingCallCount(Arc<watch::Sender<usize>>);

impl Default for PendingCallCount {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl PendingCallCount {
    fn increment(&self) {
        self.0.send_modify(|count| *count = count.saturating_add(1));
    }

    fn decrement(&self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }

    /// Waits until the number of calls is zero.
    pub(super) async fn wait_until_zero(&self) {
        // The wait cannot fail, because `self` keeps the channel's sender alive.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// The total cost of a session's settled calls, and the number of its unsettled calls.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionSpend {
    pending_calls: PendingCallCount,
    /// Total of the settled calls, in micro-dollars.
    settled_cost: Arc<AtomicU64>,
}

impl SessionSpend {
    /// Adds the cost that the ledger recorded for a call.
    pub(super) fn add(&self, cost: MicroUsd) {
        self.settled_cost.fetch_add(cost.0, Ordering::Relaxed);
    }

    /// Waits until no call is in progress, and returns the total cost as the ledger recorded it.
    pub(super) async fn total(&self) -> MicroUsd {
        self.pending_calls.wait_until_zero().await;
        MicroUsd(self.settled_cost.load(Ordering::Relaxed))
    }
}

/// Counts a call as pending until this guard is dropped.
pub(super) struct PendingCallGuard([PendingCallCount; 3]);

impl PendingCallGuard {
    /// Counts a call as pending in its session, in its gateway and in the process.
    pub(super) fn new(spend: &SessionSpend, gateway_calls: &PendingCallCount) -> Self {
        let counts = [spend.pending_calls.clone(), gateway_calls.clone(), PROCESS_PENDING_CALLS.clone()];
        counts.iter().for_each(PendingCallCount::increment);
        Self(counts)
    }
}

impl Drop for PendingCallGuard {
    fn drop(&mut self) {
        self.0.iter().for_each(PendingCallCount::decrement);
    }
}
