//! The state that the server of a fake forge and the server's handles share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::forge::state::FakeForgeState;
use crate::forge::witness::ExchangeObserver;

/// The state that the server of a fake forge and the server's handles share.
pub(crate) struct FakeForgeSharedState {
    pub(crate) state: Mutex<FakeForgeState>,
    pub(crate) observer: Option<Arc<dyn ExchangeObserver>>,
    /// Number of calls that were held so far, and the number of these calls that were released.
    pub(crate) hold_counts: watch::Sender<(u32, u32)>,
    /// Folder of the repositories; deleted when the last handle is dropped.
    pub(crate) dir: tempfile::TempDir,
}

impl std::fmt::Debug for FakeForgeSharedState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeForgeSharedState").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl FakeForgeSharedState {
    /// Locks the state. The state remains usable after a panic in another thread.
    pub(crate) fn lock(&self) -> MutexGuard<'_, FakeForgeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the held calls are released.
    pub(crate) async fn wait_until_released(&self) {
        let mut mine = 0;
        self.hold_counts.send_modify(|(held, _)| {
            *held += 1;
            mine = *held;
        });
        let mut now = self.hold_counts.subscribe();
        // Waiting cannot fail, because the sender exists as long as this state.
        let _ = now.wait_for(|(_, released)| *released >= mine).await;
    }
}
