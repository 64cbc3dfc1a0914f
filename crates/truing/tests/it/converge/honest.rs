//! Tests of the report of a run. The report contains remaining findings, reasons for declined findings, the
//! categories that each audit has cleared, hooks that were not run, and branches of earlier runs.

use serde_json::json;

use crate::converge::place::Ran;
use crate::converge::pull::two_loop_answers;
use crate::converge::scene::{
    BUG_ID, RIGHT, Scene, WRONG, audit_answer, clean_audit_answer, clean_fix_answer, edit, finding_json,
    fix_report_answer, planted_bug_answer,
};

#[test]
fn fixes_that_undo_each_other_leave_what_was_found_and_are_not_to_be_merged() {
    let other =
        finding_json(("total.py", 3), RIGHT.trim_end(), ("P1", "A"), "The last element counts double");
    let other_id = finding_id(&other);
    let undoes = || {
        [
            planted_bug_answer(),
            edit("total.py", WRONG, RIGHT),
            fix_report_answer(&[(BUG_ID, None)]),
            clean_fix_answer(),
            audit_answer(std::slice::from_ref(&other), "A"),
            edit("total.py", RIGHT, WRONG),
            fix_report_answer(&[(&other_id, None)]),
        ]
    };
    let scene = Scene::new(undoes());
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["exit"], &told["code"]), (1, &json!("stuck"), &json!("oscillation")), "{told}");
    assert_eq!(told["remaining"][0]["title"], json!("The last element counts double"), "{told}");
    assert_eq!(told["commits"].as_array().map(Vec::len), Some(1), "what is known to be wrong is not kept");
    let scene = Scene::new(undoes());
    let ran = scene.run(&[]);
    assert!(ran.exit == 1 && !ran.out.contains("git merge"), "{}", ran.out);
    assert!(ran.out.contains("do not merge the branch yet"), "{}", ran.out);
    assert!(ran.out.contains("Unresolved findings (1):"), "{}", ran.out);
}

/// Returns the id that Truing assigns to an auditor's finding.
pub(crate) fn finding_id(finding: &serde_json::Value) -> String {
    let scene = Scene::new([audit_answer(std::slice::from_ref(finding), "A")]);
    scene.place.write("total.py", crate::converge::scene::BUG.replace(WRONG, RIGHT));
    scene.place.commit("count all");
    let ran = scene.audit(&["--format", "json"]);
    ran.json()["findings"][0]["id"].as_str().unwrap_or_else(|| panic!("{ran:?}")).to_owned()
}

#[test]
fn what_is_declined_may_be_allowed_alone_too_and_its_reason_is_told() {
    let declines = || [planted_bug_answer(), fix_report_answer(&[(BUG_ID, Some("the callers rely on it"))])];
    for (config, exit, code) in
        [("[converge]\nallow_declined = true\n", 0, "clean_but_declined"), ("", 1, "nothing_fixed")]
    {
        let scene = Scene::new(declines()).with_config(config);
        let (told, ended) = scene.json(&[]);
        assert_eq!((ended, &told["code"]), (exit, &json!(code)), "{told}");
        assert_eq!(told["declined"][0]["why"], json!("the callers rely on it"), "{told}");
        assert_eq!(told["remaining"], json!([]), "{told}");
    }
}

#[test]
fn what_each_audit_has_cleared_is_kept_with_its_proof() {
    let scene = Scene::new(two_loop_answers());
    let (told, exit) = scene.json(&[]);
    assert_eq!(exit, 0, "{told}");
    let absences = told["absences"].as_array().unwrap();
    let of = |number: u32| absences.iter().filter(|absence| absence["loop"] == json!(number)).count();
    assert_eq!((of(1), of(2), absences.len()), (9, 10, 19), "the audit of the fix alone clears nothing");
    let one = &absences[0];
    assert_eq!((&one["category"], &one["auditor"]), (&json!("A"), &json!(0)));
    assert_eq!(one["lines_quoted"], json!([{ "file": "total.py", "line": 1, "text": "def total(xs):" }]));
    assert_eq!(one["files_opened"], json!(["total.py"]));
    assert!(one["probes"][0].as_str().unwrap().starts_with("called it with an empty list"), "{one}");
    let report = Ran::from(
        scene.other_command("report", &["--loop", "converge", "--format", "json"]).output().unwrap(),
    );
    assert!(report.out.contains("called it with an empty list"), "{report:?}");

    scene.set_answers([clean_audit_answer()]);
    let audit = scene.audit(&["--format", "json"]).json();
    assert_eq!(audit["absences"].as_array().map(Vec::len), Some(10), "{audit}");
}

#[test]
fn hooks_of_the_clone_that_nobody_runs_are_said_once() {
    let scene = Scene::new(two_loop_answers());
    let hooks = scene.place.repo().join(".git/hooks");
    std::fs::create_dir_all(&hooks).unwrap();
    for (name, mode) in [("pre-commit", 0o755), ("commit-msg", 0o644), ("post-merge", 0o755)] {
        std::fs::write(hooks.join(name), "#!/bin/sh\nexit 1\n").unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(hooks.join(name), mode).unwrap();
    }
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, told["commits"].as_array().map(Vec::len)), (0, Some(1)), "{told}");
    let warnings: Vec<&str> =
        told["warnings"].as_array().unwrap().iter().filter_map(|warning| warning.as_str()).collect();
    let said: Vec<&&str> =
        warnings.iter().filter(|warning| warning.contains("hooks of this clone")).collect();
    assert_eq!(said.len(), 1, "{warnings:?}");
    assert!(said[0].starts_with("hooks of this clone are not run on fixes: pre-commit; "), "{said:?}");
    assert!(said[0].ends_with("configure a gate (`converge.gate`)"), "{said:?}");
}

#[test]
fn the_branch_of_an_earlier_run_goes_once_it_is_merged_and_not_before() {
    let scene = Scene::new(two_loop_answers());
    assert_eq!(scene.json(&[]).1, 0);
    let first = scene.branch().unwrap();
    // The branch of the first run is not merged yet, so it is kept.
    scene.place.write("more.py", "x = 1\n");
    scene.place.commit("more");
    scene.set_answers([clean_audit_answer()]);
    assert_eq!(scene.json(&[]).1, 0);
    assert_eq!(scene.branch(), Some(first.clone()));
    scene.place.git(["merge", "--quiet", "--no-edit", &first]);
    scene.set_answers([clean_audit_answer()]);
    let ran = scene.run(&[]);
    assert_eq!(ran.exit, 0, "{ran:?}");
    assert!(ran.err.contains(&format!("deleted {first}")), "{ran:?}");
    assert_eq!(scene.branch(), None);
}
