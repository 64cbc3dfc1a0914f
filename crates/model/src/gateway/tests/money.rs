//! Tests that money is reserved before a call and settled after it, however the call ends.

use std::time::Duration;

use serde_json::json;
use truing_core::ledger::CostBasis;
use truing_fakes::model::{ModelFault, ModelScript, ScriptedAnswer as Says, ScriptedUsage, StreamPosition};

use super::stage::{MODEL, ProviderCallMethod, Stage, patience, prices, request, user};
use crate::gateway::{LanguageModel, MIN_USEFUL_RESPONSE_TOKENS, ModelError, ProviderTimeouts};
use crate::messages::ModelRequest;

/// Price of a response token of [`MODEL`], in millionths of a dollar.
const OUTPUT: u64 = 20;

#[tokio::test]
async fn whole_answers_cost_what_the_provider_bills() {
    for way in ProviderCallMethod::ALL {
        whole_answers_cost_what_is_billed(*way).await;
    }
}

async fn whole_answers_cost_what_is_billed(way: ProviderCallMethod) {
    let counted =
        ScriptedUsage { input: 900, output: 310, cache_read: 5000, cache_write_5m: 70, cache_write_1h: 11 };
    let script = ModelScript::from_answers([
        Says { usage: Some(counted), ..Says::text("one") },
        Says::tool("read", json!({"path": "a"})).usage(7, 3),
        Says::text("three"),
        // Responses with unknown stop reasons are errors, but the provider bills them.
        Says::text("four").with_stop_reason("lunch"),
        Says::text("five").usage(10, 999_999),
    ]);
    let stage = Stage::by(way, script, 10_000_000, patience()).await;
    let session = stage.session();
    let mut cost = 0;
    for turn in 0..5 {
        match session.request_answer(&request(&[user("hello")])).await {
            Ok(answer) => cost += answer.cost.0,
            Err(error) => {
                assert!(turn == 3 && matches!(error, ModelError::Nonsense { .. }), "{turn} {error}");
            }
        }
    }
    let (whole, cut) = stage.billed();
    assert_eq!((stage.book.spent(), cut), (whole, 0), "{way:?}");
    assert!(stage.book.settled().iter().all(|(_, known)| *known == CostBasis::Metered));
    assert!(0 < cost && cost < whole);
}

/// The provider bills every token that it generates, even beyond the requested limit. The gateway does not
/// retry a response that exceeds the limit, because a second response could exceed the limit, too.
#[tokio::test]
async fn an_answer_of_more_tokens_than_were_asked_for_is_paid_told_and_the_last() {
    let stage =
        Stage::new(ModelScript::from_answers([Says::text("much").with_overrun(9000), Says::text("more")]))
            .await;
    let session = stage.session();
    let asked = request(&[user("hello")]);
    let told = session.request_answer(&asked).await.unwrap_err();
    assert!(matches!(told, ModelError::Nonsense { .. }), "{told}");
    assert!(told.to_string().contains("9000 tokens for an answer of at most 4000"), "{told}");
    assert_eq!(stage.book.settled().len(), 1, "it is not tried again");
    let (cost, known) = stage.book.settled()[0];
    assert!(known == CostBasis::Metered && cost >= 9000 * OUTPUT, "{cost}");
    assert_eq!(session.cost().await.0, cost);
    assert_eq!(stage.model.request_log().len(), 1);
}

#[tokio::test]
async fn each_cut_answer_costs_between_its_prompt_and_its_reservation() {
    let places = [StreamPosition::Start, StreamPosition::Text, StreamPosition::Block, StreamPosition::Stop];
    for (way, after) in ProviderCallMethod::ALL.iter().flat_map(|way| places.map(|after| (*way, after))) {
        let says = Says::fault(ModelFault::Truncated { after }).usage(2000, 50);
        let stage = Stage::by(way, ModelScript::from_answers([says.times(0)]), 10_000_000, patience()).await;
        let result = stage.session().request_answer(&request(&[user(&"x".repeat(9000))])).await;
        assert!(matches!(result, Err(ModelError::Unavailable { .. })), "{result:?}");
        let asked = stage.book.read(|pages| pages.asked.clone());
        let prompt = 2000 * 4;
        for ((cost, known), ask) in stage.book.settled().iter().zip(&asked) {
            assert_eq!(*known, CostBasis::Estimated);
            assert!((prompt..=ask.max_amount.0).contains(cost), "{way:?} {after:?}: {cost} of {ask:?}");
        }
        assert_eq!(asked.len(), 3, "each try is paid on its own");
        assert!(stage.book.spent() >= stage.billed().1);
    }
}

#[tokio::test]
async fn an_answer_is_no_longer_than_its_money() {
    // The request has a few hundred bytes. Its estimate is at most a few thousand tokens, each at 8
    // millionths of a dollar.
    let stage =
        Stage::with(ModelScript::from_answers([Says::text("x").usage(100, 90_000)]), 50_000, patience())
            .await;
    let wants = ModelRequest { max_tokens: 100_000, ..request(&[user("hello")]) };
    let answer = stage.session().request_answer(&wants).await.unwrap();
    let sent = stage.model.request_log()[0].body["max_tokens"].as_u64().unwrap();
    assert!((u64::from(MIN_USEFUL_RESPONSE_TOKENS)..50_000 / OUTPUT).contains(&sent), "{sent}");
    assert_eq!(answer.usage.output, sent);
    assert!(answer.cost.0 <= 50_000 && stage.book.spent() == answer.cost.0);
}

#[tokio::test]
async fn too_little_money_begins_nothing() {
    let stage = Stage::with(ModelScript::from_answers([Says::text("x")]), 20_000, patience()).await;
    let result = stage.session().request_answer(&request(&[user("hello")])).await;
    assert!(matches!(&result, Err(ModelError::Budget { level }) if level.key == "k"), "{result:?}");
    assert_eq!((stage.requests(), stage.book.settled().len()), (0, 0));
}

#[tokio::test]
async fn a_long_prompt_is_counted_before_it_is_called_too_dear() {
    // Estimated as one token per byte, 100,000 bytes would cost 800,000 millionths of a dollar. The provider
    // counts a quarter as many tokens, which cost 200,000.
    for way in ProviderCallMethod::ALL {
        let stage = Stage::by(*way, ModelScript::from_answers([Says::text("x")]), 400_000, patience()).await;
        let answer = stage.session().request_answer(&request(&[user(&"long ".repeat(20_000))])).await;
        let paths: Vec<String> = stage.model.request_log().into_iter().map(|logged| logged.path).collect();
        if *way != ProviderCallMethod::Messages {
            // This API has no method that counts the tokens of this model.
            assert!(
                matches!(answer, Err(ModelError::Budget { .. })) && paths.is_empty(),
                "{way:?}: {paths:?}"
            );
            continue;
        }
        assert!(paths.len() == 2 && paths[0] == "/v1/messages/count_tokens", "{paths:?}");
        assert!(answer.unwrap().usage.input > 25_000 && stage.book.read(|pages| pages.asked.len()) == 2);
    }
}

#[tokio::test]
async fn a_ledger_that_cannot_be_asked_begins_nothing() {
    let stage = Stage::new(ModelScript::from_answers([Says::text("x")])).await;
    stage.book.read(|pages| pages.is_broken = true);
    let result = stage.session().request_answer(&request(&[user("hello")])).await;
    assert!(matches!(&result, Err(ModelError::Ledger(what)) if what.contains("no disk")), "{result:?}");
    assert_eq!(stage.requests(), 0);
}

#[tokio::test]
async fn what_was_counted_is_not_set_aside_twice() {
    let stage =
        Stage::new(ModelScript::from_answers([Says::text("ok").usage(2500, 3), Says::text("ok")])).await;
    let session = stage.session();
    let mut said = vec![user(&"long ".repeat(2000))];
    let answer = session.request_answer(&request(&said)).await.unwrap();
    said.extend([answer.message, user("and?")]);
    session.request_answer(&request(&said)).await.unwrap();
    let most: Vec<u64> = stage.book.read(|pages| pages.asked.iter().map(|ask| ask.max_amount.0).collect());
    let answer = 4000 * OUTPUT;
    // The first reservation is for 10,000 bytes at 8 millionths of a dollar each. The second reservation is
    // for the 2,500 tokens that the provider reported, and for the new bytes.
    assert!(most[0] - answer > 80_000, "{most:?}");
    assert!((20_000..24_000).contains(&(most[1] - answer)), "{most:?}");
}

#[tokio::test]
async fn thinking_has_its_own_tokens_above_the_least() {
    let stage = Stage::new(ModelScript::from_answers([Says::text("x")])).await;
    let thinking = Some(json!({"type": "enabled", "budget_tokens": 2000}));
    let wants = ModelRequest { thinking, max_tokens: 8000, ..request(&[user("hello")]) };
    stage.session().request_answer(&wants).await.unwrap();
    let ask = stage.book.read(|pages| pages.asked[0]);
    assert_eq!(
        ask.max_amount.0 - ask.min_amount.0,
        (8000 - 2000 - u64::from(MIN_USEFUL_RESPONSE_TOKENS)) * OUTPUT
    );
}

/// Sends a request, and cancels the call once `until` returns true.
async fn leave(stage: &Stage, until: impl Fn(&Stage) -> bool) {
    let session = stage.session();
    let wants = request(&[user("hello")]);
    let condition = async {
        while !until(stage) {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        result = session.request_answer(&wants) => panic!("it ended: {result:?}"),
        () = condition => {}
    }
}

#[tokio::test]
async fn who_goes_away_in_the_middle_of_an_answer_pays_for_it() {
    let says = Says::fault(ModelFault::Stall { after: StreamPosition::Text }).usage(300, 20);
    let stage = Stage::new(ModelScript::from_answers([says])).await;
    // After many polls, the gateway has certainly read all data that has arrived.
    let reads = std::cell::Cell::new(0);
    let has_read = |stage: &Stage| {
        reads.set(reads.get() + u32::from(stage.model.stalled_answer_count() == 1));
        reads.get() > 1000
    };
    leave(&stage, has_read).await;
    stage.gateway.wait_until_idle().await;
    // The cost covers the reported prompt, one token of the response, and an estimate of the tokens that the
    // model generates within a second.
    let cost = 300 * 4 + (1 + 300) * OUTPUT;
    assert_eq!((stage.book.settled(), stage.book.open()), (vec![(cost, CostBasis::Estimated)], 0));
}

#[tokio::test]
async fn who_goes_away_before_the_stream_has_told_anything_pays_for_the_prompt_by_its_text() {
    let says = Says::fault(ModelFault::Stall { after: StreamPosition::Headers }).usage(300, 20);
    let stage = Stage::new(ModelScript::from_answers([says])).await;
    leave(&stage, |stage| stage.model.stalled_answer_count() == 1).await;
    stage.gateway.wait_until_idle().await;
    // The cost covers only the prompt, at the price per token of one-hour cache writes. The number of prompt
    // tokens is estimated as one per three bytes, plus an allowance for the request's other parts.
    let settled = stage.book.settled();
    assert!(matches!(settled.as_slice(), [(1..6000, CostBasis::Estimated)]), "{settled:?}");
    assert_eq!(stage.book.open(), 0);
}

#[tokio::test]
async fn who_goes_away_between_two_tries_pays_nothing_more() {
    let patience = ProviderTimeouts { retry_delay: Duration::from_secs(5), ..patience() };
    let stage =
        Stage::with(ModelScript::from_answers([Says::status(529).times(0)]), 1_000_000, patience).await;
    leave(&stage, |stage| !stage.book.settled().is_empty()).await;
    stage.gateway.wait_until_idle().await;
    assert_eq!((stage.book.settled(), stage.book.open()), (vec![(0, CostBasis::Metered)], 0));
}

#[tokio::test]
async fn another_model_that_answers_is_paid_at_its_own_price() {
    let prices = prices();
    assert!(prices.find_price(MODEL).is_some());
    let stage = Stage::new(ModelScript::from_answers([Says::text("x").usage(1000, 10)])).await;
    let answer = stage.session().request_answer(&request(&[user("hello")])).await.unwrap();
    assert_eq!((answer.model.as_str(), answer.cost.0), (MODEL, 1000 * 4 + 10 * OUTPUT));
}

#[tokio::test]
async fn parallel_calls_of_a_run_share_its_money() {
    let stage = Stage::with(
        ModelScript::from_answers([Says::text("x").usage(900, 1500).times(0)]),
        250_000,
        patience(),
    )
    .await;
    let session = stage.session();
    let wants: Vec<ModelRequest> = (0..8).map(|n| request(&[user(&format!("question {n}"))])).collect();
    let mut results = Vec::new();
    let (a, b, c, d) = tokio::join!(
        session.request_answer(&wants[0]),
        session.request_answer(&wants[1]),
        session.request_answer(&wants[2]),
        session.request_answer(&wants[3])
    );
    results.extend([a, b, c, d]);
    for wants in &wants[4..] {
        results.push(session.request_answer(wants).await);
    }
    let answered = results.iter().filter(|result| result.is_ok()).count();
    assert!((1..8).contains(&answered), "{answered}");
    assert_eq!(stage.book.spent(), stage.billed().0);
    assert!(stage.book.spent() <= 250_000);
}
