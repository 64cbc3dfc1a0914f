//! Tests that each end of a served run is counted exactly once. Further tests cover the report on fixes that
//! undo each other, and a local run that is stopped with SIGTERM.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use truing_fakes::forge::{ForgeFault, ForgeFaultKind};
use truing_fakes::model::{ModelScript, ScriptedAnswer};

use crate::converge::honest::finding_id;
use crate::converge::place::Ran;
use crate::converge::pull::Site;
use crate::converge::scene::{
    BUG_ID, RIGHT, Scene, WRONG, audit_answer, clean_audit_answer, clean_fix_answer, edit, finding_json,
    fix_report_answer, planted_bug_answer, signal_and_wait, spawn_captured, stalling_answer, sum_ledger_rows,
    wait_for_bills,
};
use crate::converge::served::{HASTY, NATIVE, count_runs, report_comment};
use crate::support::home::Server;

/// The outcomes by which the metrics count ended runs.
const ENDS: [&str; 5] = ["done", "partial", "skipped", "deferred", "failed"];

/// Returns the number of ended converge runs for each outcome in [`ENDS`].
fn count_ends(server: &Server) -> [u64; 5] {
    ENDS.map(|end| count_runs(server, "converge", end))
}

/// Waits until the metrics have these counts and the slot is idle or held. Afterwards, the counts must not
/// have changed.
async fn wait_until_counted(site: &Site, server: &Server, expected: [u64; 5], label: &str) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while count_ends(server) != expected {
        assert!(Instant::now() < deadline, "{label}: {:?}, not {expected:?}", count_ends(server));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let rests = |reason: &str| reason.contains("state idle") || reason.contains("state held");
    while !rests(&site.run_why().await) {
        assert!(Instant::now() < deadline, "{label}: {}", site.run_why().await);
    }
    assert_eq!(count_ends(server), expected, "{label}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fixes_that_undo_each_other_are_told_at_the_pull_request_with_what_is_left() {
    let other =
        finding_json(("total.py", 3), RIGHT.trim_end(), ("P1", "A"), "The last element counts double");
    let other_id = tokio::task::block_in_place(|| finding_id(&other));
    let undoes = [
        planted_bug_answer(),
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        audit_answer(std::slice::from_ref(&other), "A"),
        edit("total.py", RIGHT, WRONG),
        fix_report_answer(&[(&other_id, None)]),
    ];
    let site = Site::new(HASTY, undoes).await;
    let before = site.pull_view().await.head;
    let server = site.serve();
    site.request_only_run("ann").await;
    let pull = site.wait_until("the report", |pull| report_comment(pull).is_some()).await;
    let told = report_comment(&pull).unwrap();
    assert!(told.starts_with("## /converge: stuck\n"), "{told}");
    assert!(told.contains("Unresolved findings (1):"), "{told}");
    assert!(told.contains("The last element counts double"), "{told}");
    assert!(told.contains("fixes undo each other"), "{told}");
    assert!(!told.to_lowercase().contains("merge") && pull.draft, "{told}");
    // The second fix is not pushed. Its finding gets no reply, and the thread stays open.
    let text = site.git(&["show", &format!("{}:total.py", pull.head)]).await;
    assert!(pull.head != before && text.contains(RIGHT.trim_end()), "{text}");
    let left = pull.inline_comments().find(|comment| comment.body.contains("counts double")).unwrap();
    assert!(!left.resolved, "{pull:#?}");
    assert!(!pull.inline_comments().any(|comment| comment.in_reply_to == Some(left.id)), "{pull:#?}");
    wait_until_counted(&site, &server, [0, 1, 0, 0, 0], "stuck").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_of_a_run_is_counted_once_and_failures_are() {
    let nothing = fix_report_answer(&[(BUG_ID, Some("nobody knows how"))]);
    let site = Site::new(HASTY, [planted_bug_answer(), nothing]).await;
    let server = site.serve();
    assert_eq!(count_ends(&server), [0; 5], "nothing");
    site.request_only_run("ann").await;
    wait_until_counted(&site, &server, [0, 1, 0, 0, 0], "stuck").await;
    // The run is resumed and ends differently.
    let fixes = [
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ];
    site.model.set_script(ModelScript::from_answers(
        [ScriptedAnswer::for_describer("Adds up orders.")].into_iter().chain(fixes),
    ));
    site.request_only_run("ann").await;
    wait_until_counted(&site, &server, [1, 1, 0, 0, 0], "converged").await;
    // Two attempts of a run fail, and the metrics count one failed run.
    site.repo
        .push("topic", truing_fakes::repo::CommitBuilder::new("More").write("more.py", "more = 1\n"))
        .await
        .unwrap();
    site.model.set_script(ModelScript::from_answers(vec![ScriptedAnswer::status(401); 8]));
    site.request_only_run("ann").await;
    wait_until_counted(&site, &server, [1, 1, 0, 0, 1], "given up").await;
    let told: Value = serde_json::from_str(
        &site
            .run_command(site.other_command("report", &["--loop", "converge", "--format", "json"]))
            .await
            .out,
    )
    .unwrap();
    let kinds = &told["converge"]["kinds"];
    assert_eq!((&kinds["done"], &kinds["failed"]), (&json!(1), &json!(1)), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_person_stops_is_counted_once_and_not_each_step_of_it() {
    let others = "[converge]\nreviewers = [\"internal\", \"helper\"]\npoll = \"30s\"\n\
        [reviewer.helper]\nlogins = [\"helper[bot]\"]\nbudget = \"2h\"\n";
    let site = Site::new(&format!("{NATIVE}{others}"), [clean_audit_answer()]).await;
    let server = site.serve();
    site.request_only_run("ann").await;
    let waits = async || site.run_why().await.matches("continues later (reviewer)").count();
    let deadline = Instant::now() + Duration::from_secs(120);
    while waits().await == 0 {
        assert!(Instant::now() < deadline, "it does not wait: {}", site.run_why().await);
    }
    assert_eq!(count_ends(&server), [0; 5], "it waits");
    site.comment_as("ann", "/converge stop").await;
    site.wait_until_why("converge: interrupted: stopped by `/converge stop`").await;
    wait_until_counted(&site, &server, [0, 0, 0, 1, 0], "stopped").await;
    // There is no active run for this command to stop. Commands are executed in order, so it was executed
    // when the effect of the next command is visible.
    let before = waits().await;
    site.comment_as("ann", "/converge stop").await;
    site.request_only_run("ann").await;
    let deadline = Instant::now() + Duration::from_secs(120);
    while waits().await == before {
        assert!(Instant::now() < deadline, "it is not resumed: {}", site.run_why().await);
    }
    assert_eq!(count_ends(&server), [0, 0, 0, 1, 0], "it waits again");
    site.comment_as("ann", "/converge stop").await;
    wait_until_counted(&site, &server, [0, 0, 0, 2, 0], "stopped again").await;
}

/// The forge no longer returns the pull request. The slot is parked, and the report counts the run as failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_pull_request_is_not_shown_any_more_is_one_that_failed() {
    let site = Site::new(NATIVE, [clean_audit_answer()]).await;
    let server = site.serve();
    site.forge.take_deliveries();
    site.repo.comment(site.number, "ann", "/converge").await.unwrap();
    let gone = ForgeFault::on_call(
        "GET",
        "/repos/{owner}/{repo}/pulls/{number}$",
        ForgeFaultKind::Status(404, None),
    );
    site.forge.add_fault(gone.times(u32::MAX));
    // The first query asks who wrote the comment, which decides about the command.
    let gone = ForgeFault::on_call("POST", "/graphql", ForgeFaultKind::Status(404, None));
    site.forge.add_fault(gone.nth(2).times(u32::MAX));
    site.deliver().await;
    site.wait_until_why("state held").await;
    wait_until_counted(&site, &server, [0, 0, 0, 0, 1], "parked").await;
    let ran =
        site.run_command(site.other_command("report", &["--loop", "converge", "--format", "json"])).await;
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(told["outcomes"][0]["kind"], json!("failed"), "{told}");
    assert_eq!(told["outcomes"].as_array().unwrap().len(), 1, "{told}");
}

#[test]
fn a_run_that_the_system_ends_settles_its_money_says_so_and_is_gone_on_with() {
    let scene = Scene::new([planted_bug_answer(), stalling_answer()]);
    let child = spawn_captured(scene.command(&["--format", "json"]));
    wait_for_bills(&scene.model, 2);
    let ran = signal_and_wait(child, "-TERM");
    let told = ran.json();
    assert_eq!(
        (ran.exit, &told["exit"], &told["code"]),
        (130, &json!("interrupted"), &json!("interrupted")),
        "{ran:?}"
    );
    assert_eq!(
        told["reason"],
        json!("interrupted: to resume the run where it stopped, run the command again"),
        "{told}"
    );
    let said =
        |name, arguments: &[&str]| Ran::from(scene.other_command(name, arguments).output().unwrap()).out;
    let (spent, held) = sum_ledger_rows(&said("budget", &["show", "--format", "json"]));
    assert!(spent > 0 && held == 0, "{spent} {held}");
    assert_eq!(told["cost_micro_usd"], json!(spent), "{told}");
    let reported: Value = serde_json::from_str(&said("report", &["--format", "json"])).unwrap();
    assert_eq!(
        (&reported["totals"]["cost_micro_usd"], &reported["totals"]["unrecorded_micro_usd"]),
        (&json!(spent), &json!(0)),
        "{reported}"
    );
    assert_eq!(reported["outcomes"][0]["result"], json!("interrupted"), "{reported}");
    // The text output names the interruption, and no line is longer than 80 characters.
    scene.set_answers([stalling_answer()]);
    let bills = scene.model.bills().len();
    let child = spawn_captured(scene.command(&[]));
    wait_for_bills(&scene.model, bills + 1);
    let ran = signal_and_wait(child, "-TERM");
    assert!(ran.exit == 130 && ran.out.contains("interrupted"), "{ran:?}");
    assert!(ran.out.lines().all(|line| line.chars().count() <= 80), "{}", ran.out);
    // The next command continues the same run, and does not repeat the audit.
    scene.set_answers([
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ]);
    let asked = scene.request_count();
    let (again, exit) = scene.json(&[]);
    assert_eq!((exit, &again["code"], &again["run"]), (0, &json!("clean"), &told["run"]), "{again}");
    assert_eq!((&again["loops"], scene.request_count() - asked), (&json!(2), 4), "{again}");
    assert_eq!(
        sum_ledger_rows(&said("budget", &["show", "--format", "json"])).0,
        again["cost_micro_usd"].as_u64().unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_on_a_pull_request_that_the_system_ends_is_gone_on_with_at_once() {
    let site = Site::new("", [planted_bug_answer(), stalling_answer()]).await;
    let target = format!("acme/shop#{}", site.number);
    let child = spawn_captured(site.command(&["--format", "json", &target]));
    let ran = tokio::task::block_in_place(|| {
        wait_for_bills(&site.model, 2);
        signal_and_wait(child, "-TERM")
    });
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.exit, &told["exit"]), (130, &json!("interrupted")), "{ran:?}");
    let shown = site.run_command(site.other_command("budget", &["show", "--format", "json"])).await;
    let (spent, held) = sum_ledger_rows(&shown.out);
    assert_eq!((told["cost_micro_usd"].as_u64(), held), (Some(spent), 0), "{told}");
    let reason = site.run_why().await;
    assert!(reason.contains("state idle") && reason.contains("interrupted"), "{reason}");
    let fixes = [
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ];
    site.model.set_script(ModelScript::from_answers(
        [ScriptedAnswer::for_describer("Adds up orders.")].into_iter().chain(fixes),
    ));
    let (again, exit) = site.run_json(&[]).await;
    assert_eq!(
        (exit, &again["exit"], &again["run"], &again["loops"]),
        (0, &json!("converged"), &told["run"], &json!(2)),
        "{again}"
    );
    assert_eq!(
        site.pull_view().await.inline_comments().filter(|comment| comment.in_reply_to.is_none()).count(),
        1
    );
}
