//! Wakes the scheduler.

use std::time::Duration;

use tokio::sync::Notify;
use truing_core::port::RecordStore;

use super::role::ProcessRole;

/// From one look to the next by the time of a slot, at least; also from a wake-up to what follows from it, so that
/// a storm of events wakes the scheduler no more often.
pub(super) const BREATH: Duration = Duration::from_millis(25);

/// Wakes the scheduler when something was marked that may be due before it would look again.
#[derive(Debug, Default)]
pub struct SchedulerWaker(Notify);

impl SchedulerWaker {
    /// Something was marked.
    pub fn up(&self) {
        self.0.notify_one();
    }

    /// Ends when something was marked, by this process or for one that leases by another, and a little later than that.
    pub(super) async fn woken(&self, store: &dyn RecordStore, role: ProcessRole) {
        let elsewhere =
            async { if role.works() { store.changed().await } else { std::future::pending().await } };
        tokio::select! {
            () = self.0.notified() => {}
            () = elsewhere => {}
        }
        tokio::time::sleep(BREATH).await;
    }
}
