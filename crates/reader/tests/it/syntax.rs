//! Tests of syntax rules on real files: matches, suggestions, and hostile source code.

// Clippy exempts only test functions from these lints, so the test helpers need this `allow`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;

use tempfile::TempDir;
use truing_core::outcome::SkipReason;
use truing_core::port::{ChangedFile, ReadReport, ReadRequest};
use truing_diff::RepoPath;
use truing_reader::{InProcessReader, RulePacks};

use crate::support::ALL;

/// Returns the report of one rule on one file. `rule` is the part of the rule's YAML after `language`.
fn read(rule: &str, path: &str, content: &[u8], added: &[(u32, u32)]) -> ReadReport {
    let packs = RulePacks::parse(&[("p/rules/x.yml", rule)]).unwrap();
    let tree = TempDir::new().unwrap();
    fs::write(tree.path().join(path), content).unwrap();
    let request = ReadRequest {
        tree: tree.path().to_owned(),
        files: vec![ChangedFile {
            path: RepoPath::from_text(path),
            old_path: None,
            added_lines: added.to_vec(),
            secrets_only: false,
        }],
        also_changed: Vec::new(),
        packs: vec!["p".to_owned()],
        disabled_rules: Vec::new(),
    };
    InProcessReader::with_packs(packs).read_blocking(&request).unwrap()
}

fn lines(report: &ReadReport) -> Vec<(u32, u32)> {
    report.findings.iter().map(|finding| (finding.location.start_line, finding.location.end_line)).collect()
}

fn skip_reason(report: &ReadReport) -> Option<SkipReason> {
    report.not_reviewed.first().map(|gap| gap.reason)
}

const CALL: &str = "language: python\nrule:\n  pattern: f($$$A)\n";

// ------------------------------------------------------------------------------------------- what decides

#[test]
fn the_whole_function_decides_about_an_added_line() {
    let rule = "language: python\nrule:\n  pattern: f($$$A)\n  inside:\n    kind: \
         function_definition\n    stopBy: end\n    regex: '^async'\n";
    let code = b"async def a():\n    b()\n    f(1)\n\ndef c():\n    f(2)\n";
    assert_eq!(lines(&read(rule, "a.py", code, &[ALL])), [(3, 3)]);
    assert_eq!(lines(&read(rule, "a.py", code, &[(3, 3)])), [(3, 3)]);
    assert_eq!(lines(&read(rule, "a.py", code, &[(1, 2), (4, 6)])), []);
}

#[test]
fn a_match_over_several_lines_counts_if_one_of_them_is_added() {
    let code = b"f(\n    1,\n    2,\n)\nf(3)\n";
    assert_eq!(lines(&read(CALL, "a.py", code, &[(3, 3)])), [(1, 4)]);
    assert_eq!(lines(&read(CALL, "a.py", code, &[(5, 5)])), [(5, 5)]);
}

#[test]
fn a_rule_looks_at_files_of_its_languages() {
    let rule = "language: typescript\nrule:\n  pattern: f($$$A)\nmetadata:\n  truing:\n    also: [tsx]\n";
    for (path, expected) in [("a.ts", 1), ("a.mts", 1), ("a.tsx", 1), ("a.js", 0), ("a.py", 0), ("ts", 0)] {
        assert_eq!(lines(&read(rule, path, b"f(1)\n", &[ALL])).len(), expected, "{path}");
    }
}

#[test]
fn a_reason_suppresses_on_the_line_and_on_the_line_before() {
    for (code, expected) in [
        ("f(1)  # truing: ignore[p/x] a fixture\n", 0),
        ("# truing: ignore[p/x] a fixture\nf(1)\n", 0),
        ("# truing: ignore[p/x] a fixture\nf(\n    1\n)\n", 0),
        ("f(1)  # truing: ignore[p/x]\n", 1),
        ("# truing: ignore[p/y] a fixture\nf(1)\n", 1),
        ("# ast-grep-ignore\nf(1)\n", 1),
    ] {
        assert_eq!(lines(&read(CALL, "a.py", code.as_bytes(), &[ALL])).len(), expected, "{code}");
    }
}

// ------------------------------------------------------------------------------------------- suggestions

/// Returns the suggestion for the only finding.
fn suggestion(rule: &str, code: &str) -> Option<String> {
    let report = read(rule, "a.py", code.as_bytes(), &[ALL]);
    assert_eq!(report.findings.len(), 1, "{code}");
    report.findings[0].suggestion.clone().map(|suggestion| suggestion.replacement)
}

#[test]
fn a_proven_fix_is_suggested_for_whole_lines() {
    let rule = "language: python\nrule:\n  pattern: f($A, $B)\nfix: g($B, $A)\n";
    assert_eq!(
        suggestion(rule, "if x:\n    y = f(1, 2)  # why\n").as_deref(),
        Some("    y = g(2, 1)  # why")
    );
    assert_eq!(suggestion(rule, "y = f(\n    1,\n    2\n)\n").as_deref(), Some("y = g(2, 1)"));
    // The reader suggests an edit in a file with syntax errors if the edit does not add a syntax error.
    assert_eq!(suggestion(rule, "f(1, 2)\n\nx = = 3\n").as_deref(), Some("g(2, 1)"));
    assert_eq!(suggestion(rule, "f(1, 2)\r\nx = 3\r\n").as_deref(), Some("g(2, 1)"));
}

#[test]
fn a_fix_that_breaks_the_file_or_changes_nothing_stays_prose() {
    let with =
        |fix: &str| suggestion(&format!("language: python\nrule:\n  pattern: f($A)\nfix: {fix}\n"), "f(1)\n");
    assert_eq!(with("'g($A'"), None);
    assert_eq!(with("'f($A)'"), None);
    assert_eq!(with("'g($A)'").as_deref(), Some("g(1)"));
}

#[test]
fn no_fix_is_suggested_where_the_file_is_not_utf8() {
    let rule = "language: python\nrule:\n  pattern: f($A)\nfix: g($A)\n";
    let report = read(rule, "a.py", b"# caf\xE9\nf(1)\n", &[ALL]);
    assert_eq!(lines(&report), [(2, 2)]);
    assert_eq!(report.findings[0].suggestion, None);
}

// ------------------------------------------------------------------------------------------- hostile source

#[test]
fn invalid_utf8_and_nul_change_no_place() {
    let mut code = vec![b'#'; 9_000];
    code.extend_from_slice(b"\0\xFF\xE2\x82\n'\xC3'; f(1)\nf(\xFF)\n");
    assert_eq!(lines(&read(CALL, "a.py", &code, &[ALL])), [(2, 2), (3, 3)]);
}

#[test]
fn source_that_nests_too_deep_is_told_and_does_not_overflow_the_stack() {
    // For a metavariable that occurs twice, the engine compares two trees to their full depth, which must not
    // overflow the stack.
    let same = "rule:\n  any:\n    - pattern: g($A, $A)\n    - pattern: f($$$B)\n";
    for (path, language, open, close) in [
        ("a.py", "python", "(", ")"),
        ("a.py", "python", "f(", ")"),
        ("a.py", "python", "-", ""),
        ("a.js", "javascript", "[", "]"),
        ("a.ts", "typescript", "f(", ")"),
        ("a.js", "javascript", "a=>", ""),
        ("a.rs", "rust", "(", ")"),
        ("a.go", "go", "f(", ")"),
        ("a.java", "java", "f(", ")"),
    ] {
        let nested = |count: usize| format!("{}1{}", open.repeat(count), close.repeat(count));
        let rule = format!("language: {language}\n{same}");
        let code = format!("g({0}, {0})\n", nested(200));
        assert_eq!(skip_reason(&read(&rule, path, code.as_bytes(), &[ALL])), None, "{path} {open}");
        let report = read(&rule, path, nested(100_000).as_bytes(), &[ALL]);
        assert_eq!(skip_reason(&report), Some(SkipReason::TooComplex), "{path} {open}");
    }
}

#[test]
fn the_deepest_tree_that_is_read_fits_the_stack() {
    let rule = "language: python\nrule:\n  pattern: g($A, $A)\n";
    let nested = format!("{}1{}", "[".repeat(3_900), "]".repeat(3_900));
    let report = read(rule, "a.py", format!("g({nested}, {nested})\n").as_bytes(), &[ALL]);
    assert_eq!((skip_reason(&report), lines(&report)), (None, vec![(1, 1)]));
}

#[test]
fn a_minified_line_is_read() {
    let rule = "language: javascript\nrule:\n  pattern: debug($A)\n";
    let code = format!("{}debug(1);{}", "a.b(c,d);".repeat(5_000), "e(f);".repeat(10_000));
    let report = read(rule, "a.js", code.as_bytes(), &[ALL]);
    assert_eq!((skip_reason(&report), lines(&report)), (None, vec![(1, 1)]));
    assert!(report.findings[0].snippet.contains("debug(1)") && report.findings[0].snippet.len() < 500);
}

#[test]
fn a_call_too_wide_for_a_rule_is_told() {
    let wide = format!("f({})\n", "1, ".repeat(20_000));
    assert_eq!(skip_reason(&read(CALL, "a.py", wide.as_bytes(), &[ALL])), Some(SkipReason::TooComplex));
    let other = format!("g({})\nf(1)\n", "1, ".repeat(20_000));
    let rule = "language: python\nrule:\n  kind: argument_list\n";
    assert_eq!(skip_reason(&read(rule, "a.py", other.as_bytes(), &[ALL])), None);
}

#[test]
fn source_over_the_limit_is_told_and_other_rules_still_look_at_it() {
    let packs = RulePacks::parse(&[("p/rules/x.yml", CALL), ("p/rules/t.toml", TEXT)]).unwrap();
    let tree = TempDir::new().unwrap();
    fs::write(tree.path().join("a.py"), format!("{}marker\n", "x = 1\n".repeat(400_000))).unwrap();
    let file =
        ChangedFile { path: "a.py".into(), old_path: None, added_lines: vec![ALL], secrets_only: false };
    let request = ReadRequest {
        tree: tree.path().to_owned(),
        files: vec![file],
        also_changed: Vec::new(),
        packs: vec!["p".to_owned()],
        disabled_rules: Vec::new(),
    };
    let report = InProcessReader::with_packs(packs).read_blocking(&request).unwrap();
    assert_eq!(
        (skip_reason(&report), lines(&report)),
        (Some(SkipReason::TooLarge), vec![(400_001, 400_001)])
    );
}

const TEXT: &str = r#"id = "t"
kind = "text"
severity = "P2"
category = "J"
title = "T"
body = "B"
keywords = ["marker"]
pattern = 'marker'
valid = ["x"]
invalid = ["marker"]
"#;

#[test]
fn a_file_of_a_terabyte_is_refused_unread() {
    let tree = TempDir::new().unwrap();
    // The file has 1 TiB, so the reader must refuse it without reading it into memory.
    for (first, expected) in [(b"text".as_slice(), SkipReason::TooLarge), (b"\0", SkipReason::Binary)] {
        let file = fs::File::create(tree.path().join("a.py")).unwrap();
        std::io::Write::write_all(&mut &file, &first.repeat(10_000)).unwrap();
        file.set_len(1 << 40).unwrap();
        let request = ReadRequest {
            tree: tree.path().to_owned(),
            files: vec![ChangedFile {
                path: "a.py".into(),
                old_path: None,
                added_lines: vec![ALL],
                secrets_only: false,
            }],
            also_changed: Vec::new(),
            packs: vec!["core".to_owned()],
            disabled_rules: Vec::new(),
        };
        let report = InProcessReader::new().unwrap().read_blocking(&request).unwrap();
        assert_eq!(skip_reason(&report), Some(expected));
    }
}

#[test]
fn a_new_file_too_large_to_be_read_is_found_oversized() {
    let tree = TempDir::new().unwrap();
    fs::write(tree.path().join("a.txt"), "x\n".repeat(3_000_000)).unwrap();
    let found = |added: &[(u32, u32)]| {
        let request = ReadRequest {
            tree: tree.path().to_owned(),
            files: vec![ChangedFile {
                path: "a.txt".into(),
                old_path: None,
                added_lines: added.to_vec(),
                secrets_only: false,
            }],
            also_changed: Vec::new(),
            packs: vec!["core".to_owned()],
            disabled_rules: Vec::new(),
        };
        let report = InProcessReader::new().unwrap().read_blocking(&request).unwrap();
        report.findings.iter().map(|finding| finding.rule.clone()).collect::<Vec<_>>()
    };
    assert_eq!(found(&[(1, 3_000_000)]), ["core/oversized-file"]);
    assert_eq!(found(&[(7, 9)]), Vec::<String>::new());
}
