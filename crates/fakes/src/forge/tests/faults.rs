//! Tests of simulated faults: the response to the caller, and the changes that the call makes or does not
//! make.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::forge::{ForgeFault, ForgeFaultKind};

const ISSUE: &str = "/repos/acme/shop/issues/1/comments";

#[tokio::test]
async fn a_lost_answer_is_of_a_done_call_and_a_drop_of_one_that_was_not() {
    let stage = Stage::new().await;
    let body = json!({"body": "once"});
    stage.forge.add_fault(ForgeFault::on_call("POST", ISSUE, ForgeFaultKind::DropConnection));
    assert!(stage.send("POST", ISSUE, body.clone()).await.is_err());
    assert_eq!(stage.shop.pull(1).await.unwrap().conversation_comments().count(), 0);
    stage.forge.add_fault(ForgeFault::on_call("POST", ISSUE, ForgeFaultKind::LostResponse));
    assert!(stage.send("POST", ISSUE, body.clone()).await.is_err());
    assert_eq!(stage.shop.pull(1).await.unwrap().conversation_comments().count(), 1);
    assert_eq!(stage.ask("POST", ISSUE, body).await.0, 201, "the rule is used up");
    let statuses: Vec<_> = stage.forge.request_log().iter().map(|logged| logged.status).collect();
    assert_eq!(statuses, [None, None, Some(201)], "no client of ours sends a POST twice");
}

#[tokio::test]
async fn statuses_and_limits_come_with_their_headers() {
    let stage = Stage::new().await;
    let path = "/repos/acme/shop";
    let ask = async |kind: ForgeFaultKind| {
        stage.forge.add_fault(ForgeFault::on_call("GET", path, kind));
        let response = stage.send("GET", path, Value::Null).await.unwrap();
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (retry, left, location) =
            (header("retry-after"), header("x-ratelimit-remaining"), header("location"));
        (response.status().as_u16(), retry, left.unwrap(), location, response.text().await.unwrap())
    };
    for status in [401, 403, 404, 410, 422, 429, 500, 503] {
        let (seen, retry, _, _, body) = ask(ForgeFaultKind::Status(status, None)).await;
        assert_eq!((seen, retry), (status, None));
        assert_eq!(serde_json::from_str::<Value>(&body).unwrap()["status"], status.to_string());
    }
    assert_eq!(ask(ForgeFaultKind::Status(429, Some(7))).await.1.as_deref(), Some("7"));
    let (status, retry, left, _, body) = ask(ForgeFaultKind::SecondaryLimit(Some(60))).await;
    assert_eq!((status, retry.as_deref(), body.contains("secondary rate limit")), (403, Some("60"), true));
    assert_ne!(left, "0");
    assert_eq!(ask(ForgeFaultKind::PrimaryLimit(60)).await.2, "0");
    let (status, _, _, location, _) = ask(ForgeFaultKind::Redirect(301, "http://127.0.0.1:1/x".into())).await;
    assert_eq!((status, location.as_deref()), (301, Some("http://127.0.0.1:1/x")));
    assert!(ask(ForgeFaultKind::Html(502)).await.4.starts_with("<html>"));
    let cut = ask(ForgeFaultKind::Truncated).await;
    assert!(cut.0 == 200 && cut.4.starts_with('{') && serde_json::from_str::<Value>(&cut.4).is_err());
    let begun = Instant::now();
    assert_eq!(ask(ForgeFaultKind::Delay(Duration::from_millis(60))).await.0, 200);
    assert!(begun.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn a_caller_that_gives_up_waiting_has_still_been_served() {
    let stage = Stage::new().await;
    stage.forge.add_fault(ForgeFault::on_call(
        "POST",
        ISSUE,
        ForgeFaultKind::Delay(Duration::from_secs(3600)),
    ));
    let call = stage.send("POST", ISSUE, json!({"body": "late"}));
    let done = async { while stage.shop.pull(1).await.unwrap().conversation_comments().count() == 0 {} };
    tokio::select! {
        _ = call => panic!("there should be no answer"),
        () = done => {}
    }
    assert_eq!(stage.get(ISSUE).await[0]["body"], "late");
}

#[tokio::test]
async fn a_page_walk_can_fail_in_the_middle() {
    let stage = Stage::new().await;
    stage.forge.add_fault(
        ForgeFault::on_call(
            "GET",
            "/repos/{owner}/{repo}/issues/{number}/comments$",
            ForgeFaultKind::Status(502, None),
        )
        .nth(2),
    );
    let mut seen = Vec::new();
    for page in 1..=3 {
        seen.push(stage.ask("GET", &format!("{ISSUE}?page={page}"), Value::Null).await.0);
    }
    assert_eq!(seen, [200, 502, 200]);
}

#[tokio::test]
async fn stale_lists_show_a_comment_late() {
    let stage = Stage::new().await;
    stage.forge.set_stale_list_reads(2);
    stage.ask("POST", ISSUE, json!({"body": "new"})).await;
    stage.review(json!([{"path": "src/a.py", "line": 10, "body": "new"}])).await;
    for path in [ISSUE.to_owned(), format!("{PULLS}/1/comments")] {
        let mut shown = Vec::new();
        for _ in 0..3 {
            shown.push(stage.get(&path).await.as_array().unwrap().len());
        }
        assert_eq!(shown, [0, 0, 1], "{path}");
    }
}

#[tokio::test]
async fn stale_heads_show_a_push_late() {
    let stage = Stage::new().await;
    stage.forge.set_stale_head_reads(2);
    let old = stage.shop.tip("feature").await.unwrap();
    let new = stage.shop.push("feature", CommitBuilder::new("x").write("x", "1")).await.unwrap();
    let mut seen = Vec::new();
    for path in [format!("{PULLS}/1"), PULLS.to_owned(), format!("{PULLS}/1")] {
        let body = stage.get(&path).await;
        let pull = body.as_array().map_or(&body, |list| &list[0]);
        seen.push(pull["head"]["sha"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen, [old.clone(), old, new]);
}

#[tokio::test]
async fn too_many_new_comments_in_a_minute_are_refused_with_the_time_to_wait() {
    let stage = Stage::new().await;
    stage.forge.set_creation_limit(2);
    let post = async || stage.send("POST", ISSUE, json!({"body": "new"})).await.unwrap();
    let mut statuses = Vec::new();
    for _ in 0..2 {
        statuses.push(post().await.status().as_u16());
    }
    let refused = post().await;
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    statuses.push(refused.status().as_u16());
    assert_eq!((statuses, (1..=60).contains(&wait)), (vec![201, 201, 403], true), "{wait}");
    assert!(refused.text().await.unwrap().contains("secondary rate limit"));
    assert_eq!(
        stage.get(ISSUE).await.as_array().unwrap().len(),
        2,
        "reading and what was made are not refused"
    );
}
