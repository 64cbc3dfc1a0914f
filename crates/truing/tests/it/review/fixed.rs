//! Tests of repeated local reviews of the same branch. A finding of a rule or linter is fixed if its file was
//! checked and the finding was not reported again.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::review::place::{Place, Ran, STOPS, field_of_findings};

/// Creates a branch with a file in which a rule reports a finding, and reviews it.
fn create_branch_with_finding() -> Place {
    let place = Place::new();
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("b.py", format!("import os\n{STOPS}os.abort()\n"));
    assert_eq!(field_of_findings(&place.report(&[]), "path"), ["b.py"]);
    place
}

/// Returns the path and the line of the evidence of each fixed finding in a report.
fn fixed_findings(report: &Value) -> Vec<(String, Value)> {
    let all = report["fixed"].as_array().cloned().unwrap_or_default();
    let one =
        |fixed: &Value| (fixed["path"].as_str().unwrap().to_owned(), fixed["evidence"]["start_line"].clone());
    all.iter().map(one).collect()
}

#[test]
fn a_rules_finding_whose_lines_are_gone_is_fixed_once() {
    let place = create_branch_with_finding();
    place.write("b.py", "import os\nos.abort()\n");
    let report = place.report(&[]);
    assert_eq!(fixed_findings(&report).iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["b.py"]);
    assert_eq!(fixed_findings(&place.report(&[])), [], "it is said once");
    place.write("b.py", STOPS);
    assert_eq!(field_of_findings(&place.report(&[]), "path"), ["b.py"]);
    std::fs::remove_file(place.repo().join("b.py")).unwrap();
    let said = place.review(&[]).out;
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("fixed: P1 ") && said.contains("(b.py:2), its file is deleted"), "{said}");
}

#[test]
fn what_nobody_looked_for_or_looked_at_is_not_fixed() {
    let place = create_branch_with_finding();
    place.commit("with it");
    // The file is not part of this comparison, so its finding does not count as fixed.
    assert_eq!(fixed_findings(&place.report(&["--base", "HEAD"])), []);
    // The configuration excludes the file, so its finding does not count as fixed.
    place.write(".truing.toml", "[rules]\nignore = [\"b.py\"]\n");
    place.write("b.py", "import os\n");
    assert_eq!(fixed_findings(&place.report(&[])), []);
    std::fs::remove_file(place.repo().join(".truing.toml")).unwrap();
    // The finding belongs to another branch, so it does not count as fixed.
    place.git(["checkout", "--quiet", "--force", "-b", "other", "main"]);
    place.write("c.py", "import os\n");
    assert_eq!(fixed_findings(&place.report(&[])), []);
    // On its own branch, the finding still exists.
    place.git(["checkout", "--quiet", "--force", "feature"]);
    assert_eq!(field_of_findings(&place.report(&[]), "path"), ["b.py"]);
}

#[test]
fn a_review_of_a_commit_does_not_close_a_finding_of_the_working_tree() {
    let place = Place::new();
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("b.py", "import os\n");
    place.commit("second");
    place.write("b.py", format!("import os\n{STOPS}"));
    let report = place.report(&[]);
    assert_eq!(field_of_findings(&report, "path"), ["b.py"]);
    for head in ["HEAD", "feature"] {
        let report = place.report(&["--head", head]);
        assert_eq!(fixed_findings(&report), [], "{head}");
        assert_eq!(field_of_findings(&report, "path").len(), 0, "{head}");
    }
    let again = place.report(&[]);
    assert_eq!(field_of_findings(&again, "id"), field_of_findings(&report, "id"));
    // A later commit shows the fix.
    place.commit_unchecked("with it");
    assert_eq!(field_of_findings(&place.report(&["--head", "HEAD"]), "path"), ["b.py"]);
    place.write("b.py", "import os\n");
    place.commit_unchecked("without it");
    assert_eq!(fixed_findings(&place.report(&["--head", "HEAD"])).len(), 1);
}

/// Runs a review with this output of Ruff, and returns the report.
fn review_with_ruff_output(place: &Place, output: &str) -> Value {
    let mut command =
        place.command(&["review", "--quiet", "--format", "json", "--from", "-", "--format-in", "ruff"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(output.as_bytes());
    Ran::from(child.wait_with_output().unwrap()).json()
}

#[test]
fn a_linters_finding_is_fixed_where_it_looked_and_its_line_is_another_one() {
    let place = Place::new();
    place.git(["checkout", "--quiet", "-b", "feature"]);
    place.write("b.py", "import os\nl = 1\n");
    let output = "b.py:2:1: E741 Ambiguous variable name: `l`\nFound 1 error.\n";
    assert_eq!(field_of_findings(&review_with_ruff_output(&place, output), "path"), ["b.py"]);
    assert_eq!(
        fixed_findings(&review_with_ruff_output(&place, "All checks passed!\n")),
        [],
        "its line is as it was"
    );
    place.write("b.py", "import os\nlength = 1\n");
    assert_eq!(fixed_findings(&place.report(&[])), [], "it did not read");
    let found = review_with_ruff_output(&place, "All checks passed!\n");
    assert_eq!(fixed_findings(&found), [("b.py".to_owned(), json!(2))]);
}
