//! Tests of the text output of a dry run, which shows the whole change or the whole question.

use std::process::Command;

use serde_json::json;

use super::site::{BRANCH, Site};

/// Returns the text output of a dry run.
async fn text(site: &Site) -> String {
    let json = site.command(&["sync", "run", "demo", "--dry-run"]);
    let mut command = Command::new(json.get_program());
    command.args(json.get_args().map(|word| if word == "json" { "text".as_ref() } else { word }));
    command.env_clear().envs(json.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.current_dir(site.home()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_change_is_shown_with_the_pull_request_that_it_would_be_in() {
    let site = Site::new().await;
    site.publish_release("1.0.1");
    let told = text(&site).await;
    assert!(told.starts_with("demo: would relax (demo 1.0.0 to 1.0.1)\n"), "{told}");
    let opens = format!("a pull request from {BRANCH} would be opened with this change:\n");
    assert!(told.contains(&opens) && told.contains("+    'demo >= 0.9, < 1.0.2',  # pinned\n"), "{told}");
    assert_eq!(site.run_job().await, ("relaxed".to_owned(), 0));
    site.publish_release("1.0.2");
    let told = text(&site).await;
    let number = site.pulls().await[0].0;
    let pushes = format!("this change would be pushed to {BRANCH}, for ");
    assert!(told.contains(&pushes) && told.contains(&format!("/pull/{number}:\n")), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_question_is_shown_and_nobody_is_asked() {
    let site = Site::new().await;
    site.publish_release("1.0.3");
    let told = text(&site).await;
    assert!(told.starts_with("demo: would ask people (demo 1.0.0 to 1.0.3)\n"), "{told}");
    assert!(site.questions().await.is_empty() && !told.contains("a question to people is open"), "{told}");
    let dry = site.run(&["sync", "run", "demo", "--dry-run", "--record", "out.json"]).await;
    assert_eq!((dry.exit, &dry.json["result"], &dry.json["dry_run"]), (1, &json!("asked"), &json!(true)));
    assert_eq!(site.read_record("out.json"), dry.json);
    let ran = site.run(&["sync", "run", "demo"]).await;
    assert_eq!(ran.json["dry_run"], json!(false));
    let question = site.questions().await.remove(0);
    assert!(told.contains(&format!("\"{}\":\n", question.title)), "{told}");
    let (body, _marker) = question.body.split_once("<!--").unwrap();
    assert!(told.contains(body.trim()), "{told}\n{body}");
    assert!(text(&site).await.contains("a question to people is open already: "));
}
