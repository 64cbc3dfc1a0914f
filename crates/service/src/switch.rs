//! The kill switch as a running service knows it: read from the store whenever it matters, and believed to be on
//! when it cannot be read for too long.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use truing_core::id::{Key, Millis};
use truing_core::port::{
    Asked, Clock, Event, Gate, Ids as _, Operations, RunRef, Runs as _, StoreError, Withheld, WriteGate,
};
use truing_core::slot::{Slot, State};
use truing_core::switch::{Engaged, Mode, Switch};

use super::{Parts, ServiceContext};

/// A switch that could not be read for this long counts as on (design.md section 5).
pub const UNREADABLE: Duration = Duration::from_secs(30);
/// One read may take this long.
const READ_TIME: Duration = Duration::from_secs(5);

/// The last known state of the switch, and who was told of it. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct KillSwitch(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The last answer, and when it came.
    last: Option<(Switch, Instant)>,
    /// Since when no answer comes.
    failing: Option<Millis>,
    /// Those told that they are held back, since that instant.
    told: BTreeSet<Key>,
    told_since: Option<Millis>,
}

impl KillSwitch {
    /// Reads the switch; `now` is the wall clock.
    pub async fn read<S: Operations>(&self, store: &S, now: Millis) -> Switch {
        let error = match tokio::time::timeout(READ_TIME, store.switch()).await {
            Ok(Ok(switch)) => {
                let mut known = self.known();
                known.failing = None;
                known.last = Some((switch.clone(), Instant::now()));
                return switch;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", READ_TIME.as_secs()),
        };
        let mut known = self.known();
        let since = *known.failing.get_or_insert(now);
        let last = known.last.as_ref().map(|(switch, at)| (switch, at.elapsed()));
        let believed = believed(last, since);
        drop(known);
        tracing::warn!(error, on = believed.engaged().is_some(), "the kill switch cannot be read");
        believed
    }

    /// What a run asks before each of its effects.
    pub fn gate<S: Operations + Clone, C: Clock + Clone>(&self, store: &S, clock: &C) -> RunGate<S, C> {
        RunGate { switch: self.clone(), store: store.clone(), clock: clock.clone(), is_retraction: false }
    }

    /// How many slots are known to be held back.
    pub(super) fn held_back(&self) -> usize {
        self.known().told.len()
    }

    /// Is it the first time that this slot is told of this engagement?
    fn first(&self, key: &Key, engaged: &Engaged) -> bool {
        let mut known = self.known();
        if known.told_since != Some(engaged.since) {
            known.told_since = Some(engaged.since);
            known.told.clear();
        }
        known.told.insert(key.clone())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is believed of a switch that cannot be read, after the last answer and its age.
fn believed(last: Option<(&Switch, Duration)>, since: Millis) -> Switch {
    match last {
        Some((switch, age)) if age < UNREADABLE => switch.clone(),
        Some((Switch::On(engaged), _)) => Switch::On(engaged.clone()),
        // Runs in flight may finish: whatever they write is fenced, and recorded or not done.
        Some((Switch::Off, _)) | None => Switch::On(Engaged {
            since,
            by: "truing".into(),
            reason: Some("the switch cannot be read".into()),
            mode: Mode::Finish,
        }),
    }
}

impl<P: Parts> ServiceContext<P> {
    /// The kill switch now.
    pub async fn switch(&self) -> Switch {
        self.kill_switch.read(&self.switch_store, self.clock.now()).await
    }

    /// What a run asks before each of its effects.
    pub fn gate(&self) -> RunGate<P::Store, P::Clock> {
        self.kill_switch.gate(&self.switch_store, &self.clock)
    }
}

/// Closed while the switch is on and stops runs in flight.
#[derive(Clone)]
pub struct RunGate<S, C> {
    switch: KillSwitch,
    store: S,
    clock: C,
    is_retraction: bool,
}

impl<S, C> RunGate<S, C> {
    /// The gate of what an operator takes back by a command: it is open while the switch is on, which is when that is needed.
    pub fn of_retraction(self) -> Self {
        Self { is_retraction: true, ..self }
    }
}

impl<S, C> fmt::Debug for RunGate<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunGate").field("switch", &self.switch).finish_non_exhaustive()
    }
}

impl<S: Operations, C: Clock> Gate for RunGate<S, C> {
    async fn is_open(&self) -> bool {
        self.is_retraction || !self.switch.read(&self.store, self.clock.now()).await.stops_runs()
    }
}

// A newer run is looked for where the intent is recorded, in the same transaction.
impl<S: Operations, C: Clock> WriteGate for RunGate<S, C> {
    fn ask(&self) -> Asked<'_> {
        Box::pin(async { if self.is_open().await { Ok(()) } else { Err(Withheld::Halted) } })
    }
}

impl<P: Parts> ServiceContext<P> {
    /// Tells of each due slot, once an engagement, that its run is held back.
    pub(super) async fn hold_back(&self, engaged: &Engaged, due: &[Slot]) -> Result<(), StoreError> {
        let waiting = due.iter().filter(|slot| matches!(slot.state, State::Waiting { .. }));
        let held: Vec<Event> = waiting
            .filter(|slot| self.kill_switch.first(&slot.key, engaged))
            .map(|slot| self.engaged_event(engaged, &slot.key, None, "held back"))
            .collect();
        if held.is_empty() {
            return Ok(());
        }
        self.store.note(&held).await
    }

    /// Tells that a run in flight was stopped.
    pub(super) async fn halted(&self, run: &RunRef) -> Result<(), StoreError> {
        // It may be off again by now; then what stopped the run is told by the audit log.
        let Switch::On(engaged) = self.switch().await else { return Ok(()) };
        self.kill_switch.first(&run.key, &engaged);
        self.store.note(&[self.engaged_event(&engaged, &run.key, Some(run), "stopped")]).await
    }

    /// One `KillSwitchEngaged` event, in the log too. A run that was never begun gets the id it would have had.
    fn engaged_event(&self, engaged: &Engaged, key: &Key, run: Option<&RunRef>, what: &str) -> Event {
        let id = run.map_or_else(|| self.ids.run(), |run| run.id.clone());
        let reason = engaged.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let mode = engaged.mode.as_str();
        let what = format!("KillSwitchEngaged: {what} (mode {mode}, by {}{reason})", engaged.by);
        tracing::warn!(event = "KillSwitchEngaged", %key, review_id = %id, "{what}");
        Event { at: self.clock.now(), key: key.clone(), run: Some(id), what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_switch_is_as_it_was_for_thirty_seconds_and_then_on() {
        let on = |mode| {
            let (by, reason) = ("ada".into(), Some("storm".into()));
            Switch::On(Engaged { since: Millis(1), by, reason, mode })
        };
        let after = |switch, seconds| believed(Some((switch, Duration::from_secs(seconds))), Millis(9));
        assert_eq!(after(&Switch::Off, 29), Switch::Off);
        assert_eq!(after(&Switch::Off, 30).engaged().unwrap().since, Millis(9));
        assert!(!after(&Switch::Off, 3000).stops_runs());
        assert_eq!(after(&on(Mode::Stop), 3000), on(Mode::Stop), "a switch that was on stays as it was");
        assert!(believed(None, Millis(9)).engaged().is_some(), "never read: not known to be off");
    }
}
