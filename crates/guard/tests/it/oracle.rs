//! Runs the tests of `data/oracle.toml` with a real Python on the defects and fixes. The given test fails on
//! the defect, and on fixes that do not remove the defect. The test passes on the fix that removes the
//! defect, and on fixes that weaken the test.

use crate::cases;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use truing_core::RepoPath;
use truing_guard::{FileChange, FileVersion, find_weakenings};

use cases::{Case, read_cases};

/// Returns true if the test passes with this source.
fn tests_pass(name: &str, source: &str, test: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: String, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(format!("{name}.py"), source);
    write(format!("test_{name}.py"), test);
    run_python_tests(folder.path())
}

fn run_python_tests(folder: &Path) -> bool {
    let mut command = Command::new("python3");
    command
        .args(["-B", "-m", "unittest", "-q"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().unwrap().success()
}

/// Returns true if the guard reports a change of this test as a weakening.
fn is_weakened(name: &str, before: &str, after: Option<&str>) -> bool {
    let path = RepoPath::from_text(&format!("test_{name}.py"));
    let rewrite = FileChange {
        before: Some(file_version(&path, before)),
        after: after.map(|after| file_version(&path, after)),
    };
    !find_weakenings(&[rewrite], &BTreeSet::new()).is_empty()
}

fn file_version<'a>(path: &'a RepoPath, text: &'a str) -> FileVersion<'a> {
    FileVersion { path, bytes: text.as_bytes() }
}

#[test]
fn each_defect_and_each_fix_is_what_it_says() {
    let all = read_cases();
    assert_eq!(all.len(), 20);
    // The cases run in parallel, because each case starts Python several times.
    std::thread::scope(|scope| {
        for half in all.chunks(5) {
            scope.spawn(|| half.iter().for_each(check_case));
        }
    });
}

fn check_case(case: &Case) {
    let Case { name, defect, source, test, .. } = case;
    let ends = |source: &str, test: &str, expected: bool, what: &str| {
        assert_eq!(tests_pass(name, source, test), expected, "{name} ({defect}): {what}");
    };
    ends(source, test, true, "the right fix");
    ends(&case.buggy_source(), test, false, "the defect");
    ends(&case.misplaced_fix(), test, false, "a fix of another place");
    ends(&case.mutant_fix(), test, false, "the mutant");
    match case.weakened_test() {
        Some(weaker) => {
            ends(&case.mutant_fix(), &weaker, true, "the weaker test");
            assert!(is_weakened(name, test, Some(&weaker)), "{name}: nobody notices the weaker test");
        }
        None => assert!(is_weakened(name, test, None), "{name}: nobody notices that the test is gone"),
    }
}
