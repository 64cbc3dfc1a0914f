//! Tests of pull requests that are closed or merged during a run. The run posts nothing more there, and the
//! report lists the fixes that were not merged.

use serde_json::{Value, json};
use truing_fakes::forge::{ForgeFault, ForgeFaultKind, PullView};

use crate::converge::pull::{Site, audit_review_headlines, two_loop_answers};
use crate::converge::scene::clean_audit_answer;

const PUSH: &str = "/{owner}/{repo}/git-receive-pack";
const REPLIES: &str = "/repos/{owner}/{repo}/pulls/{number}/comments/{id}/replies";

/// The ways in which the pull request is ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum PullEnding {
    Close,
    Merge,
}

impl PullEnding {
    async fn close_or_merge(self, site: &Site) {
        match self {
            Self::Close => site.repo.close_pull(site.number).await.unwrap(),
            Self::Merge => site.repo.merge_pull(site.number, "ann").await.unwrap(),
        }
    }

    fn end_state(self) -> &'static str {
        match self {
            Self::Close => "closed",
            Self::Merge => "merged",
        }
    }
}

/// Checks that the pull request shows the findings of the only audit, and nothing else.
fn assert_one_audit_shown(pull: &PullView) {
    assert_eq!(audit_review_headlines(pull), ["## converge: loop 1 audit: 0P0 / 1P1 / 0P2"]);
    let inline: Vec<_> = pull.inline_comments().collect();
    assert_eq!(inline.len(), 1, "{inline:#?}");
    assert!(!inline[0].resolved && pull.conversation_comments().count() == 0, "{pull:#?}");
    assert!(!pull.body.contains("Adds up orders."), "{}", pull.body);
}

fn assert_blocked(result: &Value, exit: i32, word: PullEnding, unreached: usize) {
    assert_eq!(
        (exit, &result["exit"], &result["code"]),
        (1, &json!("blocked"), &json!("closed")),
        "{result}"
    );
    assert_eq!(result["unreached"].as_array().map(Vec::len), Some(unreached), "{result}");
    // The finding remains, because no audit has verified the fix on the target branch.
    assert_eq!(result["remaining"].as_array().map(Vec::len), Some(1), "{result}");
    let reason = result["reason"].as_str().unwrap();
    assert!(reason.contains(&format!(" is {}", word.end_state())), "{reason}");
    assert_eq!(reason.contains("1 commit of this run that are not merged"), unreached == 1, "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pushed_to_a_pull_request_that_is_over_before_its_fix_is_made() {
    for word in [PullEnding::Close, PullEnding::Merge] {
        let site = Site::new("", two_loop_answers()).await;
        let before = site.pull_view().await;
        // The model stalls at the second request, which is the request of the fixer.
        site.model.stall_request(2);
        let over = async {
            site.model.wait_until_stalled().await;
            word.close_or_merge(&site).await;
            site.model.resume();
        };
        let ((told, exit), ()) = tokio::join!(site.run_json(&[]), over);
        assert_blocked(&told, exit, word, 1);
        assert_eq!(told["commits"], json!([]), "{told}");
        let pull = site.pull_view().await;
        assert_one_audit_shown(&pull);
        assert_eq!(pull.head, before.head);
        assert_eq!(site.git(&["rev-parse", "topic"]).await, before.head);
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fix_that_is_pushed_too_late_answers_nothing_and_is_said_to_be_in_nothing() {
    for word in [PullEnding::Close, PullEnding::Merge] {
        let site = Site::new("", two_loop_answers()).await;
        site.forge.add_fault(ForgeFault::on_call("POST", PUSH, ForgeFaultKind::HeldRequest));
        let over = async {
            site.forge.wait_for_held_request().await;
            word.close_or_merge(&site).await;
            site.forge.release_held_requests();
        };
        let ((told, exit), ()) = tokio::join!(site.run_json(&[]), over);
        assert_blocked(&told, exit, word, 1);
        assert_eq!(told["commits"], told["unreached"], "{told}");
        assert_one_audit_shown(&site.pull_view().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_merged_with_its_fix_has_reached_its_target() {
    let site = Site::new("", two_loop_answers()).await;
    site.forge.add_fault(ForgeFault::on_call("POST", PUSH, ForgeFaultKind::HeldResponse));
    let over = async {
        site.forge.wait_for_held_request().await;
        PullEnding::Merge.close_or_merge(&site).await;
        site.forge.release_held_requests();
    };
    let ((told, exit), ()) = tokio::join!(site.run_json(&[]), over);
    assert_blocked(&told, exit, PullEnding::Merge, 0);
    assert_one_audit_shown(&site.pull_view().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_is_not_resolved_once_the_pull_request_is_over() {
    let site = Site::new("", two_loop_answers()).await;
    site.forge.add_fault(ForgeFault::on_call("POST", REPLIES, ForgeFaultKind::HeldResponse));
    let over = async {
        site.forge.wait_for_held_request().await;
        PullEnding::Close.close_or_merge(&site).await;
        site.forge.release_held_requests();
    };
    let ((told, exit), ()) = tokio::join!(site.run_json(&[]), over);
    assert_eq!((exit, &told["exit"], &told["code"]), (1, &json!("blocked"), &json!("closed")), "{told}");
    assert_eq!(told["unreached"].as_array().map(Vec::len), Some(1), "{told}");
    let pull = site.pull_view().await;
    let inline: Vec<_> = pull.inline_comments().collect();
    assert_eq!(inline.len(), 2, "the answer was on its way: {inline:#?}");
    assert!(!inline[0].resolved, "{inline:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_is_over_gets_no_description() {
    let site = Site::new("", [clean_audit_answer()]).await;
    let before = site.pull_view().await.body;
    // The model stalls at the second request, which is the request for a description.
    site.model.stall_request(2);
    let over = async {
        site.model.wait_until_stalled().await;
        PullEnding::Merge.close_or_merge(&site).await;
        site.model.resume();
    };
    let ((told, exit), ()) = tokio::join!(site.run_json(&[]), over);
    assert_eq!((exit, &told["code"]), (0, &json!("clean")), "{told}");
    let warnings = told["warnings"].to_string();
    assert!(
        warnings.contains("the description stays unchanged: ") && warnings.contains("is merged"),
        "{told}"
    );
    assert_eq!(site.pull_view().await.body, before);
}
