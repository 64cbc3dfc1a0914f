//! Tests that the ledger and `truing report` show the same costs, even for reviews that were interrupted or
//! not recorded.

use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};
use truing_fakes::model::{ModelFault, ModelScript, ScriptedAnswer, StreamPosition as At};

use crate::review::adverse::{ledger_sums, reported_cost};
use crate::review::model::{Scene, finding, read_answer, report_answer};
use crate::review::place::Ran;

/// Runs a review and interrupts it in the middle of the model's second answer.
fn run_interrupted_review(scene: &Scene, arguments: &[&str]) -> Ran {
    let mut command = scene.command(arguments);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + crate::support::HANGS;
    while scene.model.bills().len() < 2 {
        assert!(Instant::now() < deadline, "no request came");
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    Ran::from(child.wait_with_output().unwrap())
}

fn scene() -> Scene {
    let stalls = ScriptedAnswer {
        fault: Some(ModelFault::Stall { after: At::Text }),
        ..ScriptedAnswer::text("Let me see.")
    };
    Scene::from_answers([read_answer("pay.py"), stalls.usage(1000, 100), report_answer(&[])])
}

/// Checks that the report contains this sum in dollars as text, Markdown and HTML. In CSV, the cost column
/// contains it in micro-dollars.
fn assert_every_format_has(scene: &Scene, spent: u64) {
    let told = |format| {
        let ran = scene.place.command(&["report", "--format", format]).output().unwrap();
        Ran::from(ran).out
    };
    let cents = (spent + 5_000) / 10_000;
    let dollars = format!("${}.{:02}", cents / 100, cents % 100);
    for format in ["text", "markdown", "html"] {
        let told = told(format);
        assert!(
            told.contains(&dollars) && told.contains("that have no record"),
            "{format}, {dollars}: {told}"
        );
    }
    let table = told("csv");
    let mut table = csv::Reader::from_reader(table.as_bytes());
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let costs = rows.iter().map(|row| row[14].parse::<u64>().unwrap());
    assert_eq!(costs.sum::<u64>(), spent, "{rows:?}");
    assert_eq!(rows.iter().filter(|row| &row[4] == "unrecorded").count(), 1, "{rows:?}");
}

fn report_json(scene: &Scene) -> Value {
    let ran = Ran::from(scene.place.command(&["report", "--format", "json"]).output().unwrap());
    ran.json()
}

#[test]
fn a_review_that_was_interrupted_is_a_run_with_its_cost() {
    let scene = scene();
    let ran = run_interrupted_review(&scene, &["--format", "json"]);
    let (spent, held) = ledger_sums(&scene);
    assert!(ran.exit == 130 && spent > 0 && held == 0, "{ran:?}");
    assert_eq!(ran.json()["cost_micro_usd"], json!(spent), "{ran:?}");
    assert_eq!(ran.json()["error"]["code"], "interrupted");
    assert!(ran.err.contains("it has cost $"), "{}", ran.err);
    assert_eq!(reported_cost(&scene), spent);
    let told = report_json(&scene);
    let outcome = &told["outcomes"][0];
    assert_eq!(
        (&outcome["kind"], &outcome["result"], &outcome["cost_micro_usd"]),
        (&json!("deferred"), &json!("interrupted"), &json!(spent)),
        "{told}"
    );
    // The next review is recorded with its own cost only, so the sums still agree.
    assert_eq!(scene.review(&[]).json()["outcome"]["kind"], "reviewed");
    assert_eq!(reported_cost(&scene), ledger_sums(&scene).0);
    assert_eq!(report_json(&scene)["totals"]["runs"], json!(2));
}

#[test]
fn what_reviews_cost_that_were_not_recorded_is_told() {
    let scene = scene();
    let ran = run_interrupted_review(&scene, &["--no-record"]);
    assert_eq!(ran.exit, 130, "{ran:?}");
    let first = ledger_sums(&scene).0;
    assert_eq!(reported_cost(&scene), first);
    assert_eq!(scene.review(&["--no-record"]).json()["outcome"]["kind"], "reviewed");
    let spent = ledger_sums(&scene).0;
    assert!(spent > first);
    let told = report_json(&scene);
    let totals = &told["totals"];
    assert_eq!(
        (&totals["cost_micro_usd"], &totals["unrecorded_micro_usd"], &totals["runs"]),
        (&json!(spent), &json!(spent), &json!(0)),
        "{told}"
    );
    let text = Ran::from(scene.place.command(&["report"]).output().unwrap()).out;
    assert!(text.contains(" of this: runs that have no record"), "{text}");
    assert_every_format_has(&scene, spent);
    // After a recorded review, the sums still agree.
    scene.model.set_script(ModelScript::from_answers([report_answer(&[])]));
    assert_eq!(scene.review(&[]).json()["outcome"]["kind"], "reviewed");
    let all = ledger_sums(&scene).0;
    assert!(all > spent);
    assert_eq!(report_json(&scene)["totals"]["cost_micro_usd"], json!(all));
    assert_every_format_has(&scene, all);
    // The cost of a recorded review is not shown as a cost without a record.
    let scene = Scene::from_answers([report_answer(&[finding()])]);
    scene.review(&[]);
    assert_eq!(report_json(&scene)["totals"]["unrecorded_micro_usd"], json!(0));
    let text = Ran::from(scene.place.command(&["report"]).output().unwrap()).out;
    assert!(!text.contains("that have no record"), "{text}");
}

#[test]
fn a_budget_that_pays_for_no_request_is_told_as_that_and_not_as_used_up() {
    for (limit, kind, told) in [
        (
            "review_usd = 0",
            "partial",
            "`budget.review_usd` is $0.00, which is too little for any request: increase the limit",
        ),
        (
            "review_usd = 0.001",
            "partial",
            "the amount left in `budget.review_usd` ($0.001 for a commit) is too small for one request",
        ),
        (
            "repo_day_usd = 0",
            "deferred",
            "`budget.repo_day_usd` is $0.00, which is too little for any request: increase the limit",
        ),
        (
            "repo_day_usd = 0.001",
            "deferred",
            "the amount left in `budget.repo_day_usd` ($0.001 a day) is too small for one request",
        ),
    ] {
        let scene = Scene::from_answers([]).with_config(&format!("[budget]\n{limit}\n"));
        let mut command = scene.place.command(&["review", "--config", "../op.toml", "--runtime", "native"]);
        scene.command(&[]);
        command.env("ANTHROPIC_API_KEY", truing_fakes::model::DEFAULT_API_KEY).args(["--format", "json"]);
        let ran = Ran::from(command.output().unwrap());
        let outcome = &ran.json()["outcome"];
        let reason = outcome["reason"].as_str().unwrap();
        assert_eq!(outcome["kind"], kind, "{outcome}");
        assert!(reason.contains(told) && !reason.contains("used up"), "{reason}");
        assert!(!ran.err.contains("WARN"), "a person is not shown the log: {}", ran.err);
        assert!(scene.model.bills().is_empty());
    }
}

#[test]
fn a_review_by_a_model_that_fails_before_it_asks_is_a_run_that_ended() {
    let scene = Scene::from_answers([]);
    let tree = scene.place.git(["rev-parse", "HEAD^{tree}"]);
    let (folder, file) = tree.split_at(2);
    std::fs::remove_file(scene.place.repo().join(".git/objects").join(folder).join(file)).unwrap();
    let ran = scene.review(&[]);
    assert_eq!(ran.exit, 3, "{ran:?}");
    let told = report_json(&scene);
    let outcome = &told["outcomes"][0];
    assert_eq!(
        (&told["totals"]["runs"], &outcome["kind"], &outcome["cost_micro_usd"]),
        (&json!(1), &json!("failed"), &json!(0)),
        "{told}"
    );
    // A review by rules only costs nothing, so the ledger has no entry for it.
    let ran = Ran::from(scene.place.command(&["review", "--quiet"]).output().unwrap());
    assert_eq!(ran.exit, 3, "{ran:?}");
    assert_eq!(report_json(&scene)["totals"]["runs"], json!(1));
}
