//! Tests of the traces of converge runs: each step of a served run has a root span, and a local run has a
//! single one.

use opentelemetry_proto::tonic::trace::v1::Span;
use truing_fakes::model::{DEFAULT_API_KEY, ScriptedAnswer};

use crate::converge::otlp::{Receiver, hex, span_attributes, spans_named};
use crate::converge::pull::{Site, two_loop_answers};
use crate::converge::scene::clean_audit_answer;
use crate::converge::served::{NATIVE, report_comment};

/// Status code of a failed span.
const ERROR: i32 = 2;

/// Starts a receiver of spans. Returns the receiver, and a configuration with the receiver's address.
async fn start_receiver(more: &str) -> (Receiver, String) {
    let receiver = tokio::task::spawn_blocking(Receiver::start).await.unwrap();
    let config = format!("{more}[telemetry]\notlp_endpoint = \"{}\"\n", receiver.url);
    (receiver, config)
}

async fn received_spans(receiver: Receiver) -> Vec<Span> {
    tokio::task::spawn_blocking(move || receiver.spans()).await.unwrap()
}

fn is_failed(span: &Span) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == ERROR)
}

fn span_micro_dollars(span: &Span) -> u64 {
    let dollars: f64 = span_attributes(span)["cost_usd"].parse().unwrap();
    (dollars * 1e6).round() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn each_step_of_a_served_run_is_a_root_span_in_the_trace_of_its_run() {
    let (receiver, config) = start_receiver(NATIVE).await;
    let site = Site::new(&config, two_loop_answers()).await;
    let server = site.serve();
    site.request_only_run("ann").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    let spans = received_spans(receiver).await;

    let mut roots = spans_named(&spans, "pr-converge");
    roots.sort_by_key(|root| root.start_time_unix_nano);
    assert!(roots.len() > 1, "the run has several steps");
    let run = span_attributes(roots[0])["runId"].clone();
    for root in &roots {
        let about = span_attributes(root);
        assert!(root.parent_span_id.is_empty() && !is_failed(root), "{about:?}");
        assert_eq!((about["runId"].as_str(), run.replace('-', "")), (run.as_str(), hex(&root.trace_id)));
        assert_eq!(
            (about["repo"].as_str(), &about["prNumber"], about["langfuse.trace.name"].as_str()),
            ("acme/shop", &site.number.to_string(), "pr-converge")
        );
        let name = format!("acme/shop#{}", site.number);
        for (attribute, value) in [
            ("langfuse.session.id", format!("github/{name}")),
            ("langfuse.trace.metadata.pull_request", name),
            ("langfuse.trace.metadata.repository", "acme/shop".to_owned()),
            ("langfuse.trace.metadata.run", run.clone()),
        ] {
            assert_eq!(about[attribute], value, "{attribute}");
        }
        assert!(about["langfuse.trace.metadata.cost_usd"].parse::<f64>().is_ok(), "{about:?}");
        assert_eq!(about["headSha"].len(), 40);
    }
    let (last, before) = roots.split_last().unwrap();
    assert_eq!((span_attributes(last)["truing.outcome"].as_str(), pull.draft), ("done", false));
    assert_eq!(span_attributes(last)["langfuse.trace.metadata.outcome"], "done");
    assert!(
        before.iter().all(|root| !span_attributes(root).contains_key("truing.outcome")),
        "they end no run"
    );

    // All other spans, of model calls and tool calls, are below the root span of a step.
    let below: Vec<&Span> = spans.iter().filter(|span| span.name != "pr-converge").collect();
    let chats = below.iter().filter(|span| span.name.starts_with("chat ")).count();
    assert_eq!(chats, site.model.request_log().len());
    assert!(!spans_named(&spans, "execute_tool edit").is_empty());
    for span in below {
        assert!(roots.iter().any(|root| root.span_id == span.parent_span_id), "{}", span.name);
        assert_eq!(
            (&span.trace_id, &span_attributes(span)["runId"]),
            (&last.trace_id, &run),
            "{}",
            span.name
        );
    }
    let all = format!("{spans:?}");
    assert!(!all.contains(DEFAULT_API_KEY) && !all.contains("canary") && !all.contains("The last element"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_by_hand_is_one_root_span_and_a_failed_one_is_a_failure_there() {
    let (receiver, config) = start_receiver("").await;
    let site = Site::new(&config, two_loop_answers()).await;
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!(exit, 0, "{told}");
    let spans = received_spans(receiver).await;
    let [root] = spans_named(&spans, "pr-converge")[..] else { panic!("{spans:?}") };
    let about = span_attributes(root);
    assert_eq!((told["run"].as_str(), about["truing.outcome"].as_str()), (Some(&*about["runId"]), "done"));
    assert_eq!((Some(span_micro_dollars(root)), is_failed(root)), (told["cost_micro_usd"].as_u64(), false));
    assert_eq!(about["num_turns"], site.model.request_log().len().to_string());

    let (receiver, config) = self::start_receiver("").await;
    let site = Site::new(&config, vec![ScriptedAnswer::status(401); 8]).await;
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, told["exit"].as_str()), (3, Some("error")), "{told}");
    let spans = received_spans(receiver).await;
    let [root] = spans_named(&spans, "pr-converge")[..] else { panic!("{spans:?}") };
    let about = span_attributes(root);
    assert!(is_failed(root), "{root:?}");
    assert_eq!(
        (about["subtype"].as_str(), about["truing.outcome"].as_str()),
        ("error_during_execution", "failed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_step_that_fails_is_a_failure_in_its_trace() {
    let (receiver, config) = start_receiver(NATIVE).await;
    let site = Site::new(&config, vec![ScriptedAnswer::status(401); 8]).await;
    let server = site.serve();
    site.request_only_run("ann").await;
    site.wait_until("that it is given up", |pull| report_comment(pull).is_some()).await;
    tokio::task::spawn_blocking(|| server.stop()).await.unwrap();
    let spans = received_spans(receiver).await;
    let mut roots = spans_named(&spans, "pr-converge");
    roots.sort_by_key(|root| root.start_time_unix_nano);
    // The service repeats the audit in another step, so there are two failed steps.
    let failed: Vec<bool> = roots.iter().map(|root| is_failed(root)).collect();
    assert_eq!(failed, [false, true, true], "{roots:?}");
    let reason = &roots[2].status.as_ref().unwrap().message;
    assert!(reason.contains("no auditor gave a valid answer"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_by_hand_is_one_root_span() {
    let (receiver, config) = start_receiver("").await;
    let site = Site::new(&config, [clean_audit_answer()]).await;
    let target = format!("acme/shop#{}", site.number);
    let ran = site.run_command(site.other_command("audit", &[&target])).await;
    assert_eq!(ran.exit, 0, "{ran:?}");
    let spans = received_spans(receiver).await;
    assert_eq!(spans_named(&spans, "pr-converge").len(), 1);
    let chats = spans.iter().filter(|span| span.name.starts_with("chat ")).count();
    assert_eq!(chats, site.model.request_log().len());
}
