//! The defects and fixes of `data/oracle.toml` are what they say they are, by a real Python: the test there is fails on
//! the defect and on fixes that do not mend it, and passes on the one that does, and on those that weaken it.

// Helpers of tests are tests too; clippy exempts test functions only.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use truing_core::RepoPath;
use truing_core::converge::{Rewrite, Version, weakened};

const ORACLE: &str = include_str!("data/oracle.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Oracle {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    defect: String,
    source: String,
    test: String,
    bug: Bug,
    wrong: Edit,
    mutant: Edit,
    cheat: Cheat,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bug {
    good: String,
    bad: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    old: String,
    new: String,
}

/// A change of the test, beside that of the mutant.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Cheat {
    Edit(Edit),
    Delete { deletes: bool },
}

/// With the one place that says `old` changed.
fn changed(text: &str, old: &str, new: &str) -> String {
    assert_eq!(text.matches(old).count(), 1, "{old:?} stands once in\n{text}");
    text.replace(old, new)
}

/// Do the tests pass?
fn passes(name: &str, source: &str, test: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: String, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(format!("{name}.py"), source);
    write(format!("test_{name}.py"), test);
    python(folder.path())
}

fn python(folder: &Path) -> bool {
    let mut command = Command::new("python3");
    command
        .args(["-B", "-m", "unittest", "-q"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().unwrap().success()
}

/// What the rule about tests says of a change of this one.
fn is_weakened(name: &str, before: &str, after: Option<&str>) -> bool {
    let path = RepoPath::from_text(&format!("test_{name}.py"));
    let rewrite =
        Rewrite { before: Some(version(&path, before)), after: after.map(|after| version(&path, after)) };
    !weakened(&[rewrite]).is_empty()
}

fn version<'a>(path: &'a RepoPath, text: &'a str) -> Version<'a> {
    Version { path, bytes: text.as_bytes() }
}

#[test]
fn each_defect_and_each_fix_is_what_it_says() {
    let oracle: Oracle = toml::from_str(ORACLE).unwrap();
    assert_eq!(oracle.case.len(), 20);
    // Python takes its time to start.
    std::thread::scope(|scope| {
        for half in oracle.case.chunks(5) {
            scope.spawn(|| half.iter().for_each(check));
        }
    });
}

fn check(case: &Case) {
    let Case { name, defect, source, test, bug, wrong, mutant, cheat } = case;
    let ends = |source: &str, test: &str, expected: bool, what: &str| {
        assert_eq!(passes(name, source, test), expected, "{name} ({defect}): {what}");
    };
    let buggy = changed(source, &bug.good, &bug.bad);
    let mutant = changed(&buggy, &mutant.old, &mutant.new);
    ends(source, test, true, "the right fix");
    ends(&buggy, test, false, "the defect");
    ends(&changed(&buggy, &wrong.old, &wrong.new), test, false, "a fix of another place");
    ends(&mutant, test, false, "the mutant");
    match cheat {
        Cheat::Edit(edit) => {
            let weaker = changed(test, &edit.old, &edit.new);
            ends(&mutant, &weaker, true, "the weaker test");
            assert!(is_weakened(name, test, Some(&weaker)), "{name}: nobody notices the weaker test");
        }
        Cheat::Delete { deletes } => {
            assert!(deletes, "{name}");
            assert!(is_weakened(name, test, None), "{name}: nobody notices that the test is gone");
        }
    }
}
