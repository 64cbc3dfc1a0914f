//! Tests of the reader on real trees: the findings, the files that the reader must not open, and the secrets
//! that it must not show.

// Clippy exempts only test functions from these lints, so the test helpers need this `allow`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod secrets_only;

use std::fs;
use std::future::Future;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::pin::pin;
use std::process::Command;
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;
use tempfile::TempDir;
use truing_core::finding::{DiffSide, FindingSource, Severity, fingerprint};
use truing_core::outcome::SkipReason;
use truing_core::port::{ChangedFile, ReadReport, ReadRequest, ReaderError, RepositoryReader};
use truing_diff::RepoPath;
use truing_reader::{InProcessReader, WithheldFix};

use crate::support::ALL;

/// An AWS key in two parts, because the source of this test must not contain a text that scanners report as a
/// key.
const AWS_ID: &str = concat!("AK", "IAQ3EGRTZ5OKW2LHXB");
const GITHUB: &str = concat!("gh", "p_bN4rXw2Kq8LmZt5VyC1sHd7JfPg3TuEa9RoQ");

/// A reader that all tests share, so its patterns are compiled only once.
static READER: LazyLock<InProcessReader> = LazyLock::new(|| InProcessReader::new().unwrap());

fn tree(files: &[(&str, &[u8])]) -> TempDir {
    let tree = TempDir::new().unwrap();
    for (path, content) in files {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    tree
}

fn changed_file(path: &str, added: &[(u32, u32)]) -> ChangedFile {
    ChangedFile {
        path: RepoPath::from_text(path),
        old_path: None,
        added_lines: added.to_vec(),
        secrets_only: false,
    }
}

fn read(tree: &Path, files: Vec<ChangedFile>) -> ReadReport {
    let request = ReadRequest {
        tree: tree.to_owned(),
        files,
        also_changed: Vec::new(),
        packs: vec!["core".to_owned()],
        disabled_rules: Vec::new(),
    };
    READER.read_blocking(&request).unwrap()
}

/// Reads one file with these added lines.
fn read_one(path: &str, content: &[u8], added: &[(u32, u32)]) -> ReadReport {
    read(tree(&[(path, content)]).path(), vec![changed_file(path, added)])
}

/// Returns `rule:first-last` of each finding.
fn finding_places(report: &ReadReport) -> Vec<String> {
    let place = |finding: &truing_core::finding::RawFinding| {
        format!("{}:{}-{}", finding.rule, finding.location.start_line, finding.location.end_line)
    };
    report.findings.iter().map(place).collect()
}

/// Returns the reason why the only file was not read, or `None` if it was read.
fn skip_reason(report: &ReadReport) -> Option<SkipReason> {
    assert_eq!(report.reviewed.len() + report.not_reviewed.len(), 1, "{report:?}");
    report.not_reviewed.first().map(|skipped| skipped.reason)
}

// ------------------------------------------------------------------------------------------- findings

#[test]
fn a_finding_says_where_what_and_why() {
    let report = read_one("src/a.rs", b"fn f() {\n    dbg!(1);\n}\n", &[ALL]);
    assert_eq!(report.reviewed, ["src/a.rs".into()]);
    let [finding] = report.findings.as_slice() else { panic!("{report:?}") };
    assert_eq!(finding.location.path, "src/a.rs".into());
    assert_eq!(
        (finding.location.side, finding.location.start_line, finding.location.end_line),
        (DiffSide::New, 2, 2)
    );
    assert_eq!((finding.rule.as_str(), finding.severity), ("core/rust-dbg", Severity::P1));
    assert_eq!((finding.snippet.as_str(), finding.source), ("    dbg!(1);", FindingSource::Rule));
    assert_eq!(finding.title, "`dbg!` left in the code");
    assert!(finding.body.starts_with("`dbg!` is for") && finding.suggestion.is_none(), "{}", finding.body);
}

#[test]
fn only_matches_that_touch_added_lines_count() {
    let content = b"dbg!(1);\ndbg!(2);\ndbg!(3);\ndbg!(4);\n";
    assert_eq!(
        finding_places(&read_one("a.rs", content, &[(2, 2), (4, 9)])),
        ["core/rust-dbg:2-2", "core/rust-dbg:4-4"]
    );
    assert_eq!(finding_places(&read_one("a.rs", content, &[])), Vec::<String>::new());
}

#[test]
fn the_whole_file_decides_about_an_added_line() {
    let conflict = b"a\n<<<<<<< HEAD\nb\n=======\nc\n>>>>>>> topic\nd\n";
    for added in [&[(2, 6)][..], &[(1, 7)], &[(2, 2), (6, 6)]] {
        assert_eq!(
            finding_places(&read_one("a.md", conflict, added)),
            ["core/conflict-marker:2-6"],
            "{added:?}"
        );
    }
    // If the change does not add both ends of the conflict, the conflict was already there or is only quoted,
    // so there is no finding.
    for added in [&[(2, 2)][..], &[(4, 4)], &[(6, 6)], &[(1, 1), (7, 7)]] {
        assert_eq!(finding_places(&read_one("a.md", conflict, added)), Vec::<String>::new(), "{added:?}");
    }
    assert_eq!(finding_places(&read_one("a.md", b"Title\n=======\n", &[ALL])), Vec::<String>::new());
}

#[test]
fn crlf_a_byte_order_mark_and_bytes_that_are_not_utf8_change_no_place() {
    let report = read_one("a.rs", b"\xEF\xBB\xBFdbg!(1);\r\n// caf\xE9\r\n  dbg!(x, \xFF);\r\n", &[ALL]);
    assert_eq!(finding_places(&report), ["core/rust-dbg:1-1", "core/rust-dbg:3-3"]);
    let snippets: Vec<&str> = report.findings.iter().map(|finding| finding.snippet.as_str()).collect();
    assert_eq!(snippets, ["dbg!(1);", "  dbg!(x, \u{FFFD});"]);
}

#[test]
fn a_match_that_takes_in_the_line_end_stays_on_its_line() {
    let key = concat!("AI", "zaSyB7w2Kq8LmZt5VyC1sHd7JfPg3TuEa9RoQ");
    assert_eq!(
        finding_places(&read_one("a.txt", format!("{key}\nx\n").as_bytes(), &[ALL])),
        ["core/google-api-key:1-1"]
    );
}

#[test]
fn two_matches_of_a_rule_on_a_line_are_one_finding() {
    let line = format!("a = {GITHUB}; b = {GITHUB}x\n");
    assert_eq!(finding_places(&read_one("a.txt", line.as_bytes(), &[ALL])), ["core/github-token:1-1"]);
}

#[test]
fn findings_are_sorted_by_path_line_and_rule_however_files_are_asked_for() {
    let line = format!("dbg!(\"{GITHUB} {AWS_ID}\");\n");
    let tree = tree(&[("b.rs", b"dbg!(1);\n\ndbg!(2);\n"), ("a.rs", line.as_bytes()), ("c", b"\0")]);
    let names = ["c", "b.rs", "missing", "a.rs"];
    let report = read(tree.path(), names.iter().map(|name| changed_file(name, &[ALL])).collect());
    let expected = [
        "core/aws-access-key-id:1-1",
        "core/github-token:1-1",
        "core/rust-dbg:1-1",
        "core/rust-dbg:1-1",
        "core/rust-dbg:3-3",
    ];
    assert_eq!(finding_places(&report), expected);
    assert_eq!(report.reviewed, ["a.rs".into(), "b.rs".into()]);
    assert_eq!(
        report,
        read(tree.path(), names.iter().rev().map(|name| changed_file(name, &[ALL])).collect())
    );
}

#[test]
fn a_reason_suppresses_and_no_reason_does_not() {
    for (content, expected) in [
        ("dbg!(1); // truing: ignore[core/rust-dbg] shows the macro\n", 0),
        ("// truing: ignore[core/rust-dbg] shows the macro\ndbg!(1);\n", 0),
        ("dbg!(1); // truing: ignore[core/rust-dbg]\n", 1),
        ("dbg!(1); // truing: ignore[core/js-debugger] another rule\n", 1),
        ("// truing: ignore[core/rust-dbg]\ndbg!(1);\n", 1),
    ] {
        assert_eq!(
            finding_places(&read_one("a.rs", content.as_bytes(), &[ALL])).len(),
            expected,
            "{content}"
        );
    }
}

#[test]
fn a_linter_s_comment_suppresses_all_but_secrets_and_is_the_reason() {
    let (debugger, swallowed) = ("core/python-debugger", "core/python-bare-except-pass");
    for (path, content, rule, reason) in [
        (
            "a.test.js",
            "/* eslint-disable */\nit.only('a', f);\n",
            "core/focused-test",
            "`eslint-disable` on line 1",
        ),
        ("a.py", "breakpoint()  # noqa\n", debugger, "`noqa` on line 1"),
        ("a.py", "# flake8: noqa\nbreakpoint()\n", debugger, "`flake8: noqa` on line 1"),
        ("a.py", "try:\n    f()\nexcept:  # noqa: E722\n    pass\n", swallowed, "`noqa` on line 3"),
        ("a.py", "breakpoint()  # noqa, truing: ignore[core/python-debugger] shown\n", debugger, "shown"),
    ] {
        let report = read_one(path, content.as_bytes(), &[ALL]);
        assert!(report.findings.is_empty(), "{content}");
        let suppressed: Vec<(&str, &str)> =
            report.suppressed.iter().map(|one| (one.finding.rule.as_str(), one.reason.as_str())).collect();
        assert_eq!(suppressed, [(rule, reason)], "{content}");
        assert!(report.suppressions.is_empty(), "{content}");
    }
    let report = read_one("a.py", format!("# flake8: noqa\nkey = '{GITHUB}'  # noqa\n").as_bytes(), &[ALL]);
    assert_eq!(finding_places(&report), ["core/github-token:2-2"]);
}

#[test]
fn of_too_many_findings_the_worst_are_kept_and_the_file_says_so() {
    let content = format!("{}key = {GITHUB}\n", "dbg!(1);\n".repeat(500));
    let report = read_one("a.rs", content.as_bytes(), &[ALL]);
    assert_eq!(report.findings.len(), 100);
    assert_eq!(finding_places(&report).last().unwrap(), "core/github-token:501-501");
    assert_eq!(skip_reason(&report), Some(SkipReason::MoreFindings));
}

// ------------------------------------------------------------------------------------------- secrets

#[test]
fn a_secret_is_recognisable_but_not_readable_in_any_finding() {
    let content = format!("<<<<<<< HEAD\nkey = \"{GITHUB}\" # {AWS_ID}\n=======\n>>>>>>> topic\n");
    let report = read_one("a.py", content.as_bytes(), &[ALL]);
    assert_eq!(report.findings.len(), 3);
    for finding in &report.findings {
        assert!(finding.snippet.contains("key = \"ghp_…\" # AKIA…"), "{}", finding.snippet);
    }
}

#[test]
fn a_key_in_the_test_data_of_a_scanner_is_no_finding_and_one_of_another_project_is() {
    let content = format!("package main\n\nvar id = \"{AWS_ID}\"\n");
    let gitleaks = ("go.mod", "module github.com/zricethezav/gitleaks/v8\n");
    let shop = ("go.mod", "module example.com/shop\n\nrequire github.com/zricethezav/gitleaks/v8 v8.1\n");
    let hooks = (".pre-commit-hooks.yaml", "- id: detect-secrets\n  name: Detect secrets\n");
    for ((manifest, text), path, expected) in [
        (gitleaks, "testdata/repos/small/main.go", 0),
        (hooks, "tests/data/files/main.go", 0),
        (gitleaks, "cmd/main.go", 1),
        (shop, "testdata/repos/small/main.go", 1),
        (("other/go.mod", gitleaks.1), "testdata/repos/small/main.go", 1),
    ] {
        let tree = tree(&[(manifest, text.as_bytes()), (path, content.as_bytes())]);
        let report = read(tree.path(), vec![changed_file(path, &[ALL])]);
        assert_eq!(report.findings.len(), expected, "{manifest} {path}: {report:?}");
    }
}

#[test]
fn what_names_the_project_is_wanted_beside_its_tests() {
    let wanted = |path: &str| {
        let companions =
            READER.companion_paths_blocking(&["core".to_owned()], &[changed_file(path, &[ALL])]).unwrap();
        companions.contains(&"go.mod".into())
    };
    assert!(wanted("testdata/a.txt") && wanted("a/b_test.go"));
    assert!(!wanted("src/a.go"));
}

#[test]
fn a_suppressed_secret_is_hidden_in_other_findings_too() {
    let content = format!("dbg!(\"{GITHUB}\"); // truing: ignore[core/github-token] revoked\n");
    let report = read_one("a.rs", content.as_bytes(), &[ALL]);
    assert_eq!(finding_places(&report), ["core/rust-dbg:1-1"]);
    assert!(report.findings[0].snippet.starts_with("dbg!(\"ghp_…\");"), "{}", report.findings[0].snippet);
}

#[test]
fn a_fix_of_a_line_with_a_secret_is_withheld_with_the_reason() {
    let report = read_one("a.test.js", format!("it.only('{GITHUB}', f);\n").as_bytes(), &[ALL]);
    let focused = report.findings.iter().find(|raw| raw.rule == "core/focused-test").unwrap();
    assert_eq!(focused.suggestion, None);
    assert_eq!(WithheldFix::from_finding(focused), Some(WithheldFix::Secret), "{}", focused.body);
    let report = read_one("a.test.js", b"it.only('x', f);\n", &[ALL]);
    assert!(
        report.findings[0].suggestion.is_some() && WithheldFix::from_finding(&report.findings[0]).is_none()
    );
}

#[test]
fn a_private_key_is_one_finding_over_its_lines_without_its_body() {
    let lines: Vec<String> = (0..20)
        .map(|line| format!("{line:02}{}", "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"))
        .collect();
    let body = lines.join("\n");
    let (begin, end) = (concat!("-----BEGIN RSA PRIV", "ATE KEY-----"), "-----END RSA PRIVATE KEY-----");
    let report = read_one("id", format!("x\n{begin}\n{body}\n{end}\n").as_bytes(), &[(10, 10)]);
    assert_eq!(finding_places(&report), ["core/private-key:2-23"]);
    assert_eq!(report.findings[0].snippet, format!("{begin}\n00ab…\n{end}"));
}

#[test]
fn a_private_key_behind_the_marks_of_a_comment_is_found_and_shown_nowhere() {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let lines: Vec<String> = (0..20).map(|number| format!("{number:02}{letters}")).collect();
    let (begin, end) = (concat!("-----BEGIN RSA PRIV", "ATE KEY-----"), "-----END RSA PRIVATE KEY-----");
    let commented = |mark: &str| {
        let all = std::iter::once(begin).chain(lines.iter().map(String::as_str)).chain([end]);
        all.map(|line| format!("    {mark}{line}\n")).collect::<String>()
    };
    for mark in ["# ", "// ", "/// ", "//! ", " * ", "; ", "-- ", "#"] {
        let report = read_one("id", commented(mark).as_bytes(), &[ALL]);
        assert_eq!(finding_places(&report), ["core/private-key:1-22"], "{mark}");
        assert!(!report.findings[0].snippet.contains("ABCDEF"), "{mark}: {}", report.findings[0].snippet);
    }
    let swallowed = format!("try:\n    f()\nexcept:\n{}    pass\n", commented("# "));
    let report = read_one("a.py", swallowed.as_bytes(), &[ALL]);
    assert_eq!(report.findings.len(), 2, "{report:?}");
    assert!(report.findings.iter().all(|finding| !finding.snippet.contains("ABCDEF")), "{report:?}");
}

#[test]
fn the_identity_of_a_secret_survives_its_rotation_and_a_new_indentation() {
    let of = |text: String| {
        let report = read_one("a.py", text.as_bytes(), &[ALL]);
        let [finding] = report.findings.as_slice() else { panic!("{report:?}") };
        fingerprint(&finding.rule, &finding.location.path, &finding.snippet)
    };
    let rotated =
        GITHUB.chars().rev().filter(|letter| letter.is_ascii_alphanumeric()).take(36).collect::<String>();
    assert_eq!(of(format!("key = '{GITHUB}'\n")), of(format!("\n    key = 'ghp_{rotated}'\n")));
}

#[test]
fn a_secret_deep_in_a_long_line_is_found_and_shown_with_its_surroundings() {
    let content = format!("{}token:{GITHUB},{}\n", "abcdefg ".repeat(70_000), "x ".repeat(150_000));
    let report = read_one("bundle.js", content.as_bytes(), &[ALL]);
    assert_eq!(finding_places(&report), ["core/github-token:1-1"]);
    let snippet = &report.findings[0].snippet;
    assert!(snippet.contains("token:ghp_…,x x") && snippet.len() < 500, "{snippet}");
}

// ------------------------------------------------------------------------------------------- hostile trees

#[test]
fn links_are_not_followed_in_any_component() {
    let secret = format!("{GITHUB}\n");
    let outside = tree(&[("key.txt", secret.as_bytes())]);
    let tree = tree(&[("in/key.txt", secret.as_bytes())]);
    symlink(outside.path().join("key.txt"), tree.path().join("file")).unwrap();
    symlink("/etc/passwd", tree.path().join("passwd")).unwrap();
    symlink(outside.path(), tree.path().join("folder")).unwrap();
    symlink("in", tree.path().join("inner")).unwrap();
    symlink("nowhere", tree.path().join("dangling")).unwrap();
    for (path, reason) in [
        ("file", SkipReason::Symlink),
        ("passwd", SkipReason::Symlink),
        ("folder", SkipReason::Symlink),
        ("dangling", SkipReason::Symlink),
        ("folder/key.txt", SkipReason::Unreadable),
        ("inner/key.txt", SkipReason::Unreadable),
    ] {
        let report = read(tree.path(), vec![changed_file(path, &[ALL])]);
        assert_eq!((skip_reason(&report), report.findings.len()), (Some(reason), 0), "{path}");
    }
}

#[test]
fn paths_that_leave_the_tree_are_refused() {
    let outer = tree(&[("key.txt", GITHUB.as_bytes()), ("tree/a.txt", b"a")]);
    let absolute = outer.path().join("key.txt");
    for path in
        ["../key.txt", "a/../../key.txt", "./a.txt", "..", ".", "", "/etc/passwd", absolute.to_str().unwrap()]
    {
        let report = read(&outer.path().join("tree"), vec![changed_file(path, &[ALL])]);
        assert_eq!(
            (skip_reason(&report), report.findings.len()),
            (Some(SkipReason::Unreadable), 0),
            "{path}"
        );
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let tree = tree(&[("folder/a.txt", b"a"), ("file", b"a")]);
    // Opening a FIFO blocks until another process opens it for writing.
    assert!(Command::new("mkfifo").arg(tree.path().join("fifo")).status().unwrap().success());
    let _socket = UnixListener::bind(tree.path().join("socket")).unwrap();
    for path in ["fifo", "socket", "folder", "missing", "folder/missing", "file/a", "missing/a"] {
        let report = read(tree.path(), vec![changed_file(path, &[ALL])]);
        assert_eq!(skip_reason(&report), Some(SkipReason::Unreadable), "{path}");
    }
    let report = read(Path::new("/dev"), vec![changed_file("zero", &[ALL])]);
    assert_eq!(skip_reason(&report), Some(SkipReason::Unreadable));
}

#[test]
fn size_and_nul_bytes_decide_what_is_text() {
    let limit = 5 * 1024 * 1024;
    let mut late_nul = vec![b'a'; 9_000];
    late_nul.extend_from_slice(b"\0\ndbg!(1);\n");
    for (content, expected) in [
        (vec![b'a'; limit], None),
        (vec![b'a'; limit + 1], Some(SkipReason::TooLarge)),
        (b"dbg!(1)\n\0".to_vec(), Some(SkipReason::Binary)),
        (late_nul.clone(), None),
        (Vec::new(), None),
    ] {
        assert_eq!(skip_reason(&read_one("a.txt", &content, &[ALL])), expected);
    }
    assert_eq!(finding_places(&read_one("a.rs", &late_nul, &[ALL])), ["core/rust-dbg:2-2"]);
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

#[test]
fn text_in_utf16_is_read_as_text_on_its_lines() {
    let text = format!("# gamma \u{a0a}\r\nkey = {AWS_ID}\r\n<<<<<<< HEAD\r\n=======\r\n>>>>>>> x\r\n");
    let marked = [&[0xFF, 0xFE][..], &utf16(&text)].concat();
    for content in [marked, utf16(&text)] {
        let report = read_one("settings.ini", &content, &[ALL]);
        assert_eq!(finding_places(&report), ["core/aws-access-key-id:2-2", "core/conflict-marker:3-5"]);
        assert_eq!(report.findings[0].snippet, "key = AKIA…");
        assert_eq!(skip_reason(&report), None);
        assert_eq!(
            finding_places(&read_one("settings.ini", &content, &[(3, 5)])),
            ["core/conflict-marker:3-5"]
        );
    }
    // Code in a UTF-16 file is not parsed.
    let code = utf16("try:\n    f()\nexcept:\n    pass\n");
    assert_eq!(finding_places(&read_one("a.py", &code, &[ALL])), Vec::<String>::new());
}

#[test]
fn what_is_no_text_is_searched_for_secrets_and_stays_unreviewed() {
    let content = format!("\x7fELF\0\n\n\x01<<<<<<< HEAD\n\x02\x1b[31mkey={AWS_ID}\0\x07tail\n").into_bytes();
    let report = read_one("a.bin", &content, &[ALL]);
    assert_eq!(finding_places(&report), ["core/aws-access-key-id:4-4"]);
    let shown = &report.findings[0].snippet;
    assert_eq!(shown, "\u{FFFD}\u{FFFD}[31mkey=AKIA…\u{FFFD}\u{FFFD}tail");
    assert_eq!(skip_reason(&report), Some(SkipReason::Binary));
    let large = [b"\0".as_slice(), &vec![b'\n'; 5_000_000]].concat();
    assert_eq!(finding_places(&read_one("a.bin", &large, &[ALL])), ["core/oversized-file:1-1"]);
    let larger = [b"\0".as_slice(), &vec![b'x'; 6_000_000]].concat();
    let report = read_one("a.bin", &larger, &[ALL]);
    assert_eq!(
        (finding_places(&report), skip_reason(&report)),
        (vec!["core/oversized-file:1-1".into()], Some(SkipReason::Binary))
    );
}

#[test]
fn names_that_are_not_utf8_are_read() {
    let path = RepoPath::from_bytes(b"caf\xE9/a\n.rs".to_vec());
    let tree = TempDir::new().unwrap();
    let folder =
        tree.path().join(std::os::unix::ffi::OsStrExt::from_bytes(b"caf\xE9".as_slice()) as &std::ffi::OsStr);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a\n.rs"), "dbg!(1);\n").unwrap();
    let file =
        ChangedFile { path: path.clone(), old_path: None, added_lines: vec![ALL], secrets_only: false };
    let report = read(tree.path(), vec![file]);
    assert_eq!((finding_places(&report).len(), report.reviewed), (1, vec![path]));
}

// ------------------------------------------------------------------------------------------- the port

#[test]
fn the_port_answers_at_once_and_says_what_it_cannot_do() {
    fn poll_ready<T>(future: impl Future<Output = T> + Send) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits for something"),
        }
    }
    let reader = InProcessReader::new().unwrap();
    assert_eq!(reader.pack_names(), ["aiobotocore", "code-rules", "code-rules-strict", "core"]);
    let tree = tree(&[("a.rs", b"dbg!(1);\n")]);
    let request = |packs: &[&str]| ReadRequest {
        tree: tree.path().to_owned(),
        files: vec![changed_file("a.rs", &[ALL])],
        also_changed: Vec::new(),
        packs: packs.iter().map(|pack| (*pack).to_owned()).collect(),
        disabled_rules: Vec::new(),
    };
    assert_eq!(
        finding_places(&poll_ready(reader.read(&request(&["core", "core"]))).unwrap()),
        ["core/rust-dbg:1-1"]
    );
    assert_eq!(finding_places(&poll_ready(reader.read(&request(&[]))).unwrap()), Vec::<String>::new());

    let off = ReadRequest {
        disabled_rules: vec!["core/rust-dbg".into(), "core/no-such".into()],
        ..request(&["core"])
    };
    let report = poll_ready(reader.read(&off)).unwrap();
    assert_eq!((finding_places(&report), report.reviewed.len()), (Vec::<String>::new(), 1));
    assert!(report.rules.len() > 10 && !report.rules.contains(&"core/rust-dbg".to_owned()));

    let unknown = poll_ready(reader.read(&request(&["core", "croe"]))).unwrap_err();
    assert_eq!(
        unknown,
        ReaderError::UnknownPack {
            name: "croe".into(),
            known_packs: "aiobotocore, code-rules, code-rules-strict, core".into()
        }
    );
    let gone = ReadRequest { tree: tree.path().join("gone"), ..request(&["core"]) };
    let error = poll_ready(reader.read(&gone)).unwrap_err().to_string();
    assert!(error.contains("/gone: ") && error.contains("cannot be opened"), "{error}");
}

// ------------------------------------------------------------------------------------------- properties

/// Generates texts that rules or the engine treat specially.
fn piece_strategy() -> impl Strategy<Value = Vec<u8>> {
    let fixed: Vec<&[u8]> = vec![
        b"\n",
        b"\r\n",
        b"dbg!(",
        b"<<<<<<< a\n",
        b"=======\n",
        b">>>>>>> b\n",
        b"debugger;",
        b"breakpoint()",
        b"// truing: ignore[core/rust-dbg] because",
        b"truing: ignore[",
        b"\xEF\xBB\xBF",
        b"\xC3",
        concat!("-----BEGIN PRIV", "ATE KEY-----").as_bytes(),
        concat!("aws_secret_acc", "ess_key=").as_bytes(),
        GITHUB.as_bytes(),
        AWS_ID.as_bytes(),
    ];
    prop_oneof![
        3 => proptest::sample::select(fixed).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..60),
        1 => "[A-Za-z0-9+/]{30,70}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_and_any_added_lines_give_a_report_in_order_within_the_file(
        pieces in proptest::collection::vec(piece_strategy(), 0..40),
        added in proptest::collection::vec((any::<u32>(), any::<u32>()), 0..4),
        path in proptest::sample::select(vec!["a.rs", "a.py", "a.ts", "a.test.js", "a"]),
    ) {
        let content: Vec<u8> = pieces.concat().into_iter().map(|byte| if byte == 0 { 1 } else { byte }).collect();
        let line_count = content.iter().filter(|byte| **byte == b'\n').count() + 1;
        for added in [vec![ALL], added] {
            let report = read_one(path, &content, &added);
            prop_assert!(report.findings.is_sorted_by_key(|finding| (&finding.location, &finding.rule)));
            for finding in &report.findings {
                let (first, last) = (finding.location.start_line as usize, finding.location.end_line as usize);
                prop_assert!(1 <= first && first <= last && last <= line_count, "{:?}", finding);
            }
        }
    }

    #[test]
    fn no_secret_is_in_any_output(
        before in proptest::collection::vec(piece_strategy(), 0..10),
        between in "[ \t\n\"',;:(){}=]{1,3}",
        after in proptest::collection::vec(piece_strategy(), 0..10),
        path in proptest::sample::select(vec!["a.rs", "a.py", "a.ts", "a"]),
    ) {
        // The test puts separators around each secret, because the reader does not recognise a key that is
        // joined to a word.
        let mut content = before.join(&b' ');
        for secret in [GITHUB, AWS_ID] {
            content.extend_from_slice(b" ");
            content.extend_from_slice(secret.as_bytes());
            content.extend_from_slice(between.as_bytes());
        }
        content.extend_from_slice(&after.join(&b' '));
        content.retain(|byte| *byte != 0);

        let report = read_one(path, &content, &[ALL]);
        let output = format!("{} {report:?}", serde_json::to_string(&report).unwrap());
        for secret in [GITHUB, AWS_ID] {
            prop_assert!(!output.contains(&secret[..10]), "{}", output);
        }
        let tokens = report.findings.iter().filter(|finding| finding.rule == "core/github-token");
        prop_assert!(tokens.count() > 0);
    }
}
