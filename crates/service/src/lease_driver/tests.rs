//! Tests how a lease ends for each result of its step: which command the slot gets, and what the store then
//! contains.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tempfile::TempDir;
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::slot::{HoldReason, LoopKind, Slot, SlotState};
use truing_loops::machine::SystemClock;
use truing_store::Store;

use super::*;
use crate::manual_lease;

const TOKEN: FencingToken = FencingToken(7);
const LEAD: TimeSpan = TimeSpan(100);

fn told(ended: Result<NextSlotState, &StepStopReason>) -> [Option<SlotCommand>; 2] {
    [LeaseSuccessor::Server, LeaseSuccessor::Nobody].map(|heir| lease_end_command(TOKEN, ended, LEAD, heir))
}

fn finish(then: StepOutcome) -> Option<SlotCommand> {
    Some(SlotCommand::Finish(TOKEN, then))
}

#[test]
fn a_step_that_came_to_its_end_says_itself_when_the_slot_is_due() {
    let later = StepOutcome::DueAt(UnixMillis(1_100), WaitReason::Settling);
    assert_eq!(
        told(Ok(NextSlotState::Outcome(StepOutcome::DueAt(UnixMillis(1_000), WaitReason::Settling)))),
        [finish(later); 2],
        "by the store's clock"
    );
    for then in [StepOutcome::Done, StepOutcome::DueAgain, StepOutcome::Held(HoldReason::Draft)] {
        assert_eq!(told(Ok(NextSlotState::Outcome(then))), [finish(then); 2]);
    }
    assert_eq!(
        told(Ok(NextSlotState::Unfinished)),
        [Some(SlotCommand::HandBack(TOKEN)), finish(StepOutcome::Done)]
    );
}

#[test]
fn each_reason_to_stop_tells_the_slot_one_thing() {
    let failed = |not_before| StepStopReason::StepFailed {
        failure_class: "class",
        message: "what".into(),
        not_before,
    };
    let limited = StepStopReason::RateLimited { until: UnixMillis(1_000), message: "wait".into() };
    for (stopped, by_server) in [
        (StepStopReason::Fenced(FencingToken(9)), Some(SlotCommand::HandBack(TOKEN))),
        (StepStopReason::Halted, Some(SlotCommand::HandBack(TOKEN))),
        (StepStopReason::Interrupted, Some(SlotCommand::HandBack(TOKEN))),
        (StepStopReason::HeadChanged, finish(StepOutcome::DueAgain)),
        (limited, finish(StepOutcome::DueAt(UnixMillis(1_100), WaitReason::RateLimit))),
        (failed(None), Some(SlotCommand::Fail(TOKEN, None))),
        (failed(Some(UnixMillis(1_000))), Some(SlotCommand::Fail(TOKEN, Some(UnixMillis(1_100))))),
        (StepStopReason::NotFound { message: "gone".into() }, Some(SlotCommand::Fail(TOKEN, None))),
    ] {
        assert_eq!(told(Err(&stopped)), [by_server, finish(StepOutcome::Done)], "{stopped}");
    }
    assert_eq!(told(Err(&StepStopReason::LeaseLost)), [None, None], "it is another one's");
}

/// A step that returns the result of `ends`, or hangs if `ends` returns `None`. `recorded` collects the stop
/// reasons that the driver asks the step to record.
struct Scripted<E> {
    ends: E,
    recorded: Mutex<Vec<String>>,
    /// Returns the result of the attempt to record the stop reason in a store.
    record: fn() -> Result<(), StoreError>,
}

#[async_trait]
impl<E: Fn() -> Option<Result<NextSlotState, StepStopReason>> + Sync> LeasedStep for Scripted<E> {
    type Output = ();

    async fn step(&self) -> Result<(NextSlotState, ()), StepStopReason> {
        match (self.ends)() {
            Some(ended) => ended.map(|after| (after, ())),
            None => std::future::pending().await,
        }
    }

    async fn record_stop(&self, reason: &StepStopReason) -> Result<(), StoreError> {
        self.recorded.lock().unwrap().push(reason.to_string());
        (self.record)()
    }
}

/// A store with a slot that a test can lease for a step.
struct Scene {
    _folder: TempDir,
    store: Arc<dyn RecordStore>,
    limits: SlotLimits,
    key: SlotKey,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("truing.db"), Arc::new(SystemClock)).unwrap();
        Self {
            _folder: folder,
            store: store.as_record_store(),
            limits: SlotLimits::default(),
            key: SlotKey::new("pr/github/1/1"),
        }
    }

    async fn lease(&self) -> Lease {
        manual_lease::lease_slot(&*self.store, &self.key, LoopKind::Review, &self.limits).await.unwrap()
    }

    async fn slot(&self) -> Slot {
        self.store.load_slots(std::slice::from_ref(&self.key)).await.unwrap().remove(0)
    }

    /// Drives a lease with a step that returns the result of `ends`. Returns the result of the lease and the
    /// recorded reasons.
    async fn driven(
        &self,
        lease: &Lease,
        stop: impl Future<Output = ()>,
        ends: impl Fn() -> Option<Result<NextSlotState, StepStopReason>> + Sync,
        record: fn() -> Result<(), StoreError>,
    ) -> (Result<Result<(), StepStopReason>, SlotCommandError>, Vec<String>) {
        let scripted = Scripted { ends, recorded: Mutex::default(), record };
        let driver = LeaseDriver { store: &self.store, clock: &SystemClock, limits: &self.limits };
        let often = Duration::from_millis(5);
        let ended = driver.drive(lease, LeaseSuccessor::Server, often, stop, &scripted).await;
        (ended, scripted.recorded.into_inner().unwrap())
    }
}

fn no_end() -> Option<Result<NextSlotState, StepStopReason>> {
    None
}

#[tokio::test]
async fn a_step_that_ends_records_nothing_more_and_frees_the_slot() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    let ends = || Some(Ok(NextSlotState::Outcome(StepOutcome::Done)));
    let (ended, recorded) = scene.driven(&lease, std::future::pending(), ends, || Ok(())).await;
    assert!(matches!(ended, Ok(Ok(()))) && recorded.is_empty(), "{ended:?} {recorded:?}");
    assert_eq!(scene.slot().await.state, SlotState::Idle);
}

#[tokio::test]
async fn whoever_is_told_to_stop_records_that_and_gives_the_lease_back_whatever_becomes_of_it() {
    for record in [|| Ok(()), || Err(StoreError::Unavailable("full".into()))] {
        let scene = Scene::new();
        let lease = scene.lease().await;
        let (ended, recorded) = scene.driven(&lease, std::future::ready(()), no_end, record).await;
        assert!(matches!(ended, Ok(Err(StepStopReason::Interrupted))), "{ended:?}");
        assert_eq!(recorded, ["interrupted"]);
        let slot = scene.slot().await;
        assert!(matches!(slot.state, SlotState::Waiting { .. }) && slot.attempts == 0, "{slot:?}");
    }
}

#[tokio::test]
async fn a_lease_that_somebody_else_ended_stops_its_step_and_nothing_is_recorded() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    apply_slot_command(&*scene.store, &scene.key, SlotCommand::HandBack(lease.token), &scene.limits)
        .await
        .unwrap();
    let next = scene.lease().await;
    let (ended, recorded) = scene.driven(&lease, std::future::pending(), no_end, || Ok(())).await;
    assert!(
        matches!(ended, Ok(Err(StepStopReason::LeaseLost))) && recorded.is_empty(),
        "{ended:?} {recorded:?}"
    );
    assert_eq!(scene.slot().await.token(), Some(next.token), "the other one has it still");
}

#[tokio::test]
async fn a_heartbeat_that_comes_after_the_end_of_its_lease_takes_nothing_for_lost() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    apply_slot_command(
        &*scene.store,
        &scene.key,
        SlotCommand::Finish(lease.token, StepOutcome::Done),
        &scene.limits,
    )
    .await
    .unwrap();
    let often = Duration::from_millis(1);
    let beats = |is_ending| LeaseHeartbeats {
        store: scene.store.clone(),
        lease: lease.clone(),
        limits: scene.limits.clone(),
        is_ending: Arc::new(AtomicBool::new(is_ending)),
    };
    let (ending, at_work) = (beats(true), beats(false));
    tokio::select! {
        () = ending.send_until_lost(often) => panic!("it has ended as it should"),
        // While a step is running, the heartbeat reports a lost lease each time. While a lease is ending, the
        // heartbeat must not report the loss; the test waits for nine reports of the other heartbeat.
        () = async { for _ in 0..9 { at_work.send_until_lost(often).await; } } => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_holds_up_its_thread_holds_up_no_heartbeat() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    let leased_until = |slot: &Slot| {
        let SlotState::Leased { deadline, .. } = slot.state else { return None };
        Some(deadline)
    };
    let first = leased_until(&scene.slot().await);
    let here = tokio::runtime::Handle::current();
    let load = || std::thread::scope(|scope| scope.spawn(|| here.block_on(scene.slot())).join().unwrap());
    let began = std::time::Instant::now();
    // The step blocks its thread and never yields to the runtime. The step returns as soon as the store
    // contains a later deadline, which a heartbeat has written.
    let ends = || loop {
        if leased_until(&load()) > first {
            return Some(Ok(NextSlotState::Outcome(StepOutcome::Done)));
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no heartbeat has come");
    };
    let (ended, recorded) = scene.driven(&lease, std::future::pending(), ends, || Ok(())).await;
    assert!(matches!(ended, Ok(Ok(()))) && recorded.is_empty(), "{ended:?} {recorded:?}");
}

#[tokio::test]
async fn a_step_whose_lease_is_lost_at_its_end_has_come_to_it_all_the_same() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    apply_slot_command(&*scene.store, &scene.key, SlotCommand::HandBack(lease.token), &scene.limits)
        .await
        .unwrap();
    let next = scene.lease().await;
    let ends = || Some(Ok(NextSlotState::Outcome(StepOutcome::Done)));
    let (ended, _) = scene.driven(&lease, std::future::pending(), ends, || Ok(())).await;
    assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    assert_eq!(scene.slot().await.token(), Some(next.token));
}

#[tokio::test]
async fn the_next_token_is_greater_than_the_one_that_records_have_seen() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    let seen = FencingToken(lease.token.0 + 1_000);
    let ends = || Some(Err(StepStopReason::Fenced(seen)));
    let (ended, recorded) = scene.driven(&lease, std::future::pending(), ends, || Ok(())).await;
    assert!(matches!(ended, Ok(Err(StepStopReason::Fenced(_)))) && recorded.len() == 1, "{ended:?}");
    assert!(scene.lease().await.token > seen);
}

#[tokio::test]
async fn an_end_that_cannot_be_recorded_leaves_the_lease_to_expire() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    let ends = || Some(Err(StepStopReason::Halted));
    let full = || Err(StoreError::Unavailable("full".into()));
    let (ended, _) = scene.driven(&lease, std::future::pending(), ends, full).await;
    assert!(matches!(ended, Err(SlotCommandError::Store(_))), "{ended:?}");
    assert_eq!(scene.slot().await.token(), Some(lease.token));
}
