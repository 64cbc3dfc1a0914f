//! Tests of the traces of two reviews: one that a server posts, and one that the kill switch stops.

use truing_fakes::model::ModelScript;

use super::money::{count_requests, report_answer};
use super::otlp::{Receiver, hex, span_attributes, spans_named};
use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_to_the_forge_is_traced_and_so_is_the_switch_that_ends_a_run() {
    let receiver = tokio::task::spawn_blocking(Receiver::start).await.unwrap();
    let (site, model) = Site::with_model([report_answer()], "").await;
    let server =
        site.serve_by(site.command(&["serve"]).env("TRUING_TELEMETRY__OTLP_ENDPOINT", &receiver.url));
    let number = site.open("one").await;
    site.deliver().await;
    let view = site.wait_until(number, "reviewed", is_reviewed).await;

    model.set_script(ModelScript::from_answers([report_answer().times(0)]));
    model.stall_request(2);
    site.open_clean("two").await;
    site.deliver().await;
    site.wait_until_slots("at work", |slots| slots.iter().any(|slot| slot["state"] == "leased")).await;
    let deadline = Instant::now() + PATIENCE;
    while count_requests(&model) < 2 {
        assert!(Instant::now() < deadline, "nothing is asked");
        tokio::task::yield_now().await;
    }
    assert_eq!(site.run(&["kill", "on", "--mode", "stop"]).exit, 0);
    model.resume();
    site.wait_until_slots("given back", |slots| {
        slots.iter().any(|slot| slot["name"] == "o/r#2" && slot["state"] == "waiting")
    })
    .await;
    server.signal("-TERM");
    let (status, log) = server.wait_for_end();
    assert_eq!(status.code(), Some(0), "{log}");

    let spans = tokio::task::spawn_blocking(move || {
        let spans = receiver.spans();
        drop(receiver);
        spans
    });
    let spans = spans.await.unwrap();
    let roots = spans_named(&spans, "pr-review");
    let posted = roots.iter().find(|root| span_attributes(root)["prNumber"] == number.to_string()).unwrap();
    let about = span_attributes(posted);
    assert_eq!((&about["repo"], &about["headSha"]), (&"o/r".to_owned(), &view.head));
    assert_eq!(about["reviewId"].replace('-', ""), hex(&posted.trace_id));
    for (name, count) in [("forge create_review", 1), ("forge create_summary", 1), ("forge set_status", 1)] {
        let own: Vec<_> =
            spans_named(&spans, name).into_iter().filter(|span| span.trace_id == posted.trace_id).collect();
        assert_eq!(own.len(), count, "{name}");
        assert_eq!(span_attributes(own[0])["reviewId"], about["reviewId"], "{name}");
    }
    let events = |root: &opentelemetry_proto::tonic::trace::v1::Span| -> Vec<String> {
        root.events.iter().map(|event| event.name.clone()).collect()
    };
    assert_eq!(events(posted), Vec::<String>::new());
    let ended = roots.iter().find(|root| span_attributes(root)["prNumber"] == "2").unwrap();
    assert_eq!(events(ended), ["KillSwitchEngaged"]);
    let all = format!("{spans:?}");
    for text in [TOKEN, SECRET, truing_fakes::model::DEFAULT_API_KEY] {
        assert!(!all.contains(text), "a secret is in a trace");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_served_review_that_waits_for_money_is_no_success_in_its_trace() {
    let receiver = tokio::task::spawn_blocking(Receiver::start).await.unwrap();
    let (site, model) = Site::with_model([report_answer()], "[budget]\nrepo_day_usd = 0\n").await;
    let server =
        site.serve_by(site.command(&["serve"]).env("TRUING_TELEMETRY__OTLP_ENDPOINT", &receiver.url));
    let number = site.open_clean("one").await;
    site.deliver().await;
    let (state, summary) = site.wait_for_status(number).await;
    assert_eq!(state, "pending", "{summary}");
    site.wait_until_slots("deferred", |slots| slots.iter().any(|slot| slot["why"] == "deferred")).await;
    server.signal("-TERM");
    let (status, log) = server.wait_for_end();
    assert_eq!((status.code(), count_requests(&model)), (Some(0), 0), "{log}");

    let spans = tokio::task::spawn_blocking(move || receiver.spans()).await.unwrap();
    let roots = spans_named(&spans, "pr-review");
    assert_eq!(roots.len(), 1);
    let about = span_attributes(roots[0]);
    assert_eq!(
        (about["subtype"].as_str(), about["truing.outcome"].as_str(), about["cost_usd"].as_str()),
        ("error_max_budget_usd", "partial", "0")
    );
}
