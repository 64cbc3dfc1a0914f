//! The state that the server and its handles share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::forge::state::State;
use crate::forge::witness::Witness;

/// The state that the server and its handles share.
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    pub(crate) witness: Option<Arc<dyn Witness>>,
    /// Calls that were held, and that were let go.
    pub(crate) held: watch::Sender<(u32, u32)>,
    /// The repositories' folder; deleted with the last handle.
    pub(crate) dir: tempfile::TempDir,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("dir", &self.dir).finish_non_exhaustive()
    }
}

impl Shared {
    /// The state. A panic of another thread does not make it unusable.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when whatever is held is let go.
    pub(crate) async fn hold(&self) {
        let mut mine = 0;
        self.held.send_modify(|(held, _)| {
            *held += 1;
            mine = *held;
        });
        let mut now = self.held.subscribe();
        // The sender lives as long as this.
        let _ = now.wait_for(|(_, released)| *released >= mine).await;
    }
}
