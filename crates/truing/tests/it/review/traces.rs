//! Tests of the traces of reviews with a receiver of OTLP over HTTP.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use truing_fakes::model::{DEFAULT_API_KEY, ScriptedAnswer};

use crate::review::model::{Scene, finding, read_answer, report_answer};
use crate::review::otlp::{Receiver, hex, span_attributes, spans_named};
use crate::review::place::{Ran, fake_key};

/// Runs a review in which the model reads a file that contains a key, and quotes the key.
fn run_traced_review(receiver: &Receiver, config: &str) -> (Ran, Vec<Span>) {
    let mut quoting = finding();
    quoting["body"] = json!(format!("It has {}.", fake_key()));
    let scene = Scene::from_answers([read_answer("conf.py"), report_answer(&[quoting])]).with_config(config);
    scene.place.write("conf.py", format!("KEY = \"{}\"\n", fake_key()));
    let mut command = scene.command(&["--format", "json"]);
    command
        .env("TRUING_TELEMETRY__OTLP_ENDPOINT", &receiver.url)
        .env("OTLP_HEADERS", "Authorization=Basic%20canary");
    command.env("TRUING_TELEMETRY__HEADERS__ENV", "OTLP_HEADERS");
    let ran = Ran::from(command.output().unwrap());
    (ran, receiver.spans())
}

#[test]
fn a_review_is_one_trace_with_a_span_for_each_call_and_no_text() {
    let receiver = Receiver::start();
    let (ran, spans) = run_traced_review(&receiver, "");
    assert_eq!(ran.exit, 1, "{}", ran.err);
    let root = spans_named(&spans, "pr-review")[0];
    assert!(root.parent_span_id.is_empty() && spans.iter().all(|span| span.trace_id == root.trace_id));
    let about = span_attributes(root);
    // The trace id is the UUID of the review.
    assert_eq!(about["reviewId"].replace('-', ""), hex(&root.trace_id));
    for (name, value) in
        [("num_turns", "2"), ("subtype", "success"), ("stop_reason", "end_turn"), ("permission_denials", "0")]
    {
        assert_eq!(about[name], value, "{name}");
    }
    assert_eq!(about["headSha"].len(), 40);
    assert_eq!(about["langfuse.trace.metadata.run"], about["reviewId"]);
    assert_eq!(about["langfuse.trace.metadata.outcome"], "reviewed");
    assert_eq!(about["langfuse.trace.metadata.cost_usd"], about["cost_usd"]);
    let cost: f64 = about["cost_usd"].parse().unwrap();
    assert_eq!((cost * 1e6).round(), ran.json()["cost_micro_usd"].as_f64().unwrap());

    let chats = spans_named(&spans, "chat claude-sonnet-5-5");
    assert_eq!(chats.len(), 2);
    let chat = span_attributes(chats[0]);
    for (name, value) in [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "anthropic"),
        ("gen_ai.response.model", "claude-sonnet-5-5"),
        ("gen_ai.usage.input_tokens", "1000"),
        ("gen_ai.usage.output_tokens", "100"),
        ("langfuse.observation.type", "generation"),
        ("langfuse.trace.name", "pr-review"),
    ] {
        assert_eq!(chat[name], value, "{name}");
    }
    let usage: serde_json::Value = serde_json::from_str(&chat["langfuse.observation.usage_details"]).unwrap();
    assert_eq!((&usage["input"], &usage["output"]), (&json!(1000), &json!(100)));
    let cost: serde_json::Value = serde_json::from_str(&chat["langfuse.observation.cost_details"]).unwrap();
    assert!(cost["total"].as_f64().unwrap() > 0.0);

    let tool = span_attributes(spans_named(&spans, "execute_tool read")[0]);
    assert_eq!(
        (tool["gen_ai.tool.name"].as_str(), tool["truing.tool.arguments.bytes"].as_str()),
        ("read", "18")
    );
    assert_eq!(tool["truing.tool.result.sha256"].len(), 64);
    let all = format!("{spans:?}");
    for text in [&fake_key(), DEFAULT_API_KEY, "AKIA", "charge(x)", "Swallows", "canary"] {
        assert!(!all.contains(text), "{text} is in a trace");
    }
    assert_eq!(receiver.logins().first().unwrap(), "Basic canary");
}

#[test]
fn texts_are_traced_if_that_is_configured_and_secrets_are_not() {
    let receiver = Receiver::start();
    let (_, spans) = run_traced_review(&receiver, "[telemetry]\ncapture_content = true\n");
    let tool = span_attributes(spans_named(&spans, "execute_tool read")[0]);
    assert_eq!(tool["gen_ai.tool.call.arguments"], r#"{"path":"conf.py"}"#);
    assert!(tool["gen_ai.tool.call.result"].contains("KEY = \"[secret cut]\""), "{tool:?}");
    let chats = spans_named(&spans, "chat claude-sonnet-5-5");
    assert!(span_attributes(chats[0])["gen_ai.input.messages"].contains("charge(x)"));
    assert!(span_attributes(chats[1])["langfuse.observation.output"].contains("It has AKIA…"));
    let all = format!("{spans:?}");
    assert!(!all.contains(&fake_key()) && !all.contains(DEFAULT_API_KEY) && !all.contains("canary"));
}

#[test]
fn a_budget_that_ends_a_review_is_an_event() {
    let receiver = Receiver::start();
    let (_, spans) = run_traced_review(&receiver, "[budget]\nreview_usd = 0.01\n");
    let root = spans_named(&spans, "pr-review")[0];
    let events: Vec<&str> = root.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(
        (events, span_attributes(root)["subtype"].as_str()),
        (vec!["budget.exceeded"], "error_max_budget_usd")
    );
    let (_, spans) = run_traced_review(&receiver, "[budget]\nrepo_day_usd = 0\n");
    let root = spans_named(&spans, "pr-review")[0];
    assert_eq!(root.events[0].name, "BudgetExhausted");
    let about = span_attributes(root);
    assert_eq!(
        (about["subtype"].as_str(), about["truing.outcome"].as_str(), about["cost_usd"].as_str()),
        ("error_max_budget_usd", "deferred", "0"),
        "a review that waits for money is no success"
    );
}

#[test]
fn an_export_that_fails_changes_nothing() {
    let scene = Scene::from_answers([report_answer(&[finding()])]);
    let mut command = scene.command(&["--format", "json"]);
    // No receiver listens at this address.
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let ran = Ran::from(command.output().unwrap());
    assert_eq!((ran.exit, &ran.json()["outcome"]["kind"]), (1, &json!("reviewed")), "{}", ran.err);
    let wrong = Scene::from_answers([ScriptedAnswer::text("")])
        .with_config("[telemetry]\nheaders = { env = \"NONE\" }\notlp_endpoint = \"https://h\"\n");
    let ran = Ran::from(wrong.command(&[]).output().unwrap());
    assert!(ran.exit == 2 && ran.err.contains("telemetry.headers"), "{}", ran.err);
}
