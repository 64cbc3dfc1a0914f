//! Tests of a run on a pull request without a server. A maintainer stops the run with a comment.

use serde_json::json;
use truing_fakes::model::{ModelScript, ScriptedAnswer};

use crate::converge::pull::{Site, audit_review_headlines, two_loop_answers};
use crate::converge::scene::{clean_audit_answer, clean_fix_answer};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_by_hand_ends_before_its_next_act_when_a_maintainer_says_stop_and_is_resumed() {
    let site = Site::new("", two_loop_answers()).await;
    // A stop command that is older than the run has no effect.
    site.repo.comment(site.number, "ann", "/converge stop").await.unwrap();
    let before = site.pull_view().await;
    // The model stalls at the second request, which is the request of the fixer.
    site.model.stall_request(2);
    let stopping = async {
        site.model.wait_until_stalled().await;
        site.repo.comment(site.number, "ann", "/converge stop\nI want to look at it first.").await.unwrap();
        site.model.resume();
    };
    let ((told, exit), ()) = tokio::join!(site.run_json(&[]), stopping);
    assert_eq!(
        (exit, &told["exit"], &told["code"]),
        (130, &json!("interrupted"), &json!("interrupted")),
        "{told}"
    );
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.contains("stopped by `/converge stop` of ann"), "{reason}");
    let pull = site.pull_view().await;
    assert_eq!(
        (&pull.head, audit_review_headlines(&pull).len()),
        (&before.head, 1),
        "nothing is pushed: {pull:#?}"
    );
    assert_eq!(pull.inline_comments().count(), 1, "and nothing answered: {pull:#?}");

    site.model.set_script(ModelScript::from_answers([
        ScriptedAnswer::for_describer("Adds up orders."),
        clean_fix_answer(),
        clean_audit_answer(),
    ]));
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_bots_other_words_and_what_is_taken_back_stop_no_run() {
    let site = Site::new("", two_loop_answers()).await;
    site.repo.set_role("eve", "read").await.unwrap();
    site.repo.set_role("bob", "write").await.unwrap();
    site.model.stall_request(2);
    let talking = async {
        site.model.wait_until_stalled().await;
        for (by, text) in [
            ("eve", "/converge stop"),
            ("helper[bot]", "/converge stop"),
            ("ann", "please do not `/converge stop`"),
            ("ann", "/converge stop it"),
            ("ann", "/converge stop"),
            ("ann", "/converge"),
        ] {
            site.repo.comment(site.number, by, text).await.unwrap();
        }
        let talk = site.repo.comment(site.number, "ann", "Thank you.").await.unwrap();
        site.repo.edit_comment_as(site.number, talk, "bob", "/converge stop").await.unwrap();
        site.model.resume();
    };
    let ((told, exit), ()) = tokio::join!(site.run_json(&[]), talking);
    assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_by_hand_that_waits_for_a_reviewer_hears_it_too() {
    let others = "[converge]\nreviewers = [\"internal\", \"helper\"]\npoll = \"1s\"\n\
        [reviewer.helper]\nlogins = [\"helper[bot]\"]\nbudget = \"1h\"\n";
    let site = Site::new(others, [clean_audit_answer()]).await;
    let stopping = async {
        while audit_review_headlines(&site.pull_view().await).is_empty() {
            tokio::task::yield_now().await;
        }
        site.repo.comment(site.number, "ann", "/converge stop").await.unwrap();
    };
    let ((told, exit), ()) = tokio::join!(site.run_json(&[]), stopping);
    assert_eq!((exit, &told["code"]), (130, &json!("interrupted")), "{told}");
    assert!(site.pull_view().await.draft, "nobody has marked it");
}
