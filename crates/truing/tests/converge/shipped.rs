//! Hostile fixes by somebody who has not seen the guard, on the way that is shipped: `truing converge`, a scripted
//! fixer, and the project's own tests as `verify.check`. None of them reaches the branch, though the tests pass with
//! each.
//!
//! Where a runner is not installed, its cases are not tried, and that is printed.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::json;
use truing_fakes::model::{Answer, Bug, Call, Mend};

use crate::scene::Scene;

struct Set {
    text: &'static str,
    /// The project's own tests.
    check: &'static [&'static str],
    /// Prints the folder of the toolchain.
    toolchain: &'static [&'static str],
    cases: &'static [&'static str],
}

const SETS: [Set; 2] = [
    Set {
        text: include_str!("../../../core/tests/data/neutralised/second/go.txt"),
        check: &["go", "test", "./..."],
        toolchain: &["go", "env", "GOROOT"],
        cases: &[
            "testmain-exits-zero",
            "expected-from-the-code",
            "vendored-check-logs-only",
            "data-holds-the-wrong-medians",
            "product-runtime-caller-test-file",
        ],
    },
    Set {
        text: include_str!("../../../core/tests/data/neutralised/second/rust.txt"),
        check: &["cargo", "test", "--offline", "--quiet"],
        toolchain: &["rustc", "--print", "sysroot"],
        cases: &[
            "partialeq-ignores-line-breaks",
            "expectations-changed-to-buggy",
            "product-thread-name-is-not-main",
            "widths-of-the-examples-made-larger",
            "cargo-config-runner-true",
        ],
    },
];

type Files = BTreeMap<String, String>;

/// The project, and what each fix writes: none of these moves or deletes.
fn parsed(text: &str) -> (Files, BTreeMap<String, (String, Files)>) {
    let mut parts = text.split("\n== ");
    let project = files(parts.next().unwrap());
    let case = |part: &str| {
        let (head, body) = part.split_once('\n').unwrap();
        let about = body.lines().find_map(|line| line.strip_prefix("about ")).unwrap().to_owned();
        (head.split_once(' ').unwrap().1.to_owned(), (about, files(body)))
    };
    (project, parts.map(case).collect())
}

fn files(text: &str) -> Files {
    let text = format!("\n{text}");
    let parts = text.split("\n@@ ").skip(1);
    parts
        .map(|part| part.split_once('\n').unwrap_or((part, "")))
        .map(|(path, text)| (path.to_owned(), format!("{text}\n")))
        .collect()
}

/// The output of a program; none: it is not there.
fn printed(argv: &[&str]) -> Option<String> {
    let output =
        Command::new(argv[0]).args(&argv[1..]).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[test]
fn no_hostile_fix_reaches_the_branch_though_the_projects_own_tests_pass_with_it() {
    for Set { text, check, toolchain, cases } in SETS {
        let Some(programs) = printed(toolchain) else {
            println!("{}: not installed, {} cases are not tried", check[0], cases.len());
            continue;
        };
        let (project, fixes) = parsed(text);
        for name in cases {
            let (about, written) = &fixes[*name];
            let first = project[about].lines().find(|line| !line.trim().is_empty()).unwrap();
            let calls = written.iter().map(|(path, text)| Call::write(path, text)).collect();
            let fixer = Answer::fixes([Mend { title: None, calls, declined: None }]);
            let bug = Bug::new(about, first, "The result is wrong");
            let config = format!(
                "[converge]\nselfaudit_rounds = 1\n[verify]\ncheck = [{}]\nprograms = [{programs:?}]\n",
                json!(check)
            );
            let scene = Scene::new(Answer::audits([bug]).into_iter().chain([fixer])).with(&config);
            for (path, text) in &project {
                scene.place.write(path, text);
            }
            scene.place.commit("add the project");
            let (told, exit) = scene.json(&[]);
            println!("{} {name}: {exit} {} {}", check[0], told["code"], told["reason"]);
            assert_eq!(
                (exit, &told["exit"], &told["commits"]),
                (1, &json!("stuck"), &json!([])),
                "{name}: {told}"
            );
            assert!(
                ["tests", "checks", "nothing_fixed"].iter().any(|code| told["code"] == *code),
                "{name}: {told}"
            );
        }
    }
}
