//! Property tests of the guarantees of the slot's state machine under arbitrary schedules. A schedule
//! contains pushes, deliveries (late, repeated, reordered, lost), requests, crashes, failures and clock
//! jumps.
//!
//! The tests simulate a forge whose pull request gets new heads, workers that act like the review loop, and
//! the records of the reviewed heads. The tests recognize storms independently of the slot. `SlotUnderTest`
//! stores the slot: in memory in these tests. The tests of the stores include this file with a
//! `SlotUnderTest` that uses a real store.

use proptest::prelude::*;
use truing_core::id::{FencingToken, TimeSpan, UnixMillis};
use truing_core::slot::{
    HoldReason, LoopKind, Slot, SlotCommand, SlotLimits, SlotRefusal, SlotState, StepOutcome, WaitReason,
};

use super::SlotUnderTest;

/// One event of a schedule.
#[derive(Clone, Debug)]
enum Act {
    /// A push moves the head. After `delay`, its event is delivered `copies` times; with 0 copies, the event
    /// is lost.
    Push { delay: i64, copies: usize },
    /// A user requests a review.
    Ask,
    /// Time passes, and the store's clock may jump forward.
    Pass(i64),
    /// The scheduler ends leases that have expired, and leases a due slot to worker `0` or `1`.
    Look(usize),
    /// A worker makes one step: the worker reads the head, computes, publishes, or finishes.
    Work(usize),
    /// The time advances until the slot is due. Then the scheduler leases the slot to a worker, and the
    /// worker makes this many steps.
    Run(usize, usize),
    /// A worker's step fails.
    Fail(usize),
    /// A worker exits without a report.
    Die(usize),
    /// A worker returns its lease before it expires.
    HandBack(usize),
    /// A worker sends a heartbeat.
    Beat(usize),
    /// An operator requests a retry.
    Retry,
    /// A user pauses the slot.
    Pause,
    /// A user resumes the slot.
    Resume,
}

/// The progress of a worker.
#[derive(Clone, Copy, Debug, PartialEq)]
enum WorkerProgress {
    /// The worker has a lease, and has not read the head yet.
    Leased,
    /// The worker has read this head.
    Looked(u32),
    /// The worker has computed the review of this head and recorded it.
    Computed(u32),
}

struct World {
    limits: SlotLimits,
    now: UnixMillis,
    slot: Slot,
    keeper: SlotUnderTest,
    head: u32,
    in_flight: Vec<UnixMillis>,
    workers: [Option<(FencingToken, WorkerProgress)>; 2],
    /// The records: the head whose review was computed. The fields below are the head whose review was
    /// published, and the greatest fencing token.
    computed_head: Option<u32>,
    reviewed: Option<u32>,
    last_token: FencingToken,
    /// Storms, recorded independently of the slot: the time of the first event, the time of the last event,
    /// and the number of computed reviews.
    storms: Vec<(UnixMillis, UnixMillis, u32)>,
    beaten: [UnixMillis; 2],
    /// True if a pause was the last pause or resume command.
    paused: bool,
}

impl World {
    fn new() -> Self {
        let keeper = SlotUnderTest::new();
        Self {
            limits: SlotLimits::default(),
            now: UnixMillis(1_000_000),
            slot: Slot::new(keeper.key()),
            keeper,
            head: 0,
            in_flight: vec![],
            workers: [None; 2],
            computed_head: None,
            reviewed: Some(0),
            last_token: FencingToken(0),
            storms: vec![],
            beaten: [UnixMillis(0); 2],
            paused: false,
        }
    }

    /// Applies a command to the slot, and stores the result.
    fn step(&mut self, command: SlotCommand) -> Result<(), SlotRefusal> {
        let decision = self.slot.apply_command(command, &self.limits, self.now)?;
        self.slot = self.keeper.commit(self.slot.version, decision.slot);
        Ok(())
    }

    fn event(&mut self) {
        self.note_event();
        self.step(SlotCommand::Event(LoopKind::Review)).unwrap();
    }

    fn note_event(&mut self) {
        let (now, limits) = (self.now, self.limits.clone());
        match self.storms.last_mut() {
            Some((start, last, _))
                if now - *last < limits.storm_quiet_time && now - *start < limits.max_storm_duration =>
            {
                *last = now;
            }
            _ => self.storms.push((now, now, 0)),
        }
    }

    /// Counts a computed review for the last storm. If this storm has ended and already has two reviews, an
    /// event was lost; the review then counts for a new storm.
    fn note_computed(&mut self) {
        let (now, limits) = (self.now, self.limits.clone());
        match self.storms.last_mut() {
            Some((start, last, computed))
                if *computed < 2
                    || (now - *last < limits.storm_quiet_time
                        && now - *start < limits.max_storm_duration) =>
            {
                *computed += 1;
            }
            _ => self.storms.push((now, now, 1)),
        }
    }

    fn pass_time(&mut self, ms: i64) {
        let until = self.now + TimeSpan(ms);
        loop {
            let next = self.in_flight.iter().copied().filter(|at| *at <= until).min();
            let Some(at) = next else { break };
            let index = self.in_flight.iter().position(|when| *when == at).unwrap();
            self.in_flight.remove(index);
            self.now = self.now.max(at);
            self.event();
        }
        self.now = until;
    }

    fn check_for_work(&mut self, worker: usize) {
        if self.slot.wake_time().is_none_or(|at| at > self.now) {
            return;
        }
        match self.slot.state {
            SlotState::Leased { .. } => self.step(SlotCommand::ExpireLease).unwrap(),
            SlotState::Idle => self.step(SlotCommand::RemoveEndedStorm).unwrap(),
            SlotState::Waiting { .. } if self.workers[worker].is_none() => {
                let asked = self.slot.pending.review.is_some_and(|pending| pending.requested_at.is_some());
                self.step(SlotCommand::Lease).unwrap();
                let token = self.slot.token().unwrap();
                if asked {
                    self.storms.push((self.now, self.now, 0));
                }
                self.workers[worker] = Some((token, WorkerProgress::Leased));
                self.beaten[worker] = self.now;
            }
            SlotState::Waiting { .. } | SlotState::Held { .. } => {}
        }
    }

    /// Makes one step of the review loop. The records reject steps with an old fencing token.
    fn step_worker(&mut self, worker: usize) {
        let Some((token, at)) = self.workers[worker] else { return };
        if self.now - self.beaten[worker] >= self.limits.self_stop_delay() {
            self.workers[worker] = None; // stops itself without an acknowledged heartbeat
            return;
        }
        let next = match at {
            WorkerProgress::Leased => {
                if token < self.last_token {
                    None
                } else {
                    self.last_token = token;
                    Some(WorkerProgress::Looked(self.head))
                }
            }
            WorkerProgress::Looked(head) if self.computed_head == Some(head) => {
                Some(WorkerProgress::Computed(head))
            }
            WorkerProgress::Looked(head) if self.reviewed == Some(head) && !self.is_lease_requested() => {
                let _ = self.step(SlotCommand::Finish(token, StepOutcome::Done));
                None
            }
            WorkerProgress::Looked(_) if !self.slot.may_compute_review(self.now) => {
                let ends = self.slot.storm.unwrap().end;
                let _ = self.step(SlotCommand::Finish(token, StepOutcome::DueAt(ends, WaitReason::Storm)));
                None
            }
            WorkerProgress::Looked(head) => {
                let counted = self.step(SlotCommand::CountReview(token));
                if counted.is_ok() && token >= self.last_token {
                    self.note_computed();
                    self.computed_head = Some(head);
                    Some(WorkerProgress::Computed(head))
                } else {
                    None
                }
            }
            WorkerProgress::Computed(head) => {
                if token >= self.last_token {
                    self.reviewed = Some(head);
                    self.computed_head = None;
                }
                let then = if self.head == head { StepOutcome::Done } else { StepOutcome::DueAgain };
                if self.step(SlotCommand::Finish(token, then)).is_ok() && then == StepOutcome::DueAgain {
                    self.note_event();
                }
                None
            }
        };
        self.workers[worker] = next.map(|at| (token, at));
    }

    /// Returns true if the current lease serves a user's request.
    fn is_lease_requested(&self) -> bool {
        match &self.slot.state {
            SlotState::Leased { claimed_events: serving, .. } => {
                serving.is_some_and(|served| served.requested_at.is_some())
            }
            SlotState::Idle | SlotState::Waiting { .. } | SlotState::Held { .. } => false,
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Push { delay, copies } => {
                self.head += 1;
                for copy in 0..*copies {
                    self.in_flight.push(self.now + TimeSpan(delay * (copy as i64 + 1)));
                }
            }
            Act::Ask => {
                self.step(SlotCommand::Request(LoopKind::Review)).unwrap();
            }
            Act::Pass(ms) => self.pass_time(*ms),
            Act::Look(worker) => self.check_for_work(*worker),
            Act::Work(worker) => self.step_worker(*worker),
            Act::Run(worker, steps) => {
                if let Some(at) = self.slot.wake_time() {
                    self.pass_time((at - self.now).0.clamp(0, 120_000));
                }
                self.check_for_work(*worker);
                for _ in 0..*steps {
                    self.step_worker(*worker);
                }
            }
            Act::Fail(worker) => {
                if let Some((token, _)) = self.workers[*worker].take() {
                    let _ = self.step(SlotCommand::Fail(token, None));
                }
            }
            Act::Die(worker) => self.workers[*worker] = None,
            Act::HandBack(worker) => {
                if let Some((token, _)) = self.workers[*worker].take() {
                    let _ = self.step(SlotCommand::HandBack(token));
                }
            }
            Act::Beat(worker) => {
                if let Some((token, _)) = self.workers[*worker] {
                    match self.step(SlotCommand::Heartbeat(token)) {
                        Ok(()) => self.beaten[*worker] = self.now,
                        Err(_) => self.workers[*worker] = None,
                    }
                }
            }
            Act::Retry => {
                let _ = self.step(SlotCommand::Retry);
            }
            Act::Pause => {
                self.step(SlotCommand::Pause).unwrap();
                self.paused = true;
            }
            Act::Resume => {
                let _ = self.step(SlotCommand::Resume);
            }
        }
        if matches!(act, Act::Ask | Act::Retry | Act::Resume) {
            self.paused = false;
        }
        self.check();
    }

    /// Checks the invariants, which must hold after every event.
    fn check(&self) {
        let valid = self
            .workers
            .iter()
            .enumerate()
            .filter(|(n, worker)| {
                worker.is_some_and(|(token, _)| Some(token) == self.slot.token())
                    && self.now - self.beaten[*n] < self.limits.self_stop_delay()
            })
            .count();
        assert!(valid <= 1, "two valid leases");
        for (start, _, computed) in &self.storms {
            assert!(*computed <= 2, "{computed} reviews computed in the storm of {start:?}");
        }
        match self.slot.state {
            SlotState::Waiting { due_at: at, .. } => {
                assert!(at - self.now <= TimeSpan::minutes(31), "waits too long: {:?}", self.slot);
            }
            SlotState::Idle => assert!(self.slot.pending.is_empty(), "idle with something pending"),
            SlotState::Leased { .. } | SlotState::Held { .. } => {}
        }
        if self.paused {
            let held = self.slot.state == SlotState::Held { reason: HoldReason::Paused };
            assert!(held || self.slot.token().is_some(), "a pause is lost: {:?}", self.slot);
        }
    }

    /// Continues the simulation without pushes, failures or lost events, until the slot has no more work. If
    /// an event was lost, the sweep adds the event.
    fn settle(&mut self) {
        self.pass_time(10_000_000);
        self.act(&Act::Resume);
        self.workers = [None; 2];
        for round in 0..200 {
            if self.slot.state == SlotState::Idle && self.reviewed != Some(self.head) {
                self.event();
            }
            if matches!(self.slot.state, SlotState::Held { reason: HoldReason::Parked }) {
                return; // visibly marked
            }
            if let Some(at) = self.slot.wake_time() {
                self.pass_time((at - self.now).0.max(0));
                self.check_for_work(0);
                for _ in 0..4 {
                    self.step_worker(0);
                    self.check();
                }
            } else if self.slot.state == SlotState::Idle && self.reviewed == Some(self.head) {
                assert!(self.slot.is_deletable(), "nothing is left of a settled slot: {:?}", self.slot);
                return;
            }
            assert!(round < 199, "never settles: {:?}", self.slot);
        }
    }
}

fn act_strategy() -> impl Strategy<Value = Act> {
    let worker = 0..2_usize;
    prop_oneof![
        6 => (prop_oneof![0..3_000_i64, 0..200_000_i64], 0..4_usize)
            .prop_map(|(delay, copies)| Act::Push { delay, copies }),
        1 => Just(Act::Ask),
        6 => prop_oneof![0..5_000_i64, 10_000..100_000_i64, 0..4_000_000_i64].prop_map(Act::Pass),
        8 => worker.clone().prop_map(Act::Look),
        6 => worker.clone().prop_map(Act::Work),
        10 => (worker.clone(), 0..4_usize).prop_map(|(worker, steps)| Act::Run(worker, steps)),
        2 => worker.clone().prop_map(Act::Fail),
        1 => worker.clone().prop_map(Act::Die),
        1 => worker.clone().prop_map(Act::HandBack),
        3 => worker.prop_map(Act::Beat),
        1 => Just(Act::Retry),
        2 => Just(Act::Pause),
        1 => Just(Act::Resume),
    ]
}

/// Returns the number of schedules to try: `PROPTEST_CASES` if it is set, otherwise a number that takes a few
/// seconds.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(SlotUnderTest::SCHEDULES)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// Checks that there are never two valid leases and at most two computed reviews in a storm. At the end,
    /// the head must be reviewed, or the slot must be parked.
    #[test]
    fn any_schedule_keeps_the_promises(acts in prop::collection::vec(act_strategy(), 0..120)) {
        let mut world = World::new();
        for act in &acts {
            world.act(act);
        }
        world.settle();
    }
}
