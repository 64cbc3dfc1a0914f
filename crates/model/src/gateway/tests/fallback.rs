//! Tests of the fallback, which is called while the first provider is unavailable. The first provider and the
//! fallback share one budget, with one reservation at a time. The response names the provider that answered.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use truing_core::breaker::DEFAULT_CAP_PERIOD;
use truing_fakes::model::{
    AnswerBlock as Said, FakeModel, ModelFault, ModelScript, ScriptedAnswer as Says, StreamPosition,
};

use super::stage::{MODEL, ProviderCallMethod, Stage, patience, prices, request, user};
use crate::gateway::{LanguageModel, ModelAnswer, ModelError, ModelGateway, ModelSession, ProviderTimeouts};
use crate::messages::ModelRequest;

/// The model of the second provider, with a higher price than [`MODEL`].
const OTHER: &str = "claude-opus-5";

/// A first provider, and a fallback for its outages.
struct FallbackSetup {
    first: Stage,
    second: FakeModel,
    gateway: ModelGateway,
}

impl FallbackSetup {
    async fn new(first: impl IntoIterator<Item = Says>, second: impl IntoIterator<Item = Says>) -> Self {
        Self::by(ProviderCallMethod::Messages, 10_000_000, first, second).await
    }

    async fn by(
        way: ProviderCallMethod,
        limit: u64,
        first: impl IntoIterator<Item = Says>,
        second: impl IntoIterator<Item = Says>,
    ) -> Self {
        let once = ProviderTimeouts { max_attempts: 1, ..patience() };
        let first = Stage::with(ModelScript::from_answers(first), limit, once).await;
        let second = FakeModel::start(ModelScript::from_answers(second)).await.unwrap();
        let (book, wall) = (first.book.clone(), first.wall.clone());
        let other = ModelGateway::new(way.to(&second), prices(), Arc::new(book), wall, None, once).unwrap();
        let gateway = first.gateway.clone().with_fallback("backup", other, OTHER);
        Self { first, second, gateway }
    }

    fn session(&self) -> ModelSession {
        self.first.session_by(&self.gateway)
    }

    /// Returns the number of requests to each provider.
    fn requests(&self) -> (usize, usize) {
        (self.first.requests(), self.second.request_log().len())
    }

    fn check(&self) {
        assert_eq!(self.first.book.open(), 0, "everything is settled");
        assert_eq!((self.first.model.violations(), self.second.violations()), (Vec::new(), Vec::new()));
    }
}

fn text(answer: &ModelAnswer) -> Value {
    serde_json::to_value(&answer.message.content).unwrap()[0]["text"].clone()
}

#[tokio::test]
async fn a_provider_that_is_down_from_the_start_is_replaced_and_the_answer_says_by_whom() {
    for way in ProviderCallMethod::ALL {
        let two = FallbackSetup::by(
            *way,
            10_000_000,
            [Says::status(529).times(0)],
            [Says::text("backup").usage(1000, 10).times(0)],
        )
        .await;
        let session = two.session();
        let answer = session.request_answer(&request(&[user("hello")])).await.unwrap();
        assert_eq!(
            (text(&answer), answer.served_by.as_deref()),
            (json!("backup"), Some("backup")),
            "{way:?}"
        );
        assert!(
            answer.serving_model().contains(OTHER) && answer.serving_model().contains("backup"),
            "{}",
            answer.serving_model()
        );
        // The cost is calculated with the price of the model and provider that returned the response.
        let wire = way.to(&two.second);
        let price = wire.wire().price(&prices(), OTHER).unwrap().clone();
        assert_eq!((answer.cost, two.first.book.spent()), (price.cost(&answer.usage), answer.cost.0));
        assert_eq!(session.cost().await, answer.cost);
        // The session continues to use the fallback, because a session keeps the provider of a conversation
        // if possible.
        session.request_answer(&request(&[user("and?")])).await.unwrap();
        assert_eq!(two.requests(), (1, 2));
        two.check();
    }
}

#[tokio::test]
async fn one_that_goes_down_in_mid_run_leaves_the_conversation_without_its_thinking() {
    let mut first = Says::tool("read", json!({"path": "a"})).usage(100, 10);
    first.blocks.insert(0, Said::Thinking { thinking: "hm".into(), signature: "c2ln".into() });
    let lost = Says::fault(ModelFault::Truncated { after: StreamPosition::Text }).usage(100, 10).times(0);
    let two = FallbackSetup::new([first, lost], [Says::text("backup").usage(200, 10)]).await;
    let session = two.session();
    let mut said = vec![user("hello")];
    let answer = session.request_answer(&request(&said)).await.unwrap();
    assert_eq!(answer.served_by, None);
    let call = serde_json::to_value(&answer.message.content).unwrap()[1]["id"].clone();
    let result = json!({"type": "tool_result", "tool_use_id": call, "content": "text"});
    let result = serde_json::from_value(json!({"role": "user", "content": [result]})).unwrap();
    said.extend([answer.message, result]);

    let answer = session.request_answer(&request(&said)).await.unwrap();
    assert_eq!(answer.served_by.as_deref(), Some("backup"));
    let sent = &two.second.request_log()[0].body;
    assert_eq!((&sent["model"], sent["messages"].as_array().unwrap().len()), (&json!(OTHER), 3));
    assert!(!sent.to_string().contains("c2ln"), "{sent}");
    // The interrupted call to the first provider was settled before the gateway called the fallback.
    assert_eq!(two.first.book.settled().len(), 3);
    assert_eq!(session.cost().await.0, two.first.book.spent());
    two.check();
}

#[tokio::test]
async fn a_cap_sends_every_run_to_the_fallback_until_it_is_over() {
    let two = FallbackSetup::new(
        [Says::status(402), Says::text("first").times(0)],
        [Says::text("backup").times(0)],
    )
    .await;
    for _ in 0..3 {
        let answer = two.session().request_answer(&request(&[user("hello")])).await.unwrap();
        assert_eq!(text(&answer), json!("backup"));
    }
    assert_eq!(two.requests(), (1, 3), "its circuit is open");
    two.first.wall.later(DEFAULT_CAP_PERIOD.0);
    let answer = two.session().request_answer(&request(&[user("hello")])).await.unwrap();
    assert_eq!((text(&answer), answer.served_by), (json!("first"), None));
    two.check();
}

#[tokio::test]
async fn a_fallback_that_goes_down_leaves_it_to_the_first_again() {
    let two = FallbackSetup::new(
        [Says::status(503), Says::text("first").times(0)],
        [Says::text("backup"), Says::status(503).times(0)],
    )
    .await;
    let session = two.session();
    let mut by = Vec::new();
    for _ in 0..3 {
        by.push(session.request_answer(&request(&[user("hello")])).await.unwrap().served_by);
    }
    assert_eq!(by, [Some("backup".to_owned()), None, None]);
    assert_eq!(two.requests(), (3, 2));
    two.check();
}

#[tokio::test]
async fn two_that_are_down_are_told_together() {
    let two = FallbackSetup::new([Says::status(529).times(0)], [Says::status(402).times(0)]).await;
    let told = two.session().request_answer(&request(&[user("hello")])).await.unwrap_err();
    assert!(matches!(told, ModelError::Unavailable { .. }), "{told}");
    let told = told.to_string();
    assert!(told.contains("529") && told.contains("402") && told.contains("fallback"), "{told}");
    assert_eq!((two.requests(), two.first.book.spent()), ((1, 1), 0));
    two.check();
}

#[tokio::test]
async fn what_another_provider_would_not_change_is_not_asked_of_it() {
    for says in [Says::status(400), Says::status(401), Says::status(413), Says::fault(ModelFault::Html)] {
        let two = FallbackSetup::new([says.times(0)], [Says::text("backup").times(0)]).await;
        two.session().request_answer(&request(&[user("hello")])).await.unwrap_err();
        assert_eq!(two.requests(), (1, 0));
    }
    let two = FallbackSetup::new([Says::text("x").times(0)], [Says::text("backup").times(0)]).await;
    let other = ModelRequest { model: OTHER.into(), ..request(&[user("hello")]) };
    let told = two.session().request_answer(&other).await;
    assert!(matches!(told, Err(ModelError::NotAllowed(_))), "{told:?}");
    assert_eq!(two.requests(), (0, 0));
}

#[tokio::test]
async fn a_purse_that_is_too_small_for_the_fallback_ends_it() {
    // The budget suffices for a response of the first provider, but not for the shortest response of the
    // second.
    let wants = ModelRequest { max_tokens: 1024, ..request(&[user("hello")]) };
    let limit = prices().find_price(MODEL).unwrap().max_cost(150, 1024).0;
    let two = FallbackSetup::by(
        ProviderCallMethod::Messages,
        limit,
        [Says::status(529).times(0)],
        [Says::text("x").times(0)],
    )
    .await;
    let told = two.session().request_answer(&wants).await;
    assert!(matches!(told, Err(ModelError::Budget { .. })), "{told:?}");
    let is_asked = two.second.request_log().iter().any(|logged| logged.path == "/v1/messages");
    assert!(!is_asked && two.first.requests() == 1, "nothing is begun that is not paid");
    assert_eq!(two.first.book.spent(), 0);
    two.check();
}

#[tokio::test]
async fn the_kill_switch_stops_the_fallback_too() {
    let two = FallbackSetup::new([Says::status(529).times(0)], [Says::text("x").times(0)]).await;
    let session = two.session();
    let answer = session.request_answer(&request(&[user("hello")])).await;
    assert!(answer.is_ok());
    two.first.switch.0.store(false, Ordering::SeqCst);
    let told = session.request_answer(&request(&[user("hello")])).await;
    assert!(matches!(told, Err(ModelError::Halted(_))), "{told:?}");
    assert_eq!(two.requests(), (1, 1));
    two.check();
}
