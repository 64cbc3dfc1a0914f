//! Tests of `--bugbot-retrigger`: after each push, one comment requests a review by the bot.

use futures_util::StreamExt as _;
use serde_json::json;
use truing_fakes::forge::{BotReview, BotStep, FakeBot, FakeReviewVerdict};
use truing_fakes::model::ModelScript;

use crate::converge::crash::{answers_by_request, create_database, fail_write_after};
use crate::converge::pull::{Site, two_loop_answers};
use crate::converge::scene::clean_audit_answer;

const WAKES: &str = "bugbot run";
/// Number of sites that are tested at the same time.
const AT_ONCE: usize = 3;

/// Returns the number of comments that request the bot's review.
async fn count_bugbot_comments(site: &Site) -> usize {
    site.pull_view().await.conversation_comments().filter(|comment| comment.body.trim() == WAKES).count()
}

fn bot(steps: Vec<BotStep>) -> FakeBot {
    FakeBot {
        login: "cursor[bot]".into(),
        line_comment_author: None,
        trigger_text: Some(WAKES.into()),
        steps: steps.into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_once_a_push_and_without_the_flag_or_a_push_never() {
    for (answers, flags, often) in [
        (two_loop_answers().to_vec(), &["--bugbot-retrigger"][..], 1),
        (two_loop_answers().to_vec(), &[], 0),
        (vec![clean_audit_answer()], &["--bugbot-retrigger"], 0),
    ] {
        let site = Site::new("", answers).await;
        let (told, exit) = site.run_json(flags).await;
        assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");
        let comment = site
            .pull_view()
            .await
            .conversation_comments()
            .find(|comment| comment.body.contains(WAKES))
            .cloned();
        assert!(comment.is_none_or(|comment| comment.body == WAKES), "the bot takes no other text");
        assert_eq!(count_bugbot_comments(&site).await, often, "{flags:?}");
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_at_work_already_or_is_asked_anyway_is_not_woken_once_more() {
    // A user has already posted the comment that requests a review, and the bot has reacted to it.
    let site = Site::new("", two_loop_answers()).await;
    site.repo
        .add_bot(bot(vec![BotStep { adds_eyes_reaction: true, review: None, check: None }]))
        .await
        .unwrap();
    site.repo.comment(site.number, "ann", WAKES).await.unwrap();
    let (told, exit) = site.run_json(&["--bugbot-retrigger"]).await;
    assert_eq!((exit, count_bugbot_comments(&site).await), (0, 1), "{told}");

    // The bot is configured as a reviewer, so Truing requests its review anyway after its own audit is clean.
    let more =
        "[converge]\nreviewers = [\"internal\", \"bugbot\"]\npoll = \"1s\"\npoll_after_trigger = \"1s\"\n";
    let site = Site::new(more, two_loop_answers()).await;
    let body = "Cursor Bugbot has reviewed your changes and found no issues.".to_owned();
    let review = Some(BotReview { verdict: FakeReviewVerdict::Commented, body, comments: vec![] });
    site.repo.add_bot(bot(vec![BotStep { adds_eyes_reaction: true, review, check: None }])).await.unwrap();
    let (told, exit) = site.run_json(&["--bugbot-retrigger"]).await;
    assert_eq!((exit, count_bugbot_comments(&site).await), (0, 1), "{told}");
}

/// Makes a run fail at the write of a record after `writes` writes, and resumes the run. Returns the number
/// of comments before the resumption that request a review.
async fn comments_after_crash(writes: i64) -> usize {
    let site = Site::new("[converge]\nupdate_description = false\n", []).await;
    let starting = site.pull_view().await.head;
    site.model.set_script(ModelScript::from_answers(answers_by_request(&starting)));
    let file = site.home.path().join(".local/state/truing/truing.db");
    fail_write_after(&create_database(&file), writes);
    let (told, exit) = site.run_json(&["--bugbot-retrigger"]).await;
    assert_eq!(exit, 3, "write {writes}: {told}");
    fail_write_after(&create_database(&file), -1);
    let by_it = count_bugbot_comments(&site).await;
    let (told, exit) = site.run_json(&["--bugbot-retrigger"]).await;
    assert_eq!((exit, count_bugbot_comments(&site).await), (0, 1), "write {writes}: {told}");
    by_it
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_after_it_was_said_does_not_say_it_again() {
    let all = futures_util::stream::iter(3..9).map(comments_after_crash).buffer_unordered(AT_ONCE);
    let said: Vec<usize> = all.collect().await;
    assert_eq!(said.len(), 6);
    assert!(said.iter().sum::<usize>() >= 1, "none has died after it was said");
}
