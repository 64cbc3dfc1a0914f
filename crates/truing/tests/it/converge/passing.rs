//! Tests of requests that fail once, with an error or without a response from the forge. The run retries
//! them, does nothing twice, and continues.

use serde_json::json;
use truing_fakes::forge::{ForgeFault, ForgeFaultKind};

use crate::converge::pull::{Site, audit_review_headlines, two_loop_answers};

const PUSH: &str = "/{owner}/{repo}/git-receive-pack";
const REPLIES: &str = "/repos/{owner}/{repo}/pulls/{number}/comments/{id}/replies";
const REVIEWS: &str = "/repos/{owner}/{repo}/pulls/{number}/reviews";
const COMMENTS: &str = "/repos/{owner}/{repo}/issues/{number}/comments";
/// Configuration with a short retry interval.
const SOON: &str = "[converge]\npoll = \"50ms\"\n";

async fn assert_fault_survived(path: &str, kind: ForgeFaultKind) {
    let what = format!("{path}: {kind:?}");
    let site = Site::new(SOON, two_loop_answers()).await;
    site.forge.add_fault(ForgeFault::on_call("POST", path, kind));
    let (told, exit) = site.run_json(&["--bugbot-retrigger"]).await;
    assert!(site.forge.has_no_faults(), "{what} was never met: {told}");
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{what}: {told}");
    assert_eq!(told["commits"].as_array().map(Vec::len), Some(1), "{what}: {told}");
    let pull = site.pull_view().await;
    assert_eq!(audit_review_headlines(&pull).len(), 2, "{what}: {:#?}", pull.reviews);
    let inline: Vec<_> = pull.inline_comments().collect();
    assert_eq!(inline.len(), 2, "{what}: a finding and its answer: {inline:#?}");
    assert!(inline[0].resolved && !pull.draft, "{what}");
    let calls = pull.conversation_comments().filter(|comment| comment.body.trim() == "bugbot run").count();
    assert_eq!(calls, 1, "{what}");
    assert_eq!(site.git(&["rev-list", "--count", "main..topic"]).await, "2", "{what}");
    assert_eq!(site.forge.violations(), Vec::<String>::new(), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_gateway_ends_no_run() {
    for path in [PUSH, REPLIES, REVIEWS, COMMENTS] {
        assert_fault_survived(path, ForgeFaultKind::Status(502, None)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_and_not_answered_is_not_done_twice() {
    for path in [REPLIES, REVIEWS, COMMENTS] {
        assert_fault_survived(path, ForgeFaultKind::LostResponse).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_goes_on_failing_ends_the_run_where_it_can_be_gone_on_with() {
    let site = Site::new(SOON, two_loop_answers()).await;
    site.forge.add_fault(ForgeFault::on_call("POST", REPLIES, ForgeFaultKind::Status(502, None)).times(4));
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["code"]), (3, &json!("infrastructure")), "{told}");
    assert!(site.forge.has_no_faults());
    let (again, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &again["exit"], &again["run"]), (0, &json!("converged"), &told["run"]), "{again}");
    assert_eq!(site.pull_view().await.inline_comments().count(), 2);
}
