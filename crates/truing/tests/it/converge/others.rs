//! Tests of other reviewers on a pull request: their order, the comments that request a review, and the
//! threads of their findings.

use serde_json::json;
use truing_fakes::forge::{
    BotReview, BotStep, FakeBot, FakeDiffSide, FakeReviewVerdict, ForgeFault, ForgeFaultKind, PullView,
};
use truing_fakes::model::{ScriptedAnswer, ScriptedFix, ScriptedToolCall};
use truing_fakes::repo::CommitBuilder;

use crate::converge::pull::{Site, audit_review_headlines};

const CALL: &str = "bugbot run";
const COMMENTS: &str = "/repos/{owner}/{repo}/issues/{number}/comments";
const NOTHING: &str = "Cursor Bugbot has reviewed your changes and found no issues.";
const ROUNDS: &str = "The sum is never rounded.";
const QUICK: &str = "poll = \"1s\"\npoll_after_trigger = \"1s\"\ninline_lag_max = 1\n";

/// Returns a configuration with these reviewers in this order.
fn reviewers_config(names: &str) -> String {
    format!("[converge]\nreviewers = {names}\n{QUICK}")
}

/// Returns the answers of auditors that find nothing, and of a fixer that fixes the finding of another
/// reviewer.
fn fixing_answers() -> impl Iterator<Item = ScriptedAnswer> {
    let calls = vec![ScriptedToolCall::edit("total.py", "    return s\n", "    return round(s, 2)\n")];
    let mend = ScriptedFix { title: Some(ROUNDS.to_owned()), calls, declined: None };
    ScriptedAnswer::for_auditors([]).into_iter().chain([ScriptedAnswer::for_fixer([mend])])
}

fn bot_review_step(body: &str, comments: Vec<(String, u32, String)>) -> BotStep {
    BotStep {
        adds_eyes_reaction: true,
        review: Some(BotReview { verdict: FakeReviewVerdict::Commented, body: body.to_owned(), comments }),
        check: None,
    }
}

/// Returns the steps of a bot that reports one finding at first, and none afterwards.
fn one_finding_steps() -> [BotStep; 2] {
    let found = "Cursor Bugbot has reviewed your changes and found 1 potential issue.";
    [bot_review_step(found, vec![("total.py".into(), 5, ROUNDS.into())]), bot_review_step(NOTHING, vec![])]
}

async fn add_bugbot(site: &Site, steps: impl IntoIterator<Item = BotStep>) {
    let steps = steps.into_iter().collect();
    let bot = FakeBot {
        login: "cursor[bot]".into(),
        line_comment_author: None,
        trigger_text: Some(CALL.into()),
        steps,
    };
    site.repo.add_bot(bot).await.unwrap();
}

/// Returns the text of a review that names the commit which the bot has read.
fn review_text_for(commit: &str) -> String {
    format!(
        "{NOTHING}\n\n<sup>Reviewed by [Cursor Bugbot](https://cursor.com/bugbot) for commit {commit}.</sup>"
    )
}

/// Returns the number of comments that request a review by the bot.
fn count_bot_calls(pull: &PullView) -> usize {
    pull.conversation_comments().filter(|comment| comment.body.trim() == CALL).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_listed_first_is_so_after_each_push_whatever_strangers_say() {
    let site = Site::new(&reviewers_config("[\"bugbot\", \"internal\"]"), fixing_answers()).await;
    site.repo.set_role("eve", "read").await.unwrap();
    site.repo
        .comment_on_line(site.number, "eve", "total.py", (FakeDiffSide::Right, 1), "Why?")
        .await
        .unwrap();
    add_bugbot(&site, one_finding_steps()).await;
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["code"], &told["loops"]), (1, &json!("threads"), &json!(1)), "{told}");
    assert_eq!(told["commits"].as_array().map(Vec::len), Some(1), "{told}");
    let pull = site.pull_view().await;
    let by: Vec<&str> = pull
        .reviews
        .iter()
        .filter(|review| !review.body.is_empty())
        .map(|review| review.author.as_str())
        .collect();
    assert_eq!(by, ["cursor[bot]", "cursor[bot]", "truing[bot]"], "{:#?}", pull.reviews);
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_our_audit_is_not_listed_there_is_none() {
    let site = Site::new(&reviewers_config("[\"bugbot\"]"), fixing_answers()).await;
    add_bugbot(&site, one_finding_steps()).await;
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(0)), "{told}");
    assert_eq!(told["commits"].as_array().map(Vec::len), Some(1), "{told}");
    let pull = site.pull_view().await;
    assert_eq!((count_bot_calls(&pull), audit_review_headlines(&pull).len(), pull.draft), (2, 0, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_reviewer_says_in_its_text_alone_is_mended() {
    let helper = "[reviewer.helper]\nlogins = [\"helper[bot]\"]\ntrigger = \"helper look\"\n\
                  dirty = \"must be mended\"\n";
    let site =
        Site::new(&format!("{}{helper}", reviewers_config("[\"internal\", \"helper\"]")), fixing_answers())
            .await;
    let steps = [
        bot_review_step(&format!("{ROUNDS}\nThat must be mended."), vec![]),
        bot_review_step("All is well.", vec![]),
    ];
    let bot = FakeBot {
        login: "helper[bot]".into(),
        line_comment_author: None,
        trigger_text: Some("helper look".into()),
        steps: steps.into(),
    };
    site.repo.add_bot(bot).await.unwrap();
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
    assert_eq!(told["commits"].as_array().map(Vec::len), Some(1), "{told}");
    let pull = site.pull_view().await;
    let answer = format!("Fixed in {}", &pull.head[..7]);
    assert_eq!(pull.conversation_comments().filter(|comment| comment.body.contains(&answer)).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_that_counts_and_shows_nothing_blocks() {
    let site = Site::new(&reviewers_config("[\"internal\", \"bugbot\"]"), fixing_answers()).await;
    add_bugbot(
        &site,
        [bot_review_step("Cursor Bugbot has reviewed your changes and found 2 potential issues.", vec![])],
    )
    .await;
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"], &told["code"]), (1, &json!("blocked"), &json!("inline_lag")), "{told}");
    assert_eq!(told["commits"], json!([]), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_seen_a_call_at_another_head_is_called_again_by_the_next_run() {
    let patient =
        format!("{}[reviewer.bugbot]\nbudget = \"1h\"\n", reviewers_config("[\"internal\", \"bugbot\"]"));
    let site = Site::new(&patient, fixing_answers()).await;
    add_bugbot(&site, [bot_review_step(NOTHING, vec![]), bot_review_step(NOTHING, vec![])]).await;
    for called in [1, 2] {
        let (told, exit) = site.run_json(&[]).await;
        assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");
        assert_eq!(count_bot_calls(&site.pull_view().await), called);
        site.repo.push("topic", CommitBuilder::new("Sell").write("sold.py", "x = 1\n")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_a_person_that_a_reviewer_has_seen_is_not_made_again() {
    let site = Site::new(&reviewers_config("[\"internal\", \"bugbot\"]"), fixing_answers()).await;
    add_bugbot(&site, [BotStep { adds_eyes_reaction: true, review: None, check: None }]).await;
    site.repo.comment(site.number, "ann", CALL).await.unwrap();
    let answers = async {
        // The run reads the reactions to the comment at least twice while the bot has not answered.
        let looks =
            || site.forge.request_log().iter().filter(|call| call.path.contains("/reactions?")).count();
        while looks() < 2 {
            tokio::task::yield_now().await;
        }
        // Truing has not requested this review, so its text must name the head.
        let body = review_text_for(&site.pull_view().await.head);
        let review = BotReview { verdict: FakeReviewVerdict::Commented, body, comments: vec![] };
        site.repo.review_lines(site.number, "cursor[bot]", None, review).await.unwrap();
    };
    let ((told, exit), ()) = tokio::join!(site.run_json(&[]), answers);
    assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");
    assert_eq!(count_bot_calls(&site.pull_view().await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_failed_is_tried_again_and_made_once() {
    for kind in [ForgeFaultKind::Status(502, None), ForgeFaultKind::LostResponse] {
        let site = Site::new(&reviewers_config("[\"internal\", \"bugbot\"]"), fixing_answers()).await;
        add_bugbot(&site, [bot_review_step(NOTHING, vec![])]).await;
        site.forge.add_fault(ForgeFault::on_call("POST", COMMENTS, kind.clone()));
        let (told, exit) = site.run_json(&[]).await;
        assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{kind:?}: {told}");
        assert!(site.forge.has_no_faults());
        assert_eq!(count_bot_calls(&site.pull_view().await), 1, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_review_again_if_nothing_proves_what_was_read() {
    let quick = format!(
        "{}[reviewer.bugbot]\nbudget = \"2s\"\nrequests = 1\n",
        reviewers_config("[\"internal\", \"bugbot\"]")
    );
    let site = Site::new(&quick, fixing_answers()).await;
    // GitHub assigns this review to the head, whatever the bot has read.
    site.repo.review(site.number, "cursor[bot]", FakeReviewVerdict::Commented, NOTHING).await.unwrap();
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["code"]), (1, &json!("reviewer_silent")), "{told}");
    assert!(told["reason"].as_str().unwrap().contains("not proven"), "{told}");
    let pull = site.pull_view().await;
    assert_eq!((count_bot_calls(&pull), pull.draft), (1, true));
    // This text names the head.
    let text = review_text_for(&pull.head);
    site.repo.review(site.number, "cursor[bot]", FakeReviewVerdict::Commented, &text).await.unwrap();
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");
    assert_eq!(count_bot_calls(&site.pull_view().await), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn ignores_review_whose_text_names_an_older_commit() {
    let quick = format!(
        "{}[reviewer.helper]\nlogins = [\"helper[bot]\"]\ntrigger = \"helper look\"\n\
         detector = \"text:reviewed ([0-9a-f]+)\"\nbudget = \"2s\"\nrequests = 1\n",
        reviewers_config("[\"internal\", \"helper\"]")
    );
    let site = Site::new(&quick, fixing_answers()).await;
    let old = site.pull_view().await.head;
    site.repo.push("topic", CommitBuilder::new("Sell").write("sold.py", "x = 1\n")).await.unwrap();
    let bot = FakeBot {
        login: "helper[bot]".into(),
        line_comment_author: None,
        trigger_text: Some("helper look".into()),
        steps: [bot_review_step(&format!("I have reviewed {old}."), vec![])].into(),
    };
    site.repo.add_bot(bot).await.unwrap();
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["code"]), (1, &json!("reviewer_silent")), "{told}");
    assert!(site.pull_view().await.draft);
}
