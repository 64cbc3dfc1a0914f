//! Runs the converge loop on each of the twenty defects in `crates/guard/tests/data/oracle.toml`. Only the
//! right fix of each defect must reach the branch.
//!
//! The defects were written for these tests, in small repositories; real bugs of the same kinds were fixed
//! elsewhere. `crates/guard/tests/it/oracle.rs` verifies each defect with a real Python. A check that already
//! fails before the fix proves nothing, so each fixer also writes the test. In the first run of each case,
//! three fixers write different fixes in turn: a fix at the wrong position, a plausible wrong fix, and the
//! right fix. A rejected fix is followed by the next fixer. In the second run, the fixer weakens the existing
//! test so that it passes. Thus, the twenty cases have forty runs with eighty fixes.

use std::sync::Mutex;

use serde_json::json;
use truing_fakes::model::{
    KnownBug, PromptRole, ScriptedAnswer, ScriptedBehaviour, ScriptedFix, ScriptedToolCall,
};

use crate::converge::cases::{Case, read_cases};
use crate::converge::scene::Scene;

/// Configuration of the check that runs the repository's tests.
const CHECK: &str = "[verify]\ncheck = [[\"python3\", \"-B\", \"-m\", \"unittest\", \"-q\"]]\n";
const OTHER_TEST: &str = "import unittest\n\n\nclass Other(unittest.TestCase):\n    def \
     test_it(self):\n        self.assertTrue(1)\n";
/// Number of cases that are tested at the same time.
const AT_ONCE: usize = 3;

/// Creates a scene whose auditors report the defect once, and whose fixers write these files, one fixer after
/// the other.
fn scene(case: &Case, fixers: &[Vec<(String, String)>]) -> Scene {
    let bug = KnownBug { line: None, ..KnownBug::new(&format!("{}.py", case.name), "", &case.defect) };
    let auditor = |bugs: Vec<KnownBug>, role| {
        ScriptedAnswer::from_behaviour(ScriptedBehaviour::Audit { bugs, silent: vec![] })
            .for_role(role)
            .times(0)
    };
    // The first auditor answers two requests: it reads files, and then reports the defect.
    let first = auditor(vec![bug], PromptRole::Audit).times(2);
    let others = [auditor(vec![], PromptRole::Audit), auditor(vec![], PromptRole::Check)];
    let fixers = fixers.iter().map(|files| {
        let calls = files.iter().map(|(path, text)| ScriptedToolCall::write(path, text)).collect();
        let mend = ScriptedFix { title: Some(case.defect.clone()), calls, declined: None };
        let requests = u32::try_from(files.len()).unwrap() + 1;
        ScriptedAnswer::from_behaviour(ScriptedBehaviour::Fix { mends: vec![mend] })
            .for_role(PromptRole::Fix)
            .times(requests)
    });
    let scene = Scene::new([first].into_iter().chain(others).chain(fixers)).with_config(CHECK);
    scene.place.write(format!("{}.py", case.name), case.buggy_source());
    scene.place.write("test_other.py", OTHER_TEST);
    scene
}

/// Returns the first request to each fixer.
fn fixer_requests(scene: &Scene) -> Vec<String> {
    let texts = scene.model.request_log().into_iter().filter(|asked| {
        let is_first = asked.body["messages"].as_array().is_some_and(|messages| messages.len() == 1);
        is_first && asked.body["system"].to_string().contains("An audit of a change has found defects")
    });
    texts.map(|asked| asked.body["messages"].to_string()).collect()
}

fn assert_only_right_fix(case: &Case) {
    let (file, test) = (format!("{}.py", case.name), format!("test_{}.py", case.name));
    let with_test = |source: String| vec![(file.clone(), source), (test.clone(), case.test.clone())];
    let fixers = [case.misplaced_fix(), case.mutant_fix(), case.source.clone()].map(with_test);
    let scene = scene(case, &fixers);
    scene.place.commit("add it");
    let (answer, exit) = scene.json(&[]);
    assert_eq!((exit, &answer["code"], &answer["loops"]), (0, &json!("clean"), &json!(2)), "{answer}");
    assert_eq!(answer["commits"].as_array().unwrap().len(), 1, "{answer}");
    let branch = scene.branch().unwrap();
    assert_eq!(scene.place.git(["show", &format!("{branch}:{file}")]), case.source.trim_end());
    let told = fixer_requests(&scene);
    assert_eq!(told.len(), 3, "a fixer for each fix");
    let refused = |told: &String| told.contains("this check fails with the fix");
    assert_eq!(told.iter().map(refused).collect::<Vec<_>>(), [false, true, true], "{told:#?}");
    assert_eq!(scene.model.violations(), Vec::<String>::new());
}

fn assert_weaker_test_refused(case: &Case) {
    let (file, test) = (format!("{}.py", case.name), format!("test_{}.py", case.name));
    let cheat = vec![(file, case.mutant_fix()), (test.clone(), case.weakened_test().unwrap_or_default())];
    // The test is red before any fix, which the preflight would refuse.
    let scene = scene(case, &[cheat])
        .with_config(&format!("{CHECK}[converge]\nselfaudit_rounds = 1\n"))
        .without_preflight();
    scene.place.write(&test, &case.test);
    scene.place.commit("add it");
    let (answer, exit) = scene.json(&[]);
    assert_eq!((exit, &answer["exit"], &answer["code"]), (1, &json!("stuck"), &json!("tests")), "{answer}");
    assert_eq!((&answer["commits"], scene.branch()), (&json!([]), None), "{answer}");
}

/// Tests a quarter of the cases, several of them in parallel.
fn run_quarter(quarter: usize, play: fn(&Case)) {
    let all = read_cases();
    assert_eq!(all.len(), 20);
    let part = Mutex::new(all.into_iter().skip(5 * quarter).take(5));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = { part.lock().unwrap().next() } {
                    play(&case);
                }
            });
        }
    });
}

mod of_a_wrong_one_a_mutant_and_the_right_one_the_right_fix_alone_is_accepted {
    use super::{assert_only_right_fix, run_quarter};

    #[test]
    fn in_cases_1_to_5() {
        run_quarter(0, assert_only_right_fix);
    }

    #[test]
    fn in_cases_6_to_10() {
        run_quarter(1, assert_only_right_fix);
    }

    #[test]
    fn in_cases_11_to_15() {
        run_quarter(2, assert_only_right_fix);
    }

    #[test]
    fn in_cases_16_to_20() {
        run_quarter(3, assert_only_right_fix);
    }
}

mod a_fix_whose_test_was_made_to_pass_is_refused {
    use super::{assert_weaker_test_refused, run_quarter};

    #[test]
    fn in_cases_1_to_5() {
        run_quarter(0, assert_weaker_test_refused);
    }

    #[test]
    fn in_cases_6_to_10() {
        run_quarter(1, assert_weaker_test_refused);
    }

    #[test]
    fn in_cases_11_to_15() {
        run_quarter(2, assert_weaker_test_refused);
    }

    #[test]
    fn in_cases_16_to_20() {
        run_quarter(3, assert_weaker_test_refused);
    }
}
