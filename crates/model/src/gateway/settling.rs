//! Counts the calls with reserved money. A process can then end, and a run report its cost, after the
//! ledger has settled them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use tokio::sync::watch;
use truing_core::money::MicroUsd;

/// Pending calls of every gateway of this process.
static PROCESS: LazyLock<PendingCallCount> = LazyLock::new(PendingCallCount::default);

/// Waits until no gateway of this process has a reservation left.
#[truing_core::boxed_future]
pub async fn wait_until_settled() {
    PROCESS.wait_until_zero().await;
}

/// The number of calls in progress.
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

    /// Waits until no call is left.
    pub(super) async fn wait_until_zero(&self) {
        // The error cannot occur: this value holds the sender.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// The total cost of one session's calls.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionSpend {
    settling: PendingCallCount,
    /// Total of the settled calls, in micro-dollars.
    settled_cost: Arc<AtomicU64>,
}

impl SessionSpend {
    /// Adds the cost of a call, as the ledger recorded it.
    pub(super) fn add(&self, cost: MicroUsd) {
        self.settled_cost.fetch_add(cost.0, Ordering::Relaxed);
    }

    /// Returns the total cost in the ledger, once no call is in progress.
    pub(super) async fn total(&self) -> MicroUsd {
        self.settling.wait_until_zero().await;
        MicroUsd(self.settled_cost.load(Ordering::Relaxed))
    }
}

/// A guard of a call with reserved money; counted as settled when dropped.
pub(super) struct PendingCallGuard([PendingCallCount; 3]);

impl PendingCallGuard {
    /// Counts a call for its session, its gateway and the process.
    pub(super) fn new(account: &SessionSpend, gateway: &PendingCallCount) -> Self {
        let counts = [account.settling.clone(), gateway.clone(), PROCESS.clone()];
        counts.iter().for_each(PendingCallCount::increment);
        Self(counts)
    }
}

impl Drop for PendingCallGuard {
    fn drop(&mut self) {
        self.0.iter().for_each(PendingCallCount::decrement);
    }
}
