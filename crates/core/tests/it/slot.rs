//! Single schedules of the slot machine, step by step: what each command does in which state.

mod model;
mod schedules;

use truing_core::id::{Key, Millis, Token, Version};
use truing_core::slot::{
    Command, ConvergeRequest, Hold, Limits, Loop, Refused, Slot, State, Then, Unserved, Why,
};

/// Keeps the slot of [`schedules`] in memory, as a store would.
struct Keeper {
    /// The store-wide version counter.
    counter: u64,
}

impl Keeper {
    /// So many schedules take a few seconds.
    const SCHEDULES: u32 = 1500;

    fn new() -> Self {
        Self { counter: 0 }
    }

    fn key(&self) -> Key {
        Key::new("pr/github/1/1")
    }

    /// Commits a slot, which had this version before; the slot as it is kept.
    fn commit(&mut self, _: Version, slot: Slot) -> Slot {
        self.counter += 1;
        if slot.remembers_nothing() {
            return Slot::new(slot.key);
        }
        Slot { version: Version(self.counter), ..slot }
    }
}

fn leased() -> State {
    let (token, deadline) = (Token(9), Millis(60_000));
    State::Leased { token, deadline, of: Loop::Review, serving: None, pausing: false }
}

fn slot_in(state: State) -> Slot {
    Slot { version: Version(9), state, ..Slot::new(Key::new("pr/github/1/1")) }
}

#[test]
fn the_leading_review_waits_for_a_pause_but_not_for_ever() {
    let limits = Limits::default();
    let mut slot = Slot::new(Key::new("pr/github/1/1"));
    for second in 0..30 {
        slot = slot.step(Command::Event(Loop::Review), &limits, Millis(second * 10_000)).unwrap().slot;
    }
    // Pushes every ten seconds never pause for 15 s: due two minutes after the first.
    assert_eq!(slot.state, State::Waiting { at: Millis(120_000), why: Why::Debounce });
}

#[test]
fn after_the_leading_review_the_rest_of_the_storm_is_one_trailing_review() {
    let limits = Limits::default();
    let event = |slot: &Slot, at| slot.step(Command::Event(Loop::Review), &limits, Millis(at)).unwrap().slot;
    let mut slot = Slot { version: Version(1), ..event(&Slot::new(Key::new("pr/github/1/1")), 0) };
    slot = slot.step(Command::Lease, &limits, Millis(15_000)).unwrap().slot;
    let token = slot.token().unwrap();
    slot = slot.step(Command::Computed(token), &limits, Millis(20_000)).unwrap().slot;
    slot = event(&slot, 21_000);
    slot = slot.step(Command::Finish(token, Then::Idle), &limits, Millis(22_000)).unwrap().slot;
    assert_eq!(slot.state, State::Waiting { at: Millis(81_000), why: Why::Storm });
    slot = event(&slot, 70_000);
    assert_eq!(slot.state, State::Waiting { at: Millis(130_000), why: Why::Storm });
}

#[test]
fn a_failed_publish_in_a_storm_does_not_make_room_for_a_third_review() {
    let limits = Limits::default();
    let mut slot = Slot::new(Key::new("pr/github/1/1"));
    let mut now = 0;
    // Computed, then failed, with pushes every 20 s: the retry comes in the middle of the storm.
    slot = slot.step(Command::Event(Loop::Review), &limits, Millis(now)).unwrap().slot;
    now += 15_000;
    slot = slot.step(Command::Lease, &limits, Millis(now)).unwrap().slot;
    assert!(slot.may_compute(Millis(now)));
    slot = slot.step(Command::Computed(Token(0)), &limits, Millis(now)).unwrap().slot;
    slot = slot.step(Command::Fail(Token(0), None), &limits, Millis(now)).unwrap().slot;
    for _ in 0..2 {
        now += 20_000;
        slot = slot.step(Command::Event(Loop::Review), &limits, Millis(now)).unwrap().slot;
    }
    slot = slot.step(Command::Lease, &limits, Millis(now)).unwrap().slot;
    assert!(!slot.may_compute(Millis(now)), "only publishing is left until the storm has ended");
    assert!(slot.may_compute(slot.storm.unwrap().ends));
}

#[test]
fn a_review_without_an_event_begins_a_storm() {
    let limits = Limits::default();
    let mut slot = slot_in(State::Held { why: Hold::Parked });
    slot = slot.step(Command::Retry, &limits, Millis(0)).unwrap().slot;
    slot = slot.step(Command::Lease, &limits, Millis(0)).unwrap().slot;
    slot = slot.step(Command::Computed(Token(9)), &limits, Millis(1)).unwrap().slot;
    assert_eq!(slot.storm.map(|storm| storm.computed), Some(1));
    assert!(!slot.may_compute(Millis(2)));
}

#[test]
fn what_a_person_asked_for_survives_a_lost_lease() {
    let limits = Limits::default();
    let asked = Unserved { first: Millis(0), last: Millis(0), asked: Some(Millis(0)) };
    let leased = State::Leased {
        token: Token(9),
        deadline: Millis(60),
        of: Loop::Review,
        serving: Some(asked),
        pausing: false,
    };
    for command in [Command::Expire, Command::Fail(Token(9), None), Command::HandBack(Token(9))] {
        let after = slot_in(leased.clone()).step(command, &limits, Millis(100)).unwrap().slot;
        assert_eq!(after.pending.review, Some(asked), "{command:?}");
    }
}

#[test]
fn a_pause_during_a_lease_begins_when_it_ends_and_loses_nothing() {
    let limits = Limits::default();
    let event = Unserved { first: Millis(0), last: Millis(0), asked: None };
    let leased = State::Leased {
        token: Token(9),
        deadline: Millis(60),
        of: Loop::Review,
        serving: Some(event),
        pausing: false,
    };
    let paused = slot_in(leased).step(Command::Pause, &limits, Millis(10)).unwrap().slot;
    assert_eq!(paused.state.to_string(), "leased (review), paused afterwards");
    let later = Then::DueAt(Millis(500), Why::Settling);
    for (command, pending) in [
        (Command::Finish(Token(9), Then::Idle), None),
        (Command::Finish(Token(9), Then::Again), Some(Millis(100))),
        (Command::Finish(Token(9), later), Some(Millis(0))),
        (Command::Finish(Token(9), Then::Held(Hold::Draft)), Some(Millis(0))),
        (Command::Fail(Token(9), None), Some(Millis(0))),
        (Command::HandBack(Token(9)), Some(Millis(0))),
        (Command::Expire, Some(Millis(0))),
        (Command::Restarted, Some(Millis(0))),
    ] {
        let after = paused.step(command, &limits, Millis(100)).unwrap().slot;
        assert_eq!(after.state, State::Held { why: Hold::Paused }, "{command:?}");
        assert_eq!(after.pending.review.map(|unserved| unserved.first), pending, "{command:?}");
    }
    for command in [Command::Resume, Command::Request(Loop::Review)] {
        let resumed = paused.step(command, &limits, Millis(20)).unwrap().slot;
        let after = resumed.step(Command::HandBack(Token(9)), &limits, Millis(100)).unwrap().slot;
        assert!(matches!(after.state, State::Waiting { .. }), "{command:?}: {:?}", after.state);
    }
    let retried = paused.step(Command::Retry, &limits, Millis(100)).unwrap().slot;
    assert!(matches!(retried.state, State::Waiting { .. }), "{:?}", retried.state);
}

#[test]
fn the_last_allowed_attempt_parks_and_a_living_lease_does_not_expire() {
    let limits = Limits { attempts: 3, ..Limits::default() };
    let mut slot = slot_in(State::Waiting { at: Millis(0), why: Why::Debounce });
    for attempt in 1..=3_u32 {
        let at = Millis(i64::from(attempt) * 10_000_000);
        slot = slot.step(Command::Lease, &limits, at).unwrap().slot;
        let deadline = at + limits.lease;
        let early = slot.step(Command::Expire, &limits, Millis(deadline.0 - 1));
        assert_eq!(early, Err(Refused::Leased(deadline)));
        slot = slot.step(Command::Expire, &limits, deadline).unwrap().slot;
        let parked = slot.state == State::Held { why: Hold::Parked };
        assert_eq!((slot.attempts, parked), (attempt, attempt == 3));
    }
}

#[test]
fn an_event_during_a_lease_keeps_the_slot_from_being_held() {
    let limits = Limits::default();
    let slot = slot_in(leased()).step(Command::Event(Loop::Review), &limits, Millis(1)).unwrap().slot;
    let ended =
        slot.step(Command::Finish(Token(9), Then::Held(Hold::Draft)), &limits, Millis(2)).unwrap().slot;
    assert!(matches!(ended.state, State::Waiting { .. }), "{:?}", ended.state);
}

#[test]
fn a_parked_slot_comes_back_with_a_new_event_and_a_clean_count() {
    let limits = Limits::default();
    let mut slot = Slot { attempts: 5, ..slot_in(State::Held { why: Hold::Parked }) };
    slot = slot.step(Command::Event(Loop::Review), &limits, Millis(5)).unwrap().slot;
    assert_eq!((slot.attempts, slot.state.to_string().as_str()), (0, "waiting (debounce)"));
}

#[test]
fn a_loop_of_several_steps_keeps_the_slot_between_them() {
    let limits = Limits::default();
    let mut slot = Slot::new(Key::new("pr/github/1/1"));
    slot = slot.step(Command::Event(Loop::Review), &limits, Millis(0)).unwrap().slot;
    slot = slot.step(Command::Request(Loop::Converge), &limits, Millis(1)).unwrap().slot;
    slot.version = Version(3);
    slot = slot.step(Command::Lease, &limits, Millis(1)).unwrap().slot;
    assert_eq!(slot.owner, Some(Loop::Converge));
    let later = Then::DueAt(Millis(500_000), Why::Reviewer);
    slot = slot.step(Command::Finish(Token(3), later), &limits, Millis(2)).unwrap().slot;
    slot = slot.step(Command::Event(Loop::Review), &limits, Millis(3)).unwrap().slot;
    assert_eq!(slot.step(Command::Lease, &limits, Millis(400_000)), Err(Refused::NotDue), "the review waits");
    slot.version = Version(7);
    slot = slot.step(Command::Lease, &limits, Millis(500_000)).unwrap().slot;
    slot = slot.step(Command::Finish(Token(7), Then::Idle), &limits, Millis(500_001)).unwrap().slot;
    slot = slot.step(Command::Lease, &limits, Millis(500_002)).unwrap().slot;
    assert_eq!(slot.owner, Some(Loop::Review), "and runs once it is released");
}

#[test]
fn what_is_asked_for_while_another_loop_has_the_lease_is_next_however_that_ends() {
    let limits = Limits::default();
    for then in [
        Then::Held(Hold::Draft),
        Then::Held(Hold::Cancelled),
        Then::DueAt(Millis(900_000), Why::Deferred),
        Then::DueAt(Millis(900_000), Why::Storm),
        Then::Idle,
    ] {
        let mut slot = slot_in(leased());
        let Some(token) = slot.token() else { panic!("it is leased") };
        slot = slot.step(Command::Request(Loop::Converge), &limits, Millis(5)).unwrap().slot;
        slot = slot.step(Command::Finish(token, then), &limits, Millis(9)).unwrap().slot;
        slot.version = Version(50);
        slot = slot.step(Command::Lease, &limits, Millis(9)).unwrap().slot;
        assert_eq!(slot.owner, Some(Loop::Converge), "{then:?}");
    }
}

#[test]
fn every_state_has_an_exit_and_a_wrong_token_is_refused_in_each() {
    let limits = Limits::default();
    let mut states = vec![State::Idle, leased()];
    for why in Why::ALL {
        states.push(State::Waiting { at: Millis(50), why });
    }
    for why in [Hold::Parked, Hold::Paused, Hold::Draft, Hold::Cancelled] {
        states.push(State::Held { why });
    }
    for state in states {
        let slot = slot_in(state.clone());
        let late = Millis(1_000_000);
        let leaves = |command| slot.step(command, &limits, late).is_ok_and(|next| next.slot.state != state);
        let by_itself = match &state {
            State::Waiting { .. } => leaves(Command::Lease),
            State::Leased { .. } => leaves(Command::Expire),
            State::Idle => leaves(Command::Event(Loop::Review)),
            State::Held { why: Hold::Paused } => leaves(Command::Resume),
            State::Held { .. } => leaves(Command::Event(Loop::Review)),
        };
        assert!(by_itself, "no exit from {state:?}");
        assert!(leaves(Command::Retry), "no way out by hand from {state:?}");
        for wrong in [Command::Heartbeat(Token(1)), Command::Computed(Token(1)), Command::HandBack(Token(1))]
        {
            assert_eq!(slot.step(wrong, &limits, late), Err(Refused::LeaseLost));
        }
        assert_eq!(slot.step(Command::Fail(Token(1), None), &limits, late), Err(Refused::LeaseLost));
        assert_eq!(slot.step(Command::Finish(Token(1), Then::Idle), &limits, late), Err(Refused::LeaseLost));
    }
}

#[test]
fn a_run_that_is_stopped_ends_with_its_next_step_whatever_it_waits_for() {
    let limits = Limits::default();
    let step = |slot: &Slot, command: Command, now: i64| {
        let decided = slot.step(command, &limits, Millis(now)).unwrap().slot;
        Slot { version: Version(slot.version.0 + 1), ..decided }
    };
    let none = Slot { version: Version(1), ..Slot::new(Key::new("pr/github/1/1")) };
    assert_eq!(none.step(Command::Stop, &limits, Millis(0)), Err(Refused::Nothing));

    // Before it has begun it is only forgotten.
    let asked = step(&none, Command::Request(Loop::Converge), 0);
    let forgotten = step(&asked, Command::Stop, 1);
    assert_eq!((forgotten.state, forgotten.wish, forgotten.pending.is_empty()), (State::Idle, None, true));

    // While it waits for a reviewer, and while a worker has it: the next step is due at once.
    let leased = step(&asked, Command::Lease, 0);
    let waits = |slot: &Slot, now| {
        step(slot, Command::Finish(slot.token().unwrap(), Then::DueAt(Millis(90_000), Why::Reviewer)), now)
    };
    for stopped in [step(&waits(&leased, 2), Command::Stop, 3), waits(&step(&leased, Command::Stop, 2), 3)] {
        assert_eq!(stopped.state, State::Waiting { at: Millis(3), why: Why::Step });
        let last = step(&stopped, Command::Lease, 3);
        assert_eq!(last.wish, Some(ConvergeRequest::Stop));
        let over = step(&last, Command::Finish(last.token().unwrap(), Then::Idle), 4);
        assert_eq!((over.owner, over.wish), (None, None));
    }

    // The comment that tells of it cannot be made yet.
    let last = step(&step(&waits(&leased, 2), Command::Stop, 3), Command::Lease, 3);
    let settles = Then::DueAt(Millis(30_000), Why::Settling);
    let early = step(&last, Command::Finish(last.token().unwrap(), settles), 4);
    assert_eq!(early.state, State::Waiting { at: Millis(30_000), why: Why::Settling });
    assert_eq!(early.wish, Some(ConvergeRequest::Stop));

    // Who asks for it again has the last word.
    let again = step(&step(&leased, Command::Stop, 2), Command::Request(Loop::Converge), 3);
    assert_eq!(again.wish, None);
}

#[test]
fn an_audit_is_asked_for_where_no_run_is_at_work() {
    let limits = Limits::default();
    let slot = Slot { version: Version(1), ..Slot::new(Key::new("pr/github/1/1")) };
    let asked = slot.step(Command::Audit, &limits, Millis(0)).unwrap().slot;
    assert_eq!((asked.wish, asked.pending.converge.is_some()), (Some(ConvergeRequest::Audit), true));
    assert_eq!(asked.step(Command::Audit, &limits, Millis(1)), Err(Refused::Converging));
    let instead = asked.step(Command::Request(Loop::Converge), &limits, Millis(1)).unwrap().slot;
    assert_eq!(instead.wish, None, "the whole run is wanted now");
}
