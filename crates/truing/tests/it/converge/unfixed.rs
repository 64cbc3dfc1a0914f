//! Tests of fixes that remove no defect: code that is only reformatted, claims without a change, and findings
//! that the second auditor does not mention. No such run converges, and no finding is reported as fixed
//! before an audit has verified the fix.

use serde_json::{Value, json};
use truing_fakes::model::ScriptedAnswer;
use truing_fakes::repo::CommitBuilder;

use crate::converge::pull::{Site, two_loop_answers};
use crate::converge::scene::{
    BUG, BUG_ID, RIGHT, Scene, WRONG, clean_audit_answer, edit, fix_report_answer, planted_bug_answer,
};

/// Returns the answers of a fixer that makes these edits and reports the bug as fixed.
fn fixer_answers(edits: &[(&str, &str)]) -> Vec<ScriptedAnswer> {
    let edits = edits.iter().map(|(old, new)| edit("total.py", old, new));
    edits.chain([fix_report_answer(&[(BUG_ID, None)])]).collect()
}

/// Returns the answers for a run: an audit with the planted bug, these fixers, and two audits without
/// findings.
fn run_answers(fixers: &[&[(&str, &str)]]) -> Vec<ScriptedAnswer> {
    let fixers = fixers.iter().flat_map(|edits| fixer_answers(edits));
    [planted_bug_answer()]
        .into_iter()
        .chain(fixers)
        .chain([clean_audit_answer(), clean_audit_answer()])
        .collect()
}

/// Returns the file with the planted bug and with many additional lines below it.
fn long_file() -> String {
    let more: String = (1..30).map(|number| format!("N{number} = {number}\n")).collect();
    format!("{BUG}\n\n{more}LAST = 30\n")
}

fn assert_not_converged((told, exit): (Value, i32)) -> Value {
    assert_eq!((exit, &told["exit"]), (1, &json!("stuck")), "{told}");
    assert_eq!(told["remaining"][0]["title"], json!("The last element is left out"), "{told}");
    told
}

const REWRITTEN: [&[(&str, &str)]; 4] = [
    &[("for i", "for  i")],
    &[("    return s\n", "    return s  # size\n")],
    &[("for i", "for index"), ("xs[i]", "xs[index]")],
    &[("range(len(xs) - 1)", "range(\n        len(xs) - 1,\n    )")],
];

#[test]
fn a_fix_that_only_writes_the_code_differently_is_refused_and_nothing_is_pushed() {
    for edits in REWRITTEN {
        // The second fixer learns why the first fix was rejected, but makes the same useless edits.
        let scene = Scene::new(run_answers(&[edits, edits]));
        let told = assert_not_converged(scene.json(&[]));
        assert_eq!((&told["code"], &told["commits"]), (&json!("nothing_fixed"), &json!([])), "{told}");
        let told_second = scene.model.request_log()[1 + edits.len() + 1].body.to_string();
        assert!(told_second.contains("changes nothing but white space, comments or names"), "{told_second}");
        assert!(told_second.contains(BUG_ID), "{told_second}");
    }
}

#[test]
fn a_fixer_that_is_told_that_it_changed_nothing_may_fix_it() {
    let scene = Scene::new(run_answers(&[REWRITTEN[0], &[(WRONG, RIGHT)]]));
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["code"], &told["loops"]), (0, &json!("clean"), &json!(2)), "{told}");
    assert_eq!(told["commits"].as_array().map(Vec::len), Some(1), "{told}");
}

#[test]
fn what_stands_where_it_stood_is_not_fixed_though_nobody_finds_it_again() {
    let mut answers = run_answers(&[&[("LAST = 30\n", "LAST = 31\n")]]);
    answers.push(fix_report_answer(&[(BUG_ID, Some("it is meant so"))]));
    let scene = Scene::new(answers);
    scene.place.write("total.py", long_file());
    scene.place.commit("more");
    let (told, exit) = scene.json(&[]);
    assert_eq!((exit, &told["exit"], &told["code"]), (1, &json!("stuck"), &json!("nothing_fixed")), "{told}");
    assert_eq!(told["audits"][1], json!({ "loop": 2, "P0": 0, "P1": 1, "P2": 0 }), "{told}");
    assert_eq!(told["declined"][0]["why"], json!("it is meant so"), "{told}");
}

#[test]
fn a_fixer_that_changes_nothing_has_fixed_nothing() {
    let scene = Scene::new(run_answers(&[&[]]));
    let ran = scene.run(&[]);
    assert_eq!(ran.exit, 1, "{ran:?}");
    assert!(!ran.out.contains("1 fixed") && ran.out.contains("the fixer changed nothing"), "{}", ran.out);
    assert!(ran.out.contains("Unresolved findings (1):"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_that_a_finding_is_fixed_before_an_audit_has_seen_it() {
    let mut said = run_answers(&[&[("LAST = 30\n", "LAST = 31\n")]]);
    said.push(fix_report_answer(&[(BUG_ID, Some("it is meant so"))]));
    let site = Site::new("", said).await;
    site.repo.push("topic", CommitBuilder::new("More").write("total.py", long_file())).await.unwrap();
    let (told, exit) = site.run_json(&[]).await;
    assert_eq!((exit, &told["exit"]), (1, &json!("stuck")), "{told}");
    let pull = site.pull_view().await;
    let inline: Vec<_> = pull.inline_comments().collect();
    assert!(inline.iter().all(|comment| !comment.body.contains("Fixed in")), "{inline:#?}");
    let began: Vec<_> = inline.iter().filter(|comment| comment.in_reply_to.is_none()).collect();
    assert!(began.len() == 1 && !began[0].resolved, "one comment for one finding: {inline:#?}");
    assert_eq!(site.forge.violations(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fix_that_no_audit_has_seen_is_not_called_one() {
    let site = Site::new("[converge]\nfinal_fix = true\n", two_loop_answers()).await;
    let (told, _) = site.run_json(&["--max-audits", "1"]).await;
    assert_eq!(
        (&told["code"], told["commits"].as_array().map(Vec::len)),
        (&json!("max_audits"), Some(1)),
        "{told}"
    );
    let pull = site.pull_view().await;
    let inline: Vec<_> = pull.inline_comments().collect();
    assert!(inline.len() == 1 && !inline[0].resolved, "{inline:#?}");
}
