//! Tests that the ledger, `truing why` and `truing report` agree on the cost and on the ends of runs and
//! audits.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use truing_fakes::model::{ModelScript, ScriptedAnswer};

use crate::converge::adverse::{BOT_FIRST, bugbot_with_steps};
use crate::converge::place::Ran;
use crate::converge::pull::Site;
use crate::converge::scene::{
    BUG_ID, RIGHT, Scene, WRONG, clean_audit_answer, clean_fix_answer, edit, fix_report_answer,
    planted_bug_answer, signal_and_wait, spawn_captured, stalling_answer, sum_ledger_rows, wait_for_bills,
};

fn parse_json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"))
}

impl Site {
    async fn run_subcommand(&self, name: &str, arguments: &[&str]) -> Ran {
        self.run_command(self.other_command(name, arguments)).await
    }

    async fn ledger_sums(&self) -> (u64, u64) {
        sum_ledger_rows(&self.run_subcommand("budget", &["show", "--format", "json"]).await.out)
    }

    async fn run_why_json(&self) -> Value {
        parse_json(
            &self.run_subcommand("why", &["--format", "json", &format!("acme/shop#{}", self.number)]).await,
        )
    }

    async fn run_report(&self) -> Value {
        parse_json(&self.run_subcommand("report", &["--format", "json"]).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn why_tells_what_a_run_and_an_audit_cost_and_how_each_loop_ended() {
    let fixes = [
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ];
    let site = Site::new("", [planted_bug_answer()].into_iter().chain(fixes)).await;
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");
    let (spent, held) = site.ledger_sums().await;
    let reason = site.run_why_json().await;
    assert_eq!((&reason["cost_micro_usd"], held), (&json!(spent), 0), "{reason}");
    assert!(spent > 0);
    let last = &reason["last_outcomes"][0];
    assert_eq!((&last["loop"], &last["result"]), (&json!("converge"), &json!("converged")), "{reason}");
    assert_eq!(last["cost_micro_usd"], json!(spent));
    let text = site.run_subcommand("why", &[&format!("acme/shop#{}", site.number)]).await.out;
    assert!(text.contains("converge: converged at ") && !text.contains("$0.00 for this head"), "{text}");
    assert_eq!(site.run_report().await["totals"]["cost_micro_usd"], json!(spent));

    // A signal interrupts an audit.
    site.model.set_script(ModelScript::from_answers([stalling_answer()]));
    let bills = site.model.bills().len();
    let child = spawn_captured(
        site.other_command("audit", &["--format", "json", &format!("acme/shop#{}", site.number)]),
    );
    wait_for_bills(&site.model, bills + 1);
    let ran = tokio::task::spawn_blocking(move || signal_and_wait(child, "-INT")).await.unwrap();
    assert_eq!(ran.exit, 130, "{ran:?}");
    let (all, held) = site.ledger_sums().await;
    assert!(all > spent && held == 0, "{all} {spent}");
    assert_eq!(parse_json(&ran)["cost_micro_usd"], json!(all - spent), "{ran:?}");
    assert_eq!(site.run_why_json().await["cost_micro_usd"], json!(all));
    assert_eq!(site.run_report().await["totals"]["cost_micro_usd"], json!(all));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_stopped_while_it_waits_for_others_is_not_told_as_converged() {
    let more = BOT_FIRST.replace("\"bugbot\", \"internal\"", "\"internal\", \"bugbot\"").replace("2s", "60s");
    let site = Site::new(&more, [clean_audit_answer()]).await;
    site.repo.add_bot(bugbot_with_steps([])).await.unwrap();
    let child = spawn_captured(site.command(&["--format", "json", &format!("acme/shop#{}", site.number)]));
    let deadline = Instant::now() + Duration::from_secs(120);
    while !site.pull_view().await.conversation_comments().any(|comment| comment.body.trim() == "bugbot run") {
        assert!(Instant::now() < deadline, "no forge was asked");
    }
    let ran = tokio::task::spawn_blocking(move || signal_and_wait(child, "-INT")).await.unwrap();
    assert_eq!((ran.exit, &parse_json(&ran)["exit"]), (130, &json!("interrupted")), "{ran:?}");
    let report = site.run_report().await;
    let outcome = &report["outcomes"][0];
    assert_eq!(
        (&outcome["kind"], &outcome["result"]),
        (&json!("deferred"), &json!("interrupted")),
        "{outcome}"
    );
    assert_eq!(outcome["exit_reason"], parse_json(&ran)["reason"], "{outcome}");
    assert_eq!(site.run_why_json().await["last_outcomes"][0]["result"], json!("interrupted"));
}

impl Scene {
    fn run_subcommand(&self, name: &str, arguments: &[&str]) -> Ran {
        Ran::from(self.other_command(name, arguments).output().unwrap())
    }

    fn ledger_sums(&self) -> (u64, u64) {
        sum_ledger_rows(&self.run_subcommand("budget", &["show", "--format", "json"]).out)
    }
}

#[test]
fn an_audit_that_was_interrupted_is_a_run_with_its_cost() {
    let scene = Scene::new([stalling_answer()]);
    let child = spawn_captured(scene.other_command("audit", &["--format", "json"]));
    wait_for_bills(&scene.model, 1);
    let ran = signal_and_wait(child, "-INT");
    assert_eq!(ran.exit, 130, "{ran:?}");
    let (spent, held) = scene.ledger_sums();
    assert!(spent > 0 && held == 0, "{spent} {held}");
    assert_eq!(parse_json(&ran)["cost_micro_usd"], json!(spent), "{ran:?}");
    let report = parse_json(&scene.run_subcommand("report", &["--format", "json"]));
    assert_eq!(report["totals"]["cost_micro_usd"], json!(spent), "{report}");
    let outcome = &report["outcomes"][0];
    assert_eq!(
        (&outcome["result"], &outcome["kind"], &outcome["highest_step"]["id"]),
        (&json!("interrupted"), &json!("deferred"), &json!("audit")),
        "{outcome}"
    );
}

#[test]
fn an_audit_is_reported_as_an_audit() {
    for (answer, result, told) in
        [(planted_bug_answer(), "found 1", "1 found 1 finding"), (clean_audit_answer(), "clean", "1 clean")]
    {
        let scene = Scene::new([answer]);
        scene.audit(&[]);
        let report = parse_json(&scene.run_subcommand("report", &["--format", "json"]));
        let outcome = &report["outcomes"][0];
        assert_eq!(
            (&outcome["result"], &outcome["kind"], &outcome["highest_step"]["id"]),
            (&json!(result), &json!("done"), &json!("audit")),
            "{outcome}"
        );
        let text = scene.run_subcommand("report", &[]).out;
        assert!(text.contains(&format!("\nResults\n  {told}")), "{text}");
        assert!(!text.contains("converged"), "{text}");
    }
}

#[test]
fn a_damaged_row_of_a_run_stops_no_audit() {
    let scene = Scene::new([clean_audit_answer(), clean_audit_answer(), clean_audit_answer()]);
    assert_eq!(scene.audit(&[]).exit, 0);
    assert_eq!(scene.run(&[]).exit, 0);
    let file = rusqlite::Connection::open(scene.place.store()).unwrap();
    file.execute("UPDATE run SET record = '{broken' WHERE loop = 'converge'", []).unwrap();
    let ran = scene.audit(&[]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.err.contains("the record of run ") && ran.err.contains("is left out"), "{ran:?}");
}

/// Checks that the report contains this sum in text, Markdown, HTML and CSV. In CSV, the sum is that of the
/// cost column, in micro-dollars.
fn assert_every_format_has(scene: &Scene, spent: u64) {
    let told = |format| scene.run_subcommand("report", &["--format", format]).out;
    let json: Value = serde_json::from_str(&told("json")).unwrap();
    assert_eq!(json["totals"]["cost_micro_usd"], json!(spent), "{json}");
    assert_eq!(json["converge"]["cost_micro_usd"], json!(spent), "{json}");
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
    let unrecorded = rows.iter().filter(|row| (&row[0], &row[4]) == ("converge", "unrecorded"));
    assert_eq!(unrecorded.count(), 1, "{rows:?}");
}

/// Starts the command, and kills it during the second response of the model.
fn kill_mid_answer(scene: &Scene, name: &str) {
    let looks = ScriptedAnswer::tool("read", json!({ "path": "total.py" })).usage(4000, 1000);
    scene.set_answers([looks, stalling_answer()]);
    let bills = scene.model.bills().len();
    let mut child = spawn_captured(scene.other_command(name, &["--format", "json"]));
    wait_for_bills(&scene.model, bills + 2);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Sets the expiry of the only unsettled reservation to the present time.
fn expire_reservation(scene: &Scene) {
    let file = rusqlite::Connection::open(scene.place.store()).unwrap();
    let sql = "UPDATE reservation SET expires = 1000 * unixepoch() WHERE cost IS NULL";
    assert_eq!(file.execute(sql, []).unwrap(), 1);
}

#[test]
fn what_a_run_and_an_audit_cost_that_were_killed_and_never_gone_on_with_is_told() {
    for name in ["converge", "audit"] {
        let scene = Scene::new([]);
        kill_mid_answer(&scene, name);
        let (spent, held) = scene.ledger_sums();
        assert!(spent > 0 && held > 0, "{name}: {spent} {held}");
        assert_every_format_has(&scene, spent);
        // An expired reservation that was not settled counts as fully spent. It does not matter which command
        // reads the ledger first.
        expire_reservation(&scene);
        assert_every_format_has(&scene, spent + held);
        assert_eq!(scene.ledger_sums(), (spent + held, 0), "{name}");
        assert_every_format_has(&scene, spent + held);
        // After a change of the branch, the killed run cannot be resumed.
        scene.place.write("other.py", "other = 1\n");
        scene.place.commit("more");
        scene.set_answers([clean_audit_answer()]);
        assert_eq!(scene.audit(&[]).exit, 0);
        let all = scene.ledger_sums().0;
        assert!(all > spent + held, "{name}");
        assert_every_format_has(&scene, all);
        let report = parse_json(&scene.run_subcommand("report", &["--format", "json"]));
        let (totals, outcomes) = (&report["totals"], report["outcomes"].as_array().unwrap());
        assert_eq!(
            (&totals["runs"], outcomes.len(), &totals["unrecorded_micro_usd"]),
            (&json!(1), 1, &json!(spent + held)),
            "{name}: {report}"
        );
        let reviews = parse_json(&scene.run_subcommand("report", &["--loop", "review", "--format", "json"]));
        assert_eq!(reviews["totals"]["cost_micro_usd"], json!(0), "{name}: {reviews}");
    }
}

#[test]
fn what_a_run_cost_that_was_killed_and_gone_on_with_is_told_once() {
    let scene = Scene::new([]);
    kill_mid_answer(&scene, "converge");
    expire_reservation(&scene);
    scene.set_answers([clean_audit_answer()]);
    assert_eq!(scene.run(&[]).exit, 0);
    let (spent, held) = scene.ledger_sums();
    let report = parse_json(&scene.run_subcommand("report", &["--format", "json"]));
    let totals = &report["totals"];
    assert_eq!(
        (&totals["runs"], &totals["cost_micro_usd"], &totals["unrecorded_micro_usd"], held),
        (&json!(1), &json!(spent), &json!(0), 0),
        "{report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_audit_of_a_pull_request_cost_that_was_killed_is_told() {
    let looks = ScriptedAnswer::tool("read", json!({ "path": "total.py" })).usage(4000, 1000);
    let site = Site::new("", [looks, stalling_answer()]).await;
    let mut child = spawn_captured(
        site.other_command("audit", &["--format", "json", &format!("acme/shop#{}", site.number)]),
    );
    wait_for_bills(&site.model, 2);
    child.kill().unwrap();
    child.wait().unwrap();
    let (spent, held) = site.ledger_sums().await;
    assert!(spent > 0 && held > 0, "{spent} {held}");
    let report = site.run_report().await;
    let totals = &report["totals"];
    assert_eq!((&totals["cost_micro_usd"], &totals["runs"]), (&json!(spent), &json!(0)), "{report}");
    // A run can start although the audit was killed.
    let fixes = [
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ];
    site.model.set_script(ModelScript::from_answers([planted_bug_answer()].into_iter().chain(fixes)));
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");
    assert_eq!(site.run_report().await["totals"]["cost_micro_usd"], json!(site.ledger_sums().await.0));
}
