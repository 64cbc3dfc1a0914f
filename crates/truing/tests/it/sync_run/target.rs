//! Tests of the release that a run syncs to: the job's `target`, or the release that the command names.

use serde_json::json;
use truing_fakes::repo::CommitBuilder;

use super::site::{BRANCH, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_named_release_is_followed_and_the_question_about_a_newer_one_stays() {
    let site = Site::new().await;
    site.publish_release("1.0.4");
    assert_eq!(site.run_job().await, ("asked".to_owned(), 1));
    let ran = site.run(&["sync", "run", "demo", "--to", "1.0.2"]).await;
    assert_eq!((ran.exit, &ran.json["result"], &ran.json["to"]), (0, &json!("relaxed"), &json!("1.0.2")));
    assert_eq!(site.file(BRANCH, "pyproject.toml").await, Site::project_file(">= 0.9, < 1.0.3"));
    assert_eq!(site.pulls().await[0].1.title, "Admit demo up to 1.0.2");
    let questions = site.questions().await;
    assert!(questions.len() == 1 && questions[0].open && questions[0].title.ends_with("1.0.4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_release_that_cannot_be_followed_is_refused_and_is_no_failure() {
    let site = Site::new().await;
    site.publish_release("1.0.4");
    let newer = CommitBuilder::new("Newer").write("pyproject.toml", Site::project_file(">= 1.0.2, < 1.0.3"));
    site.repo.push("main", newer).await.unwrap();
    for (to, why) in [
        ("1.0.1", "demo 1.0.1 is older than 1.0.2"),
        ("1.0.9", "demo has no release 1.0.9; the newest is 1.0.4"),
        ("0.5", "older"),
    ] {
        for _ in 0..2 {
            let ran = site.run(&["sync", "run", "demo", "--to", to]).await;
            assert_eq!((ran.exit, &ran.json["result"]), (4, &json!("held")), "{ran:?}");
            assert!(ran.json["exit_reason"].as_str().unwrap().contains(why), "{ran:?}");
        }
    }
    let wrong = site.run(&["sync", "run", "demo", "--to", "one"]).await;
    assert_eq!((wrong.exit, wrong.err.contains("`one` is not a valid version")), (2, true), "{wrong:?}");
    let has = site.run(&["sync", "run", "demo", "--to", "1.0.2"]).await;
    assert_eq!((has.exit, &has.json["result"]), (0, &json!("up_to_date")), "{has:?}");
    assert_eq!(site.run_job().await, ("asked".to_owned(), 1), "no circuit breaker opened");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_keeps_its_form_and_the_pull_request_tells_what_else_it_admits() {
    let site = Site::new().await;
    site.publish_release("2.0.0");
    let coarse = CommitBuilder::new("Coarse").write("pyproject.toml", Site::project_file(">= 0.9, < 2.0"));
    site.repo.push("main", coarse).await.unwrap();
    assert_eq!(site.run_job().await, ("asked".to_owned(), 1));
    let question = site.questions().await.remove(0);
    site.repo.comment(question.number, "ann", "relax").await.unwrap();
    assert_eq!(site.run_job().await, ("relaxed".to_owned(), 0));
    assert_eq!(site.file(BRANCH, "pyproject.toml").await, Site::project_file(">= 0.9, < 2.1"));
    let body = site.pulls().await.remove(0).1.body;
    assert!(body.contains("The range also admits later releases, which are not checked."), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_safe_target_widens_the_range_first_and_asks_about_the_rest_after_that() {
    let site = Site::with_config("target = \"safe\"\n").await;
    site.publish_release("1.0.4");
    for result in ["relaxed", "covered"] {
        assert_eq!(site.run_job().await, (result.to_owned(), 0));
    }
    assert_eq!(site.file(BRANCH, "pyproject.toml").await, Site::project_file(">= 0.9, < 1.0.3"));
    let (number, pull) = site.pulls().await.remove(0);
    assert_eq!(pull.title, "Admit demo up to 1.0.2");
    assert!(site.questions().await.is_empty());

    site.repo.merge_pull(number, "ann").await.unwrap();
    site.repo.reset_branch("main", &pull.head).await.unwrap();
    assert_eq!(site.run_job().await, ("asked".to_owned(), 1));
    assert!(site.questions().await[0].title.ends_with("1.0.4"));
}
