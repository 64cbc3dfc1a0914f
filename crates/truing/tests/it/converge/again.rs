//! Tests of runs after earlier runs. A stuck run is not audited or paid for again if nothing is new, and
//! branches of earlier runs are deleted in time.

use std::sync::Arc;

use serde_json::{Value, json};
use truing_core::id::{FencingToken, RunId, TimeSpan, UnixMillis};
use truing_core::port::{Clock as _, RunStore as _};
use truing_fakes::model::ScriptedAnswer;
use truing_loops::machine::SystemClock;
use truing_store::Store;

use crate::converge::place::Ran;
use crate::converge::scene::{
    BUG_ID, RIGHT, Scene, WRONG, absences_except, audit_answer, clean_audit_answer, clean_fix_answer, edit,
    finding_json, fix_report_answer, planted_bug_answer,
};

/// Returns the answer of a fixer that declines the only finding.
fn declining_answer() -> ScriptedAnswer {
    fix_report_answer(&[(BUG_ID, Some("nobody knows how"))])
}

fn fix_run_answers() -> [ScriptedAnswer; 4] {
    [
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ]
}

/// Starts a run with these model answers. Returns the result, the exit code, and the number of requests to
/// the model.
fn run_with_answers(scene: &Scene, answers: impl IntoIterator<Item = ScriptedAnswer>) -> (Value, i32, usize) {
    scene.set_answers(answers);
    let before = scene.request_count();
    let (told, exit) = scene.json(&[]);
    (told, exit, scene.request_count() - before)
}

/// Creates a run that is stuck because the fixer declined the only finding.
fn create_stuck_run(config: &str) -> (Scene, Value) {
    let scene = Scene::new([planted_bug_answer(), declining_answer()]).with_config(config);
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["code"], scene.request_count()), (1, &json!("nothing_fixed"), 2), "{told}");
    (scene, told)
}

#[test]
fn a_run_that_is_stuck_goes_on_from_what_it_found_where_nothing_is_new() {
    let (scene, first) = create_stuck_run("");
    let (told, exit, asked) = run_with_answers(&scene, [declining_answer()]);
    assert_eq!(
        (exit, &told["code"], asked),
        (1, &json!("nothing_fixed"), 1),
        "one fixer and no auditor: {told}"
    );
    assert_eq!((&told["run"], &told["loops"], &told["audits"]), (&first["run"], &json!(1), &first["audits"]));

    scene.set_answers(fix_run_answers());
    let ran = scene.run(&[]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    let said = ran.err.split_whitespace().collect::<Vec<_>>().join(" ");
    let reason = format!("run {} got stuck here (", first["run"].as_str().unwrap());
    assert!(said.contains(&reason) && said.contains("Nothing has changed since"), "{ran:?}");
    let spent =
        Ran::from(scene.other_command("budget", &["show", "--format", "json"]).output().unwrap()).json();
    let runs = spent.as_array().unwrap().iter().filter(|level| level["level"] == "run");
    let spent: u64 = runs.map(|level| level["spent_micro_usd"].as_u64().unwrap()).sum();
    let (told, _, asked) = run_with_answers(&scene, []);
    assert_eq!((&told["loops"], &told["cost_micro_usd"], asked), (&json!(2), &json!(spent), 0), "{told}");
}

#[test]
fn a_stuck_branch_is_audited_anew_where_a_commit_a_dismissal_a_gate_or_the_model_is_new() {
    let commit = |scene: Scene| {
        scene.place.write("other.py", "x = 1\n");
        scene.place.commit("more");
        scene
    };
    let dismiss = |scene: Scene| {
        let ran = scene
            .other_command("dismiss", &["1:26045536", "--reason", "the callers rely on it"])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        scene
    };
    let gate = |scene: Scene| scene.with_config("[converge]\ngate = [[\"true\"]]\n");
    let model = |scene: Scene| scene.with_config("name = \"claude-sonnet-4-6\"\n");
    let changes: [(&str, &dyn Fn(Scene) -> Scene); 4] =
        [("commit", &commit), ("dismissal", &dismiss), ("gate", &gate), ("model", &model)];
    for (what, change) in changes {
        let (scene, first) = create_stuck_run("");
        let scene = change(scene);
        let (told, exit, asked) = run_with_answers(&scene, [planted_bug_answer(), declining_answer()]);
        let expected = if what == "dismissal" { (0, "clean", 1) } else { (1, "nothing_fixed", 2) };
        assert_eq!((exit, told["code"].as_str().unwrap(), asked), expected, "{what}: {told}");
        assert_ne!(told["run"], first["run"], "{what}");
    }
}

/// Sets the end of a run to this many days ago.
fn backdate_run_end(scene: &Scene, run: &str, days: i64) {
    let store = Store::open(&scene.place.store(), Arc::new(SystemClock)).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut record = store.converge_run(&RunId::new(run)).await.unwrap().unwrap();
        record.ended_at = UnixMillis(SystemClock.now().0 - TimeSpan::minutes(days * 24 * 60).0);
        store.store_converge_record(FencingToken(0), &record).await.unwrap();
    });
}

#[test]
fn branches_that_runs_have_left_are_deleted_when_they_are_merged_or_older_than_thirty_days() {
    let left = || {
        let scene = Scene::new([planted_bug_answer()].into_iter().chain(fix_run_answers()));
        let (told, exit) = scene.json(&[]);
        assert_eq!(exit, 0, "{told}");
        let branch = scene.branch().unwrap();
        (scene, told["run"].as_str().unwrap().to_owned(), branch)
    };
    // Starts another run, which also deletes the outdated branches of earlier runs.
    let next = |scene: &Scene| {
        scene.place.write("other.py", "x = 1\n");
        scene.place.commit("more");
        scene.set_answers([clean_audit_answer()]);
        let ran = scene.run(&[]);
        assert_eq!(ran.exit, 0, "{ran:?}");
        ran.err.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for (days, is_kept) in [(29, true), (31, false)] {
        let (scene, run, branch) = left();
        backdate_run_end(&scene, &run, days);
        let said = next(&scene);
        assert_eq!(scene.branch().is_some(), is_kept, "{days}: {said}");
        let told = format!("deleted {branch}, the branch of an earlier run: older than 30 days");
        assert_eq!(said.contains(&told), !is_kept, "{days}: {said}");
    }

    let (scene, _, branch) = left();
    scene.place.git(["merge", "--quiet", "--ff-only", &branch]);
    let said = next(&scene);
    assert!(scene.branch().is_none() && said.contains("the branch of an earlier run: merged"), "{said}");

    // One branch has an additional commit by a user. Another branch has a similar name, but no run created
    // it.
    let (scene, run, branch) = left();
    backdate_run_end(&scene, &run, 31);
    let tree = scene.place.git(["rev-parse", &format!("{branch}^{{tree}}")]);
    let more = scene.place.git(["commit-tree", &tree, "-p", &branch, "-m", "by hand"]);
    scene.place.git(["update-ref", &format!("refs/heads/{branch}"), &more]);
    scene.place.git(["branch", "truing/run/mine", "main"]);
    let said = next(&scene);
    let all = scene.place.git(["branch", "--list", "--format=%(refname:short)", "truing/run/*"]);
    assert!(all.contains(&branch) && all.contains("truing/run/mine"), "{all}: {said}");
}

#[test]
fn a_fix_that_leads_back_to_what_was_found_wrong_is_not_taken_when_the_run_is_started_again() {
    let back = || edit("total.py", RIGHT, WRONG);
    let begins = || {
        let worse = finding_json(("total.py", 3), RIGHT.trim_end(), ("P1", "G"), "Too many are taken");
        [
            planted_bug_answer(),
            edit("total.py", WRONG, RIGHT),
            fix_report_answer(&[(BUG_ID, None)]),
            clean_fix_answer(),
            audit_answer(&[worse], "G"),
        ]
    };
    let (told, _) = Scene::new(begins()).json(&["--max-audits", "2"]);
    let id = told["remaining"][0]["id"].as_str().unwrap();
    assert_ne!(id, BUG_ID, "{told}");
    let scene = Scene::new(begins().into_iter().chain([
        back(),
        fix_report_answer(&[(id, None)]),
        reverted_fix_answer(),
    ]));
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["code"]), (1, &json!("oscillation")), "{told}");
    for _ in 0..2 {
        let (told, exit, asked) =
            run_with_answers(&scene, [back(), fix_report_answer(&[(id, None)]), planted_bug_answer()]);
        assert_eq!((exit, &told["code"], asked), (1, &json!("oscillation"), 2), "no audit is paid: {told}");
    }
}

/// Returns the answer of an auditor that finds nothing, although the fix has restored the planted bug.
fn reverted_fix_answer() -> ScriptedAnswer {
    let report = json!({ "findings": [], "absences": absences_except("", "total.py", 3, WRONG.trim_end()) });
    ScriptedAnswer::tool("report", report).usage(1000, 100)
}

#[test]
fn a_branch_that_has_moved_is_not_told_to_merge_by_fast_forward() {
    let scene = Scene::new([planted_bug_answer()].into_iter().chain(fix_run_answers()));
    let mut command = scene.command(&[]);
    scene.model.stall_request(1);
    let child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let deadline = std::time::Instant::now() + crate::support::HANGS;
    while scene.request_count() == 0 {
        assert!(std::time::Instant::now() < deadline, "no request came");
        std::thread::yield_now();
    }
    scene.place.write("other.py", "x = 1\n");
    let tip = scene.place.commit("meanwhile");
    scene.model.resume();
    let ran = crate::converge::place::Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.exit, 0, "{ran:?}");
    let branch = scene.branch().unwrap();
    assert!(!ran.out.contains("--ff-only"), "{}", ran.out);
    let moved = format!(
        "topic has moved to {}:\nno audit has covered the fixes and the newer commits together.",
        &tip[..7]
    );
    assert!(
        ran.out.contains(&moved) && ran.out.contains(&format!("\n  git merge {branch}\n")),
        "{}",
        ran.out
    );
    let text = ran.out.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("no audit has covered"), "{text}");
    assert!(ran.out.lines().all(|line| line.chars().count() <= 80), "{}", ran.out);
    // The command that the output suggests succeeds.
    scene.place.git(["merge", "--quiet", "--no-edit", &branch]);
}
