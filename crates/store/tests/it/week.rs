//! Simulates several days of a busy company on the slot state machine and the store, with a manual clock.
//! Pull requests are opened, pushed to in storms and closed. Workers lease slots, compute and publish
//! reviews, fail, crash, and write after their lease has expired. The forge is down for an hour, the server
//! is restarted every night, and the wall clock is set back.
//!
//! These properties are checked. The tokens of a pull request only increase, and no two workers lease it at
//! the same time. A run does not write after a newer run has begun. At most two reviews are computed in a
//! storm. At the end, the last head of every pull request was reviewed, and no slot is left. With the other
//! tests, the simulation covers a small company; `cargo xtask soak` sets the size in [`DAYS`].

mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::task::JoinSet;
use truing_core::id::{FencingToken, RunId, Sha, SlotKey, TimeSpan, UnixMillis};
use truing_core::port::{HaltPolicy, RunReference, SlotDescription, SlotMark, SlotStore};
use truing_core::slot::{HoldReason, LoopKind, Slot, SlotCommand, SlotLimits, SlotState};
use truing_store::Store;

use self::worker::{WorkerStepResult, apply_command, check_head, compute, finish, publish};
use super::{ManualWallClock, NOW};

/// The environment variable with the size: the number of days, and the number of pull requests per day. The
/// full size is `7,10000`.
const DAYS: &str = "TRUING_DAYS";
const SMALL: (i64, u64) = (2, 30);

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
/// Interval of the scheduler in milliseconds.
const TICK: i64 = 2_000;
const HEARTBEAT: i64 = 10_000;
/// Minimum number of concurrent leases; more pull requests per day allow more leases. A pull request needs
/// about 430 seconds of leases in total, mostly within ten hours of a day. 10,000 pull requests per day thus
/// keep 110 workers busy, and storms need even more.
const WORKERS: u64 = 64;
const PULLS_OF_A_WORKER: u64 = 50;
/// Maximum number of due slots to read with one query.
const BATCH: usize = 256;
/// The forge is unreachable during this hour of the second day.
const DOWN: std::ops::Range<i64> = DAY + 14 * HOUR..DAY + 15 * HOUR;
/// At three o'clock each day, the wall clock is set back by this time for an hour.
const SET_BACK: i64 = 45_000;
/// Maximum milliseconds from the last push to a pull request until its review, not counting times when the
/// forge is unreachable.
const LATEST: i64 = 30 * 60_000;

/// The random number generator SplitMix64.
struct SplitMixGenerator(u64);

impl SplitMixGenerator {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }

    fn span(&mut self, from: i64, to: i64) -> i64 {
        from + i64::try_from(self.below(u64::try_from(to - from).unwrap())).unwrap()
    }
}

/// The planned events of a pull request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum PlannedPullEvent {
    Push,
    /// The forge sends the webhook of an earlier push again.
    Again,
    Close,
}

/// The state of a pull request at the forge, and values that the checks need.
#[derive(Clone, Debug, Default)]
struct Pull {
    head: u64,
    closed: bool,
    last_push: i64,
    /// The newest head that was reviewed.
    reviewed: u64,
    /// Start of the storm, time of its last event, and number of reviews computed in it, which must be at
    /// most two.
    storm: Option<(i64, i64, u32)>,
    newest_token: u64,
    /// The token of the newest run that began. From then on, runs with smaller tokens must not write.
    begun: u64,
}

impl Pull {
    fn event(&mut self, limits: &SlotLimits, now: i64) {
        let goes_on = |(start, last, _): &(i64, i64, u32)| {
            now < (last + limits.storm_quiet_time.0).min(start + limits.max_storm_duration.0)
        };
        self.storm = match self.storm.filter(goes_on) {
            Some((start, _, computed)) => Some((start, now, computed)),
            None => Some((now, now, 0)),
        };
    }
}

/// The work of a worker on one lease.
struct Work {
    run: RunReference,
    at: usize,
    head: u64,
    next: Step,
    due: i64,
    beats: bool,
    beat: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Look,
    Compute,
    Publish,
    Finish,
}

/// The totals of the simulation.
#[derive(Default, Debug)]
struct SimulationTotals {
    events: u64,
    leases: u64,
    computed: u64,
    published: u64,
    died: u64,
    fenced: u64,
    parked: u64,
    latest: i64,
}

struct WeekSimulation {
    path: PathBuf,
    wall: Arc<ManualWallClock>,
    limits: SlotLimits,
    workers: usize,
    random: SplitMixGenerator,
    pulls: Vec<Pull>,
    plan: BTreeMap<i64, Vec<(usize, PlannedPullEvent)>>,
    work: Vec<Work>,
    counted: SimulationTotals,
}

fn slot_key(at: usize) -> SlotKey {
    SlotKey::new(format!("pr/github/{}/{at}", 1 + at % 200))
}

/// Returns the number of the pull request, which is at the end of the key.
fn pull_index(key: &SlotKey) -> usize {
    key.as_str().rsplit('/').next().unwrap().parse().unwrap()
}

fn commit_id(at: usize, head: u64) -> Sha {
    Sha::parse(&format!("{at:020x}{head:020x}")).unwrap()
}

impl WeekSimulation {
    fn new(path: PathBuf, days: i64, each: u64) -> Self {
        let mut company = Self {
            path,
            wall: ManualWallClock::at(NOW),
            limits: SlotLimits::default(),
            workers: usize::try_from(WORKERS.max(each / PULLS_OF_A_WORKER)).unwrap(),
            random: SplitMixGenerator(42),
            pulls: Vec::new(),
            plan: BTreeMap::new(),
            work: Vec::new(),
            counted: SimulationTotals::default(),
        };
        for day in 0..days {
            for _ in 0..each {
                let hour = company.random_hour();
                company.plan_pull_request(day * DAY + hour);
            }
        }
        company
    }

    /// Returns a random time of day; most events occur during working hours.
    fn random_hour(&mut self) -> i64 {
        let by_day = self.random.below(10) < 9;
        if by_day { self.random.span(8 * HOUR, 18 * HOUR) } else { self.random.span(0, DAY) }
    }

    /// Plans one pull request: one to four storms of one to eight pushes within two days. Some webhooks are
    /// sent twice, and the pull request is closed at the end.
    fn plan_pull_request(&mut self, opened: i64) {
        let at = self.pulls.len();
        self.pulls.push(Pull::default());
        let mut when = opened;
        for _ in 0..=self.random.below(4) {
            for _ in 0..=self.random.below(8) {
                self.schedule_event(when, at, PlannedPullEvent::Push);
                if self.random.below(10) == 0 {
                    let late = self.random.span(0, 90_000);
                    self.schedule_event(when + late, at, PlannedPullEvent::Again);
                }
                when += self.random.span(1_000, 70_000);
            }
            when += self.random.span(5 * 60_000, 12 * HOUR);
        }
        let closed = when + self.random.span(HOUR, 12 * HOUR);
        self.schedule_event(closed, at, PlannedPullEvent::Close);
    }

    fn schedule_event(&mut self, when: i64, at: usize, what: PlannedPullEvent) {
        let tick = when / TICK * TICK;
        self.plan.entry(tick).or_default().push((at, what));
    }

    fn open(&self) -> Store {
        Store::open(&self.path, self.wall.clone()).unwrap()
    }

    fn set_wall_clock(&self, at: i64) {
        let hour = at % DAY / HOUR;
        self.wall.set(NOW + at - if hour == 3 { SET_BACK } else { 0 });
    }

    /// Runs the simulation until no event, due slot or work is left.
    async fn run_simulation(&mut self) -> Store {
        let mut store = self.open();
        let mut at = 0;
        let mut next_restart = DAY;
        loop {
            self.set_wall_clock(at);
            if at >= next_restart {
                next_restart += DAY;
                drop(store);
                store = self.open();
                self.restart_server(&store).await;
            }
            self.events(&store, at).await;
            self.schedule(&store, at).await;
            self.send_heartbeats(&store, at).await;
            self.run_due_steps(&store, at).await;
            if at % HOUR == 0 && !DOWN.contains(&at) {
                self.retry_parked(&store).await;
            }
            // If nothing happens at the next tick, for example at night, the clock moves on to the next
            // event.
            let wakes = store.next_due(UnixMillis(i64::MIN)).await.unwrap().map(|wakes| wakes.0 - NOW);
            let planned = self.plan.keys().next().copied();
            let working = self.work.iter().map(|work| work.due.min(work.beat)).min();
            let Some(next) = [wakes, planned, working].into_iter().flatten().min() else {
                let parked = store
                    .list_slots()
                    .await
                    .unwrap()
                    .iter()
                    .any(|slot| slot.state == SlotState::Held { reason: HoldReason::Parked });
                if parked {
                    at = (at / HOUR + 1) * HOUR;
                    continue;
                }
                return store;
            };
            at = (at + TICK).max((next + TICK - 1) / TICK * TICK).min((at / HOUR + 1) * HOUR);
        }
    }

    /// Marks the slots of all pull requests with events at this tick, in one batch, as webhooks would.
    async fn events(&mut self, store: &Store, at: i64) {
        let mut marks = Vec::new();
        while let Some(entry) = self.plan.first_entry().filter(|entry| *entry.key() <= at) {
            for (pull, what) in entry.remove() {
                let is = &mut self.pulls[pull];
                match what {
                    PlannedPullEvent::Push => {
                        is.head += 1;
                        is.last_push = at;
                    }
                    PlannedPullEvent::Again => {}
                    PlannedPullEvent::Close => is.closed = true,
                }
                let head = Some(commit_id(pull, is.head));
                let (name, url) =
                    (format!("acme/r{}#{pull}", pull % 200), format!("https://forge.example/{pull}"));
                marks.push(SlotMark {
                    key: slot_key(pull),
                    description: SlotDescription { name, url, head },
                    loop_kind: LoopKind::Review,
                });
                let now = store.now().await.unwrap();
                is.event(&self.limits, now.0);
                self.counted.events += 1;
            }
        }
        if !marks.is_empty() {
            store.mark_slots(&marks, &self.limits, HaltPolicy::Refuse).await.unwrap();
        }
    }

    /// Leases due slots while workers are free, ends expired leases, and removes finished slots.
    async fn schedule(&mut self, store: &Store, at: i64) {
        loop {
            let now = store.now().await.unwrap();
            let due = store.due_slots(now, BATCH).await.unwrap();
            let mut last = BTreeMap::new();
            for slot in &due {
                let before = last.insert(slot.key.repository_prefix().to_owned(), slot.wake_time());
                assert!(before <= Some(slot.wake_time()), "{}: the oldest of a repository first", slot.key);
            }
            let mut free = self.workers.saturating_sub(self.work.len());
            let mut changes = Vec::new();
            for slot in due {
                let command = match slot.state {
                    SlotState::Waiting { .. } if free == 0 => continue,
                    SlotState::Waiting { .. } => SlotCommand::Lease,
                    SlotState::Leased { .. } => SlotCommand::ExpireLease,
                    SlotState::Idle => SlotCommand::RemoveEndedStorm,
                    SlotState::Held { .. } => continue,
                };
                let Ok(decision) = slot.apply_command(command, &self.limits, now) else { continue };
                free -= usize::from(command == SlotCommand::Lease);
                changes.push((slot.version, decision.slot));
            }
            if changes.is_empty() {
                return;
            }
            for (committed, (_, slot)) in store.commit_slots(&changes).await.unwrap().into_iter().zip(changes)
            {
                committed.unwrap();
                match slot.state {
                    SlotState::Leased { token, .. } => self.start_leased_work(&slot, token, at),
                    SlotState::Held { .. } | SlotState::Idle | SlotState::Waiting { .. } => {}
                }
            }
        }
    }

    fn start_leased_work(&mut self, slot: &Slot, token: FencingToken, at: i64) {
        self.counted.leases += 1;
        let pull = pull_index(&slot.key);
        let is = &mut self.pulls[pull];
        assert!(token.0 > is.newest_token, "{}: tokens only grow", slot.key);
        is.newest_token = token.0;
        let run = RunReference { id: RunId::new(format!("run-{}", token.0)), key: slot.key.clone(), token };
        let (head, due) = (is.head, at + self.random.span(TICK, 90_000));
        // Some workers crash immediately after they get a lease. Others are frozen: they send no heartbeat,
        // but still write after their lease has expired.
        let fate = self.random.below(50);
        if fate == 0 {
            self.counted.died += 1;
            return;
        }
        let (beats, due) = if fate == 1 { (false, due + 120_000) } else { (true, due) };
        self.work.push(Work { run, at: pull, head, next: Step::Look, due, beats, beat: at + HEARTBEAT });
    }

    /// Sends all heartbeats of this tick in one batch.
    async fn send_heartbeats(&mut self, store: &Store, at: i64) {
        let beating: Vec<&mut Work> =
            self.work.iter_mut().filter(|work| work.beats && work.beat <= at).collect();
        if beating.is_empty() {
            return;
        }
        let keys: Vec<SlotKey> = beating.iter().map(|work| work.run.key.clone()).collect();
        let now = store.now().await.unwrap();
        let mut changes = Vec::new();
        for (slot, work) in store.load_slots(&keys).await.unwrap().into_iter().zip(beating) {
            work.beat = at + HEARTBEAT;
            let decision =
                slot.apply_command(SlotCommand::Heartbeat(work.run.token), &self.limits, now).unwrap();
            changes.push((slot.version, decision.slot));
        }
        for committed in store.commit_slots(&changes).await.unwrap() {
            committed.unwrap();
        }
    }

    /// Performs in parallel all steps of work that are due.
    async fn run_due_steps(&mut self, store: &Store, at: i64) {
        let (due, rest): (Vec<Work>, Vec<Work>) =
            std::mem::take(&mut self.work).into_iter().partition(|work| work.due <= at);
        self.work = rest;
        let mut running = JoinSet::new();
        for work in due {
            let (store, limits, is) = (store.clone(), self.limits.clone(), self.pulls[work.at].clone());
            let down = DOWN.contains(&at);
            running.spawn(async move {
                let came = match work.next {
                    Step::Look => check_head(&store, &work, &is, &limits).await,
                    Step::Compute => compute(&store, &work, down, &limits).await,
                    Step::Publish => publish(&store, &work, down, &limits).await,
                    Step::Finish => finish(&store, &work, &is, &limits).await,
                };
                (work, came, is.begun)
            });
        }
        while let Some(done) = running.join_next().await {
            let (work, came, begun) = done.unwrap();
            self.apply_step_result(work, came, begun, at);
        }
    }

    /// Applies the result of a step. `begun` is the newest token that had begun a run before the step.
    fn apply_step_result(&mut self, mut work: Work, came: WorkerStepResult, begun: u64, at: i64) {
        let is = &mut self.pulls[work.at];
        let newest = is.newest_token == work.run.token.0;
        work.due = at + self.random.span(TICK, 20_000);
        match came {
            WorkerStepResult::Looked(head) => {
                is.begun = is.begun.max(work.run.token.0);
                work.due = at + self.random.span(TICK, 180_000);
                work.head = head;
                work.next = Step::Compute;
                self.work.push(work);
            }
            WorkerStepResult::Computed => {
                self.counted.computed += 1;
                assert!(newest, "{}: a run that was replaced has written", work.run.key);
                let (_, _, computed) = is.storm.as_mut().unwrap();
                *computed += 1;
                assert!(*computed <= 2, "{}: {computed} reviews in one storm", work.run.key);
                work.next = Step::Publish;
                self.work.push(work);
            }
            WorkerStepResult::Published => {
                assert!(begun <= work.run.token.0, "{}: a run that was replaced has written", work.run.key);
                if is.reviewed < work.head {
                    is.reviewed = work.head;
                    self.counted.published += 1;
                    if is.head == work.head
                        && !is.closed
                        && !(DOWN.start - LATEST..DOWN.end + 2 * HOUR).contains(&at)
                    {
                        self.counted.latest = self.counted.latest.max(at - is.last_push);
                    }
                }
                work.next = Step::Finish;
                self.work.push(work);
            }
            WorkerStepResult::Lost => {
                assert!(!work.beats || !newest, "{}: lost though it was alive", work.run.key);
                self.counted.fenced += 1;
            }
            WorkerStepResult::Ended | WorkerStepResult::Failed => {
                assert!(newest, "{}: two workers at once", work.run.key);
            }
        }
    }

    /// Simulates a restart: discards the work of all workers, and gives back their leases.
    async fn restart_server(&mut self, store: &Store) {
        self.work.clear();
        for slot in store.orphaned_slots().await.unwrap() {
            apply_command(store, &slot.key, SlotCommand::HandBack(slot.token().unwrap()), &self.limits)
                .await
                .unwrap();
        }
    }

    /// Retries all parked slots, as an operator on call would.
    async fn retry_parked(&mut self, store: &Store) {
        for slot in store.list_slots().await.unwrap() {
            if slot.state == (SlotState::Held { reason: HoldReason::Parked }) {
                self.counted.parked += 1;
                apply_command(store, &slot.key, SlotCommand::Retry, &self.limits).await.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn days_of_a_busy_company_keep_every_promise() {
    let (days, each) = match std::env::var(DAYS) {
        Ok(text) => {
            let (days, each) = text.split_once(',').expect("TRUING_DAYS=DAYS,PULLS");
            (days.parse().unwrap(), each.parse().unwrap())
        }
        Err(_) => SMALL,
    };
    let folder = tempfile::tempdir().unwrap();
    let began = std::time::Instant::now();
    let mut company = WeekSimulation::new(folder.path().join("truing.db"), days, each);
    let store = company.run_simulation().await;
    let WeekSimulation { pulls, counted, .. } = &company;
    let unreviewed: BTreeSet<usize> =
        (0..pulls.len()).filter(|at| pulls[*at].reviewed != pulls[*at].head).collect();
    assert_eq!(unreviewed, BTreeSet::new(), "pull requests not reviewed at their last head");
    assert!(counted.latest <= LATEST, "a settled head waited for {:?}", TimeSpan(counted.latest));
    let left: Vec<Slot> = store.list_slots().await.unwrap();
    let held =
        left.iter().filter(|slot| slot.state == SlotState::Held { reason: HoldReason::Cancelled }).count();
    assert_eq!(left.len(), held, "{left:?}");
    drop(store);
    let bytes = std::fs::metadata(folder.path().join("truing.db")).unwrap().len();
    let count = u64::try_from(pulls.len()).unwrap();
    println!(
        "{days} days, {count} pull requests: {counted:?}; {held} slots of closed ones; store {} KiB, {} \
         bytes a pull request; {:.1} s",
        bytes / 1024,
        bytes / count,
        began.elapsed().as_secs_f64()
    );
}
