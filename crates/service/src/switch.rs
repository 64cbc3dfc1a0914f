//! The kill switches as a running service knows them: read from the store whenever it matters; that of everything is believed to be on
//! when they cannot be read for too long.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use truing_core::id::{Key, Millis};
use truing_core::port::{Clock, Event, Gate, RecordStore, RunRef, StoreError, Withheld};
use truing_core::slot::{Slot, State};
use truing_core::switch::{Engaged, EngagedSwitch, KillSwitches, Mode, RepositoryRef, Switch};

use super::context::ServiceContext;

/// A switch that could not be read for this long counts as on (design.md section 5).
pub const UNREADABLE: Duration = Duration::from_secs(30);
/// One read may take this long.
const READ_TIME: Duration = Duration::from_secs(5);

/// The last known state of the switches, and the slots whose history has them. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct KillSwitch(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The last answer, and when it came.
    last: Option<(KillSwitches, Instant)>,
    /// Since when no answer comes.
    failing: Option<Millis>,
    /// The slots that are noted as held back, each with the instant at which that switch was turned on.
    told: BTreeMap<Key, Millis>,
}

impl KillSwitch {
    /// Reads the switches; `now` is the wall clock.
    pub async fn read(&self, store: &dyn RecordStore, now: Millis) -> KillSwitches {
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
        tracing::warn!(error, on = believed.all.engaged().is_some(), "the kill switch cannot be read");
        believed
    }

    /// The gate that a run in this repository asks before each of its effects.
    pub fn gate(
        &self,
        store: &Arc<dyn RecordStore>,
        clock: &Arc<dyn Clock>,
        repository: RepositoryRef,
    ) -> RunGate {
        let (switch, store, clock) = (self.clone(), Arc::clone(store), Arc::clone(clock));
        RunGate { switch, store, clock, repository, is_retraction: false }
    }

    /// How many slots are known to be held back.
    pub(super) fn held_back(&self) -> usize {
        self.known().told.len()
    }

    /// Is it the first time that this slot is told of this engagement?
    fn first(&self, key: &Key, engaged: &Engaged) -> bool {
        self.known().told.insert(key.clone(), engaged.since) != Some(engaged.since)
    }

    /// Forgets those whom no switch holds back any more.
    fn forget(&self, switches: &KillSwitches) {
        let is_held = |key: &Key| switches.at(&RepositoryRef::of_key(key)).is_some();
        self.known().told.retain(|key, _| is_held(key));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The switches to go by while they cannot be read, after the last answer and its age.
fn believed(last: Option<(&KillSwitches, Duration)>, since: Millis) -> KillSwitches {
    let switches = match last {
        Some((switches, age)) if age < UNREADABLE => return switches.clone(),
        Some((switches, _)) => switches.clone(),
        None => KillSwitches::default(),
    };
    let all = match switches.all {
        Switch::On(engaged) => engaged,
        // Runs in flight may finish: whatever they write is fenced, and recorded or not done.
        Switch::Off => Engaged {
            since,
            by: "truing".into(),
            reason: Some("the switch cannot be read".into()),
            mode: Mode::Finish,
        },
    };
    KillSwitches { all: Switch::On(all), repositories: switches.repositories }
}

impl ServiceContext {
    /// The kill switches now.
    pub async fn switch(&self) -> KillSwitches {
        self.kill_switch.read(&*self.switch_store, self.clock.now()).await
    }

    /// The gate that a run in this repository asks before each of its effects.
    pub fn gate(&self, repository: RepositoryRef) -> RunGate {
        self.kill_switch.gate(&self.switch_store, &self.clock, repository)
    }
}

/// Closed while a switch is on that stops runs in flight in the repository.
#[derive(Clone)]
pub struct RunGate {
    switch: KillSwitch,
    store: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
    repository: RepositoryRef,
    is_retraction: bool,
}

impl RunGate {
    /// The gate of what an operator takes back by a command: it is open while the switch is on, which is when that is needed.
    pub fn of_retraction(self) -> Self {
        Self { is_retraction: true, ..self }
    }
}

impl fmt::Debug for RunGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunGate").field("switch", &self.switch).finish_non_exhaustive()
    }
}

// A newer run is looked for where the intent is recorded, in the same transaction.
#[async_trait]
impl Gate for RunGate {
    async fn ask(&self) -> Result<(), Withheld> {
        let is_open = self.is_retraction
            || !self.switch.read(&*self.store, self.clock.now()).await.stop_runs(&self.repository);
        if is_open { Ok(()) } else { Err(Withheld::Halted) }
    }
}

impl ServiceContext {
    /// Tells of each due slot, once an engagement, that its run is held back.
    pub(super) async fn hold_back(&self, switches: &KillSwitches, due: &[Slot]) -> Result<(), StoreError> {
        self.kill_switch.forget(switches);
        let waiting = due.iter().filter(|slot| matches!(slot.state, State::Waiting { .. }));
        let held: Vec<Event> = waiting
            .filter_map(|slot| Some((&slot.key, switches.at(&RepositoryRef::of_key(&slot.key))?)))
            .filter(|(key, switch)| self.kill_switch.first(key, switch.engaged))
            .map(|(key, switch)| self.engaged_event(switch, key, None, "held back"))
            .collect();
        if held.is_empty() {
            return Ok(());
        }
        self.store.note(&held).await
    }

    /// Tells that a run in flight was stopped.
    pub(super) async fn halted(&self, run: &RunRef) -> Result<(), StoreError> {
        // It may be off again by now; then what stopped the run is told by the audit log.
        let switches = self.switch().await;
        let Some(switch) = switches.at(&RepositoryRef::of_key(&run.key)) else { return Ok(()) };
        self.kill_switch.first(&run.key, switch.engaged);
        self.store.note(&[self.engaged_event(switch, &run.key, Some(run), "stopped")]).await
    }

    /// One `KillSwitchEngaged` event, in the log too. A run that was never begun gets the id it would have had.
    fn engaged_event(&self, switch: EngagedSwitch<'_>, key: &Key, run: Option<&RunRef>, what: &str) -> Event {
        let engaged = switch.engaged;
        let id = run.map_or_else(|| self.ids.run(), |run| run.id.clone());
        let reason = engaged.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let mode = engaged.mode.as_str();
        let of = match switch.repository {
            None => String::new(),
            Some(name) => format!(" by the switch of {name} until `truing {}`", switch.off()),
        };
        let what = format!("KillSwitchEngaged: {what}{of} (mode {mode}, by {}{reason})", engaged.by);
        tracing::warn!(event = "KillSwitchEngaged", %key, review_id = %id, "{what}");
        Event { at: self.clock.now(), key: key.clone(), run: Some(id), what }
    }
}

#[cfg(test)]
mod tests {
    use truing_core::switch::RepositorySwitch;

    use super::*;

    fn of_shop() -> RepositorySwitch {
        let engaged = Engaged { since: Millis(2), by: "bob".into(), reason: None, mode: Mode::Finish };
        RepositorySwitch { repository: RepositoryRef::named("acme/shop"), engaged }
    }

    #[test]
    fn an_unreadable_switch_is_as_it_was_for_thirty_seconds_and_then_on() {
        let on = |mode| {
            let (by, reason) = ("ada".into(), Some("storm".into()));
            let all = Switch::On(Engaged { since: Millis(1), by, reason, mode });
            KillSwitches { all, repositories: vec![of_shop()] }
        };
        let off = KillSwitches { all: Switch::Off, repositories: vec![of_shop()] };
        let after = |switches, seconds| believed(Some((switches, Duration::from_secs(seconds))), Millis(9));
        assert_eq!(after(&off, 29), off);
        assert_eq!(after(&off, 30).all.engaged().unwrap().since, Millis(9));
        assert_eq!(after(&off, 30).repositories, off.repositories);
        assert!(!after(&off, 3000).all.stops_runs());
        assert_eq!(after(&on(Mode::Stop), 3000), on(Mode::Stop), "a switch that was on stays as it was");
        assert!(believed(None, Millis(9)).all.engaged().is_some(), "never read: not known to be off");
    }
}
