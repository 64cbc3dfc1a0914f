//! Tests of hostile fixes whose authors had not seen the guard. Each fix is made in a complete run: `truing
//! converge`, a scripted fixer, and the project's own tests as `verify.check`. The project's tests pass with
//! each fix. Although the project's tests pass with each fix, the fix is rejected or applied with a warning.
//!
//! If a test runner is not installed, the test prints this and skips the cases of that runner.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::json;
use truing_fakes::model::{KnownBug, ScriptedAnswer, ScriptedFix, ScriptedToolCall};

use crate::converge::scene::Scene;

struct Set {
    text: &'static str,
    /// Command that runs the project's own tests.
    check: &'static [&'static str],
    /// Command that prints the folder of the toolchain.
    toolchain: &'static [&'static str],
    /// Names of the fixes that must be rejected.
    cases: &'static [&'static str],
    /// Names of the fixes that must be applied with a warning.
    told: &'static [&'static str],
    /// Command that compiles the project once before all checks; empty if there is little to compile.
    setup: &'static [&'static str],
}

const GO: Set = Set {
    text: include_str!("../../../../guard/tests/data/neutralised/second/go.txt"),
    check: &["go", "test", "./..."],
    toolchain: &["go", "env", "GOROOT"],
    cases: &[
        "testmain-exits-zero",
        "expected-from-the-code",
        "vendored-check-logs-only",
        "data-holds-the-wrong-medians",
        "product-runtime-caller-test-file",
    ],
    told: &["product-special-cases", "product-nan-compares-as-near"],
    setup: &["go", "test", "-run", "^$", "./..."],
};

const RUST: Set = Set {
    text: include_str!("../../../../guard/tests/data/neutralised/second/rust.txt"),
    check: &["cargo", "test", "--offline", "--quiet"],
    toolchain: &["rustc", "--print", "sysroot"],
    cases: &[
        "partialeq-ignores-line-breaks",
        "expectations-changed-to-buggy",
        "product-thread-name-is-not-main",
        "widths-of-the-examples-made-larger",
        "cargo-config-runner-true",
    ],
    told: &["product-special-cases"],
    setup: &[],
};

const PYTHON: Set = Set {
    text: include_str!("../../../../guard/tests/data/neutralised/third/python.txt"),
    check: &["python3", "-m", "unittest"],
    toolchain: &["python3", "-c", "import sys; print(sys.prefix)"],
    cases: &["py-setattr-sys-exit", "py-case-patch", "py-gc", "py2-str-eq", "pymake3-oneshell"],
    told: &["py2-time", "py2-tests-glob"],
    setup: &[],
};

const JAVASCRIPT: Set = Set {
    text: include_str!("../../../../guard/tests/data/neutralised/third/javascript.txt"),
    check: &["node", "--test", "test/"],
    toolchain: &["node", "-p", "path.dirname(path.dirname(process.execPath))"],
    cases: &["js-assert-patch", "js-env-split", "js2-argv", "js2-require-main"],
    told: &[],
    setup: &[],
};

type Files = BTreeMap<String, String>;

/// Parses a project and its fixes. For each fix, returns the file of the finding and the files that the fix
/// writes.
fn parse_project(text: &str) -> (Files, BTreeMap<String, (String, Files)>) {
    let mut parts = text.split("\n== ");
    let project = parse_files(parts.next().unwrap());
    let case = |part: &str| {
        let (head, body) = part.split_once('\n').unwrap();
        let about = body.lines().find_map(|line| line.strip_prefix("about ")).unwrap();
        let about = about.split([':', ' ']).next().unwrap().to_owned();
        (head.split_once(' ').unwrap().1.to_owned(), (about, parse_files(body)))
    };
    (project, parts.map(case).collect())
}

fn parse_files(text: &str) -> Files {
    let text = format!("\n{text}");
    let parts = text.split("\n@@ ").skip(1);
    parts
        .map(|part| part.split_once('\n').unwrap_or((part, "")))
        .map(|(path, text)| (path.to_owned(), format!("{text}\n")))
        .collect()
}

/// Returns the output of a program, or `None` if the program is not installed or fails.
fn program_output(argv: &[&str]) -> Option<String> {
    let output =
        Command::new(argv[0]).args(&argv[1..]).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Checks that the fixes in `cases` do not reach the branch, and that the fixes in `told` result in a
/// warning.
fn assert_none_reaches_branch(set: &Set) {
    let Set { text, check, toolchain, cases, told, setup } = set;
    let Some(programs) = program_output(toolchain) else {
        println!("{}: not installed, {} cases are not tried", check[0], cases.len() + told.len());
        return;
    };
    let (project, fixes) = parse_project(text);
    let mut verify = format!("[verify]\ncheck = [{}]\n", json!(check));
    if !setup.is_empty() {
        verify += &format!("setup = [{}]\n", json!(setup));
    }
    let config = format!("[converge]\nselfaudit_rounds = 1\n{verify}programs = [{programs:?}]\n");
    for name in cases.iter().chain(*told) {
        let (about, written) = &fixes[*name];
        // For a fix that is applied with a warning, the auditors report this added line until the fix removes
        // it.
        let mark = if about.ends_with(".py") { "# unfinished" } else { "// unfinished" };
        let first = match told.contains(name) {
            true => mark,
            false => project[about].lines().find(|line| !line.trim().is_empty()).unwrap(),
        };
        let calls = written.iter().map(|(path, text)| ScriptedToolCall::write(path, text)).collect();
        let fixer = ScriptedAnswer::for_fixer([ScriptedFix { title: None, calls, declined: None }]);
        let bug = KnownBug::new(about, first, "The result is wrong");
        let scene =
            Scene::new(ScriptedAnswer::for_auditors([bug]).into_iter().chain([fixer])).with_config(&config);
        // Some projects' tests are red before any fix, which the preflight would refuse.
        let scene = scene.without_preflight();
        for (path, text) in &project {
            let end = if path == about && told.contains(name) { format!("{mark}\n") } else { String::new() };
            scene.place.write(path, format!("{text}{end}"));
        }
        scene.place.commit("add the project");
        let (output, exit) = scene.json(&[]);
        println!("{} {name}: {exit} {} {}", check[0], output["code"], output["reason"]);
        assert!(!output["warnings"].to_string().contains("set-up"), "{name}: {output}");
        if told.contains(name) {
            assert_eq!(output["exit"], "converged", "{name}: {output}");
            let warnings = output["warnings"].to_string();
            assert!(warnings.contains("may hide a test failure"), "{name}: {output}");
            continue;
        }
        assert_eq!(
            (exit, &output["exit"], &output["commits"]),
            (1, &json!("stuck"), &json!([])),
            "{name}: {output}"
        );
        assert!(
            ["tests", "checks", "nothing_fixed"].iter().any(|code| output["code"] == *code),
            "{name}: {output}"
        );
    }
}

mod no_hostile_fix_reaches_the_branch_though_the_projects_own_tests_pass_with_it {
    use super::{GO, JAVASCRIPT, PYTHON, RUST, assert_none_reaches_branch};

    #[test]
    fn in_go() {
        assert_none_reaches_branch(&GO);
    }

    #[test]
    fn in_rust() {
        assert_none_reaches_branch(&RUST);
    }

    #[test]
    fn in_python() {
        assert_none_reaches_branch(&PYTHON);
    }

    #[test]
    fn in_javascript() {
        assert_none_reaches_branch(&JAVASCRIPT);
    }
}
