//! Counts what money is set aside for, so that a process can end after it is settled.

use std::sync::Arc;

use tokio::sync::watch;

/// How many are under way.
#[derive(Debug)]
pub(super) struct Settling(Arc<watch::Sender<usize>>);

/// One of them; over when it is dropped.
pub(super) struct UnderWay(Arc<watch::Sender<usize>>);

impl Settling {
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }

    pub(super) fn begin(&self) -> UnderWay {
        self.0.send_modify(|count| *count = count.saturating_add(1));
        UnderWay(self.0.clone())
    }

    /// Waits until none is left.
    pub(super) async fn none(&self) {
        // Its sender is this value: it cannot be gone.
        let _ = self.0.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
