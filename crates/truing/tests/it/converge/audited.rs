//! Tests that `truing audit` audits the checked-out commit; the records of earlier runs have no effect.

use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};

use crate::converge::place::Ran;
use crate::converge::scene::{
    BUG_ID, RIGHT, Scene, WRONG, audit_answer, clean_audit_answer, clean_fix_answer, edit, finding_json,
    fix_report_answer, planted_bug_answer,
};

/// Returns the answers of a run that fixes the planted bug on the run's branch. The last answer is the check
/// of the fix.
fn fixed_run_answers() -> [truing_fakes::model::ScriptedAnswer; 4] {
    [
        planted_bug_answer(),
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
    ]
}

/// Checks that an audit of the branch reports the planted bug after exactly one request to the model.
fn assert_audit_finds_bug(scene: &Scene) {
    let head = scene.place.git(["rev-parse", "HEAD"]);
    let asked = scene.request_count();
    scene.set_answers([planted_bug_answer()]);
    let ran = scene.audit(&["--format", "json"]);
    let told = ran.json();
    assert_eq!((ran.exit, &told["ok"], &told["head"]), (1, &json!(true), &json!(head)), "{ran:?}");
    assert_eq!(told["counts"], json!({ "P0": 0, "P1": 1, "P2": 0 }));
    assert_eq!(scene.request_count() - asked, 1, "no forge was asked");
    assert_eq!(told["cost_micro_usd"], json!(3000), "what earlier runs cost is not this audit's");
    assert_eq!(told["warnings"], json!([]), "{told}");
}

#[test]
fn an_audit_looks_at_the_branch_as_it_is_and_not_at_a_fix_that_a_run_has_left() {
    let scene = Scene::new(fixed_run_answers().into_iter().chain([clean_audit_answer()]));
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["code"]), (0, &json!("clean")), "{told}");
    assert_audit_finds_bug(&scene);
    // After the merge, the checked-out commit contains the fix, so the audit is clean.
    scene.place.git(["merge", "--quiet", "--ff-only", &scene.branch().unwrap()]);
    scene.set_answers([clean_audit_answer()]);
    let ran = scene.audit(&["--format", "json"]);
    assert_eq!((ran.exit, &ran.json()["head"]), (0, &json!(scene.place.git(["rev-parse", "HEAD"]))));
}

#[test]
fn an_audit_after_a_run_that_was_interrupted_in_its_own_audit_looks_itself() {
    let scene = Scene::new(fixed_run_answers());
    scene.model.stall_request(5);
    let child = scene.command(&["--format", "json"]).stdout(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while scene.request_count() < 5 {
        assert!(began.elapsed() < crate::support::HANGS, "the fix is not audited");
        std::thread::yield_now();
    }
    std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["exit"], json!("interrupted"), "{told}");
    // The finding remains, because no audit has verified the fix.
    assert_eq!(told["remaining"].as_array().map(Vec::len), Some(1), "{told}");
    assert_audit_finds_bug(&scene);
    // The audit does not change the interrupted run, which now continues.
    scene.set_answers([clean_audit_answer()]);
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["code"], &told["loops"]), (0, &json!("clean"), &json!(2)), "{told}");
}

#[test]
fn what_an_audit_says_fits_a_terminal() {
    let title = format!("The last {} are left out", ["element"; 12].join(" "));
    let finding = finding_json(("total.py", 3), WRONG.trim_end(), ("P1", "G"), &title);
    let scene = Scene::new([audit_answer(&[finding], "G")]);
    scene.place.write("data.bin", "a\0b");
    scene.place.write(format!("{}/data.bin", ["folder"; 12].join("-")), "a\0b");
    scene.place.git(["add", "--all"]);
    scene.place.commit("add data");
    let Ran { out, exit, .. } = scene.audit(&[]);
    assert_eq!(exit, 1, "{out}");
    assert!(out.contains("warning: not audited: data.bin (binary)"), "{out}");
    for line in out.lines() {
        // A long name is not wrapped or shortened, because users copy it.
        assert!(line.chars().count() <= 80 || !line.trim().contains(' '), "{line}");
    }
}

#[test]
fn a_change_of_mode_alone_is_nothing_that_was_left_out() {
    let scene = Scene::new([clean_audit_answer()]);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(scene.place.repo().join("a.py"), executable).unwrap();
    scene.place.commit("let it be run");
    let ran = scene.audit(&["--format", "json"]);
    assert_eq!((ran.exit, &ran.json()["warnings"]), (0, &json!([])), "{ran:?}");
}
