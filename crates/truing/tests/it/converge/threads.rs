//! Tests of Truing's threads on a pull request. A finding has only one open thread, even if several audits
//! report it. The thread is resolved if an audit no longer reports the finding.

use serde_json::json;
use truing_fakes::model::{ModelScript, ScriptedAnswer};
use truing_fakes::repo::CommitBuilder;

use crate::converge::pull::{Site, audit_review_headlines, two_loop_answers};
use crate::converge::scene::{
    BUG, BUG_ID, RIGHT, WRONG, clean_audit_answer, clean_fix_answer, edit, fix_report_answer,
    planted_bug_answer,
};
use crate::converge::served::{HASTY, report_comment};

const KEPT_OPEN: &str = "[converge]\nresolve_threads = false\n";

/// Returns the answers for a run whose first fix does not remove the bug, and whose second fix does.
fn failed_then_fixed_answers() -> Vec<ScriptedAnswer> {
    let first = [
        planted_bug_answer(),
        edit("total.py", "    s = 0\n", "    s = 0.0\n"),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_audit_answer(),
    ];
    first.into_iter().chain(two_loop_answers()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_again_has_one_comment_and_is_answered_when_an_audit_has_seen_its_fix() {
    for more in ["", KEPT_OPEN] {
        let site = Site::new(more, failed_then_fixed_answers()).await;
        let (told, exit) = site.run_json(&[]).await;
        assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(3)), "{told}");
        let pull = site.pull_view().await;
        let inline: Vec<_> = pull.inline_comments().collect();
        assert_eq!(inline.len(), 2, "a finding and its answer: {inline:#?}");
        assert_eq!(inline[0].resolved, more.is_empty());
        let fixed = format!("Fixed in {}", &pull.head[..7]);
        assert!(inline[1].body.starts_with(&fixed), "by the second fix alone: {inline:#?}");
        let named = |review: &str| review.contains("### Findings already on this pull request");
        let reviews: Vec<_> = pull.reviews.iter().filter(|review| named(&review.body)).collect();
        assert_eq!(reviews.len(), 1, "{:#?}", pull.reviews);
        for review in reviews {
            assert!(
                review.body.starts_with("## converge: loop 2 audit: 0P0 / 1P1 / 0P2\n"),
                "{}",
                review.body
            );
            assert!(review.body.contains(&format!("#discussion_r{}", inline[0].id)), "{}", review.body);
        }
        assert_eq!(audit_review_headlines(&pull).len(), 3);
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

/// Creates a site with a finding of a run that made no fix. A user has then fixed the bug.
async fn create_manually_fixed(more: &str) -> Site {
    let site = Site::new(more, [planted_bug_answer()]).await;
    let (told, _) = site.run_json(&["--max-audits", "1"]).await;
    assert_eq!(told["code"], "max_audits", "{told}");
    assert!(site.pull_view().await.inline_comments().all(|comment| !comment.resolved));
    let by_hand = CommitBuilder::new("Count all").write("total.py", BUG.replace(WRONG, RIGHT));
    site.repo.push("topic", by_hand).await.unwrap();
    site.model.set_script(ModelScript::from_answers([
        ScriptedAnswer::for_describer("Adds up orders."),
        clean_audit_answer(),
    ]));
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_of_an_earlier_run_is_over_when_an_audit_does_not_find_it_any_more() {
    for more in ["", KEPT_OPEN] {
        let site = create_manually_fixed(more).await;
        let (told, exit) = site.run_json(&[]).await;
        assert_eq!((exit, &told["exit"], &told["code"]), (0, &json!("converged"), &json!("clean")), "{told}");
        let pull = site.pull_view().await;
        assert!(!pull.draft);
        assert!(
            pull.inline_comments().all(|comment| comment.resolved == more.is_empty()),
            "{:#?}",
            pull.comments
        );
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_in_which_a_person_has_the_last_word_stays_open() {
    let site = create_manually_fixed("").await;
    let thread = site.pull_view().await.inline_comments().next().unwrap().id;
    site.repo.reply(site.number, "ann", thread, "Is it so for none, too?").await.unwrap();
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"], &told["code"]), (1, &json!("blocked"), &json!("threads")), "{told}");
    assert!(site.pull_view().await.inline_comments().all(|comment| !comment.resolved));
}

/// Returns the answer of a reviewer that reports the planted bug on this line.
fn bug_review_answer(line: u32) -> ScriptedAnswer {
    let found = json!({ "path": "total.py", "start_line": line, "end_line": line, "severity": "P1", "category": "G",
        "title": "The sum is too small", "body": "One element is left out.", "excerpt": WRONG.trim_end() });
    ScriptedAnswer::tool("report", json!({ "findings": [found] })).usage(1000, 100)
}

/// Lets the service review the pull request and report the planted bug on this line. Returns the id of the
/// comment.
async fn create_reviewed_pull(site: &Site, line: u32) -> u64 {
    // The answers are set before the draft state ends, because the service may review the pull request
    // immediately afterwards.
    site.model.set_script(ModelScript::from_answers([bug_review_answer(line)]));
    site.repo.set_draft(site.number, false).await.unwrap();
    site.deliver().await;
    let pull = site
        .wait_until("the review", |pull| {
            pull.inline_comments().count() == 1 && pull.conversation_comments().count() == 1
        })
        .await;
    site.wait_until_why("state idle").await;
    pull.inline_comments().next().unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_review_shows_in_an_open_thread_an_audit_does_not_show_again_and_a_run_answers_there() {
    let site = Site::new(HASTY, []).await;
    let _server = site.serve();
    let comment = create_reviewed_pull(&site, 3).await;
    site.model.set_script(ModelScript::from_answers([planted_bug_answer()]));
    site.comment_as("ann", "/audit").await;
    let pull = site.wait_until("the audit", |pull| !audit_review_headlines(pull).is_empty()).await;
    site.wait_until_why("the audit found 0 P0, 1 P1 and 0 P2").await;
    let first: Vec<_> = pull.inline_comments().filter(|comment| comment.in_reply_to.is_none()).collect();
    assert_eq!((first.len(), first[0].id), (1, comment), "one defect, one comment: {pull:#?}");
    let audit = pull.reviews.iter().find(|review| review.body.starts_with("## converge: loop 1")).unwrap();
    assert!(audit.body.contains("The last element is left out"), "{}", audit.body);
    assert!(audit.body.contains(&format!("discussion_r{comment}")), "it names the thread: {}", audit.body);

    let fixes = [
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ];
    site.model.set_script(ModelScript::from_answers(
        [ScriptedAnswer::for_describer("Adds up orders.")].into_iter().chain(fixes),
    ));
    site.request_only_run("ann").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    assert!(report_comment(&pull).unwrap().starts_with("## /converge: converged\n"), "{pull:#?}");
    let answer = pull.inline_comments().find(|answer| answer.in_reply_to == Some(comment)).unwrap();
    assert!(answer.body.starts_with("Fixed in "), "{pull:#?}");
    let shown = pull.inline_comments().find(|shown| shown.id == comment).unwrap();
    assert!(!shown.resolved, "the reviews resolve it, as soon as one has seen that: {pull:#?}");
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

/// The same lines at two positions in a file are two defects. The review loop and the converge loop may
/// number these defects differently.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_lines_elsewhere_in_the_file_have_a_comment_of_their_own() {
    let site = Site::new(HASTY, []).await;
    let twice = format!("{BUG}\n\n{}", BUG.replace("total", "sum_up"));
    site.repo
        .push("topic", CommitBuilder::new("Add another").write("total.py", twice.as_str()))
        .await
        .unwrap();
    let _server = site.serve();
    let comment = create_reviewed_pull(&site, 10).await;
    site.model.set_script(ModelScript::from_answers([planted_bug_answer()]));
    site.comment_as("ann", "/audit").await;
    let pull = site.wait_until("the audit", |pull| !audit_review_headlines(pull).is_empty()).await;
    let first: Vec<_> = pull.inline_comments().filter(|other| other.in_reply_to.is_none()).collect();
    assert_eq!(first.len(), 2, "{pull:#?}");
    assert!(pull.inline_comments().any(|other| other.id != comment && other.line == Some(3)), "{pull:#?}");
}
