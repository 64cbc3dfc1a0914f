//! Tests of `--bugbot-retrigger`: a comment wakes the reviewer once for each push.

use futures_util::StreamExt as _;
use serde_json::json;
use truing_fakes::forge::{BotReview, BotStep, FakeBot, FakeReviewVerdict};
use truing_fakes::model::ModelScript;

use crate::converge::crash::{by_what_is_asked, fail_after, made};
use crate::converge::pull::{Site, two_loops};
use crate::converge::scene::clean;

const WAKES: &str = "bugbot run";
/// Sites that are tested at the same time.
const AT_ONCE: usize = 3;

/// Returns the number of such comments.
async fn said(site: &Site) -> usize {
    site.pull().await.summary_comments().filter(|comment| comment.body.trim() == WAKES).count()
}

fn bot(steps: Vec<BotStep>) -> FakeBot {
    FakeBot { login: "cursor[bot]".into(), alias: None, trigger: Some(WAKES.into()), steps: steps.into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_once_a_push_and_without_the_flag_or_a_push_never() {
    for (answers, flags, often) in [
        (two_loops().to_vec(), &["--bugbot-retrigger"][..], 1),
        (two_loops().to_vec(), &[], 0),
        (vec![clean()], &["--bugbot-retrigger"], 0),
    ] {
        let site = Site::new("", answers).await;
        let (told, exit) = site.run(flags).await;
        assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");
        let comment =
            site.pull().await.summary_comments().find(|comment| comment.body.contains(WAKES)).cloned();
        assert!(comment.is_none_or(|comment| comment.body == WAKES), "the bot takes no other text");
        assert_eq!(said(&site).await, often, "{flags:?}");
        assert_eq!(site.forge.violations(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_at_work_already_or_is_asked_anyway_is_not_woken_once_more() {
    // A user has posted the comment already, and the bot has seen it.
    let site = Site::new("", two_loops()).await;
    site.repo.add_bot(bot(vec![BotStep { eyes: true, review: None, check: None }])).await.unwrap();
    site.repo.comment(site.number, "ann", WAKES).await.unwrap();
    let (told, exit) = site.run(&["--bugbot-retrigger"]).await;
    assert_eq!((exit, said(&site).await), (0, 1), "{told}");

    // The reviewer is called when Truing's own audit is clean.
    let more =
        "[converge]\nreviewers = [\"internal\", \"bugbot\"]\npoll = \"1s\"\npoll_after_trigger = \"1s\"\n";
    let site = Site::new(more, two_loops()).await;
    let body = "Cursor Bugbot has reviewed your changes and found no issues.".to_owned();
    let review = Some(BotReview { state: FakeReviewVerdict::Commented, body, comments: vec![] });
    site.repo.add_bot(bot(vec![BotStep { eyes: true, review, check: None }])).await.unwrap();
    let (told, exit) = site.run(&["--bugbot-retrigger"]).await;
    assert_eq!((exit, said(&site).await), (0, 1), "{told}");
}

/// Returns the number of comments by a run that dies after this many writes and the run that resumes it.
async fn said_by_a_run_that_dies_after(writes: i64) -> usize {
    let site = Site::new("[converge]\nupdate_description = false\n", []).await;
    let starting = site.pull().await.head;
    site.model.set_script(ModelScript::from_answers(by_what_is_asked(&starting)));
    let file = site.home.path().join(".local/state/truing/truing.db");
    fail_after(&made(&file), writes);
    let (told, exit) = site.run(&["--bugbot-retrigger"]).await;
    assert_eq!(exit, 3, "write {writes}: {told}");
    fail_after(&made(&file), -1);
    let by_it = said(&site).await;
    let (told, exit) = site.run(&["--bugbot-retrigger"]).await;
    assert_eq!((exit, said(&site).await), (0, 1), "write {writes}: {told}");
    by_it
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_dies_after_it_was_said_does_not_say_it_again() {
    let all = futures_util::stream::iter(3..9).map(said_by_a_run_that_dies_after).buffer_unordered(AT_ONCE);
    let said: Vec<usize> = all.collect().await;
    assert_eq!(said.len(), 6);
    assert!(said.iter().sum::<usize>() >= 1, "none has died after it was said");
}
