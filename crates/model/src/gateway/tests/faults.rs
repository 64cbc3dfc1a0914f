//! Tests that every fault has the outcome and the number of requests that the table lists.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use truing_core::breaker::{DEFAULT_CAP_PERIOD, MIN_OPEN_PERIOD};
use truing_core::port::{HaltReason, WriteGate};
use truing_core::secret::SecretString;
use truing_fakes::model::{
    AnswerBlock as Said, DEFAULT_API_KEY, ModelFault, ModelScript, ScriptedAnswer as Says, StreamPosition,
};

use super::stage::{MODEL, ProviderCallMethod, Stage, patience, request, user};
use crate::gateway::{LanguageModel, ModelAnswer, ModelError, ModelGateway, ProviderTimeouts};
use crate::messages::StopReason;
use crate::price::ModelPrices;
use crate::provider::{ModelProvider, ProviderCredentials};

fn name(result: &Result<ModelAnswer, ModelError>) -> &'static str {
    match result {
        Ok(_) => "answer",
        Err(ModelError::Budget { .. }) => "budget",
        Err(ModelError::Halted(_)) => "switch",
        Err(ModelError::NotAllowed(_)) => "not allowed",
        Err(ModelError::SpendCap { .. }) => "cap",
        Err(ModelError::Unauthorized { .. }) => "key",
        Err(ModelError::InvalidRequest { .. }) => "request",
        Err(ModelError::TooLong { .. }) => "too long",
        Err(ModelError::Unavailable { .. }) => "down",
        Err(ModelError::Nonsense { .. }) => "nonsense",
        Err(ModelError::Ledger(_)) => "ledger",
        Err(ModelError::UsageLimit { .. }) => "usage limit",
        Err(ModelError::Drift { .. }) => "drift",
    }
}

fn status(status: u16, error: &str, message: &str, headers: &[(&str, &str)]) -> Says {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let headers: BTreeMap<_, _> = headers.collect();
    Says::fault(ModelFault::Status { status, error: error.into(), message: message.into(), headers })
}

fn stream_error(error: &str) -> Says {
    Says::fault(ModelFault::Error { after: StreamPosition::Block, error: error.into(), message: "m".into() })
}

fn tool(fault: ModelFault) -> Says {
    Says { fault: Some(fault), ..Says::tool("read", json!({"path": "src/long/enough.py"})) }
}

/// Sends one request through the gateway, which makes at most three attempts, and returns the result.
async fn ask(
    way: ProviderCallMethod,
    says: Says,
    patience: ProviderTimeouts,
) -> (Stage, Result<ModelAnswer, ModelError>) {
    let stage = Stage::by(way, ModelScript::from_answers([says.times(0)]), 10_000_000, patience).await;
    let result = stage.session().request_answer(&request(&[user("hello")])).await;
    assert_eq!(stage.book.open(), 0, "everything is settled");
    assert_eq!(stage.model.violations(), [""; 0]);
    (stage, result)
}

#[tokio::test]
async fn every_fault_has_one_outcome_and_its_number_of_requests() {
    let rows = [
        ("400", Says::status(400), "request", 1),
        (
            "400 too long",
            status(400, "invalid_request_error", "prompt is too long: 9 > 8", &[]),
            "too long",
            1,
        ),
        ("400 credit", status(400, "invalid_request_error", "Your credit balance is too low", &[]), "cap", 1),
        ("401", Says::status(401), "key", 1),
        ("402", Says::status(402), "cap", 1),
        ("403", Says::status(403), "key", 1),
        ("403 spend", status(403, "spend_limit_error", "", &[]), "cap", 1),
        ("404", Says::status(404), "request", 1),
        ("413", Says::status(413), "too long", 1),
        ("422", Says::status(422), "request", 1),
        ("307", status(307, "", "", &[("location", "http://127.0.0.1:9/")]), "nonsense", 1),
        ("204", status(204, "", "", &[]), "nonsense", 1),
        ("408", Says::status(408), "down", 3),
        ("429", Says::status(429), "down", 3),
        ("429, retry after 3 ms", status(429, "", "", &[("retry-after-ms", "3")]), "down", 3),
        ("429, retry after 50 s", status(429, "", "", &[("retry-after", "50")]), "down", 1),
        ("429, retry after 61 s", status(429, "", "", &[("retry-after", "61")]), "cap", 1),
        ("429, do not retry", status(429, "", "", &[("x-should-retry", "false")]), "down", 1),
        ("429, billing error", status(429, "billing_error", "", &[]), "cap", 1),
        ("500", Says::status(500), "down", 3),
        ("503", Says::status(503), "down", 3),
        ("504", Says::status(504), "down", 3),
        ("529", Says::status(529), "down", 3),
        ("connection reset", Says::fault(ModelFault::Reset), "down", 3),
        (
            "cut after the headers",
            Says::fault(ModelFault::Truncated { after: StreamPosition::Headers }),
            "down",
            3,
        ),
        (
            "cut after the start",
            Says::fault(ModelFault::Truncated { after: StreamPosition::Start }),
            "down",
            3,
        ),
        (
            "cut in a text block",
            Says::fault(ModelFault::Truncated { after: StreamPosition::Text }),
            "down",
            3,
        ),
        ("cut in a tool's input", tool(ModelFault::Truncated { after: StreamPosition::ToolJson }), "down", 3),
        ("cut after a block", Says::fault(ModelFault::Truncated { after: StreamPosition::Block }), "down", 3),
        (
            "cut after the stop reason",
            Says::fault(ModelFault::Truncated { after: StreamPosition::Stop }),
            "down",
            3,
        ),
        ("overloaded in the stream", stream_error("overloaded_error"), "down", 3),
        ("unknown error in the stream", stream_error("odd_error"), "down", 3),
        ("bad request in the stream", stream_error("invalid_request_error"), "request", 1),
        ("billing in the stream", stream_error("billing_error"), "cap", 1),
        ("200 overloaded", status(200, "overloaded_error", "busy", &[]), "down", 3),
        ("bad JSON", Says::fault(ModelFault::BadJson { after: StreamPosition::Start }), "nonsense", 2),
        ("empty", Says::fault(ModelFault::EmptyBody), "nonsense", 1),
        ("HTML", Says::fault(ModelFault::Html), "nonsense", 1),
        ("unknown stop reason", Says::text("x").with_stop_reason("lunch"), "nonsense", 1),
        ("stop for a tool call, without a call", Says::text("x").with_stop_reason("tool_use"), "nonsense", 1),
        ("delayed answer", Says::fault(ModelFault::Slow { millis: 5 }), "answer", 1),
        ("delay before each event", Says::fault(ModelFault::Drip { millis: 1 }), "answer", 1),
    ];
    let mut observed = vec![Vec::new(); rows.len()];
    for way in ProviderCallMethod::ALL {
        for ((fault, says, outcome, requests), observed) in rows.iter().zip(&mut observed) {
            let (stage, result) = ask(*way, says.clone(), patience()).await;
            let seen = (name(&result), stage.requests());
            assert_eq!(seen, (*outcome, *requests), "{way:?}, {fault}: {result:?}");
            assert_eq!(
                stage.book.settled().len(),
                *requests,
                "{way:?}, {fault}: each try is paid on its own"
            );
            observed.push(format!("{} ({})", seen.0, seen.1));
        }
    }
    // The documentation page is checked only in builds with Amazon's providers, because its table has columns
    // for these providers.
    if cfg!(feature = "aws") {
        let faults = rows.iter().map(|(fault, ..)| *fault).zip(&observed);
        check_page(
            &faults
                .map(|(fault, cells)| format!("| {fault} | {} |\n", cells.join(" | ")))
                .collect::<String>(),
        );
    }
}

/// Compares the documentation page with the observed outcomes. With `UPDATE_DOCS`, first rewrites the page.
fn check_page(rows: &str) {
    let ways: Vec<String> = ProviderCallMethod::ALL.iter().map(|way| way.to_string()).collect();
    let page = format!(
        "# Faults of providers\n\nGenerated by the tests of `crates/model`: a server on this machine \
        simulates each fault in the protocol of each provider. A cell shows\nthe observed outcome, and \
        the number of requests in brackets. At most three attempts were allowed. Truing settled the cost \
        of each attempt separately.\n\n| Fault | {} |\n|---|{}\n{rows}\n`answer`: the provider answered. \
        `down`: the provider is not available, and Truing uses a fallback. `cap`: the credit or spending \
        limit at the provider is used up, and Truing\nuses a fallback. `key`: the provider refuses \
        access. `request`: the provider refuses the request. `too long`: the request is longer than the \
        context. `nonsense`: the response does not follow the\nprovider's API. Numbers in the first \
        column are HTTP statuses.\n",
        ways.join(" | "),
        "---|".repeat(ways.len()),
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/provider-faults.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "{} is out of date: write it anew with UPDATE_DOCS=1", path.display());
}

/// Bedrock is not tested, because Bedrock sends the name of an error in a header.
#[tokio::test]
async fn an_error_with_the_status_of_a_success_is_read() {
    for way in [ProviderCallMethod::Messages, ProviderCallMethod::Chat] {
        let wrong = status(200, "invalid_request_error", "no", &[]);
        let (stage, result) = ask(way, wrong, patience()).await;
        assert_eq!((name(&result), stage.requests()), ("request", 1), "{way:?}: {result:?}");
    }
}

/// Errors that only Amazon Bedrock has.
#[cfg(feature = "aws")]
#[tokio::test]
async fn errors_of_bedrock_have_their_outcomes_too() {
    let rows = [
        ("424", Says::status(424), "down", 3),
        ("not ready", status(429, "ModelNotReadyException", "", &[]), "down", 3),
        ("quota", status(400, "ServiceQuotaExceededException", "", &[]), "cap", 1),
        ("a day's tokens", status(429, "ThrottlingException", "Too many tokens per day", &[]), "cap", 1),
        (
            "long",
            status(400, "ValidationException", "Input is too long for requested model", &[]),
            "too long",
            1,
        ),
        ("old role", status(403, "ExpiredTokenException", "", &[]), "key", 1),
        ("throttled in the stream", stream_error("throttlingException"), "down", 3),
        ("broken in the stream", stream_error("modelStreamErrorException"), "down", 3),
        ("late in the stream", stream_error("modelTimeoutException"), "down", 3),
        ("away in the stream", stream_error("serviceUnavailableException"), "down", 3),
        ("failed in the stream", stream_error("internalServerException"), "down", 3),
        ("wrong in the stream", stream_error("validationException"), "request", 1),
    ];
    for (fault, says, outcome, requests) in rows {
        let (stage, result) = ask(ProviderCallMethod::Bedrock, says, patience()).await;
        assert_eq!((name(&result), stage.requests()), (outcome, requests), "{fault}: {result:?}");
    }
}

#[tokio::test]
async fn what_never_ends_is_ended() {
    let short = Duration::from_millis(100);
    let impatient = ProviderTimeouts { chunk_interval: short, ..patience() };
    let rows = [
        (
            "silent",
            ModelFault::Stall { after: StreamPosition::Headers },
            ProviderTimeouts { response_start: short * 50, ..patience() },
            1,
        ),
        ("silent after the start", ModelFault::Stall { after: StreamPosition::Start }, impatient, 3),
        ("silent in a block", ModelFault::Stall { after: StreamPosition::Text }, impatient, 3),
        (
            "pings",
            ModelFault::Pings { millis: 5 },
            ProviderTimeouts { progress_interval: short, ..patience() },
            3,
        ),
        ("endless", ModelFault::Endless, ProviderTimeouts { total: short, ..patience() }, 1),
    ];
    for way in ProviderCallMethod::ALL {
        for (fault, kind, patience, requests) in &rows {
            let (stage, result) = ask(*way, Says::fault(kind.clone()), *patience).await;
            assert_eq!(
                (name(&result), stage.requests()),
                ("down", *requests),
                "{way:?}, {fault}: {result:?}"
            );
        }
    }
}

#[tokio::test]
async fn every_known_reason_to_stop_is_an_answer() {
    for (says, stop) in [
        (Says::text("x"), StopReason::EndTurn),
        (Says::text("x").with_stop_reason("max_tokens"), StopReason::MaxTokens),
        (Says::text("x").with_stop_reason("refusal"), StopReason::Refusal),
        (Says::text("x").with_stop_reason("pause_turn"), StopReason::PauseTurn),
        (
            Says::text("").with_stop_reason("model_context_window_exceeded"),
            StopReason::ModelContextWindowExceeded,
        ),
        (Says::tool("read", json!({})), StopReason::ToolUse),
    ] {
        for way in ProviderCallMethod::ALL {
            let (_, result) = ask(*way, says.clone(), patience()).await;
            assert_eq!(result.unwrap().stop, stop, "{way:?}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_recovers_is_asked_until_it_does() {
    for way in ProviderCallMethod::ALL {
        let script = ModelScript::from_answers([
            Says::status(529),
            Says::fault(ModelFault::Reset),
            Says::text("well"),
        ]);
        let stage = Stage::by(*way, script, 10_000_000, patience()).await;
        let answer = stage.session().request_answer(&request(&[user("hello")])).await.unwrap();
        assert_eq!(
            (serde_json::to_value(&answer.message).unwrap()["content"][0]["text"].clone(), stage.requests()),
            (json!("well"), 3)
        );
        assert!(answer.request_id.starts_with("req_"), "{answer:?}");
    }
}

#[tokio::test]
async fn thinking_comes_back_as_it_was_signed() {
    let blocks = vec![
        Said::Thinking { thinking: "hm, é".into(), signature: "c2ln".into() },
        Said::RedactedThinking { data: "eA==".into() },
    ];
    let says = Says { blocks, ..Says::tool("read", json!({"path": "a"})) };
    for way in ProviderCallMethod::ALL {
        let (_, answer) = ask(*way, says.clone(), patience()).await;
        let content = serde_json::to_value(answer.unwrap().message.content).unwrap();
        if *way == ProviderCallMethod::Chat {
            // The answer contains no thinking blocks, because the client could not send them back in a Chat
            // Completions request.
            assert_eq!(content, json!([]));
            continue;
        }
        assert_eq!(content[0], json!({"type": "thinking", "thinking": "hm, é", "signature": "c2ln"}));
        assert_eq!(content[1], json!({"type": "redacted_thinking", "data": "eA=="}));
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_down() {
    let stage = Stage::new(ModelScript::default()).await;
    let provider = ModelProvider::new("http://127.0.0.1:1", ProviderCredentials::Unauthenticated).unwrap();
    let gateway = ModelGateway::new(
        provider,
        ModelPrices::builtin().unwrap(),
        Arc::new(stage.book.clone()),
        stage.wall.clone(),
        None,
        patience(),
    );
    let budget = truing_core::ledger::RunBudget { run: truing_core::id::RunId::new("r"), levels: Vec::new() };
    let session = gateway.unwrap().open_session(budget, [MODEL.to_owned()], Arc::new(stage.switch.clone()));
    let result = session.request_answer(&request(&[user("hello")])).await;
    assert_eq!(name(&result), "down", "{result:?}");
    // Nothing was sent, so each attempt is settled at no cost.
    assert_eq!(stage.book.settled(), [(0, truing_core::ledger::CostBasis::Metered); 3]);
}

#[tokio::test]
async fn a_cap_opens_the_circuit_for_every_run_and_one_call_tries_again() {
    let stage = Stage::new(ModelScript::from_answers([
        Says::status(402),
        Says::status(402),
        Says::text("x").times(0),
    ]))
    .await;
    let ask = async || name(&stage.session().request_answer(&request(&[user("hello")])).await);
    assert_eq!([ask().await, ask().await], ["cap", "cap"]);
    assert_eq!(stage.requests(), 1, "the second was not sent");
    assert_eq!(stage.book.settled().len(), 1, "nor was money set aside for it");

    stage.wall.later(DEFAULT_CAP_PERIOD.0);
    assert_eq!([ask().await, ask().await], ["cap", "cap"]);
    assert_eq!(stage.requests(), 2, "one tried for all");
    stage.wall.later(DEFAULT_CAP_PERIOD.0 * 2);
    assert_eq!([ask().await, ask().await], ["answer", "answer"]);
}

#[tokio::test]
async fn calls_that_fail_one_after_another_open_the_circuit() {
    let patience = ProviderTimeouts { max_attempts: 1, ..patience() };
    let stage =
        Stage::with(ModelScript::from_answers([Says::status(529).times(0)]), 10_000_000, patience).await;
    for _ in 0..5 {
        assert_eq!(name(&stage.session().request_answer(&request(&[user("hello")])).await), "down");
    }
    assert_eq!(stage.requests(), 3);
    stage.wall.later(MIN_OPEN_PERIOD.0);
    stage.model.set_script(ModelScript::from_answers([Says::text("x").times(0)]));
    assert_eq!(name(&stage.session().request_answer(&request(&[user("hello")])).await), "answer");
}

#[tokio::test]
async fn only_allowed_models_with_a_price_are_asked() {
    let stage = Stage::new(ModelScript::from_answers([Says::text("x").times(0)])).await;
    for model in ["claude-unpriced", "claude-haiku-5-5"] {
        let other = crate::messages::ModelRequest { model: model.into(), ..request(&[user("hello")]) };
        let result = stage.session().request_answer(&other).await;
        assert!(result.as_ref().is_err_and(|refused| refused.to_string().contains(model)), "{result:?}");
        assert_eq!(name(&result), "not allowed");
    }
    assert_eq!((stage.requests(), stage.book.settled().len()), (0, 0));
}

/// A kill switch that allows this many checks and then turns on.
#[derive(Debug)]
struct DelayedSwitch(Arc<AtomicU32>);

#[async_trait]
impl WriteGate for DelayedSwitch {
    async fn permit_write(&self) -> Result<(), HaltReason> {
        let left = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| HaltReason::KillSwitch)
    }
}

#[tokio::test]
async fn the_kill_switch_is_asked_before_each_try() {
    for looks in 0..3 {
        let stage = Stage::new(ModelScript::from_answers([Says::status(529).times(0)])).await;
        let budget =
            truing_core::ledger::RunBudget { run: truing_core::id::RunId::new("r"), levels: Vec::new() };
        let gate = DelayedSwitch(Arc::new(AtomicU32::new(looks)));
        let session = stage.gateway.open_session(budget, [MODEL.to_owned()], Arc::new(gate));
        let result = session.request_answer(&request(&[user("hello")])).await;
        assert_eq!((name(&result), stage.requests()), ("switch", looks as usize));
    }
}

#[tokio::test]
async fn a_key_is_in_no_error_and_no_debug_output() {
    let echo = status(400, "invalid_request_error", &format!("bad key {DEFAULT_API_KEY}"), &[]);
    // Signed requests are not tested, because they do not contain the secret, so a server cannot return the
    // secret in an error.
    for way in ProviderCallMethod::ALL.iter().filter(|way| way.sends_its_key()) {
        for says in
            [&echo, &stream_error(DEFAULT_API_KEY), &status(401, DEFAULT_API_KEY, DEFAULT_API_KEY, &[])]
        {
            let (stage, result) = ask(*way, says.clone(), patience()).await;
            let error = result.unwrap_err();
            let printed = format!(
                "{error} {error:?} {:?} {:?}",
                stage.gateway,
                ProviderCredentials::XApiKey(SecretString::new(DEFAULT_API_KEY))
            );
            assert!(!printed.contains(DEFAULT_API_KEY), "{printed}");
        }
    }
}
