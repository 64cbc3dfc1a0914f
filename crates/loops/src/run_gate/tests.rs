//! Each answer of the gate, with a store that answers, and with one that does not.

use truing_core::id::{Millis, PrId, Version};
use truing_core::port::{Gate as _, HaltReason, RecordStore};
use truing_core::slot::{Loop, Slot, State};
use truing_core::switch::{RepositorySwitch, Turn};

use super::*;
use crate::machine::SystemClock;

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
    let after = |switches, seconds| remembered(Some((switches, Duration::from_secs(seconds))), Millis(9));
    let first = after(&off, 29);
    assert_eq!((first.switches, first.freshness), (off.clone(), Freshness::Remembered));
    let then = after(&off, 30);
    assert_eq!((then.switches.all.engaged().unwrap().since, then.freshness), (Millis(9), Freshness::Unknown));
    assert_eq!(then.switches.repositories, off.repositories);
    assert!(!after(&off, 3000).switches.all.stops_runs());
    assert_eq!(after(&on(Mode::Stop), 3000).switches, on(Mode::Stop), "a switch that was on stays as it was");
    assert!(remembered(None, Millis(9)).switches.all.engaged().is_some(), "never read: not known to be off");
}

/// A gate of a run and one of a caller, with the store that they ask.
struct Scene {
    folder: tempfile::TempDir,
    store: Arc<dyn RecordStore>,
    switches: Arc<SwitchReader>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            truing_store::Store::open(&folder.path().join("truing.db"), Arc::new(SystemClock)).unwrap();
        let store = store.as_record_store();
        let switches = SwitchReader::new(store.clone(), Arc::new(SystemClock));
        Self { folder, store, switches }
    }

    fn run(&self) -> RunGate {
        RunGate::of_run(&self.switches, RepositoryRef::named("acme/shop"))
    }

    fn caller(&self) -> RunGate {
        RunGate::of_caller(&self.switches, RepositoryRef::named("acme/shop"))
    }

    async fn turn(&self, mode: Mode) {
        self.store.turn(&Turn::On { reason: None, mode: Some(mode) }, "ada").await.unwrap();
    }

    /// From now on the store gives no answer.
    fn lose_store(&self) {
        for name in ["truing.db", "truing.db-wal", "truing.db-shm"] {
            let _ = std::fs::remove_file(self.folder.path().join(name));
        }
    }

    /// Lets the last answer of the store be this old.
    fn age(&self, age: Duration) {
        let mut known = self.switches.known();
        let (switches, _) = known.last.take().unwrap();
        known.last = Some((switches, Instant::now().checked_sub(age).unwrap()));
    }
}

const HALTED: Result<(), HaltReason> = Err(HaltReason::KillSwitch);
const SILENT: Result<(), HaltReason> = Err(HaltReason::NoAnswer);

#[tokio::test]
async fn a_switch_that_is_on_stops_callers_and_in_mode_stop_runs_too() {
    let scene = Scene::new();
    let (run, caller, back) = (scene.run(), scene.caller(), scene.run().of_retraction());
    assert_eq!((run.ask().await, run.go_on().await, caller.ask().await), (Ok(()), Ok(()), Ok(())));
    scene.turn(Mode::Finish).await;
    assert_eq!((run.ask().await, run.go_on().await, caller.ask().await), (Ok(()), Ok(()), HALTED));
    scene.turn(Mode::Stop).await;
    assert_eq!((run.ask().await, run.go_on().await, caller.ask().await), (HALTED, HALTED, HALTED));
    assert_eq!((back.ask().await, back.ask_again().await, back.go_on().await), (Ok(()), Ok(()), Ok(())));
}

#[tokio::test]
async fn without_an_answer_of_the_store_no_write_is_made_and_a_run_goes_on_for_thirty_seconds() {
    let scene = Scene::new();
    let run = scene.run();
    assert_eq!(run.go_on().await, Ok(()));
    scene.lose_store();
    assert_eq!((run.ask().await, run.ask_again().await, run.go_on().await), (SILENT, SILENT, Ok(())));
    scene.age(REMEMBERED);
    assert_eq!((run.ask().await, run.go_on().await), (SILENT, SILENT));
}

#[tokio::test]
async fn a_run_that_lost_its_lease_repeats_no_write() {
    let scene = Scene::new();
    let key = PrId { forge: "github".into(), repository: "1".into(), number: 7 }.key();
    let run = |token| scene.run().under_lease(&scene.store, &key, Token(token));
    let leased = |token| Slot {
        state: State::Leased {
            token: Token(token),
            deadline: Millis(i64::MAX),
            of: Loop::Review,
            serving: None,
            pausing: false,
        },
        ..Slot::new(key.clone())
    };
    let version = scene.store.commit(&[(Version(0), leased(3))]).await.unwrap()[0].unwrap();
    assert_eq!(run(3).ask_again().await, Ok(()));
    scene.store.commit(&[(version, leased(5))]).await.unwrap()[0].unwrap();
    assert_eq!(run(3).ask().await, Ok(()), "the record refuses its intent");
    assert_eq!(run(3).ask_again().await, Err(HaltReason::LeaseLost { last: Token(5) }));
    assert_eq!(run(5).ask_again().await, Ok(()));
}
