//! Tests the slot's state machine with single schedules, step by step. Also tests the effect of each command
//! in each state.

mod model;
mod schedules;

use truing_core::id::{FencingToken, SlotKey, SlotVersion, UnixMillis};
use truing_core::slot::{
    ConvergeRequest, HoldReason, LoopKind, PendingEventTimes, Slot, SlotCommand, SlotLimits, SlotRefusal,
    SlotState, StepOutcome, WaitReason,
};

/// Stores the slot of the tests in [`schedules`] in memory, in place of a real store.
struct SlotUnderTest {
    /// The version counter, which all slots of a store share.
    counter: u64,
}

impl SlotUnderTest {
    /// Number of generated schedules, which take a few seconds.
    const SCHEDULES: u32 = 1500;

    fn new() -> Self {
        Self { counter: 0 }
    }

    fn key(&self) -> SlotKey {
        SlotKey::new("pr/github/1/1")
    }

    /// Commits a slot, and returns the stored slot with its new version.
    fn commit(&mut self, _: SlotVersion, slot: Slot) -> Slot {
        self.counter += 1;
        if slot.is_deletable() {
            return Slot::new(slot.key);
        }
        Slot { version: SlotVersion(self.counter), ..slot }
    }
}

fn leased() -> SlotState {
    let (token, deadline) = (FencingToken(9), UnixMillis(60_000));
    SlotState::Leased {
        token,
        deadline,
        loop_kind: LoopKind::Review,
        claimed_events: None,
        pause_requested: false,
    }
}

fn slot_in(state: SlotState) -> Slot {
    Slot { version: SlotVersion(9), state, ..Slot::new(SlotKey::new("pr/github/1/1")) }
}

#[test]
fn a_lease_is_in_flight_until_its_end_and_is_due_from_then_on() {
    let slot = slot_in(leased());
    for (now, in_flight) in [(59_999, true), (60_000, false), (60_001, false)] {
        let now = UnixMillis(now);
        assert_eq!((slot.is_in_flight(now), slot.is_due(now)), (in_flight, !in_flight), "{now:?}");
    }
    let waiting = slot_in(SlotState::Waiting { due_at: UnixMillis(5), reason: WaitReason::Backoff });
    assert_eq!([4, 5].map(|now| waiting.is_due(UnixMillis(now))), [false, true]);
    assert!(!waiting.is_in_flight(UnixMillis(4)));
}

#[test]
fn the_leading_review_waits_for_a_pause_but_not_for_ever() {
    let limits = SlotLimits::default();
    let mut slot = Slot::new(SlotKey::new("pr/github/1/1"));
    for second in 0..30 {
        slot = slot
            .apply_command(SlotCommand::Event(LoopKind::Review), &limits, UnixMillis(second * 10_000))
            .unwrap()
            .slot;
    }
    // There is a push every ten seconds, so there is never a pause of 15 s. The review is therefore due two
    // minutes after the first push.
    assert_eq!(slot.state, SlotState::Waiting { due_at: UnixMillis(120_000), reason: WaitReason::Debounce });
}

#[test]
fn after_the_leading_review_the_rest_of_the_storm_is_one_trailing_review() {
    let limits = SlotLimits::default();
    let event = |slot: &Slot, at| {
        slot.apply_command(SlotCommand::Event(LoopKind::Review), &limits, UnixMillis(at)).unwrap().slot
    };
    let mut slot = Slot { version: SlotVersion(1), ..event(&Slot::new(SlotKey::new("pr/github/1/1")), 0) };
    slot = slot.apply_command(SlotCommand::Lease, &limits, UnixMillis(15_000)).unwrap().slot;
    let token = slot.token().unwrap();
    slot = slot.apply_command(SlotCommand::CountReview(token), &limits, UnixMillis(20_000)).unwrap().slot;
    slot = event(&slot, 21_000);
    slot = slot
        .apply_command(SlotCommand::Finish(token, StepOutcome::Done), &limits, UnixMillis(22_000))
        .unwrap()
        .slot;
    assert_eq!(slot.state, SlotState::Waiting { due_at: UnixMillis(81_000), reason: WaitReason::Storm });
    slot = event(&slot, 70_000);
    assert_eq!(slot.state, SlotState::Waiting { due_at: UnixMillis(130_000), reason: WaitReason::Storm });
}

#[test]
fn a_failed_publish_in_a_storm_does_not_make_room_for_a_third_review() {
    let limits = SlotLimits::default();
    let mut slot = Slot::new(SlotKey::new("pr/github/1/1"));
    let mut now = 0;
    // A review is computed, but its publication fails. At the same time, there is a push every 20 s. The
    // retry is due before the pushes stop.
    slot = slot.apply_command(SlotCommand::Event(LoopKind::Review), &limits, UnixMillis(now)).unwrap().slot;
    now += 15_000;
    slot = slot.apply_command(SlotCommand::Lease, &limits, UnixMillis(now)).unwrap().slot;
    assert!(slot.may_compute_review(UnixMillis(now)));
    slot =
        slot.apply_command(SlotCommand::CountReview(FencingToken(0)), &limits, UnixMillis(now)).unwrap().slot;
    slot =
        slot.apply_command(SlotCommand::Fail(FencingToken(0), None), &limits, UnixMillis(now)).unwrap().slot;
    for _ in 0..2 {
        now += 20_000;
        slot =
            slot.apply_command(SlotCommand::Event(LoopKind::Review), &limits, UnixMillis(now)).unwrap().slot;
    }
    slot = slot.apply_command(SlotCommand::Lease, &limits, UnixMillis(now)).unwrap().slot;
    assert!(!slot.may_compute_review(UnixMillis(now)), "only publishing is left until the storm has ended");
    assert!(slot.may_compute_review(slot.storm.unwrap().end));
}

#[test]
fn a_review_without_an_event_begins_a_storm() {
    let limits = SlotLimits::default();
    let mut slot = slot_in(SlotState::Held { reason: HoldReason::Parked });
    slot = slot.apply_command(SlotCommand::Retry, &limits, UnixMillis(0)).unwrap().slot;
    slot = slot.apply_command(SlotCommand::Lease, &limits, UnixMillis(0)).unwrap().slot;
    slot =
        slot.apply_command(SlotCommand::CountReview(FencingToken(9)), &limits, UnixMillis(1)).unwrap().slot;
    assert_eq!(slot.storm.map(|storm| storm.review_count), Some(1));
    assert!(!slot.may_compute_review(UnixMillis(2)));
}

#[test]
fn what_a_person_asked_for_survives_a_lost_lease() {
    let limits = SlotLimits::default();
    let asked =
        PendingEventTimes { first: UnixMillis(0), last: UnixMillis(0), requested_at: Some(UnixMillis(0)) };
    let leased = SlotState::Leased {
        token: FencingToken(9),
        deadline: UnixMillis(60),
        loop_kind: LoopKind::Review,
        claimed_events: Some(asked),
        pause_requested: false,
    };
    for command in [
        SlotCommand::ExpireLease,
        SlotCommand::Fail(FencingToken(9), None),
        SlotCommand::HandBack(FencingToken(9)),
    ] {
        let after = slot_in(leased.clone()).apply_command(command, &limits, UnixMillis(100)).unwrap().slot;
        assert_eq!(after.pending.review, Some(asked), "{command:?}");
    }
}

#[test]
fn a_pause_during_a_lease_begins_when_it_ends_and_loses_nothing() {
    let limits = SlotLimits::default();
    let event = PendingEventTimes { first: UnixMillis(0), last: UnixMillis(0), requested_at: None };
    let leased = SlotState::Leased {
        token: FencingToken(9),
        deadline: UnixMillis(60),
        loop_kind: LoopKind::Review,
        claimed_events: Some(event),
        pause_requested: false,
    };
    let paused = slot_in(leased).apply_command(SlotCommand::Pause, &limits, UnixMillis(10)).unwrap().slot;
    assert_eq!(paused.state.to_string(), "leased (review), paused afterwards");
    let later = StepOutcome::DueAt(UnixMillis(500), WaitReason::Settling);
    for (command, pending) in [
        (SlotCommand::Finish(FencingToken(9), StepOutcome::Done), None),
        (SlotCommand::Finish(FencingToken(9), StepOutcome::DueAgain), Some(UnixMillis(100))),
        (SlotCommand::Finish(FencingToken(9), later), Some(UnixMillis(0))),
        (SlotCommand::Finish(FencingToken(9), StepOutcome::Held(HoldReason::Draft)), Some(UnixMillis(0))),
        (SlotCommand::Fail(FencingToken(9), None), Some(UnixMillis(0))),
        (SlotCommand::HandBack(FencingToken(9)), Some(UnixMillis(0))),
        (SlotCommand::ExpireLease, Some(UnixMillis(0))),
        (SlotCommand::ServerRestarted, Some(UnixMillis(0))),
    ] {
        let after = paused.apply_command(command, &limits, UnixMillis(100)).unwrap().slot;
        assert_eq!(after.state, SlotState::Held { reason: HoldReason::Paused }, "{command:?}");
        assert_eq!(after.pending.review.map(|unserved| unserved.first), pending, "{command:?}");
    }
    for command in [SlotCommand::Resume, SlotCommand::Request(LoopKind::Review)] {
        let resumed = paused.apply_command(command, &limits, UnixMillis(20)).unwrap().slot;
        let after = resumed
            .apply_command(SlotCommand::HandBack(FencingToken(9)), &limits, UnixMillis(100))
            .unwrap()
            .slot;
        assert!(matches!(after.state, SlotState::Waiting { .. }), "{command:?}: {:?}", after.state);
    }
    let retried = paused.apply_command(SlotCommand::Retry, &limits, UnixMillis(100)).unwrap().slot;
    assert!(matches!(retried.state, SlotState::Waiting { .. }), "{:?}", retried.state);
}

#[test]
fn the_last_allowed_attempt_parks_and_a_living_lease_does_not_expire() {
    let limits = SlotLimits { max_attempts: 3, ..SlotLimits::default() };
    let mut slot = slot_in(SlotState::Waiting { due_at: UnixMillis(0), reason: WaitReason::Debounce });
    for attempt in 1..=3_u32 {
        let at = UnixMillis(i64::from(attempt) * 10_000_000);
        slot = slot.apply_command(SlotCommand::Lease, &limits, at).unwrap().slot;
        let deadline = at + limits.lease_duration;
        let early = slot.apply_command(SlotCommand::ExpireLease, &limits, UnixMillis(deadline.0 - 1));
        assert_eq!(early, Err(SlotRefusal::Leased(deadline)));
        slot = slot.apply_command(SlotCommand::ExpireLease, &limits, deadline).unwrap().slot;
        let parked = slot.state == SlotState::Held { reason: HoldReason::Parked };
        assert_eq!((slot.attempts, parked), (attempt, attempt == 3));
    }
}

#[test]
fn an_event_during_a_lease_keeps_the_slot_from_being_held() {
    let limits = SlotLimits::default();
    let slot = slot_in(leased())
        .apply_command(SlotCommand::Event(LoopKind::Review), &limits, UnixMillis(1))
        .unwrap()
        .slot;
    let ended = slot
        .apply_command(
            SlotCommand::Finish(FencingToken(9), StepOutcome::Held(HoldReason::Draft)),
            &limits,
            UnixMillis(2),
        )
        .unwrap()
        .slot;
    assert!(matches!(ended.state, SlotState::Waiting { .. }), "{:?}", ended.state);
}

#[test]
fn a_parked_slot_comes_back_with_a_new_event_and_a_clean_count() {
    let limits = SlotLimits::default();
    let mut slot = Slot { attempts: 5, ..slot_in(SlotState::Held { reason: HoldReason::Parked }) };
    slot = slot.apply_command(SlotCommand::Event(LoopKind::Review), &limits, UnixMillis(5)).unwrap().slot;
    assert_eq!((slot.attempts, slot.state.to_string().as_str()), (0, "waiting (debounce)"));
}

#[test]
fn a_loop_of_several_steps_keeps_the_slot_between_them() {
    let limits = SlotLimits::default();
    let mut slot = Slot::new(SlotKey::new("pr/github/1/1"));
    slot = slot.apply_command(SlotCommand::Event(LoopKind::Review), &limits, UnixMillis(0)).unwrap().slot;
    slot = slot.apply_command(SlotCommand::Request(LoopKind::Converge), &limits, UnixMillis(1)).unwrap().slot;
    slot.version = SlotVersion(3);
    slot = slot.apply_command(SlotCommand::Lease, &limits, UnixMillis(1)).unwrap().slot;
    assert_eq!(slot.active_loop, Some(LoopKind::Converge));
    let later = StepOutcome::DueAt(UnixMillis(500_000), WaitReason::Reviewer);
    slot =
        slot.apply_command(SlotCommand::Finish(FencingToken(3), later), &limits, UnixMillis(2)).unwrap().slot;
    slot = slot.apply_command(SlotCommand::Event(LoopKind::Review), &limits, UnixMillis(3)).unwrap().slot;
    assert_eq!(
        slot.apply_command(SlotCommand::Lease, &limits, UnixMillis(400_000)),
        Err(SlotRefusal::NotDue),
        "the review waits"
    );
    slot.version = SlotVersion(7);
    slot = slot.apply_command(SlotCommand::Lease, &limits, UnixMillis(500_000)).unwrap().slot;
    slot = slot
        .apply_command(SlotCommand::Finish(FencingToken(7), StepOutcome::Done), &limits, UnixMillis(500_001))
        .unwrap()
        .slot;
    slot = slot.apply_command(SlotCommand::Lease, &limits, UnixMillis(500_002)).unwrap().slot;
    assert_eq!(slot.active_loop, Some(LoopKind::Review), "and runs once it is released");
}

#[test]
fn what_is_asked_for_while_another_loop_has_the_lease_is_next_however_that_ends() {
    let limits = SlotLimits::default();
    for then in [
        StepOutcome::Held(HoldReason::Draft),
        StepOutcome::Held(HoldReason::Cancelled),
        StepOutcome::DueAt(UnixMillis(900_000), WaitReason::Deferred),
        StepOutcome::DueAt(UnixMillis(900_000), WaitReason::Storm),
        StepOutcome::Done,
    ] {
        let mut slot = slot_in(leased());
        let Some(token) = slot.token() else { panic!("it is leased") };
        slot = slot
            .apply_command(SlotCommand::Request(LoopKind::Converge), &limits, UnixMillis(5))
            .unwrap()
            .slot;
        slot = slot.apply_command(SlotCommand::Finish(token, then), &limits, UnixMillis(9)).unwrap().slot;
        slot.version = SlotVersion(50);
        slot = slot.apply_command(SlotCommand::Lease, &limits, UnixMillis(9)).unwrap().slot;
        assert_eq!(slot.active_loop, Some(LoopKind::Converge), "{then:?}");
    }
}

#[test]
fn every_state_has_an_exit_and_a_wrong_token_is_refused_in_each() {
    let limits = SlotLimits::default();
    let mut states = vec![SlotState::Idle, leased()];
    for why in WaitReason::ALL {
        states.push(SlotState::Waiting { due_at: UnixMillis(50), reason: why });
    }
    for why in [HoldReason::Parked, HoldReason::Paused, HoldReason::Draft, HoldReason::Cancelled] {
        states.push(SlotState::Held { reason: why });
    }
    for state in states {
        let slot = slot_in(state.clone());
        let late = UnixMillis(1_000_000);
        let leaves =
            |command| slot.apply_command(command, &limits, late).is_ok_and(|next| next.slot.state != state);
        let by_itself = match &state {
            SlotState::Waiting { .. } => leaves(SlotCommand::Lease),
            SlotState::Leased { .. } => leaves(SlotCommand::ExpireLease),
            SlotState::Idle => leaves(SlotCommand::Event(LoopKind::Review)),
            SlotState::Held { reason: HoldReason::Paused } => leaves(SlotCommand::Resume),
            SlotState::Held { .. } => leaves(SlotCommand::Event(LoopKind::Review)),
        };
        assert!(by_itself, "no exit from {state:?}");
        assert!(leaves(SlotCommand::Retry), "no way out by hand from {state:?}");
        for wrong in [
            SlotCommand::Heartbeat(FencingToken(1)),
            SlotCommand::CountReview(FencingToken(1)),
            SlotCommand::HandBack(FencingToken(1)),
        ] {
            assert_eq!(slot.apply_command(wrong, &limits, late), Err(SlotRefusal::LeaseLost));
        }
        assert_eq!(
            slot.apply_command(SlotCommand::Fail(FencingToken(1), None), &limits, late),
            Err(SlotRefusal::LeaseLost)
        );
        assert_eq!(
            slot.apply_command(SlotCommand::Finish(FencingToken(1), StepOutcome::Done), &limits, late),
            Err(SlotRefusal::LeaseLost)
        );
    }
}

#[test]
fn a_run_that_is_stopped_ends_with_its_next_step_whatever_it_waits_for() {
    let limits = SlotLimits::default();
    let step = |slot: &Slot, command: SlotCommand, now: i64| {
        let decided = slot.apply_command(command, &limits, UnixMillis(now)).unwrap().slot;
        Slot { version: SlotVersion(slot.version.0 + 1), ..decided }
    };
    let none = Slot { version: SlotVersion(1), ..Slot::new(SlotKey::new("pr/github/1/1")) };
    assert_eq!(
        none.apply_command(SlotCommand::Stop, &limits, UnixMillis(0)),
        Err(SlotRefusal::NotApplicable)
    );

    // A stop command before the run has begun only removes the request for the run.
    let asked = step(&none, SlotCommand::Request(LoopKind::Converge), 0);
    let forgotten = step(&asked, SlotCommand::Stop, 1);
    assert_eq!(
        (forgotten.state, forgotten.converge_request, forgotten.pending.is_empty()),
        (SlotState::Idle, None, true)
    );

    // A stop command makes the next step due immediately, both if the run waits for a reviewer and if a
    // worker holds the slot's lease.
    let leased = step(&asked, SlotCommand::Lease, 0);
    let waits = |slot: &Slot, now| {
        step(
            slot,
            SlotCommand::Finish(
                slot.token().unwrap(),
                StepOutcome::DueAt(UnixMillis(90_000), WaitReason::Reviewer),
            ),
            now,
        )
    };
    for stopped in
        [step(&waits(&leased, 2), SlotCommand::Stop, 3), waits(&step(&leased, SlotCommand::Stop, 2), 3)]
    {
        assert_eq!(stopped.state, SlotState::Waiting { due_at: UnixMillis(3), reason: WaitReason::Step });
        let last = step(&stopped, SlotCommand::Lease, 3);
        assert_eq!(last.converge_request, Some(ConvergeRequest::Stop));
        let over = step(&last, SlotCommand::Finish(last.token().unwrap(), StepOutcome::Done), 4);
        assert_eq!((over.active_loop, over.converge_request), (None, None));
    }

    // The comment about the stop cannot be posted yet, so the stop remains requested.
    let last = step(&step(&waits(&leased, 2), SlotCommand::Stop, 3), SlotCommand::Lease, 3);
    let settles = StepOutcome::DueAt(UnixMillis(30_000), WaitReason::Settling);
    let early = step(&last, SlotCommand::Finish(last.token().unwrap(), settles), 4);
    assert_eq!(early.state, SlotState::Waiting { due_at: UnixMillis(30_000), reason: WaitReason::Settling });
    assert_eq!(early.converge_request, Some(ConvergeRequest::Stop));

    // A new request for a run cancels an earlier stop command.
    let again = step(&step(&leased, SlotCommand::Stop, 2), SlotCommand::Request(LoopKind::Converge), 3);
    assert_eq!(again.converge_request, None);
}

#[test]
fn an_audit_is_asked_for_where_no_run_is_at_work() {
    let limits = SlotLimits::default();
    let slot = Slot { version: SlotVersion(1), ..Slot::new(SlotKey::new("pr/github/1/1")) };
    let asked = slot.apply_command(SlotCommand::Audit, &limits, UnixMillis(0)).unwrap().slot;
    assert_eq!(
        (asked.converge_request, asked.pending.converge.is_some()),
        (Some(ConvergeRequest::Audit), true)
    );
    assert_eq!(asked.apply_command(SlotCommand::Audit, &limits, UnixMillis(1)), Err(SlotRefusal::Converging));
    let instead =
        asked.apply_command(SlotCommand::Request(LoopKind::Converge), &limits, UnixMillis(1)).unwrap().slot;
    assert_eq!(instead.converge_request, None, "the whole run is wanted now");
}
