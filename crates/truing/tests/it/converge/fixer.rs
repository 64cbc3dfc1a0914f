//! Tests of `--fixer`, which selects a separate model for fixes, and of fixers that do not finish.

use serde_json::json;
use truing_fakes::model::{DEFAULT_API_KEY, FakeModel, ModelScript, ScriptedAnswer};

use crate::converge::place::Ran;
use crate::converge::scene::{
    BUG, BUG_ID, RIGHT, Scene, WRONG, clean_audit_answer, clean_fix_answer, edit, fix_report_answer,
    planted_bug_answer,
};

/// Starts a second model that costs $0.11 per request.
async fn start_fixer_model() -> (FakeModel, String) {
    let answers = [edit("total.py", WRONG, RIGHT), fix_report_answer(&[(BUG_ID, None)])];
    let model = FakeModel::start(ModelScript::from_answers(answers)).await.unwrap();
    let config = format!(
        "[model.mender]\nbase_url = \"{}\"\napi_key = {{ env = \"MENDER_KEY\" }}\nname = \"mender-1\"\n\
         [price.\"mender-1\"]\ninput = 100\noutput = 100\n",
        model.url()
    );
    (model, config)
}

fn run(scene: &Scene, arguments: &[&str]) -> Ran {
    let mut command = scene.command(&[&["--format", "json"], arguments].concat());
    Ran::from(command.env("MENDER_KEY", DEFAULT_API_KEY).output().unwrap())
}

#[test]
fn the_fix_is_asked_of_the_second_model_alone_and_its_cost_is_the_runs() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for is_flag in [true, false] {
        let (second, config) = runtime.block_on(start_fixer_model());
        let key = if is_flag { "" } else { "[converge]\nfixer = \"mender\"\n" };
        let scene = Scene::new([planted_bug_answer(), clean_fix_answer(), clean_audit_answer()])
            .with_config(&format!("{config}{key}"));
        let ran = run(&scene, if is_flag { &["--fixer", "mender"] } else { &[] });
        let told = ran.json();
        assert_eq!((ran.exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{ran:?}");
        assert_eq!(told["cost_micro_usd"], json!(3 * 3_000 + 2 * 110_000));
        let (first, second) = (scene.model.request_log(), second.request_log());
        assert_eq!((first.len(), second.len()), (3, 2));
        assert!(second.iter().all(|request| request.body["model"] == "mender-1"));
        assert!(first.iter().all(|request| request.body["model"] != "mender-1"));
    }
}

#[test]
fn what_it_costs_counts_against_the_same_limit() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (_second, config) = runtime.block_on(start_fixer_model());
    let scene =
        Scene::new([planted_bug_answer()]).with_config(&format!("{config}[budget]\nconverge_usd = 0.1\n"));
    let ran = run(&scene, &["--fixer", "mender"]);
    let told = ran.json();
    assert_eq!((ran.exit, &told["exit"], &told["code"]), (4, &json!("error"), &json!("budget")), "{ran:?}");
}

#[test]
fn a_model_that_is_not_there_is_named_with_those_that_are_before_anything_is_asked() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (second, config) = runtime.block_on(start_fixer_model());
    let wrong = "must be the NAME of a `[model.NAME]`, not `nobody`: there are `mender`";
    let scene = Scene::new([]).with_config(&config);
    let ran = run(&scene, &["--fixer", "nobody"]);
    assert!(ran.exit == 2 && ran.err.contains(&format!("error: --fixer {wrong}\nhint: ")), "{ran:?}");
    let scene = scene.with_config(&format!("{config}[converge]\nfixer = \"nobody\"\n"));
    let ran = run(&scene, &[]);
    assert!(ran.exit == 2 && ran.err.contains(&format!("`converge.fixer` {wrong}\n")), "{ran:?}");
    // A model whose API key is missing cannot be used as the fixer.
    let scene = scene.with_config(&config);
    let ran = scene.run(&["--fixer", "mender"]);
    let said = "error: the fixer has no model: model.mender.api_key: ";
    assert!(ran.exit == 2 && ran.err.contains(said), "{ran:?}");
    assert_eq!((scene.request_count(), second.request_log().len()), (0, 0));
}

/// Returns the answers of a fixer that edits a file and then fails.
fn failing_fixer_answers() -> [ScriptedAnswer; 2] {
    [
        edit("total.py", WRONG, "    for i in range(0):\n"),
        ScriptedAnswer::text("I stop here.").with_stop_reason("refusal"),
    ]
}

#[test]
fn one_that_dies_is_replaced_and_nothing_of_it_stays() {
    let mends =
        [edit("total.py", WRONG, RIGHT), fix_report_answer(&[]), fix_report_answer(&[(BUG_ID, None)])];
    let answers = [planted_bug_answer()].into_iter().chain(failing_fixer_answers()).chain(mends);
    let scene = Scene::new(answers.chain([clean_fix_answer(), clean_audit_answer()]));
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
    let fixed = scene.place.git(["show", &format!("{}:total.py", scene.branch().unwrap())]);
    assert_eq!(fixed.trim_end(), BUG.replace(WRONG, RIGHT).trim_end());
    // If the fixer's report omits findings, the run requests a complete report once.
    let asked = scene.model.request_log();
    let repaired = format!("no answer for these findings: {BUG_ID}");
    assert_eq!(asked.iter().filter(|asked| asked.body.to_string().contains(&repaired)).count(), 1);
    assert_eq!(asked.len(), 8);
}

#[test]
fn where_none_comes_to_its_end_the_run_can_go_on_later_with_what_it_has() {
    let scene = Scene::new(
        [planted_bug_answer()].into_iter().chain(failing_fixer_answers()).chain(failing_fixer_answers()),
    );
    let (told, exit) = scene.json(&[]);
    assert_eq!(
        (exit, &told["exit"], &told["code"]),
        (3, &json!("error"), &json!("infrastructure")),
        "{told}"
    );
    assert!(told["reason"].as_str().unwrap().starts_with("no fixer finished: "), "{told}");
    assert_eq!((&told["commits"], told["remaining"].as_array().unwrap().len()), (&json!([]), 1));
    scene.set_answers([
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ]);
    let (again, exit) = scene.json(&[]);
    assert_eq!((exit, &again["exit"], &again["run"]), (0, &json!("converged"), &told["run"]), "{again}");
    assert_eq!(again["audits"].as_array().unwrap().len(), 2, "the first audit still counts");
}

#[test]
fn what_the_last_fix_mends_is_not_told_as_left() {
    let fixes = [
        planted_bug_answer(),
        edit("total.py", WRONG, RIGHT),
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
    ];
    let scene = Scene::new(fixes).with_config("[converge]\nfinal_fix = true\n");
    let (told, exit) = scene.json(&["--max-audits", "1"]);
    assert_eq!((exit, &told["code"], &told["remaining"]), (1, &json!("max_audits"), &json!([])), "{told}");
    assert_eq!(told["commits"].as_array().unwrap().len(), 1);
    let scene = Scene::new([planted_bug_answer()]);
    let ran = scene.run(&["--max-audits", "1"]);
    assert!(ran.exit == 1 && ran.out.contains("\nRemaining: 0P0 / 1P1 / 0P2, listed below\n"), "{ran:?}");
}

/// A test that reads numbers and their expected sum from a file.
pub(crate) const TEST_BY_DATA: &str = "import unittest\n\nfrom total import total\n\n\nclass \
     Total(unittest.TestCase):\n    def test_two(self):\n        with open(\"tests/case.txt\") as \
     case:\n            numbers, expected = \
     case.read().split(\"=\")\n        self.assertEqual(total([int(number) for number in numbers.split()]), \
     int(expected))\n";

/// Creates a repository with a test of two numbers that passes despite the bug, and a fixer that makes these
/// two edits.
fn scene_with_tests(fixes: [(&str, &str, &str); 2]) -> Scene {
    let check = "[verify]\ncheck = [[\"python3\", \"-B\", \"-m\", \"unittest\", \"-q\"]]\n";
    let fixes = fixes.map(|(path, old, new)| edit(path, old, new));
    let answers = [planted_bug_answer()].into_iter().chain(fixes);
    let scene = Scene::new(answers.chain([
        fix_report_answer(&[(BUG_ID, None)]),
        clean_fix_answer(),
        clean_audit_answer(),
    ]))
    .with_config(&format!("{check}[converge]\nselfaudit_rounds = 1\n"));
    scene.place.write("test_total.py", TEST_BY_DATA);
    scene.place.write("tests/case.txt", "1 2 = 1\n");
    scene.place.commit("test totals");
    scene
}

#[test]
fn tests_that_a_fix_makes_test_nothing_refuse_it_and_those_that_ask_for_what_is_new_do_not() {
    let wrong = ("total.py", WRONG, "    for i in range(len(xs) - 2):\n");
    // The fix changes no assertion, but removes all numbers from the file that the test reads.
    let hollow = ("tests/case.txt", "1 2 = 1", " = 0");
    let scene = scene_with_tests([wrong, hollow]);
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["exit"], &told["code"]), (1, &json!("stuck"), &json!("tests")), "{told}");
    let reason = told["reason"].as_str().unwrap();
    assert!(reason.contains("so they do not test it") && reason.contains("tests/case.txt"), "{reason}");
    assert_eq!((&told["commits"], scene.branch()), (&json!([]), None));

    let scene = scene_with_tests([("total.py", WRONG, RIGHT), ("tests/case.txt", "1 2 = 1", "1 2 = 3")]);
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["exit"], &told["loops"]), (0, &json!("converged"), &json!(2)), "{told}");
}
