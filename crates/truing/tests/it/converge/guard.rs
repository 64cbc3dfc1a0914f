//! Tests that a fix cannot neutralise the tests. Forbidden changes are rejected, the original tests are run,
//! and a warning is shown if no test confirms the fix.

use serde_json::{Value, json};

use crate::converge::fixer::TEST_BY_DATA;
use crate::converge::scene::{
    BUG_ID, RIGHT, Scene, WRONG, clean_audit_answer, clean_fix_answer, edit, fix_report_answer,
    planted_bug_answer, write,
};

/// Starts a run on a repository without tests. The fixer makes the right fix and also writes this file.
fn run_fix_with_file(path: &str, content: &str) -> (Value, i32) {
    let fix = [edit("total.py", WRONG, RIGHT), write(path, content), fix_report_answer(&[(BUG_ID, None)])];
    let scene = Scene::new(
        [planted_bug_answer()].into_iter().chain(fix).chain([clean_fix_answer(), clean_audit_answer()]),
    )
    .with_config("[converge]\nselfaudit_rounds = 1\n");
    scene.json(&[])
}

#[test]
fn files_by_which_a_fix_takes_over_what_runs_the_tests_are_refused() {
    for (path, content) in [
        ("conftest.py", "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"),
        (
            "tests/conftest.py",
            "import sys\nfrom unittest.mock import MagicMock\n\nsys.modules[\"total\"] = MagicMock()\n",
        ),
        ("conftest.py", "def pytest_sessionfinish(session, exitstatus):\n    session.exitstatus = 0\n"),
        (
            "tests/conftest.py",
            "import pytest\n\n\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item, \
             call):\n    report = (yield).get_result()\n    report.outcome = \"passed\"\n",
        ),
        ("test_setup.py", "import total\n\ntotal.total = sum\n"),
        ("tests/test_setup.py", "from unittest.mock import patch\n\npatch(\"total.total\", sum).start()\n"),
        ("tests/conftest.py", "import pytest\n\n\n@pytest.fixture\ndef numbers():\n    return [1]\n"),
    ] {
        let (told, exit) = run_fix_with_file(path, content);
        let ended = (exit, &told["exit"], &told["code"], &told["commits"]);
        assert_eq!(ended, (1, &json!("stuck"), &json!("tests"), &json!([])), "{content}: {told}");
        assert!(told["reason"].as_str().unwrap().contains(path), "{told}");
    }
}

/// Returns true if the result, which must be converged, has the warning that no test confirms the run.
fn is_fix_untested(result: &Value) -> bool {
    assert_eq!(result["exit"], json!("converged"), "{result}");
    let warnings = result["warnings"].as_array().unwrap();
    warnings.iter().any(|warning| warning.as_str().unwrap().starts_with("no test confirms this run: "))
}

/// A test that a fixer adds together with the fix.
const TEST: &str = "from total import total\n\n\ndef test_all():\n    assert total([1, 2]) == 3\n";

/// Creates a scene with the right fix, and with [`TEST`] if `has_test` is true.
fn run_right_fix(has_test: bool) -> Scene {
    let test = has_test.then(|| write("tests/test_total.py", TEST));
    let fix = [planted_bug_answer(), edit("total.py", WRONG, RIGHT)].into_iter().chain(test);
    Scene::new(fix.chain([fix_report_answer(&[(BUG_ID, None)]), clean_fix_answer(), clean_audit_answer()]))
}

#[test]
fn a_run_that_changed_tests_says_so_where_no_check_is_set() {
    let (told, _) = run_fix_with_file("tests/test_total.py", TEST);
    assert!(is_fix_untested(&told), "{told}");
    let (told, _) = run_right_fix(false).json(&[]);
    assert!(!is_fix_untested(&told), "it changed no test: {told}");
    let ran = run_right_fix(true).run(&[]);
    assert!(ran.out.contains("\nwarning: no test confirms this run: "), "people read it, too: {ran:?}");
}

#[test]
fn a_run_that_changed_tests_says_so_where_no_check_passes() {
    for (check, expected) in [("[\"true\"]", false), ("[\"false\"]", true)] {
        let config = format!("[verify]\ncheck = [{check}]\n");
        let scene = run_right_fix(true).with_config(&config).without_preflight();
        let (told, _) = scene.json(&[]);
        assert_eq!(is_fix_untested(&told), expected, "{check}: {told}");
    }
}

#[test]
fn a_check_that_failed_is_not_made_to_pass_by_the_tests_alone() {
    let check = "[verify]\ncheck = [[\"python3\", \"-B\", \"-m\", \"unittest\", \"-q\"]]\n";
    let scene = |fix: &[(&str, &str, &str)]| {
        let edits = fix.iter().map(|(path, old, new)| edit(path, old, new));
        let answers =
            [planted_bug_answer()].into_iter().chain(edits).chain([fix_report_answer(&[(BUG_ID, None)])]);
        let scene = Scene::new(answers.chain([clean_fix_answer(), clean_audit_answer()]))
            .with_config(&format!("{check}[converge]\nselfaudit_rounds = 1\n"))
            .without_preflight();
        scene.place.write("test_total.py", TEST_BY_DATA);
        scene.place.write("tests/case.txt", "1 2 = 3\n");
        scene.place.commit("ask for all elements");
        scene
    };
    let wrong = ("total.py", WRONG, "    for i in range(len(xs) - 2):\n");
    let hollow = ("tests/case.txt", "1 2 = 3", " = 0");
    let (told, exit) = scene(&[wrong, hollow]).json(&[]);
    assert_eq!((exit, &told["code"], &told["commits"]), (1, &json!("tests"), &json!([])), "{told}");
    assert!(told["reason"].as_str().unwrap().contains("so they do not test it"), "{told}");

    let more = ("test_total.py", "class Total", "NONE = []\n\n\nclass Total");
    let (told, exit) = scene(&[("total.py", WRONG, RIGHT), more]).json(&[]);
    assert_eq!((exit, &told["exit"]), (0, &json!("converged")), "{told}");

    // The changed tests fail without the fix, but only because they use a new constant.
    let with_constant = ("total.py", "def total(xs):\n", "STEP = 1\n\n\ndef total(xs):\n");
    let import = ("test_total.py", "import total\n", "import STEP, total\n");
    let (told, exit) = scene(&[wrong, with_constant, hollow, import]).json(&[]);
    assert_eq!((exit, &told["code"], &told["commits"]), (1, &json!("tests"), &json!([])), "{told}");
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.contains("pass even without its changes nearest to the findings"), "{told}");
}
