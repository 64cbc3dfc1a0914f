//! Tests with a model whose reports depend on the files, so the result is clean only if the fix removes the
//! bug.

use truing_fakes::model::{KnownBug, ScriptedAnswer, ScriptedFix, ScriptedToolCall};

use crate::converge::scene::{RIGHT, Scene, WRONG};

const TITLE: &str = "The last element is left out";

/// Creates a branch with the planted bug, auditors that recognise the bug, and a fixer that makes these tool
/// calls.
fn scene(calls: Vec<ScriptedToolCall>) -> Scene {
    let mend = ScriptedFix { title: Some(TITLE.to_owned()), calls, declined: None };
    let audits = ScriptedAnswer::for_auditors([KnownBug::new("total.py", WRONG.trim(), TITLE)]);
    Scene::new(audits.into_iter().chain([ScriptedAnswer::for_fixer([mend])]))
}

#[test]
fn a_run_converges_because_the_bug_is_gone() {
    let scene = scene(vec![ScriptedToolCall::edit("total.py", WRONG, RIGHT)]);
    let (answer, exit) = scene.json(&[]);
    assert_eq!((exit, &answer["exit"], &answer["loops"]), (0, &"converged".into(), &2.into()), "{answer}");
    assert_eq!(answer["commits"].as_array().map(Vec::len), Some(1));
    assert_eq!(scene.model.violations(), Vec::<String>::new());
}

#[test]
fn a_fix_of_something_else_never_converges() {
    let scene = scene(vec![ScriptedToolCall::edit("total.py", "    return s\n", "    return int(s)\n")]);
    let (answer, exit) = scene.json(&[]);
    assert_eq!((exit, &answer["exit"]), (1, &"stuck".into()), "{answer}");
    assert_eq!(scene.model.violations(), Vec::<String>::new());
}
