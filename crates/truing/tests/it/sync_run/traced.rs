//! Tests of the traces of runs. Each run has one root span with the run's subject and result.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;

use super::bump::{CHECK, Scene, parse_result, right_port_answers};
use super::otlp::{Receiver, hex, span_attributes, spans_named};
use super::site::Site;

/// The OTLP status code of a failed span.
const ERROR: i32 = 2;

async fn start_receiver() -> (Receiver, String) {
    let receiver = tokio::task::spawn_blocking(Receiver::start).await.unwrap();
    let config = format!("[telemetry]\notlp_endpoint = \"{}\"\n", receiver.url);
    (receiver, config)
}

async fn received_spans(receiver: Receiver) -> Vec<Span> {
    tokio::task::spawn_blocking(move || receiver.spans()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_job_is_one_trace_with_the_calls_of_its_model_below() {
    let (receiver, config) = start_receiver().await;
    let scene = Scene::new("mode = \"code\"", &format!("{CHECK}{config}"), right_port_answers()).await;
    let ran = scene.run().await;
    assert_eq!(parse_result(&ran), (&json!("bumped"), 0), "{ran:?}");
    let spans = received_spans(receiver).await;
    let [root] = spans_named(&spans, "sync")[..] else { panic!("{spans:?}") };
    let about = span_attributes(root);
    assert!(root.parent_span_id.is_empty());
    for (name, value) in [
        ("langfuse.trace.name", "sync"),
        ("langfuse.session.id", "sync/demo"),
        ("langfuse.trace.metadata.job", "demo"),
        ("langfuse.trace.metadata.repository", "acme/ours"),
        ("langfuse.trace.metadata.outcome", "done"),
        ("repo", "acme/ours"),
        ("job", "demo"),
        ("package", "demo"),
        ("truing.outcome", "done"),
        ("subtype", "success"),
        ("num_turns", "2"),
    ] {
        assert_eq!(about[name], value, "{name}");
    }
    assert_eq!(about["runId"].replace('-', ""), hex(&root.trace_id));
    let cost: f64 = about["cost_usd"].parse().unwrap();
    assert_eq!((cost * 1e6).round(), ran.json["cost_micro_usd"].as_f64().unwrap());
    let chats: Vec<&Span> = spans.iter().filter(|span| span.name.starts_with("chat ")).collect();
    assert_eq!((chats.len(), spans_named(&spans, "execute_tool write").len()), (2, 1));
    for span in spans.iter().filter(|span| span.name != "sync") {
        assert_eq!((&span.trace_id, &span.parent_span_id), (&root.trace_id, &root.span_id), "{}", span.name);
        assert_eq!(span_attributes(span)["package"], "demo", "{}", span.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_is_a_failure_in_its_trace() {
    let (receiver, config) = start_receiver().await;
    let site = Site::with_config(&config).await;
    // The index has no package with this name, so the run fails.
    site.replace_in_config("repo = \"acme/ours\"", "repo = \"acme/ours\"\npackage = \"nobody-has-this\"");
    assert_eq!(site.run_job().await, ("failed".to_owned(), 3));
    // This repository does not exist, so the run fails before it begins.
    site.replace_in_config("acme/ours", "acme/none");
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert!(ran.exit != 0 && ran.json["result"].is_null(), "{ran:?}");
    let spans = received_spans(receiver).await;
    let roots = spans_named(&spans, "sync");
    assert_eq!(roots.len(), 2, "{spans:?}");
    for root in roots {
        assert_eq!(root.status.as_ref().map(|status| status.code), Some(ERROR), "{root:?}");
        assert_eq!(span_attributes(root)["subtype"], "error_during_execution");
    }
}
