//! Tests of `truing review --diff`. The working tree contains the change of the diff, does not contain it, or
//! has other versions of the files.

use std::io::Write as _;
use std::process::Stdio;

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::review::place::{Place, Ran, STOPS, field_of_findings};

/// Runs a review with this diff on standard input.
fn review_diff(place: &Place, diff: &str, arguments: &[&str]) -> Ran {
    let all = [&["review", "--quiet", "--diff", "-"], arguments].concat();
    let mut command = place.command(&all);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The write may fail, because the program can exit before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(diff.as_bytes());
    Ran::from(child.wait_with_output().unwrap())
}

fn report_on_diff(place: &Place, diff: &str) -> Value {
    let ran = review_diff(place, diff, &["--format", "json"]);
    assert!(ran.exit < 2, "{}", ran.err);
    ran.json()
}

/// Returns the paths of findings, the reviewed files, and the files that were not reviewed, each with the
/// reason.
fn summarize_files(report: &Value) -> Value {
    let gaps = report["coverage"]["not_reviewed"].as_array().unwrap();
    let gaps: Vec<_> = gaps.iter().map(|gap| json!([gap["path"], gap["reason"]])).collect();
    json!([field_of_findings(report, "path"), report["coverage"]["reviewed"], gaps])
}

/// Creates a repository with a diff that changes a file in two places and adds another file.
fn create_file_and_diff() -> (Place, String) {
    let place = Place::new();
    place.write("b.py", "import os\n\n\n\n\n\n\ndef f():\n    pass\n\n\n");
    place.commit("second");
    place.write("b.py", "import os\nimport re\n\n\n\n\n\n\ndef f():\n    breakpoint()\n\n\n");
    place.write("new.py", STOPS);
    place.git(["add", "--all"]);
    let diff = place.git(["diff", "--cached"]);
    (place, diff)
}

#[test]
fn a_diff_is_reviewed_over_the_tree_that_has_it_and_over_the_one_that_it_was_made_from() {
    let (place, diff) = create_file_and_diff();
    let expected = json!([["b.py", "new.py"], ["b.py", "new.py"], []]);
    let with = report_on_diff(&place, &diff);
    assert_eq!(summarize_files(&with), expected);
    assert_eq!((&with["base"], &with["head"]), (&json!(place.git(["rev-parse", "HEAD"])), &Value::Null));
    assert_eq!(field_of_findings(&with, "start_line"), [10, 2]);
    assert_eq!(field_of_findings(&with, "anchor"), ["inline", "inline"]);
    place.git(["reset", "--quiet", "--hard"]);
    assert_eq!(report_on_diff(&place, &diff), with);
    // The file differs from both versions only outside of the hunks, so it is reviewed.
    place.write("b.py", "import os\n\n\n\n\n\n\ndef f():\n    pass\n\n\nX = 1\n");
    assert_eq!(summarize_files(&report_on_diff(&place, &diff)), expected);
    assert!(!place.repo().join("new.py").exists(), "nothing is changed");
}

#[test]
fn a_file_that_is_neither_is_not_reviewed_and_the_review_is_partial() {
    let (place, diff) = create_file_and_diff();
    let expected = json!([["new.py"], ["new.py"], [["b.py", "does_not_apply"]]]);
    // In these three cases, the diff does not apply: lines of the second hunk have moved, only the first hunk
    // is applied, or the file is missing.
    for other in [
        Some("import os\n\n\n\n\n\n\n\ndef f():\n    pass\n\n\n"),
        Some("import os\nimport re\n\n\n\n\n\n\ndef f():\n    pass\n\n\n"),
        None,
    ] {
        match other {
            Some(text) => place.write("b.py", text),
            None => std::fs::remove_file(place.repo().join("b.py")).unwrap(),
        }
        let report = report_on_diff(&place, &diff);
        assert_eq!(
            (summarize_files(&report), &report["outcome"]["kind"]),
            (expected.clone(), &json!("partial"))
        );
    }
    let ran = review_diff(&place, &diff, &["--fail-on", "never"]);
    assert_eq!(ran.exit, 1);
    let said = ran.normalized_text();
    assert_snapshot!(said[said.find("\n1 finding").unwrap() + 1..], @"
    1 finding (1 P1): 1 file reviewed, 1 not, in 0.10 s
    the review is incomplete: 1 changed file was not reviewed
    not reviewed: b.py (does not apply)
    reviewed standard input over the working tree at 0123456789 (HEAD)
    rules only: no model was called
    ");
}

#[test]
fn a_diff_applies_where_git_checks_files_out_with_crlf() {
    let place = Place::new();
    place.git(["config", "core.autocrlf", "true"]);
    let text = |middle: &str| format!("import os\r\nA = 1\r\n{middle}\r\nB = 1\r\nC = 1");
    place.write("b.py", text("os.getcwd()"));
    place.commit("second");
    place.write("b.py", text("breakpoint()"));
    let diff = place.git(["diff"]) + "\n";
    assert!(!diff.contains('\r'), "{diff:?}");
    let expected = json!([["b.py"], ["b.py"], []]);
    let with = report_on_diff(&place, &diff);
    assert_eq!((summarize_files(&with), field_of_findings(&with, "start_line")), (expected, vec![&json!(3)]));
    place.write("b.py", text("os.getcwd()"));
    assert_eq!(report_on_diff(&place, &diff), with);
    place.write("b.py", text("os.abort()"));
    assert_eq!(
        summarize_files(&report_on_diff(&place, &diff)),
        json!([[], [], [["b.py", "does_not_apply"]]])
    );
}

#[test]
fn the_diff_is_read_from_a_file_too() {
    let (place, diff) = create_file_and_diff();
    std::fs::write(place.home().join("change.diff"), diff + "\n").unwrap();
    let ran = place.review(&["--diff", "../change.diff", "--fail-on", "P0"]);
    assert_eq!(ran.exit, 0, "{}", ran.err);
    let said = ran.normalized_text();
    assert!(
        said.contains("\nreviewed ../change.diff over the working tree at 0123456789 (HEAD)\n"),
        "{said}"
    );
}

#[test]
fn what_mails_and_git_show_print_is_read() {
    let place = Place::new();
    place.write("b.py", STOPS);
    place.commit("a change\n\ndiff --git a/x b/x is not one");
    let expected = json!([["b.py"], ["b.py"], []]);
    for arguments in [&["show"][..], &["format-patch", "--stdout", "-1"], &["show", "--format=", "-U0"]] {
        assert_eq!(
            summarize_files(&report_on_diff(&place, &place.git(arguments))),
            expected,
            "{arguments:?}"
        );
    }
    // The log contains two diffs of the same file, but no version of the file contains the new lines of both.
    place.write("b.py", "breakpoint()\n");
    place.commit("again");
    let log = place.git(["log", "-p"]);
    assert_eq!(
        summarize_files(&report_on_diff(&place, &log)),
        json!([[], ["a.py"], [["b.py", "does_not_apply"]]])
    );
}

#[test]
fn renames_and_removals_are_followed() {
    let place = Place::new();
    place.write("old.py", "import os\nimport re\nimport sys\nimport json\n");
    place.write("gone.py", STOPS);
    place.commit("second");
    place.git(["mv", "old.py", "new.py"]);
    place.git(["rm", "--quiet", "gone.py"]);
    place.write("new.py", "import os\nimport re\nimport sys\nimport json\nbreakpoint()\n");
    place.git(["add", "--all"]);
    let diff = place.git(["diff", "--cached", "-M"]);
    let expected = json!([["new.py"], ["new.py"], [["gone.py", "deleted"]]]);
    assert_eq!(summarize_files(&report_on_diff(&place, &diff)), expected);
    place.git(["reset", "--quiet", "--hard"]);
    assert_eq!(summarize_files(&report_on_diff(&place, &diff)), expected);
}

#[test]
fn without_a_commit_a_diff_is_reviewed_too() {
    let place = Place::empty();
    place.git(["init", "--quiet", "--initial-branch=main"]);
    let diff = "--- /dev/null\n+++ b/b.py\n@@ -0,0 +1 @@\n+breakpoint()\n";
    assert_eq!(summarize_files(&report_on_diff(&place, diff)), json!([["b.py"], ["b.py"], []]));
    let said = review_diff(&place, diff, &[]).out;
    assert!(
        said.contains("reviewed standard input over the working tree (there is no commit yet)\n"),
        "{said}"
    );
}

#[test]
fn nothing_is_skipped_and_what_is_no_diff_is_refused() {
    let (place, diff) = create_file_and_diff();
    for nothing in ["", "\n \n"] {
        let ran = review_diff(&place, nothing, &[]);
        assert!(ran.exit == 0 && ran.out.starts_with("nothing to review"), "{} {}", ran.out, ran.err);
    }
    let cut = &diff[..diff.find("breakpoint").unwrap()];
    for (wrong, said) in [
        ("<html>\n", "standard input: the diff is malformed at line 1 (byte 0): "),
        (cut, "standard input: the diff is malformed at line 16 (byte "),
    ] {
        let ran = review_diff(&place, wrong, &["--format", "json"]);
        assert_eq!((ran.exit, &ran.json()["error"]["code"]), (2, &json!("malformed_diff")));
        assert!(ran.json()["error"]["message"].as_str().unwrap().starts_with(said), "{}", ran.err);
    }
    let ran = place.review(&["--diff", "nope.diff", "--format", "json"]);
    assert_eq!((ran.exit, &ran.json()["error"]["code"]), (2, &json!("unreadable")));
    for other in [&["--base", "HEAD"][..], &["--head", "HEAD"], &["--staged"], &["--fix"]] {
        let ran = review_diff(&place, "", other);
        assert!(ran.exit == 2 && ran.err.contains("--diff"), "{other:?} {}", ran.err);
    }
}

#[test]
fn a_diff_over_its_bound_is_refused() {
    let place = Place::new();
    let file = std::fs::File::create(place.home().join("huge.diff")).unwrap();
    file.set_len((64 << 20) + 1).unwrap();
    let ran = place.review(&["--diff", "../huge.diff", "--format", "json"]);
    assert_eq!((ran.exit, &ran.json()["error"]["code"]), (2, &json!("too_large")), "{}", ran.err);
}

#[test]
fn no_path_leads_out_of_the_working_tree() {
    let place = Place::new();
    let secret = "import os\n";
    place.write("../outside.py", secret);
    std::fs::create_dir(place.repo().join("dir")).unwrap();
    std::os::unix::fs::symlink("../outside.py", place.repo().join("link.py")).unwrap();
    std::os::unix::fs::symlink("..", place.repo().join("up")).unwrap();
    place.write(".git/x.py", secret);
    let absolute = place.home().join("outside.py").display().to_string();
    let outside = ["../outside.py", "dir/../../outside.py", &absolute, ".git/x.py", ".GIT/x.py", "dir//x.py"];
    for path in outside {
        let hunk = "@@ -1 +1,2 @@\n import os\n+breakpoint()\n";
        let diff = format!("--- {path}\n+++ {path}\n{hunk}");
        assert_eq!(
            summarize_files(&report_on_diff(&place, &diff)),
            json!([[], [], [[path, "unreadable"]]]),
            "{path}"
        );
        let new = format!("--- /dev/null\n+++ {path}\n@@ -0,0 +1 @@\n+breakpoint()\n");
        assert_eq!(
            summarize_files(&report_on_diff(&place, &new)),
            json!([[], [], [[path, "unreadable"]]]),
            "{path}"
        );
        let renamed = format!(
            "diff --git a/x b/new.py\nsimilarity index 50%\nrename from {path}\nrename to new.py\n--- \
             a/x\n+++ b/new.py\n{hunk}"
        );
        assert_eq!(
            summarize_files(&report_on_diff(&place, &renamed)),
            json!([[], [], [["new.py", "unreadable"]]]),
            "{path}"
        );
    }
    for path in ["link.py", "up/outside.py"] {
        let diff = format!("--- a/{path}\n+++ b/{path}\n@@ -1 +1,2 @@\n import os\n+breakpoint()\n");
        assert_eq!(
            summarize_files(&report_on_diff(&place, &diff)),
            json!([[], [], [[path, "does_not_apply"]]]),
            "{path}"
        );
    }
}

#[test]
fn what_has_no_lines_in_the_diff_is_told() {
    let place = Place::new();
    place.write("x.bin", b"\0\x01");
    place.write("tool.sh", "echo\n");
    place.commit("second");
    place.write("y.bin", b"\0\x02");
    place.write("x.bin", b"\0\x03");
    std::os::unix::fs::symlink("a.py", place.repo().join("link.py")).unwrap();
    place.git(["add", "--all"]);
    place.git(["update-index", "--chmod=+x", "tool.sh"]);
    let diff = place.git(["diff", "--cached"]);
    let expected = json!([
        [],
        [],
        [["link.py", "symlink"], ["tool.sh", "unchanged"], ["x.bin", "binary"], ["y.bin", "binary"]]
    ]);
    assert_eq!(summarize_files(&report_on_diff(&place, &diff)), expected);
    let merge =
        "diff --cc a.py\nindex 1,2..3\n--- a/a.py\n+++ b/a.py\n@@@ -1,1 -1,1 +1,1 @@@\n- a\n -b\n++c\n";
    assert_eq!(
        summarize_files(&report_on_diff(&place, merge)),
        json!([[], [], [["a.py", "does_not_apply"]]])
    );
}

#[test]
fn files_that_stand_in_each_others_way_are_told() {
    let place = Place::new();
    let new = |path: &str| format!("--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+breakpoint()\n");
    let diff = new("x.py") + &new("x.py/y.py") + &new(&format!("{}.py", "z".repeat(300)));
    let told = summarize_files(&report_on_diff(&place, &diff));
    assert_eq!((&told[1], told[2].as_array().unwrap().len()), (&json!(["x.py"]), 2), "{told}");
}

#[test]
fn a_manifest_and_its_lock_are_reviewed_whichever_of_them_a_rule_looks_for() {
    for (manifest, lock) in [
        ("go.mod", "go.sum"),
        ("package.json", "package-lock.json"),
        ("package.json", "yarn.lock"),
        ("package.json", "pnpm-lock.yaml"),
        ("Cargo.toml", "Cargo.lock"),
    ] {
        let place = Place::new();
        place.write(manifest, "{\"dependencies\": {\"left\": \"1.0.0\"}}\n");
        place.write(lock, "left 1.0.0\n");
        place.commit("before");
        place.write(manifest, "{\"dependencies\": {\"left\": \"1.1.0\"}}\n");
        place.write(lock, "left 1.1.0\n");
        let diff = place.git(["diff"]) + "\n";
        let with = report_on_diff(&place, &diff);
        let mut both = [manifest, lock];
        both.sort_unstable();
        assert_eq!(with["coverage"], json!({ "reviewed": both, "not_reviewed": [] }), "{lock}");
        place.git(["checkout", "--quiet", "."]);
        assert_eq!(report_on_diff(&place, &diff), with, "{lock}");
    }
}
