//! Counts the calls that money is set aside for, so that a process can end, and a run can tell its cost, after the
//! ledger has settled them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use tokio::sync::watch;
use truing_core::money::MicroUsd;

/// Calls of every gateway of this process.
static PROCESS: LazyLock<PendingCallCount> = LazyLock::new(PendingCallCount::default);

/// Waits until no gateway of this process has money set aside any more.
#[truing_core::boxed_future]
pub async fn settled() {
    PROCESS.none().await;
}

/// How many calls are under way.
#[derive(Clone, Debug)]
pub(super) struct PendingCallCount(Arc<watch::Sender<usize>>);

impl Default for PendingCallCount {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl PendingCallCount {
    fn begin(&self) {
        self.0.send_modify(|count| *count = count.saturating_add(1));
    }

    fn end(&self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }

    /// Waits until none is left.
    pub(super) async fn none(&self) {
        // Its sender is this value: it cannot be gone.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// What the calls of one session came to.
#[derive(Clone, Debug, Default)]
pub(super) struct SessionSpend {
    settling: PendingCallCount,
    /// In micro-dollars.
    spent: Arc<AtomicU64>,
}

impl SessionSpend {
    /// The ledger holds this call to have cost so much.
    pub(super) fn add(&self, cost: MicroUsd) {
        self.spent.fetch_add(cost.0, Ordering::Relaxed);
    }

    /// What the ledger holds all calls to have cost, once none of them is under way.
    pub(super) async fn total(&self) -> MicroUsd {
        self.settling.none().await;
        MicroUsd(self.spent.load(Ordering::Relaxed))
    }
}

/// A call that money is set aside for; settled when this is dropped.
pub(super) struct PendingCallGuard([PendingCallCount; 3]);

impl PendingCallGuard {
    /// Counts it for its session, its gateway and the process.
    pub(super) fn of(account: &SessionSpend, gateway: &PendingCallCount) -> Self {
        let counts = [account.settling.clone(), gateway.clone(), PROCESS.clone()];
        counts.iter().for_each(PendingCallCount::begin);
        Self(counts)
    }
}

impl Drop for PendingCallGuard {
    fn drop(&mut self) {
        self.0.iter().for_each(PendingCallCount::end);
    }
}
