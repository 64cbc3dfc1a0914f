//! Wakes the scheduler early when a slot was marked.

use std::time::Duration;

use tokio::sync::Notify;
use truing_core::port::RecordStore;

use super::role::ProcessRole;

/// The scheduler waits at least this long before it reads the slots again, even if a slot becomes due or was
/// marked. The wait limits how often a burst of events can wake the scheduler.
pub(super) const BREATH: Duration = Duration::from_millis(25);

/// Wakes the scheduler when a slot was marked, because the slot may be due before the scheduler's next
/// regular read.
#[derive(Debug, Default)]
pub struct SchedulerWaker(Notify);

impl SchedulerWaker {
    /// Reports that a slot was marked.
    pub fn notify(&self) {
        self.0.notify_one();
    }

    /// Completes `BREATH` after this process has marked a slot. In a process that leases, also completes
    /// after another process has marked a slot.
    pub(super) async fn wait_for_mark(&self, store: &dyn RecordStore, role: ProcessRole) {
        let elsewhere = async {
            if role.leases_slots() { store.wait_for_change().await } else { std::future::pending().await }
        };
        tokio::select! {
            () = self.0.notified() => {}
            () = elsewhere => {}
        }
        tokio::time::sleep(BREATH).await;
    }
}
