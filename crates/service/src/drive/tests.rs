//! The end of a lease, by each way in which its step ends: as the slot is told it, and on a store.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tempfile::TempDir;
use truing_core::id::{Key, Millis};
use truing_core::slot::{Hold, Loop, Slot, State};
use truing_loops::machine::SystemClock;
use truing_store::Store;

use super::*;
use crate::by_hand;

const TOKEN: Token = Token(7);
const LEAD: Span = Span(100);

fn told(ended: Result<After, &Stopped>) -> [Option<Command>; 2] {
    [Heir::Server, Heir::Nobody].map(|heir| command(TOKEN, (ended, LEAD), heir))
}

fn finish(then: Then) -> Option<Command> {
    Some(Command::Finish(TOKEN, then))
}

#[test]
fn a_step_that_came_to_its_end_says_itself_when_the_slot_is_due() {
    let later = Then::DueAt(Millis(1_100), Why::Settling);
    assert_eq!(
        told(Ok(After::Then(Then::DueAt(Millis(1_000), Why::Settling)))),
        [finish(later); 2],
        "by the store's clock"
    );
    for then in [Then::Idle, Then::Again, Then::Held(Hold::Draft)] {
        assert_eq!(told(Ok(After::Then(then))), [finish(then); 2]);
    }
    assert_eq!(told(Ok(After::GivenBack)), [Some(Command::HandBack(TOKEN)), finish(Then::Idle)]);
}

#[test]
fn each_reason_to_stop_tells_the_slot_one_thing() {
    let failed = |not_before| Stopped::Failed { class: "class", what: "what".into(), not_before };
    let limited = Stopped::RateLimited { until: Millis(1_000), what: "wait".into() };
    for (stopped, by_server) in [
        (Stopped::Fenced(Token(9)), Some(Command::HandBack(TOKEN))),
        (Stopped::Halted, Some(Command::HandBack(TOKEN))),
        (Stopped::Interrupted, Some(Command::HandBack(TOKEN))),
        (Stopped::Moved, finish(Then::Again)),
        (limited, finish(Then::DueAt(Millis(1_100), Why::RateLimit))),
        (failed(None), Some(Command::Fail(TOKEN, None))),
        (failed(Some(Millis(1_000))), Some(Command::Fail(TOKEN, Some(Millis(1_100))))),
        (Stopped::NotThere { what: "gone".into() }, Some(Command::Fail(TOKEN, None))),
    ] {
        assert_eq!(told(Err(&stopped)), [by_server, finish(Then::Idle)], "{stopped}");
    }
    assert_eq!(told(Err(&Stopped::Lost)), [None, None], "it is another one's");
}

/// A step that ends like this, or never; and what it records of that.
struct Scripted<E> {
    ends: E,
    recorded: Mutex<Vec<String>>,
    /// The store that it records in.
    record: fn() -> Result<(), StoreError>,
}

#[async_trait]
impl<E: Fn() -> Option<Result<After, Stopped>> + Sync> Leased for Scripted<E> {
    type Ended = ();

    async fn step(&self) -> Result<(After, ()), Stopped> {
        match (self.ends)() {
            Some(ended) => ended.map(|after| (after, ())),
            None => std::future::pending().await,
        }
    }

    async fn stopped(&self, why: &Stopped) -> Result<(), StoreError> {
        self.recorded.lock().unwrap().push(why.to_string());
        (self.record)()
    }
}

/// A store with a lease for a step.
struct Scene {
    _folder: TempDir,
    store: Arc<dyn RecordStore>,
    limits: Limits,
    key: Key,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("truing.db"), Arc::new(SystemClock)).unwrap();
        Self {
            _folder: folder,
            store: store.as_record_store(),
            limits: Limits::default(),
            key: Key::new("pr/github/1/1"),
        }
    }

    async fn lease(&self) -> Lease {
        by_hand::lease(&*self.store, &self.key, Loop::Review, &self.limits).await.unwrap()
    }

    async fn slot(&self) -> Slot {
        self.store.load(std::slice::from_ref(&self.key)).await.unwrap().remove(0)
    }

    /// Drives a lease for a step that ends like this; how that ended, and what was recorded.
    async fn driven(
        &self,
        lease: &Lease,
        told: impl Future<Output = ()>,
        ends: impl Fn() -> Option<Result<After, Stopped>> + Sync,
        record: fn() -> Result<(), StoreError>,
    ) -> (Result<Result<(), Stopped>, StepError>, Vec<String>) {
        let scripted = Scripted { ends, recorded: Mutex::default(), record };
        let driver = Driver { store: &self.store, clock: &SystemClock, limits: &self.limits };
        let often = Duration::from_millis(5);
        let ended = driver.drive((lease, Heir::Server), often, told, &scripted).await;
        (ended, scripted.recorded.into_inner().unwrap())
    }
}

fn no_end() -> Option<Result<After, Stopped>> {
    None
}

#[tokio::test]
async fn a_step_that_ends_records_nothing_more_and_frees_the_slot() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    let ends = || Some(Ok(After::Then(Then::Idle)));
    let (ended, recorded) = scene.driven(&lease, std::future::pending(), ends, || Ok(())).await;
    assert!(matches!(ended, Ok(Ok(()))) && recorded.is_empty(), "{ended:?} {recorded:?}");
    assert_eq!(scene.slot().await.state, State::Idle);
}

#[tokio::test]
async fn whoever_is_told_to_stop_records_that_and_gives_the_lease_back_whatever_becomes_of_it() {
    for record in [|| Ok(()), || Err(StoreError::Unavailable("full".into()))] {
        let scene = Scene::new();
        let lease = scene.lease().await;
        let (ended, recorded) = scene.driven(&lease, std::future::ready(()), no_end, record).await;
        assert!(matches!(ended, Ok(Err(Stopped::Interrupted))), "{ended:?}");
        assert_eq!(recorded, ["interrupted"]);
        let slot = scene.slot().await;
        assert!(matches!(slot.state, State::Waiting { .. }) && slot.attempts == 0, "{slot:?}");
    }
}

#[tokio::test]
async fn a_lease_that_somebody_else_ended_stops_its_step_and_nothing_is_recorded() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    step(&*scene.store, &scene.key, Command::HandBack(lease.token), &scene.limits).await.unwrap();
    let next = scene.lease().await;
    let (ended, recorded) = scene.driven(&lease, std::future::pending(), no_end, || Ok(())).await;
    assert!(matches!(ended, Ok(Err(Stopped::Lost))) && recorded.is_empty(), "{ended:?} {recorded:?}");
    assert_eq!(scene.slot().await.token(), Some(next.token), "the other one has it still");
}

#[tokio::test]
async fn a_heartbeat_that_comes_after_the_end_of_its_lease_takes_nothing_for_lost() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    step(&*scene.store, &scene.key, Command::Finish(lease.token, Then::Idle), &scene.limits).await.unwrap();
    let often = Duration::from_millis(1);
    let beats = |is_ending| Heartbeats {
        store: scene.store.clone(),
        lease: lease.clone(),
        limits: scene.limits.clone(),
        ending: Arc::new(AtomicBool::new(is_ending)),
    };
    let (ending, at_work) = (beats(true), beats(false));
    tokio::select! {
        () = ending.lost(often) => panic!("it has ended as it should"),
        // Before its end it is lost, which takes as many heartbeats.
        () = async { for _ in 0..9 { at_work.lost(often).await; } } => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_holds_up_its_thread_holds_up_no_heartbeat() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    let leased_until = |slot: &Slot| {
        let State::Leased { deadline, .. } = slot.state else { return None };
        Some(deadline)
    };
    let first = leased_until(&scene.slot().await);
    let here = tokio::runtime::Handle::current();
    let load = || std::thread::scope(|scope| scope.spawn(|| here.block_on(scene.slot())).join().unwrap());
    let began = std::time::Instant::now();
    // It never waits as a task does: it ends when a heartbeat has come.
    let ends = || loop {
        if leased_until(&load()) > first {
            return Some(Ok(After::Then(Then::Idle)));
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
    step(&*scene.store, &scene.key, Command::HandBack(lease.token), &scene.limits).await.unwrap();
    let next = scene.lease().await;
    let ends = || Some(Ok(After::Then(Then::Idle)));
    let (ended, _) = scene.driven(&lease, std::future::pending(), ends, || Ok(())).await;
    assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    assert_eq!(scene.slot().await.token(), Some(next.token));
}

#[tokio::test]
async fn the_next_token_is_greater_than_the_one_that_records_have_seen() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    let seen = Token(lease.token.0 + 1_000);
    let ends = || Some(Err(Stopped::Fenced(seen)));
    let (ended, recorded) = scene.driven(&lease, std::future::pending(), ends, || Ok(())).await;
    assert!(matches!(ended, Ok(Err(Stopped::Fenced(_)))) && recorded.len() == 1, "{ended:?}");
    assert!(scene.lease().await.token > seen);
}

#[tokio::test]
async fn an_end_that_cannot_be_recorded_leaves_the_lease_to_expire() {
    let scene = Scene::new();
    let lease = scene.lease().await;
    let ends = || Some(Err(Stopped::Halted));
    let full = || Err(StoreError::Unavailable("full".into()));
    let (ended, _) = scene.driven(&lease, std::future::pending(), ends, full).await;
    assert!(matches!(ended, Err(StepError::Store(_))), "{ended:?}");
    assert_eq!(scene.slot().await.token(), Some(lease.token));
}
