//! Tests of several processes that share one circuit breaker, and of their separate circuit breakers while
//! the shared state is unreachable.

use std::sync::Arc;

use truing_core::breaker::{MIN_OPEN_PERIOD, TRIAL_TIMEOUT};
use truing_core::port::Clock as _;
use truing_fakes::common::FakeSharedState;
use truing_fakes::model::{DEFAULT_API_KEY, ModelFault, ModelScript, ScriptedAnswer as Says};

use super::stage::{SettableTestClock, Stage, request, user};
use crate::gateway::{LanguageModel, ModelAnswer, ModelError, ModelGateway};

/// Two processes, their shared state, and its clock.
struct TwoProcesses {
    stage: Stage,
    one: ModelGateway,
    other: ModelGateway,
    theirs: Arc<SettableTestClock>,
    common: FakeSharedState,
}

impl TwoProcesses {
    async fn new(says: Says) -> Self {
        let stage = Stage::new(ModelScript::from_answers([says.times(0)])).await;
        // The clock of the shared state is an hour ahead of the clock of the two processes.
        let theirs = SettableTestClock::at(stage.wall.now().0 + 3_600_000);
        let common = FakeSharedState::new(theirs.clone());
        let [one, other] = [(); 2].map(|()| stage.process(Arc::new(common.clone())));
        Self { stage, one, other, theirs, common }
    }

    async fn ask(&self, by: &ModelGateway) -> Result<ModelAnswer, ModelError> {
        self.stage.session_by(by).request_answer(&request(&[user("hello")])).await
    }

    fn later(&self, millis: i64) {
        self.stage.wall.later(millis);
        self.theirs.later(millis);
    }
}

fn is_down(result: &Result<ModelAnswer, ModelError>) -> bool {
    matches!(result, Err(ModelError::Unavailable { .. }))
}

#[tokio::test]
async fn failures_of_all_processes_open_the_circuit_and_a_trial_of_one_closes_it_for_all() {
    let fleet = TwoProcesses::new(Says::status(529)).await;
    for by in [&fleet.one, &fleet.other, &fleet.one] {
        assert!(is_down(&fleet.ask(by).await));
    }
    assert_eq!(fleet.stage.requests(), 3);
    for by in [&fleet.one, &fleet.other] {
        let Err(ModelError::Unavailable { next_attempt_at: until, .. }) = fleet.ask(by).await else {
            panic!("it was asked")
        };
        assert_eq!(until, Some(fleet.stage.wall.now() + MIN_OPEN_PERIOD), "by the clock of whoever asks");
    }
    assert_eq!(fleet.stage.requests(), 3, "nothing more was sent");

    fleet.later(MIN_OPEN_PERIOD.0);
    fleet.stage.model.set_script(ModelScript::from_answers([Says::text("x").times(0)]));
    fleet.ask(&fleet.other).await.unwrap();
    fleet.ask(&fleet.one).await.unwrap();
    assert!(fleet.common.names().is_empty(), "nothing is kept of a closed one");
}

#[tokio::test]
async fn a_cap_that_one_process_has_met_stops_all() {
    let fleet = TwoProcesses::new(Says::status(402)).await;
    for by in [&fleet.one, &fleet.other] {
        assert!(matches!(fleet.ask(by).await, Err(ModelError::SpendCap { .. })));
    }
    assert_eq!(fleet.stage.requests(), 1);
    let names = fleet.common.names();
    assert!(names[0].starts_with(&format!("circuit:{}", fleet.stage.model.url())), "{names:?}");
    assert!(!names[0].contains(DEFAULT_API_KEY), "{names:?}");
}

#[tokio::test]
async fn a_trial_that_is_given_up_leaves_its_place_to_another_process() {
    let fleet = TwoProcesses::new(Says::status(402)).await;
    assert!(fleet.ask(&fleet.one).await.is_err());
    fleet.later(TRIAL_TIMEOUT.0);
    fleet
        .stage
        .model
        .set_script(ModelScript::from_answers([Says::fault(ModelFault::Slow { millis: 600_000 }).times(0)]));
    let sent = fleet.stage.requests();
    tokio::select! {
        _ = fleet.ask(&fleet.one) => panic!("it hangs"),
        () = async {
            while fleet.stage.requests() == sent {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    fleet.stage.model.set_script(ModelScript::from_answers([Says::text("x").times(0)]));
    // The process records the cancelled call's result in the shared state before it exits.
    fleet.one.wait_until_idle().await;
    fleet.ask(&fleet.other).await.unwrap();
}

#[tokio::test]
async fn while_nothing_can_be_kept_in_common_each_process_has_its_own_circuit() {
    let fleet = TwoProcesses::new(Says::status(529)).await;
    fleet.common.set_unreachable(true);
    for _ in 0..5 {
        assert!(is_down(&fleet.ask(&fleet.one).await));
    }
    assert_eq!(fleet.stage.requests(), 3);
    assert!(is_down(&fleet.ask(&fleet.other).await));
    assert_eq!(fleet.stage.requests(), 4);
    // As soon as the shared state is reachable again, the processes use it instead of their separate circuit
    // breakers.
    fleet.common.set_unreachable(false);
    assert!(is_down(&fleet.ask(&fleet.one).await));
    assert_eq!(fleet.stage.requests(), 5);
}
