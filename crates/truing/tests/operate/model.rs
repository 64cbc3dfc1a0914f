//! A pull request that a scripted model reviews, from the command line.

use serde_json::json;
use truing_fakes::model::{Answer, FakeModel, KEY, Script};

use super::*;

/// A key that is one in form only. In two parts, so that this file has none.
fn key() -> String {
    ["AKIA", "73U55XTPLPFT7V4S"].concat()
}

/// A finding that quotes that key, after a look at the file.
fn quoting() -> Script {
    let finding = json!({ "path": "a.py", "start_line": 2, "end_line": 2, "severity": "P1", "category": "F",
        "title": "The debugger stops here", "body": format!("Whoever knows {} stops it.", key()),
        "excerpt": "breakpoint()  # not for production" });
    let read = Answer::tool("read", json!({ "path": "a.py" })).usage(1000, 100);
    Script::of([read, Answer::tool("report", json!({ "findings": [finding] })).usage(1000, 100)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_pull_request_is_played_and_what_is_posted_quotes_no_secret() {
    let site = Site::new().await;
    let change = Commit::new("debug").write("a.py", "a = 1\nbreakpoint()  # not for production\n");
    site.repo.push("one", change).await.unwrap();
    let number = site.repo.open(NewPull::of("one")).await.unwrap();
    let model = FakeModel::start(quoting()).await.unwrap();
    let page = site.page(number);
    let review = |more: &[&str]| {
        let fixed = ["review", "--pr", &page, "--runtime", "native", "--format", "json"];
        let mut command = site.command(&[&fixed, more].concat());
        command.env("TRUING_MODEL__BASE_URL", model.url());
        command
    };
    let run = |command: &mut Command| Ran::of(command.output().unwrap());

    let live = run(review(&["--record", "tape"]).env("ANTHROPIC_API_KEY", KEY));
    assert_eq!((live.exit, model.log().len()), (1, 2), "{live:?}");
    let played = run(&mut review(&["--replay", "tape"]));
    assert_eq!((played.exit, model.log().len()), (1, 2), "{played:?}");
    let parts = |ran: &Ran| {
        let told: Value = serde_json::from_str(&ran.out).unwrap();
        (told["findings"].clone(), told["turns"].clone())
    };
    assert_eq!(parts(&played), parts(&live));

    model.play(quoting());
    let published = run(review(&["--publish"]).env("ANTHROPIC_API_KEY", KEY));
    assert_eq!(published.exit, 1, "{published:?}");
    let view = site.repo.pull(number).await.unwrap();
    assert!(view.inline().any(|comment| comment.body.contains("Whoever knows AKIA…")), "{view:#?}");
    let told = format!("{view:?}{live:?}{played:?}{published:?}");
    assert!(!told.contains(&key()) && !told.contains(KEY), "{told}");
}
