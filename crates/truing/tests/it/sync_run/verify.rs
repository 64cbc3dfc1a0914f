//! Tests of the project's own checks with a wider range. A check that fails only with the wider range causes
//! a question; a check that failed before has no effect.

use serde_json::{Value, json};
use truing_fakes::repo::CommitBuilder;

use super::bump::parse_result;
use super::site::{BRANCH, Ran, Site};

async fn site_with_check(check: &str) -> Site {
    let site = Site::with_config(&format!("[verify]\ncheck = [[\"sh\", \"-c\", \"{check}\"]]\n")).await;
    site.publish_release("1.0.1");
    site
}

fn step_names(ran: &Ran) -> Vec<&str> {
    ran.json["steps"].as_array().unwrap().iter().map(|step| step["id"].as_str().unwrap()).collect()
}

fn highest_step(ran: &Ran) -> &Value {
    &ran.json["highest_step"]["id"]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wider_range_is_checked_before_it_is_shown() {
    let site = site_with_check("test -f pyproject.toml").await;
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert_eq!(
        (parse_result(&ran), highest_step(&ran)),
        ((&json!("relaxed"), 0), &json!("publish")),
        "{ran:?}"
    );
    assert_eq!(step_names(&ran), ["detect", "decide", "look", "change", "verify", "publish"]);
    let body = &site.pulls().await[0].1.body;
    assert!(body.contains("The project's checks (1) have no new failures"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_newly_fails_asks_people_and_their_word_counts() {
    let site = site_with_check("! grep -q 1.0.2 pyproject.toml").await;
    for _ in 0..2 {
        let ran = site.run(&["sync", "run", "demo"]).await;
        assert_eq!(
            (parse_result(&ran), &ran.json["update_type"]),
            ((&json!("asked"), 1), &json!("ask")),
            "{ran:?}"
        );
        assert!(ran.json["exit_reason"].as_str().unwrap().contains("grep -q 1.0.2"), "{ran:?}");
        assert_eq!(step_names(&ran), ["detect", "decide", "look", "change", "verify", "ask"]);
    }
    assert!(site.pulls().await.is_empty() && site.repo.tip(BRANCH).await.is_err());
    let questions = site.questions().await;
    let [question] = questions.as_slice() else { panic!("{questions:?}") };
    let body = &question.body;
    assert!(body.contains("grep -q 1.0.2") && body.contains("`relax`") && body.contains("`bump`"), "{body}");

    site.repo.comment(question.number, "ann", "relax: the check is wrong").await.unwrap();
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert_eq!(parse_result(&ran), (&json!("relaxed"), 0), "{ran:?}");
    let body = &site.pulls().await[0].1.body;
    assert!(
        body.contains("Checks that fail only with this change:") && body.contains("grep -q 1.0.2"),
        "{body}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_failed_before_does_not_count() {
    let site = site_with_check("false").await;
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert_eq!(parse_result(&ran), (&json!("relaxed"), 0), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_may_leave_out_a_release_whose_checks_fail() {
    let site = site_with_check("! grep -q 1.0.2 pyproject.toml").await;
    assert_eq!(site.run_job().await, ("asked".to_owned(), 1));
    let question = site.questions().await.remove(0);
    site.repo.comment(question.number, "ann", "skip").await.unwrap();
    assert_eq!(site.run_job().await, ("left_out".to_owned(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_step_of_a_run_that_failed_is_the_one_where_it_did() {
    let site = Site::with_config("breaker.failures = 1\n").await;
    site.publish_release("1.0.1");
    site.repo.protect(BRANCH).await.unwrap();
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert_eq!(
        (parse_result(&ran), highest_step(&ran)),
        ((&json!("failed"), 3), &json!("publish")),
        "{ran:?}"
    );
    assert!(step_names(&ran).contains(&"ask"), "{ran:?}");
    site.repo.push("main", CommitBuilder::new("Broken").write("upstream.json", "{")).await.unwrap();
    assert_eq!(site.run(&["breaker", "reset", "demo"]).await.exit, 0);
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert_eq!(
        (parse_result(&ran), highest_step(&ran)),
        ((&json!("failed"), 3), &json!("detect")),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_pinned_the_checks_decide() {
    for (check, ended) in [("true", ("relaxed", 0)), ("! grep -q 1.0.2 pyproject.toml", ("asked", 1))] {
        let site = site_with_check(check).await;
        site.replace_in_config("mirror = [\"demo/=ours/\"]", "manifest = \"none\"");
        assert_eq!(site.run_job().await, (ended.0.to_owned(), ended.1), "{check}");
        // Without checks, the run must ask a question.
        site.replace_in_config(&format!("check = [[\"sh\", \"-c\", \"{check}\"]]"), "");
        site.publish_release("1.0.2");
        assert_eq!(site.run_job().await, ("asked".to_owned(), 1));
    }
}
