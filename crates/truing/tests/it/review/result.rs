//! Tests of a review's output and exit code.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::review::place::{Place, Ran, STOPS, fake_key, field_of_findings};

#[test]
fn a_finding_is_shown_under_its_code_and_then_what_was_compared() {
    let place = Place::new();
    place.write("src/b.py", format!("def f():\n\tbreakpoint()\n\n\n\n\n\n\n\nid = '{}'\n", fake_key()));
    place.write("logo.png", b"\x89PNG\0\0");
    let ran = place.review(&[]);
    assert_eq!((ran.exit, ran.err.as_str()), (1, ""));
    assert_snapshot!(ran.normalized_text(), @r#"
    P0[core/aws-access-key-id]: AWS access key id in the file
      --> src/b.py:10:1
       |
    10 | id = 'AKIA…'
       | ^^^^^^^^^^^^
       |
       = note: The id belongs to a pair that signs requests to AWS; its other
               half is rarely far away. Deleting the line is not enough: it
               stays in the history. Deactivate the key in IAM, make a new one,
               and take it from the environment, a profile or a role.
       = id: 0123456789-1

    P1[core/python-debugger]: Debugger call left in the code
     --> src/b.py:2:5
      |
    2 |     breakpoint()
      |     ^^^^^^^^^^^^
      |
      = note: The program stops here and waits for someone at a terminal; a
              service or a job hangs or fails. Delete the call.
      = id: 0123456789-1

    2 findings (1 P0, 1 P1): 1 file reviewed, 1 not, in 0.10 s
    not reviewed: logo.png (binary)
    reviewed working tree against 0123456789 (merge base with main)
    rules only; a model costs at most $2.00: `truing review --runtime native`
    "#);
}

#[test]
fn a_comment_that_suppresses_nothing_is_a_warning() {
    let place = Place::new();
    let text = "breakpoint()  # truing: ignore[core/python-debugger]\n\
        # truing: ignore[core/nothing] nobody knows it\n\
        x = 1  # truing: ignore[core/python-debugger] there was one\n\
        breakpoint()  # truing: ignore[core/python-debugger] on purpose\n\
        y = 2  # truing: ignore[aiobotocore/missing-await] this pack is not used\n";
    place.write("b.py", text);
    let ran = place.review(&["--format", "json"]);
    let told = ran.json();
    assert_eq!(field_of_findings(&told, "start_line"), [1], "{told}");
    let idle = |line: u32, rule: &str, problem: &str| json!({ "path": "b.py", "line": line, "rule": rule, "problem": problem });
    let expected = json!([
        idle(1, "core/python-debugger", "no_reason"),
        idle(2, "core/nothing", "unknown_rule"),
        idle(3, "core/python-debugger", "nothing_found"),
    ]);
    assert_eq!(told["suppressions"], expected, "{told}");
    let ran = Ran::from(place.command(&["review"]).output().unwrap());
    for line in [
        "b.py:1: `truing: ignore[core/python-debugger]` has no effect: write a reason after the closing \
            bracket",
        "b.py:2: `truing: ignore[core/nothing]` has no effect: there is no such rule",
        "b.py:3: `truing: ignore[core/python-debugger]` has no effect: the rule has no finding on the \
            lines to which the comment applies",
    ] {
        assert!(ran.err.contains(line), "{}", ran.err);
    }
    assert_eq!(ran.err.matches("has no effect").count(), 3, "{}", ran.err);
    let checked = Ran::from(place.command(&["rules", "check", "b.py"]).output().unwrap());
    assert_eq!(checked.err.matches("has no effect").count(), 3, "{}", checked.err);
}

#[test]
fn what_a_comment_suppresses_is_told_in_every_format() {
    let place = Place::new();
    place.write("b.py", "breakpoint()  # truing: ignore[core/python-debugger] on purpose\n");
    let told = |format| place.review(&["--format", format]).out;
    let line = "1 finding suppressed by a comment in the code";
    assert!(told("text").contains(line), "{}", told("text"));
    assert!(told("markdown").contains(&format!("{line}.")), "{}", told("markdown"));
    let log: Value = serde_json::from_str(&told("sarif")).unwrap();
    assert_eq!(log["runs"][0]["results"], json!([]), "GitHub would open an alert: {log}");
    let note = &log["runs"][0]["invocations"][0]["toolExecutionNotifications"][0];
    assert_eq!((&note["descriptor"]["id"], &note["level"]), (&json!("suppressed"), &json!("note")), "{log}");
    let words = note["message"]["text"].as_str().unwrap();
    assert!(words.contains("(core/python-debugger): on purpose"), "{words}");
    let place = &note["locations"][0]["physicalLocation"];
    assert_eq!(
        (&place["artifactLocation"]["uri"], &place["region"]["startLine"]),
        (&json!("b.py"), &json!(1))
    );
    let json: Value = serde_json::from_str(&told("json")).unwrap();
    assert_eq!(json["suppressed"][0]["reason"], "on purpose", "{json}");
}

#[test]
fn what_a_linter_s_comment_suppresses_is_told_in_the_same_way() {
    let place = Place::new();
    place.write("b.test.js", "/* eslint-disable */\nit.only('a', () => { f(); });\n");
    let ran = place.review(&["--format", "json"]);
    let told = ran.json();
    assert_eq!((ran.exit, field_of_findings(&told, "rule")), (0, vec![]), "{told}");
    let one = &told["suppressed"][0];
    assert_eq!(
        (&one["rule"], &one["reason"]),
        (&json!("core/focused-test"), &json!("`eslint-disable` on line 1")),
        "{told}"
    );
    let text = place.review(&[]).out;
    assert!(text.contains("1 finding suppressed by a comment in the code"), "{text}");
}

#[test]
fn json_is_the_object_of_the_contract() {
    let place = Place::new();
    let base = place.git(["rev-parse", "HEAD"]);
    place.git(["mv", "a.py", "b.py"]);
    place.write("b.py", "import os\n\n\ndebug = 1\nbreakpoint()\n");
    place.write("x.bin", b"\0");
    let report = place.report(&[]);
    let finding = &report["findings"][0];
    let print = finding["fingerprint"].as_str().unwrap();
    assert!(print.starts_with("1:") && print.len() == 34, "{print}");
    assert_eq!(
        report,
        json!({
            "schema": "truing.review/1",
            "outcome": { "kind": "reviewed", "reason": null, "until": null, "runtime": "rules" },
            "base": base,
            "head": null,
            "findings": [{
                "id": format!("{print}-1"),
                "fingerprint": print,
                "path": "b.py",
                "old_path": null,
                "side": "new",
                "start_line": 5,
                "end_line": 5,
                "severity": "P1",
                "category": "J",
                "rule": "core/python-debugger",
                "title": "Debugger call left in the code",
                "body": finding["body"],
                "suggestion": { "replacement": "" },
                "anchor": "inline",
                "source": "rule",
                "status": "open",
            }],
            "coverage": {
                "reviewed": ["b.py"],
                "not_reviewed": [
                    { "path": "a.py", "reason": "deleted" },
                    { "path": "x.bin", "reason": "binary" },
                ],
            },
            "cost_micro_usd": 0,
            "turns": 0,
        })
    );
    let order = ["schema", "outcome", "base", "head", "findings", "coverage", "cost_micro_usd", "turns"];
    let text = place.review(&["--format", "json"]).out;
    let places: Vec<_> = order.iter().map(|field| text.find(&format!("\"{field}\":")).unwrap()).collect();
    assert!(places.is_sorted() && text.ends_with("}\n") && text.lines().count() == 1, "{text}");
}

#[test]
fn fail_on_says_which_findings_block() {
    let place = Place::new();
    place.write("b.py", STOPS);
    let exit = |arguments: &[&str]| place.review(arguments).exit;
    assert_eq!(exit(&[]), 1);
    for (least, expected) in [("P0", 0), ("P1", 1), ("P2", 1), ("never", 0), ("p1", 1)] {
        assert_eq!(exit(&["--fail-on", least]), expected, "{least}");
    }
    place.write("c.py", format!("{}\n", fake_key()));
    assert_eq!(exit(&["--fail-on", "P0"]), 1);
    assert_eq!(exit(&["--fail-on", "P3"]), 2);
}

#[test]
fn nothing_found_is_one_friendly_line_and_exit_0() {
    let place = Place::new();
    place.write("a.py", "import sys\n");
    let ran = place.review(&[]);
    assert_eq!(ran.exit, 0);
    assert_snapshot!(ran.normalized_text(), @r#"
    no findings: 1 file reviewed, in 0.10 s
    reviewed working tree against 0123456789 (merge base with main)
    rules only; a model costs at most $2.00: `truing review --runtime native`
    "#);
}

#[test]
fn nothing_to_review_is_skipped_and_exit_0() {
    let place = Place::new();
    let ran = place.review(&["--base", "HEAD"]);
    assert_eq!(ran.exit, 0);
    assert_snapshot!(ran.normalized_text(), @r#"
    nothing to review: no changed files
    reviewed working tree against 0123456789 (HEAD)
    rules only: no model was called
    "#);
    let report = place.report(&["--base", "HEAD", "--head", "main"]);
    assert_eq!(report["outcome"]["kind"], "skipped");
    assert_eq!(report["head"], report["base"]);
}

#[test]
fn a_file_that_is_too_large_makes_it_partial() {
    let place = Place::new();
    place.write("b.py", "import sys\n");
    place.write("huge.txt", "0123456789abcde\n".repeat(6 << 16));
    let ran = place.review(&[]);
    assert_eq!(ran.exit, 1);
    assert_snapshot!(ran.normalized_text(), @r#"
    P2[core/oversized-file]: Large new file
    --> huge.txt:1
     = note: Git keeps every version of it for ever, and everyone who clones
             the repository downloads them all. Keep large data elsewhere (an
             artifact store, Git LFS), or generate it.
     = id: 0123456789-1

    1 finding (1 P2): 1 file reviewed, 1 not, in 0.10 s
    the review is incomplete: 1 changed file was not reviewed
    not reviewed: huge.txt (too large)
    a file is too large (over 4 MiB) or too complex to parse: list the file under
      rules.ignore in .truing.toml, or accept a partial review: --allow-partial
    reviewed working tree against 0123456789 (merge base with main)
    rules only; a model costs at most $2.00: `truing review --runtime native`
    "#);
    assert_eq!(place.review(&["--allow-partial"]).exit, 0);
    let commit = place.commit("huge");
    for arguments in [["--base", "HEAD~1"].as_slice(), &["--head", &commit]] {
        let report = place.report(arguments);
        assert_eq!(report["outcome"]["kind"], "partial", "{arguments:?}");
        assert_eq!(report["outcome"]["reason"], "1 changed file was not reviewed");
        assert_eq!(
            report["coverage"]["not_reviewed"],
            json!([{ "path": "huge.txt", "reason": "too_large" }])
        );
    }
    place.write("c.py", STOPS);
    assert_eq!(place.review(&["--allow-partial"]).exit, 1, "a finding blocks all the same");
}

/// A large new binary file is a finding even though its content is not read. The author can thus remove the
/// file before it is in the history.
#[test]
fn a_large_new_binary_file_is_a_finding_in_every_kind_of_head() {
    let place = Place::new();
    place.write("small.bin", b"\0");
    std::fs::File::create(place.repo().join("data.bin")).unwrap().set_len(6 << 20).unwrap();
    let of = |arguments: &[&str]| {
        let report = place.report(arguments);
        assert_eq!(field_of_findings(&report, "rule"), ["core/oversized-file"], "{arguments:?}");
        assert_eq!(field_of_findings(&report, "path"), ["data.bin"], "{arguments:?}");
        assert_eq!(report["outcome"]["kind"], "reviewed", "{arguments:?}");
        let gaps = json!([
            { "path": "data.bin", "reason": "binary" },
            { "path": "small.bin", "reason": "binary" },
        ]);
        assert_eq!(report["coverage"]["not_reviewed"], gaps, "{arguments:?}");
    };
    of(&[]);
    place.git(["add", "--all"]);
    of(&[]);
    of(&["--staged"]);
    place.commit("data");
    of(&["--head", "HEAD"]);
    std::fs::File::create(place.repo().join("data.bin")).unwrap().set_len(7 << 20).unwrap();
    assert_eq!(field_of_findings(&place.report(&["--base", "HEAD"]), "rule").len(), 0, "it is not new");
}

#[test]
fn what_is_no_text_is_left_out_by_design() {
    let place = Place::new();
    let repo = place.repo();
    place.write("gone.py", STOPS);
    place.write("tool.sh", "echo\n");
    place.write("old.py", "import os\nimport sys\nimport re\n");
    place.commit("second");
    place.git(["mv", "old.py", "new.py"]);
    std::fs::remove_file(repo.join("gone.py")).unwrap();
    std::fs::set_permissions(repo.join("tool.sh"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    std::os::unix::fs::symlink("/etc/passwd", repo.join("link.py")).unwrap();
    place.git(["init", "--quiet", "sub"]);
    place.git_in(&repo.join("sub"), ["commit", "--quiet", "--allow-empty", "--message", "x"]);
    place.git(["init", "--quiet", "nested"]);
    place.git(["-c", "advice.addEmbeddedRepo=false", "add", "sub"]);
    place.write("x.bin", b"a\0b");
    let expected = json!([
        { "path": "gone.py", "reason": "deleted" },
        { "path": "link.py", "reason": "symlink" },
        { "path": "nested/", "reason": "submodule" },
        { "path": "new.py", "reason": "unchanged" },
        { "path": "sub", "reason": "submodule" },
        { "path": "tool.sh", "reason": "unchanged" },
        { "path": "x.bin", "reason": "binary" },
    ]);
    let report = place.report(&[]);
    assert_eq!(report["coverage"], json!({ "reviewed": [], "not_reviewed": expected }));
    assert_eq!(report["outcome"]["kind"], "reviewed");
    std::fs::remove_dir_all(repo.join("nested")).unwrap();
    place.git(["-c", "advice.addEmbeddedRepo=false", "add", "--all"]);
    place.git(["commit", "--quiet", "--message", "third"]);
    let report = place.report(&["--head", "HEAD"]);
    let mut committed = expected;
    committed.as_array_mut().unwrap().remove(2);
    assert_eq!(report["coverage"], json!({ "reviewed": [], "not_reviewed": committed }));
}

#[test]
fn a_renamed_file_tells_its_old_name() {
    let place = Place::new();
    place.write("old.py", "import os\nimport sys\nimport re\nimport json\n");
    place.commit("second");
    place.git(["mv", "old.py", "new.py"]);
    place.write("new.py", "import os\nimport sys\nimport re\nimport json\nbreakpoint()\n");
    let report = place.report(&[]);
    assert_eq!(field_of_findings(&report, "path"), ["new.py"]);
    assert_eq!(field_of_findings(&report, "old_path"), ["old.py"]);
}

#[test]
fn names_that_are_no_text_stay_valid_json() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new();
    place.write(std::ffi::OsStr::from_bytes(b"caf\xe9 \"x\".py"), STOPS);
    let report = place.report(&[]);
    assert_eq!(field_of_findings(&report, "path"), [r#""caf\351 \"x\".py""#]);
    assert_eq!(report["coverage"]["reviewed"], json!([r#""caf\351 \"x\".py""#]));
    let commit = place.commit("odd");
    assert_eq!(field_of_findings(&place.report(&["--head", &commit]), "path"), [r#""caf\351 \"x\".py""#]);
}

#[test]
fn markdown_tells_the_same_for_a_comment() {
    let place = Place::new();
    place.write("src/b.py", format!("def f():\n\tbreakpoint()  # ``` @team\n\n\nid = '{}'\n", fake_key()));
    place.write("logo.png", b"\x89PNG\0\0");
    let ran = place.review(&["--format", "markdown"]);
    assert_eq!((ran.exit, ran.err.as_str()), (1, ""));
    assert_snapshot!(ran.normalized_text(), @r"
    ## Truing: 2 findings (1 P0, 1 P1)

    1 file reviewed, 1 not. Reviewed working tree against `0123456789` (merge base with main).

    ### P0: AWS access key id in the file

    `src/b.py`, line 5, `core/aws-access-key-id`

    ```py
    id = 'AKIA…'
    ```

    The id belongs to a pair that signs requests to AWS; its other half is rarely far away. Deleting the line is not enough: it stays in the history. Deactivate the key in IAM, make a new one, and take it from the environment, a profile or a role.

    ### P1: Debugger call left in the code

    `src/b.py`, line 2, `core/python-debugger`

    ````py
        breakpoint()  # ``` @team
    ````

    The program stops here and waits for someone at a terminal; a service or a job hangs or fails. Delete the call.

    ### Not reviewed

    - `logo.png`: binary

    _Rules only: no model was called._
    ");
    place.git(["checkout", "--quiet", "--", "."]);
    place.git(["clean", "--quiet", "-fd"]);
    let ran = place.review(&["--format", "markdown", "--base", "HEAD"]);
    assert_eq!(ran.exit, 0);
    assert_snapshot!(ran.normalized_text(), @r"
    ## Truing: nothing to review: no changed files

    Reviewed working tree against `0123456789` (HEAD).

    _Rules only: no model was called._
    ");
}

#[test]
fn nothing_from_the_repository_steers_the_terminal() {
    let place = Place::new();
    place.write("\x1b[31m\u{202e}.py", "breakpoint()  # \x1b[2J\x1b]0;title\x07 \u{9b}31m \u{202e}\r\n");
    place.write("\x1b]8;;http:.bin", b"\0");
    place.git(["checkout", "--quiet", "-b", "\u{202e}hcnarb"]);
    let style = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
    for arguments in [&[][..], &["--base", "\u{202e}hcnarb"], &["--color", "always"]] {
        let ran = place.review(arguments);
        assert_eq!(ran.exit, 1, "{}", ran.err);
        assert!(ran.out.contains("␛[2J"), "{}", ran.out);
        let styled = ran.out.contains("\x1b[");
        assert_eq!(styled, arguments.contains(&"always"));
        let plain = style.replace_all(&ran.out, "").into_owned();
        let steers = |c: &char| (c.is_control() && *c != '\n') || matches!(c, '\u{202a}'..='\u{202e}');
        assert_eq!(plain.chars().find(steers), None, "{plain:?}");
        assert!(!ran.out.contains("\x1b[2J") && !ran.out.contains("\x1b[31m\u{202e}"));
    }
}

#[test]
fn secrets_are_printed_in_no_form() {
    let place = Place::new();
    place.write("b.py", format!("one = '{0}'\nid = '{0}'; breakpoint()\n", fake_key()));
    for format in ["text", "json", "sarif", "markdown"] {
        let ran = place.review(&["--format", format]);
        assert!(ran.exit == 1 && !(ran.out + &ran.err).contains(&fake_key()));
    }
    assert!(!String::from_utf8_lossy(&std::fs::read(place.store()).unwrap()).contains(&fake_key()));
}
