//! Tests of the traces of a sync job's runs: one root span per run, with its subject and its result.

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;

use super::bump::{CHECK, Scene, result, right};
use super::otlp::{Receiver, hex, named, said};
use super::site::Site;

/// Status code of a failed span.
const ERROR: i32 = 2;

async fn receiver() -> (Receiver, String) {
    let receiver = tokio::task::spawn_blocking(Receiver::start).await.unwrap();
    let config = format!("[telemetry]\notlp_endpoint = \"{}\"\n", receiver.url);
    (receiver, config)
}

async fn spans_of(receiver: Receiver) -> Vec<Span> {
    tokio::task::spawn_blocking(move || receiver.spans()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_job_is_one_trace_with_the_calls_of_its_model_below() {
    let (receiver, config) = receiver().await;
    let scene = Scene::new("mode = \"code\"", &format!("{CHECK}{config}"), right()).await;
    let ran = scene.run().await;
    assert_eq!(result(&ran), (&json!("bumped"), 0), "{ran:?}");
    let spans = spans_of(receiver).await;
    let [root] = named(&spans, "sync")[..] else { panic!("{spans:?}") };
    let about = said(root);
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
    assert_eq!((chats.len(), named(&spans, "execute_tool write").len()), (2, 1));
    for span in spans.iter().filter(|span| span.name != "sync") {
        assert_eq!((&span.trace_id, &span.parent_span_id), (&root.trace_id, &root.span_id), "{}", span.name);
        assert_eq!(said(span)["package"], "demo", "{}", span.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_is_a_failure_in_its_trace() {
    let (receiver, config) = receiver().await;
    let site = Site::with(&config).await;
    // The index has no release of this package.
    site.set("repo = \"acme/ours\"", "repo = \"acme/ours\"\npackage = \"nobody-has-this\"");
    assert_eq!(site.sync().await, ("failed".to_owned(), 3));
    // The repository cannot be reached.
    site.set("acme/ours", "acme/none");
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert!(ran.exit != 0 && ran.json["result"].is_null(), "{ran:?}");
    let spans = spans_of(receiver).await;
    let roots = named(&spans, "sync");
    assert_eq!(roots.len(), 2, "{spans:?}");
    for root in roots {
        assert_eq!(root.status.as_ref().map(|status| status.code), Some(ERROR), "{root:?}");
        assert_eq!(said(root)["subtype"], "error_during_execution");
    }
}
