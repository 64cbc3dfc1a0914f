//! Applies the kill switches in a running service: provides the gate for runs, and records in the history
//! which slots a switch holds back.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use truing_core::id::{SlotKey, UnixMillis};
use truing_core::port::{HistoryEvent, RunReference, StoreError};
use truing_core::slot::{Slot, SlotState};
use truing_core::switch::{EngagedSwitch, KillSwitches, RepositoryRef, SwitchEngagement};
use truing_loops::machine::new_run_id;
use truing_loops::run_gate::RunGate;

use super::context::ServiceContext;

/// The slots for which the history already records that a kill switch holds them back. The value of each slot
/// is the time at which that kill switch was turned on.
#[derive(Debug, Default)]
pub struct HeldSlots(Mutex<BTreeMap<SlotKey, UnixMillis>>);

impl HeldSlots {
    /// Returns the number of slots that are recorded as held back.
    pub(super) fn count(&self) -> usize {
        self.lock_slots().len()
    }

    /// Records that this engagement of a kill switch holds the slot back. Returns false if this engagement
    /// was already recorded for the slot.
    fn add_slot(&self, key: &SlotKey, engagement: &SwitchEngagement) -> bool {
        self.lock_slots().insert(key.clone(), engagement.since) != Some(engagement.since)
    }

    /// Removes the slots that no kill switch holds back any longer.
    fn remove_released_slots(&self, switches: &KillSwitches) {
        let is_held = |key: &SlotKey| switches.switch_for(&RepositoryRef::from_key(key)).is_some();
        self.lock_slots().retain(|key, _| is_held(key));
    }

    fn lock_slots(&self) -> MutexGuard<'_, BTreeMap<SlotKey, UnixMillis>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ServiceContext {
    /// Returns the kill switches that apply now.
    #[truing_core::boxed_future]
    pub async fn kill_switches(&self) -> KillSwitches {
        self.switches.read().await.switches
    }

    /// Returns the gate for a run's writes in this repository.
    pub fn gate(&self, repository: RepositoryRef) -> RunGate {
        RunGate::for_run(&self.switches, repository)
    }
}

impl ServiceContext {
    /// Records in the history of each due slot that a kill switch holds it back. Each slot gets one entry for
    /// each engagement of the switch.
    pub(super) async fn record_held_slots(
        &self,
        switches: &KillSwitches,
        due: &[Slot],
    ) -> Result<(), StoreError> {
        self.held_slots.remove_released_slots(switches);
        let waiting = due.iter().filter(|slot| matches!(slot.state, SlotState::Waiting { .. }));
        let held: Vec<HistoryEvent> = waiting
            .filter_map(|slot| Some((&slot.key, switches.switch_for(&RepositoryRef::from_key(&slot.key))?)))
            .filter(|(key, switch)| self.held_slots.add_slot(key, switch.engaged))
            .map(|(key, switch)| self.engaged_event(switch, key, None, "held back"))
            .collect();
        if held.is_empty() {
            return Ok(());
        }
        self.store.append_history(&held).await
    }

    /// Records that a kill switch stopped a run in progress.
    pub(super) async fn record_halt(&self, run: &RunReference) -> Result<(), StoreError> {
        // If the switch was turned off since the stop, this function records nothing. In that case the audit
        // log shows the reason for the stop.
        let switches = self.kill_switches().await;
        let Some(switch) = switches.stop_switch_for(&RepositoryRef::from_key(&run.key)) else {
            return Ok(());
        };
        self.held_slots.add_slot(&run.key, switch.engaged);
        self.store.append_history(&[self.engaged_event(switch, &run.key, Some(run), "stopped")]).await
    }

    /// Logs a `KillSwitchEngaged` event, and returns its history entry. If no run was begun, the entry gets a
    /// new run id.
    fn engaged_event(
        &self,
        switch: EngagedSwitch<'_>,
        key: &SlotKey,
        run: Option<&RunReference>,
        description: &str,
    ) -> HistoryEvent {
        let engaged = switch.engaged;
        let id = run.map_or_else(new_run_id, |run| run.id.clone());
        let reason = engaged.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let mode = engaged.mode.as_str();
        let of = match switch.repository {
            None => String::new(),
            Some(name) => {
                format!(" by the kill switch of {name} until someone runs `truing {}`", switch.off_command())
            }
        };
        let description =
            format!("KillSwitchEngaged: {description}{of} (mode {mode}, by {}{reason})", engaged.operator);
        tracing::warn!(event = "KillSwitchEngaged", %key, review_id = %id, "{description}");
        HistoryEvent { at: self.clock.now(), key: key.clone(), run: Some(id), description }
    }
}
