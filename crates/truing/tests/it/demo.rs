//! Tests of the demonstrations that need no API key. They show a review with findings of rules and of a
//! scripted model, and a job that follows the releases of a package.

#![cfg(feature = "demo")]

use crate::support::claude;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use truing::demo::sync::{SyncDemo, SyncDemoEvent};
use truing::demo::{DemoError, ReviewDemo};
use truing::wiring;
use truing_config::environment::Environment;
use truing_core::port::ForgeKind;
use truing_core::sandbox::SandboxLevel;
use truing_loops::reader::ChildProcessReader;

use claude::find_claude;

#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_model_reviews_beside_the_rules_and_says_what_it_costs() {
    let environment = Environment::read_process();
    let git = wiring::open_git(&environment).await.unwrap();
    let demo = ReviewDemo::start(
        ForgeKind::Github,
        git,
        &environment,
        ChildProcessReader::new(env!("CARGO_BIN_EXE_truing")),
    )
    .await
    .unwrap();
    let view = demo.run_first_review().await.unwrap().view;
    let lines: Vec<_> = view.inline_comments().map(|comment| (&comment.place, comment.line)).collect();
    let found =
        view.inline_comments().find(|comment| comment.body.contains("One refunded order ends all refunds"));
    assert_eq!(found.unwrap().line, Some(10), "{lines:?}");
    assert_eq!(lines.len(), 4, "three of rules, one of the model: {lines:?}");
    let asked = demo.model_usage().unwrap();
    // The model reads a file before it reports, so there are two calls.
    assert_eq!(asked.model_calls, 2);
    assert!(asked.model_tokens_in > 1000 && asked.model_tokens_out > 10, "{asked:?}");
    // Every price in the table is at least one dollar per million input tokens.
    assert!(asked.model_cost_micro_usd.0 >= asked.model_tokens_in, "{asked:?}");
    // With the demonstration's configuration, other commands can query its state.
    let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .arg("--config")
        .arg(demo.config_path());
    let status = command.args(["status", "--format", "json"]).output().unwrap();
    let told: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(told["version"], env!("CARGO_PKG_VERSION"), "{status:?}");
    demo.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_forgets_after_a_second_push_stays_open() {
    let environment = Environment::read_process();
    let git = wiring::open_git(&environment).await.unwrap();
    let demo = ReviewDemo::start(
        ForgeKind::Github,
        git,
        &environment,
        ChildProcessReader::new(env!("CARGO_BIN_EXE_truing")),
    )
    .await
    .unwrap();
    demo.run_first_review().await.unwrap();
    let forgotten = demo.run_dropped_finding_scenario().await.unwrap();
    assert_eq!(
        (forgotten.comments, forgotten.open_threads, forgotten.is_green),
        (1, 1, false),
        "{forgotten:?}"
    );
    demo.stop().await.unwrap();
}

/// Returns the text of a page.
async fn fetch_page_text(url: &str) -> String {
    let patience = std::time::Duration::from_secs(60);
    let client = reqwest::Client::builder().no_proxy().timeout(patience).build().unwrap();
    let answer = client.get(url).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_pull_request_is_followed_to_its_last_resolved_thread() {
    let environment = Environment::read_process();
    for kind in [ForgeKind::Github, ForgeKind::Bitbucket, ForgeKind::BitbucketDc] {
        let git = wiring::open_git(&environment).await.unwrap();
        let reader = ChildProcessReader::new(env!("CARGO_BIN_EXE_truing"));
        let demo = ReviewDemo::start(kind, git, &environment, reader).await.unwrap();
        let first = demo.run_first_review().await.unwrap();
        let report = demo.follow_first_pull(first, |_| Ok(())).await.unwrap();
        assert!(report.has_passed(), "{kind:?}: {report:#?}");
        demo.stop().await.unwrap();
    }
}

#[test]
fn the_demonstration_of_the_review_is_shown_in_lines_that_fit_and_as_a_page_shows_them() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
    let output = command.args(["demo", "--quiet"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.ends_with("As promised.\n") && !text.contains('\\'), "{text}");
    assert!(text.contains("4 comments for 4 findings, 0 open; the last commit is green"), "{text}");
    let long: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert_eq!(long, Vec::<&str>::new());
}

/// On both kinds of Bitbucket, the review posts the same comments after the same pushes as on GitHub.
#[tokio::test(flavor = "multi_thread")]
async fn at_both_bitbuckets_the_review_tells_the_same_story() {
    let environment = Environment::read_process();
    for kind in [ForgeKind::Bitbucket, ForgeKind::BitbucketDc] {
        let git = wiring::open_git(&environment).await.unwrap();
        let reader = ChildProcessReader::new(env!("CARGO_BIN_EXE_truing"));
        let demo = ReviewDemo::start(kind, git, &environment, reader).await.unwrap();
        let view = demo.run_first_review().await.unwrap().view;
        assert_eq!(
            (view.conversation_comments().count(), view.inline_comments().count()),
            (1, 4),
            "{kind:?}: {view:#?}"
        );
        let found = view
            .inline_comments()
            .find(|comment| comment.body.contains("One refunded order ends all refunds"));
        assert_eq!(found.unwrap().line, Some(10), "{kind:?}");
        let forgotten = demo.run_dropped_finding_scenario().await.unwrap();
        assert!(forgotten.has_passed(), "{kind:?}: {forgotten:?}");
        let lifecycle = demo.run_lifecycle_scenario().await.unwrap();
        assert!(lifecycle.has_passed(), "{kind:?}: {lifecycle:#?}");
        let (page, _) = demo.page_and_service_urls();
        let list = fetch_page_text(&page).await;
        assert!(
            list.contains("#1 Change payments (open)") && list.contains(&format!("{page}/1\n")),
            "{list}"
        );
        let one = fetch_page_text(&format!("{page}/1")).await;
        assert!(one.contains("One refunded order ends all refunds") && !one.contains("[//]: #"), "{one}");
        demo.stop().await.unwrap();
    }
}

#[test]
fn the_kind_of_forge_is_for_the_review_alone() {
    let home = tempfile::tempdir().unwrap();
    for of in ["sync", "converge"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
        let output = command.args(["demo", of, "--forge", "bitbucket"]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("truing demo --forge KIND"), "{said}");
    }
}

#[test]
fn a_job_follows_its_package_through_ports_questions_and_the_breaker() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
    let output = command.args(["demo", "sync", "--format", "json"]).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    let count = |name: &str| report[name].as_u64().unwrap();
    let counts = ["pull_requests", "drafts", "questions", "doubled", "left_open", "model_calls"].map(count);
    assert_eq!(counts, [4, 1, 2, 0, 0, 7], "{report:#}");
    let runs = report["runs"].as_array().unwrap();
    let results: Vec<_> = runs.iter().map(|run| run["result"].as_str().unwrap()).collect();
    let failed = ["failed"; 3];
    let told = [&["relaxed", "asked", "bumped", "saved", "bumped"][..], &failed, &["breaker", "relaxed"]];
    assert_eq!(results, told.concat());
    let titles: Vec<_> = runs.iter().filter_map(|run| run["shows"]["title"].as_str()).collect();
    assert_eq!(
        titles,
        [
            "Admit rim up to 1.0.1",
            "rim sync: feedback needed for 1.1.0",
            "Follow rim to 1.1.0",
            "Follow rim to 1.2.0 (in progress)",
            "Follow rim to 1.2.0",
            "rim sync: feedback needed for 1.2.1",
            "rim sync: feedback needed for 1.2.1",
            "Admit rim up to 1.2.1",
        ]
    );
    // While the circuit breaker is open, a scheduled run makes few calls and exits with 0, so a CI job does
    // not fail.
    let skipped = &runs[8];
    assert_eq!((&skipped["scheduled"], &skipped["exit"]), (&json!(true), &json!(0)));
    assert!(skipped["forge_calls"].as_u64() < Some(12) && skipped["turns"] == 0, "{skipped}");
}

#[test]
fn a_pull_request_and_a_branch_converge_in_two_loops_and_nothing_is_said_twice() {
    let run = |more: &[&str]| {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
        let output = command.args(["demo", "converge"]).args(more).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (exit, text) = run(&["--format", "json"]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(exit, Some(0), "{report:#}");
    for part in ["pull_request", "local"] {
        let part = &report[part];
        assert_eq!((&part["exit"], &part["loops"]), (&json!("converged"), &json!(2)), "{part:#}");
        assert_eq!(part["commits"].as_array().unwrap().len(), 1);
        let lines = ["-    for i in range(len(items) - 1):", "+    for i in range(len(items)):"];
        assert_eq!(part["commits"][0]["lines"], json!(lines));
    }
    let pull = &report["pull_request"];
    assert_eq!((&pull["drafts"], &pull["duplicates"]), (&json!([true, false]), &json!(0)), "{pull:#}");
    let threads: Vec<_> = pull["reviews"].as_array().unwrap().iter().map(|one| &one["threads"]).collect();
    assert_eq!((threads.len(), threads[1]), (2, &json!([])), "{pull:#}");
    let thread = &threads[0][0];
    assert_eq!((&thread["line"], &thread["resolved"]), (&json!(3), &json!(true)), "{thread:#}");
    let commit = pull["commits"][0]["commit"].as_str().unwrap();
    let answer = thread["answers"][0].as_str().unwrap();
    assert!(answer.starts_with(&format!("Fixed in {}", &commit[..7])), "{answer}");
    assert_eq!(
        (&pull["commits"][0]["parent"], &pull["reviews"][1]["commit"]),
        (&pull["reviews"][0]["commit"], &json!(commit))
    );
    let local = &report["local"];
    assert_eq!(local["tips"][0], local["tips"][1], "what is checked out stays");
    assert!(local["run_branch"].as_str().unwrap().starts_with("truing/run/"), "{local:#}");

    let (exit, text) = run(&["--quiet"]);
    assert_eq!(exit, Some(0), "{text}");
    // Lines that contain the id of a run may be longer than 80 characters, because users copy the id.
    let long = text.lines().filter(|line| line.chars().count() > 80 && !line.contains("truing/run/"));
    assert_eq!(long.collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn one_that_stays_is_ended_by_a_person_without_an_error() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
    command.args(["demo", "converge", "--stay"]).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while line != "stop with Ctrl-C\n" {
        line.clear();
        assert!(told.read_line(&mut line).unwrap() > 0, "it has ended: {:?}", child.wait());
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut rest = String::new();
    told.read_to_string(&mut rest).unwrap();
    assert_eq!((child.wait().unwrap().code(), rest.as_str()), (Some(130), ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_model_can_port_the_rest_is_told() {
    let environment = Environment::read_process();
    let reader = ChildProcessReader::new(env!("CARGO_BIN_EXE_truing"));
    let mut story = SyncDemo::start(&environment, reader, SandboxLevel::None).await.unwrap();
    let mut scenes = 0;
    let tell = |event: SyncDemoEvent<'_>| {
        scenes += usize::from(matches!(event, SyncDemoEvent::SectionStarted(_)));
        Ok::<_, DemoError>(())
    };
    let report = story.run_all_sections(tell).await.unwrap();
    assert!(report.has_passed(), "{report:#?}");
    assert_eq!((scenes, report.pull_requests, report.drafts, report.questions), (4, 2, 0, 2));
    assert_eq!(report.model.model_calls, 0);
}

/// The demonstrations have the same results with the real `claude` program.
#[test]
fn with_the_claude_program_in_between_they_come_to_the_same() {
    let Some(program) = find_claude() else { return };
    let run = |of: &str, program: Option<&std::path::Path>| {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home.path());
        if let Some(program) = program {
            command.env("RUNTIME_MODE", "cli").env("TRUING_REVIEW__CLAUDE", program);
        }
        command.args(["demo", of, "--format", "json"]).output().unwrap()
    };
    for (of, fields) in [
        ("sync", &["pull_requests", "drafts", "questions", "doubled", "left_open", "model_calls"][..]),
        ("converge", &["model_calls", "model_tokens_out"]),
    ] {
        let [native, cli] = [None, Some(program.as_path())].map(|program| {
            let output = run(of, program);
            assert_eq!(output.status.code(), Some(0), "{of}: {}", String::from_utf8_lossy(&output.stderr));
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            fields.iter().map(|field| report[*field].clone()).collect::<Vec<_>>()
        });
        assert_eq!(cli, native, "{of}: {fields:?}");
    }
    // If the program is missing, the command reports this before it shows anything.
    let output = run("converge", Some(std::path::Path::new("/no/such/claude")));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &answer["error"]["code"]), (Some(2), &json!("claude")), "{answer}");
    assert!(
        said.contains("cannot find the program /no/such/claude") && said.contains("npm install"),
        "{said}"
    );
}
