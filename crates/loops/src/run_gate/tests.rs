//! Tests each decision of the gate, both with a store that works and with a store that fails.

use truing_core::id::{PrId, SlotVersion, UnixMillis};
use truing_core::port::{HaltReason, RecordStore, WriteGate as _};
use truing_core::slot::{LoopKind, Slot, SlotState};
use truing_core::switch::{RepositorySwitch, SwitchRequest};

use super::*;
use crate::machine::SystemClock;

fn shop_switch() -> RepositorySwitch {
    let engaged = SwitchEngagement {
        since: UnixMillis(2),
        operator: "bob".into(),
        reason: None,
        mode: HaltMode::Finish,
    };
    RepositorySwitch { repository: RepositoryRef::from_name("acme/shop"), engaged }
}

#[test]
fn an_unreadable_switch_is_as_it_was_for_thirty_seconds_and_then_on() {
    let on = |mode| {
        let (by, reason) = ("ada".into(), Some("storm".into()));
        let all = KillSwitch::On(SwitchEngagement { since: UnixMillis(1), operator: by, reason, mode });
        KillSwitches { global_switch: all, repositories: vec![shop_switch()] }
    };
    let off = KillSwitches { global_switch: KillSwitch::Off, repositories: vec![shop_switch()] };
    let after = |switches, seconds| {
        snapshot_from_cache(Some((switches, Duration::from_secs(seconds))), UnixMillis(9))
    };
    let first = after(&off, 29);
    assert_eq!((first.switches, first.freshness), (off.clone(), SwitchFreshness::Cached));
    let then = after(&off, 30);
    assert_eq!(
        (then.switches.global_switch.engagement().unwrap().since, then.freshness),
        (UnixMillis(9), SwitchFreshness::Unknown)
    );
    assert_eq!(then.switches.repositories, off.repositories);
    assert!(!after(&off, 3000).switches.global_switch.stops_runs());
    assert_eq!(
        after(&on(HaltMode::Stop), 3000).switches,
        on(HaltMode::Stop),
        "a switch that was on stays as it was"
    );
    assert!(
        snapshot_from_cache(None, UnixMillis(9)).switches.global_switch.engagement().is_some(),
        "never read: not known to be off"
    );
}

/// A store and a switch reader, from which tests create the gate of a run and the gate of a caller.
struct Scene {
    _folder: tempfile::TempDir,
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
        Self { _folder: folder, store, switches }
    }

    fn run_gate(&self) -> RunGate {
        RunGate::for_run(&self.switches, RepositoryRef::from_name("acme/shop"))
    }

    fn caller_gate(&self) -> RunGate {
        RunGate::for_caller(&self.switches, RepositoryRef::from_name("acme/shop"))
    }

    async fn turn_switch_on(&self, mode: HaltMode) {
        self.store
            .turn_switch(&SwitchRequest::TurnOn { reason: None, mode: Some(mode) }, "ada")
            .await
            .unwrap();
    }
}

const HALTED: Result<(), HaltReason> = Err(HaltReason::KillSwitch);
const SILENT: Result<(), HaltReason> = Err(HaltReason::NoAnswer);

#[tokio::test]
async fn a_switch_that_is_on_stops_callers_and_in_mode_stop_runs_too() {
    let scene = Scene::new();
    let (run, caller, back) = (scene.run_gate(), scene.caller_gate(), scene.run_gate().for_retraction());
    assert_eq!(
        (run.permit_write().await, run.permit_continuation().await, caller.permit_write().await),
        (Ok(()), Ok(()), Ok(()))
    );
    scene.turn_switch_on(HaltMode::Finish).await;
    assert_eq!(
        (run.permit_write().await, run.permit_continuation().await, caller.permit_write().await),
        (Ok(()), Ok(()), HALTED)
    );
    scene.turn_switch_on(HaltMode::Stop).await;
    assert_eq!(
        (run.permit_write().await, run.permit_continuation().await, caller.permit_write().await),
        (HALTED, HALTED, HALTED)
    );
    assert_eq!((back.permit_write().await, back.permit_continuation().await), (Ok(()), Ok(())));
}

#[tokio::test]
async fn without_an_answer_of_the_store_no_write_is_made_and_a_run_goes_on_for_thirty_seconds() {
    let scene = Scene::new();
    let (run, caller) = (scene.run_gate(), scene.caller_gate());
    let off = scene.switches.read().await;
    assert_eq!(off.freshness, SwitchFreshness::Current);
    let after = |age| snapshot_from_cache(Some((&off.switches, age)), UnixMillis(9));
    let soon = after(CACHED_ANSWER_LIFETIME - Duration::from_millis(1));
    assert_eq!((run.check_switches(&soon, true), run.check_switches(&soon, false)), (SILENT, Ok(())));
    assert_eq!(caller.check_switches(&soon, true), SILENT);
    let late = after(CACHED_ANSWER_LIFETIME);
    assert_eq!((run.check_switches(&late, true), run.check_switches(&late, false)), (SILENT, SILENT));
    scene.turn_switch_on(HaltMode::Stop).await;
    let stopped = scene.switches.read().await.switches;
    let soon = snapshot_from_cache(Some((&stopped, Duration::ZERO)), UnixMillis(9));
    assert_eq!(run.check_switches(&soon, false), HALTED);
}

#[tokio::test]
async fn a_run_that_lost_its_lease_makes_no_write() {
    let scene = Scene::new();
    let key = PrId { forge: "github".into(), repository: "1".into(), number: 7 }.key();
    let run = |token| scene.run_gate().with_lease(&scene.store, &key, FencingToken(token));
    let leased = |token| Slot {
        state: SlotState::Leased {
            token: FencingToken(token),
            deadline: UnixMillis(i64::MAX),
            loop_kind: LoopKind::Review,
            claimed_events: None,
            pause_requested: false,
        },
        ..Slot::new(key.clone())
    };
    let version = scene.store.commit_slots(&[(SlotVersion(0), leased(3))]).await.unwrap()[0].unwrap();
    assert_eq!(run(3).permit_write().await, Ok(()));
    scene.store.commit_slots(&[(version, leased(5))]).await.unwrap()[0].unwrap();
    assert_eq!(run(3).permit_write().await, Err(HaltReason::LeaseLost { greatest_token: FencingToken(5) }));
    assert_eq!((run(3).permit_continuation().await, run(5).permit_write().await), (Ok(()), Ok(())));
}
