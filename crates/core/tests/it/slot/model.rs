//! A model of two workers, one forge and two pushes. `stateright` checks all states of the model, with the
//! real [`Slot::apply_command`]. Within these bounds, the model covers every order of pushes, repeated and
//! lost deliveries, leases, missed heartbeats, crashes and finished steps.

use async_trait::async_trait;
use stateright::{Checker, Model, Property};
use truing_core::id::{FencingToken, PrId, SlotVersion, TimeSpan, UnixMillis};
use truing_core::slot::{self, LoopKind, Slot, SlotCommand, SlotLimits, StepOutcome, WaitReason};

/// Maximum numbers of pushes and other events in the model.
const PUSHES: u8 = 2;
const DEATHS: u8 = 1;
const FAILURES: u8 = 1;
const LOST: u8 = 1;
const REPEATS: u8 = 1;
const LEASES: u8 = 4;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    now: UnixMillis,
    slot: Slot,
    counter: u64,
    head: u8,
    /// Number of events that are not delivered yet.
    in_flight: u8,
    workers: [Option<Worker>; 2],
    computed: Option<u8>,
    reviewed: u8,
    last_token: FencingToken,
    /// Number of reviews that were computed in the current storm, counted independently of the slot.
    in_storm: u32,
    deaths: u8,
    failures: u8,
    lost: u8,
    repeats: u8,
    leases: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Worker {
    token: FencingToken,
    saw: Option<u8>,
    computed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Act {
    Push,
    Deliver {
        repeat: bool,
    },
    Lose,
    /// The sweep marks a slot whose head is not reviewed.
    Sweep,
    /// Advances the time to the slot's next due time. This worker then leases a waiting slot; the holder of a
    /// leased slot misses a heartbeat.
    Wake(usize),
    Work(usize),
    Fail(usize),
    Die(usize),
}

struct Machine {
    limits: SlotLimits,
}

impl Machine {
    fn commit(&self, state: &mut State, command: SlotCommand) -> bool {
        let Ok(decision) = state.slot.apply_command(command, &self.limits, state.now) else { return false };
        state.counter += 1;
        state.slot = Slot { version: SlotVersion(state.counter), ..decision.slot };
        true
    }

    fn event(&self, state: &mut State) {
        if state.slot.storm.is_none_or(|storm| storm.end <= state.now) {
            state.in_storm = 0;
        }
        self.commit(state, SlotCommand::Event(LoopKind::Review));
    }

    /// Makes one step of a worker: the worker reads the head, computes, publishes, or finishes.
    fn step_worker(&self, state: &mut State, index: usize) {
        let Some(worker) = state.workers[index] else { return };
        state.workers[index] = None;
        match worker.saw {
            None if worker.token < state.last_token => {}
            None => {
                state.last_token = worker.token;
                state.workers[index] = Some(Worker { saw: Some(state.head), ..worker });
            }
            Some(head) if worker.computed || state.computed == Some(head) || state.reviewed == head => {
                if worker.token >= state.last_token {
                    state.reviewed = head;
                }
                let then = if state.head == head { StepOutcome::Done } else { StepOutcome::DueAgain };
                let ended = state.slot.storm.is_none_or(|storm| storm.end <= state.now);
                if self.commit(state, SlotCommand::Finish(worker.token, then))
                    && then == StepOutcome::DueAgain
                    && ended
                {
                    state.in_storm = 0;
                }
            }
            Some(_) if !state.slot.may_compute_review(state.now) => {
                let ends = state.slot.storm.map_or(state.now, |storm| storm.end);
                self.commit(
                    state,
                    SlotCommand::Finish(worker.token, StepOutcome::DueAt(ends, WaitReason::Storm)),
                );
            }
            Some(head) => {
                let ended =
                    state.slot.storm.is_none_or(|storm| storm.end <= state.now && storm.review_count >= 2);
                if self.commit(state, SlotCommand::CountReview(worker.token))
                    && worker.token >= state.last_token
                {
                    state.in_storm = if ended { 1 } else { state.in_storm + 1 };
                    state.computed = Some(head);
                    state.workers[index] = Some(Worker { computed: true, ..worker });
                }
            }
        }
    }
}

#[async_trait]
impl Model for Machine {
    type State = State;
    type Action = Act;

    fn init_states(&self) -> Vec<State> {
        let id = PrId { forge: "github".into(), repository: "1".into(), number: 1 };
        vec![State {
            now: UnixMillis(0),
            slot: Slot::new(id.key()),
            counter: 0,
            head: 0,
            in_flight: 0,
            workers: [None; 2],
            computed: None,
            reviewed: 0,
            last_token: FencingToken(0),
            in_storm: 0,
            deaths: 0,
            failures: 0,
            lost: 0,
            repeats: 0,
            leases: 0,
        }]
    }

    fn actions(&self, state: &State, acts: &mut Vec<Act>) {
        if state.head < PUSHES {
            acts.push(Act::Push);
        }
        if state.in_flight > 0 {
            acts.push(Act::Deliver { repeat: false });
            if state.repeats < REPEATS {
                acts.push(Act::Deliver { repeat: true });
            }
            if state.lost < LOST {
                acts.push(Act::Lose);
            }
        }
        let unknown = state.slot.pending.is_empty() && state.slot.token().is_none();
        if unknown && state.in_flight == 0 && state.reviewed != state.head {
            acts.push(Act::Sweep);
        }
        for index in 0..2 {
            if state.slot.wake_time().is_some() && state.workers[index].is_none() {
                acts.push(Act::Wake(index));
            }
            if state.workers[index].is_some() {
                acts.push(Act::Work(index));
                if state.failures < FAILURES {
                    acts.push(Act::Fail(index));
                }
                if state.deaths < DEATHS {
                    acts.push(Act::Die(index));
                }
            }
        }
    }

    fn next_state(&self, last: &State, act: Act) -> Option<State> {
        let mut state = last.clone();
        match act {
            Act::Push => {
                state.head += 1;
                state.in_flight += 1;
            }
            Act::Deliver { repeat } => {
                if repeat {
                    state.repeats += 1;
                } else {
                    state.in_flight -= 1;
                }
                self.event(&mut state);
            }
            Act::Lose => {
                state.in_flight -= 1;
                state.lost += 1;
            }
            Act::Sweep => self.event(&mut state),
            Act::Wake(index) => {
                state.now = state.now.max(state.slot.wake_time()?);
                match state.slot.state {
                    slot::SlotState::Leased { .. } => {
                        self.commit(&mut state, SlotCommand::ExpireLease);
                    }
                    slot::SlotState::Waiting { .. } => {
                        self.commit(&mut state, SlotCommand::Lease);
                        state.leases += 1;
                        let token = state.slot.token()?;
                        state.workers[index] = Some(Worker { token, saw: None, computed: false });
                    }
                    slot::SlotState::Idle => {
                        self.commit(&mut state, SlotCommand::RemoveEndedStorm);
                    }
                    slot::SlotState::Held { .. } => return None,
                }
            }
            Act::Work(index) => self.step_worker(&mut state, index),
            Act::Fail(index) => {
                let worker = state.workers[index].take()?;
                state.failures += 1;
                self.commit(&mut state, SlotCommand::Fail(worker.token, None));
            }
            Act::Die(index) => {
                state.workers[index] = None;
                state.deaths += 1;
            }
        }
        (state != *last).then_some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.leases <= LEASES
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("never two valid leases", |_, state: &State| {
                let holds =
                    |worker: &Option<Worker>| worker.is_some_and(|w| Some(w.token) == state.slot.token());
                state.workers.iter().filter(|worker| holds(worker)).count() <= 1
            }),
            Property::always("at most two reviews computed a storm", |_, state: &State| state.in_storm <= 2),
            Property::always("what is reviewed was a head, and the fence only rises", |_, state: &State| {
                state.reviewed <= state.head && state.last_token.0 <= state.counter
            }),
            Property::always(
                "at rest, the settled head is reviewed or somebody will look",
                |_, state: &State| {
                    let resting = state.slot.state == slot::SlotState::Idle && state.in_flight == 0;
                    // The head of an idle slot must be reviewed, unless an event was lost; then only the
                    // sweep can find the head.
                    !resting || state.reviewed == state.head || state.lost > 0
                },
            ),
            Property::sometimes("both pushes are reviewed by one trailing review", |_, state: &State| {
                state.reviewed == PUSHES && state.in_storm == 2
            }),
            Property::sometimes("a lost lease is taken over", |_, state: &State| {
                state.deaths == 1 && state.reviewed == PUSHES
            }),
        ]
    }
}

#[test]
fn two_workers_one_forge_two_pushes() {
    let limits =
        SlotLimits { max_attempts: 5, lease_duration: TimeSpan::seconds(60), ..SlotLimits::default() };
    let checker = Machine { limits }.checker().threads(2).spawn_bfs().join();
    println!("{} states, {} unique", checker.state_count(), checker.unique_state_count());
    assert!(checker.unique_state_count() > 10_000, "the model has shrunk: {}", checker.unique_state_count());
    checker.assert_properties();
}
