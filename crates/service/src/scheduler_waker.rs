//! Wakes the scheduler early when a slot was marked.

use std::time::Duration;

use tokio::sync::Notify;
use truing_core::port::RecordStore;

use super::role::ProcessRole;

/// Minimum wait of the scheduler before it reads the slots. The wait begins when a slot is marked or becomes
/// due. A burst of events therefore cannot wake the scheduler too often.
pub(super) const MIN_WAKE_DELAY: Duration = Duration::from_millis(25);

/// Wakes the scheduler when a slot was marked, because the slot may be due before the scheduler's next
/// regular read.
#[derive(Debug, Default)]
pub struct SchedulerWaker(Notify);

impl SchedulerWaker {
    /// Reports that a slot was marked.
    pub fn notify(&self) {
        self.0.notify_one();
    }

    /// Completes [`MIN_WAKE_DELAY`] after this process has marked a slot. In a process that leases slots,
    /// also completes after another process has marked a slot.
    pub(super) async fn wait_for_mark(&self, store: &dyn RecordStore, role: ProcessRole) {
        let elsewhere = async {
            if role.leases_slots() { store.wait_for_change().await } else { std::future::pending().await }
        };
        tokio::select! {
            () = self.0.notified() => {}
            () = elsewhere => {}
        }
        tokio::time::sleep(MIN_WAKE_DELAY).await;
    }
}
