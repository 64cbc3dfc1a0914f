//! Tests of the conversion of diagnostics to findings.

use std::collections::BTreeMap;

use truing_core::finding::{DefectCategory, DiffSide, FindingSource, Severity};
use truing_reader::output::{
    ColumnUnit, Diagnostic, DiagnosticLevel, DiagnosticMapping, DiagnosticRange, FileText, LevelSeverities,
    RangeError, ToolEdit, ToolFix, map_diagnostic, rule_name,
};

fn diagnostic(range: DiagnosticRange) -> Diagnostic {
    Diagnostic { rule: Some("R1".to_owned()), ..Diagnostic::new("Lint", "a.py".into(), range, "wrong") }
}

/// The start and the end of an edit, each as a line and a column, and the new text.
type Edit<'a> = ((u32, u32), (u32, u32), &'a str);

/// Returns the suggestion that the finding of a diagnostic with these edits has. `lines` are the first and
/// last line of the finding, and `text` is the text of the file.
fn suggestion_for(lines: (u32, u32), text: &str, edits: &[Edit<'_>]) -> Option<String> {
    let edit = |(start, end, new): &Edit<'_>| ToolEdit {
        path: "a.py".into(),
        range: DiagnosticRange::from_exact_positions(*start, *end, ColumnUnit::CodePoint).unwrap(),
        new_text: (*new).to_owned(),
    };
    let fixes = vec![ToolFix { message: None, edits: edits.iter().map(edit).collect() }];
    let found = Diagnostic { fixes, ..diagnostic(DiagnosticRange::from_lines(lines.0, lines.1)) };
    let found =
        map_diagnostic(&found, &FileText::new(text.as_bytes()), &DiagnosticMapping::default()).unwrap();
    found.suggestion.map(|suggestion| suggestion.replacement)
}

#[test]
fn a_finding_is_the_lines_of_its_diagnostic_with_its_rule() {
    let found = Diagnostic {
        help: Some("Do *this*.".to_owned()),
        rule_page_url: Some("https://lint.example/R1".to_owned()),
        title: Some("No x".to_owned()),
        ..diagnostic(DiagnosticRange::from_positions((2, 3), (3, 2), ColumnUnit::Byte))
    };
    let found =
        map_diagnostic(&found, &FileText::new(b"a = 1\r\n  b = 2\r\nc\r\n"), &DiagnosticMapping::default())
            .unwrap();
    assert_eq!(
        (found.location.start_line, found.location.end_line, found.location.side),
        (2, 3, DiffSide::New)
    );
    assert_eq!((found.location.path.as_str(), found.rule.as_str()), (Some("a.py"), "lint/R1"));
    assert_eq!((found.title.as_str(), found.snippet.as_str()), ("wrong", "  b = 2\nc"));
    assert_eq!(found.body, "Do *this*.\n\n<https://lint.example/R1>");
    assert_eq!(
        (found.severity, found.category, found.source),
        (Severity::P2, DefectCategory::J, FindingSource::Tool)
    );
    assert_eq!(found.suggestion, None);
}

#[test]
fn a_finding_of_the_file_as_a_whole_is_on_its_first_line_and_shows_none() {
    let found = map_diagnostic(
        &diagnostic(DiagnosticRange::WholeFile),
        &FileText::new(b"a\nb\n"),
        &DiagnosticMapping::default(),
    )
    .unwrap();
    assert_eq!((found.location.start_line, found.location.end_line, found.snippet.as_str()), (1, 1, ""));
    let beyond = map_diagnostic(
        &diagnostic(DiagnosticRange::from_lines(9, 9)),
        &FileText::new(b"a\n"),
        &DiagnosticMapping::default(),
    );
    assert_eq!(beyond, Err(RangeError::LineOutOfRange { line: 9, line_count: 1 }));
}

#[test]
fn a_long_message_is_a_short_title_and_a_whole_paragraph_in_which_nothing_acts() {
    let message = format!("{} @someone <b>", "word ".repeat(60));
    let found = Diagnostic { message, ..diagnostic(DiagnosticRange::from_lines(1, 1)) };
    let found = map_diagnostic(&found, &FileText::new(b"a\n"), &DiagnosticMapping::default()).unwrap();
    assert!(found.title.len() < 250 && found.title.ends_with('…'), "{}", found.title);
    assert!(found.body.contains("someone") && !found.body.contains("@someone"), "{}", found.body);
    assert!(!found.body.contains("<b>"), "{}", found.body);
    let wide = Diagnostic { message: "漢".repeat(190), ..diagnostic(DiagnosticRange::from_lines(1, 1)) };
    let wide = map_diagnostic(&wide, &FileText::new(b"a\n"), &DiagnosticMapping::default()).unwrap();
    assert!(wide.title.len() < 500 && wide.title.ends_with('…') && wide.body.contains(&"漢".repeat(190)));
}

#[test]
fn a_severity_is_of_the_rule_or_of_the_tool_or_of_the_level() {
    let severity = |severities: &[(&str, Severity)], level: DiagnosticLevel| {
        let severities: BTreeMap<String, Severity> =
            severities.iter().map(|(name, is)| ((*name).to_owned(), *is)).collect();
        let levels = LevelSeverities { error: Severity::P0, ..LevelSeverities::default() };
        let mapping =
            DiagnosticMapping { rule_severities: severities, levels, ..DiagnosticMapping::default() };
        let found = Diagnostic { level, ..diagnostic(DiagnosticRange::from_lines(1, 1)) };
        map_diagnostic(&found, &FileText::new(b"a\n"), &mapping).unwrap().severity
    };
    assert_eq!(
        [DiagnosticLevel::Error, DiagnosticLevel::Warning, DiagnosticLevel::Note]
            .map(|level| severity(&[], level)),
        [Severity::P0, Severity::P2, Severity::P2]
    );
    assert_eq!(severity(&[("lint", Severity::P1)], DiagnosticLevel::Note), Severity::P1);
    assert_eq!(
        severity(&[("lint", Severity::P1), ("lint/R1", Severity::P2)], DiagnosticLevel::Error),
        Severity::P2
    );
    assert_eq!(severity(&[("lint/R2", Severity::P1)], DiagnosticLevel::Note), Severity::P2);
    assert_eq!(LevelSeverities::default().error, Severity::P1);
}

#[test]
fn a_category_is_of_the_rule_or_of_a_tag_or_of_the_tool() {
    let category = |categories: &[(&str, DefectCategory)], tags: &[&str]| {
        let own = categories.iter().map(|(name, is)| ((*name).to_owned(), *is));
        let mut mapping = DiagnosticMapping::default();
        mapping.categories.extend(own);
        let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        let found = Diagnostic { tags, ..diagnostic(DiagnosticRange::from_lines(1, 1)) };
        map_diagnostic(&found, &FileText::new(b"a\n"), &mapping).unwrap().category
    };
    assert_eq!(category(&[], &["style", "security"]), DefectCategory::H);
    assert_eq!(category(&[("lint", DefectCategory::D)], &[]), DefectCategory::D);
    assert_eq!(category(&[("lint", DefectCategory::D)], &["security"]), DefectCategory::H);
    assert_eq!(category(&[("lint/R1", DefectCategory::I)], &["security"]), DefectCategory::I);
}

#[test]
fn a_rule_has_a_name_as_the_rules_of_packs_have() {
    let reserved = ["core".to_owned()];
    for (tool, rule, name) in [
        ("ESLint", Some("@typescript-eslint/no-shadow"), "eslint/typescript-eslint.no-shadow"),
        ("clippy", Some("clippy::unwrap_used"), "clippy/clippy.unwrap_used"),
        ("super lint", Some("a  b"), "super-lint/a-b"),
        ("Core", Some("x"), "tool-core/x"),
        ("mypy", None, "mypy/diagnostic"),
        ("", Some("é"), "tool/diagnostic"),
        ("../..", Some("../x"), "tool/x"),
    ] {
        assert_eq!(rule_name(tool, rule, &reserved), name, "{tool} {rule:?}");
    }
    assert!(rule_name(&"x".repeat(500), Some(&"y".repeat(500)), &[]).len() <= 200);
}

#[test]
fn a_fix_within_the_lines_is_their_replacement() {
    let text = "a = 1\r\nb = 2\r\nc = 3";
    assert_eq!(suggestion_for((2, 2), text, &[((2, 5), (2, 6), "4")]).as_deref(), Some("b = 4"));
    assert_eq!(suggestion_for((1, 2), text, &[((1, 5), (2, 5), "")]).as_deref(), Some("a = 2"));
    assert_eq!(
        suggestion_for((1, 2), text, &[((1, 1), (1, 2), "x"), ((2, 1), (2, 2), "y\nz")]).as_deref(),
        Some("x = 1\ny\nz = 2")
    );
    assert_eq!(suggestion_for((3, 3), text, &[((3, 6), (3, 6), "\n")]).as_deref(), Some("c = 3\n"));
    // If the edits delete all lines of the finding, the suggestion is empty.
    assert_eq!(suggestion_for((2, 2), text, &[((2, 1), (3, 1), "")]).as_deref(), Some(""));
    assert_eq!(suggestion_for((1, 1), "\u{feff}a\nb\n", &[((1, 1), (1, 2), "c")]).as_deref(), Some("c"));
}

#[test]
fn a_fix_that_is_not_of_whole_lines_within_the_finding_is_no_suggestion() {
    let text = "a = 1\nb = 2\nc = 3\n";
    for edits in [
        &[((1, 1), (1, 2), "x")][..],
        &[((2, 1), (2, 2), "x"), ((3, 1), (3, 2), "y")],
        &[((2, 6), (3, 1), "")],
        &[((3, 1), (3, 1), "new\n")],
        &[((2, 1), (2, 6), "")],
        &[((2, 1), (2, 2), "b")],
        &[((2, 1), (2, 9), "x")],
    ] {
        assert_eq!(suggestion_for((2, 2), text, edits), None, "{edits:?}");
    }
    let long = "x".repeat(9000);
    assert_eq!(suggestion_for((2, 2), text, &[((2, 1), (2, 2), &long)]), None);
}

#[test]
fn of_several_fixes_the_first_that_can_be_applied_is_suggested() {
    let fix = |column: u32, text: &str| ToolFix {
        message: None,
        edits: vec![ToolEdit {
            path: "a.py".into(),
            range: DiagnosticRange::from_exact_positions((1, column), (1, column + 1), ColumnUnit::Byte)
                .unwrap(),
            new_text: text.to_owned(),
        }],
    };
    let found = Diagnostic {
        fixes: vec![fix(99, "x"), fix(1, "y"), fix(1, "z")],
        ..diagnostic(DiagnosticRange::from_lines(1, 1))
    };
    let found = map_diagnostic(&found, &FileText::new(b"ab\n"), &DiagnosticMapping::default()).unwrap();
    assert_eq!(found.suggestion.map(|suggestion| suggestion.replacement).as_deref(), Some("yb"));
}

#[test]
fn no_text_of_a_finding_holds_a_secret_of_its_file() {
    let secret = ["AKIA", "QYLPMN5HHHFPZAM2"].concat();
    let text = format!("key = \"{secret}\"\n");
    let fixes = vec![ToolFix {
        message: None,
        edits: vec![ToolEdit {
            path: "a.py".into(),
            range: DiagnosticRange::from_exact_positions((1, 1), (1, 4), ColumnUnit::Byte).unwrap(),
            new_text: "name".to_owned(),
        }],
    }];
    let found = Diagnostic {
        message: format!("found {secret}"),
        help: Some(format!("It is `{secret}`.")),
        fixes,
        ..diagnostic(DiagnosticRange::from_lines(1, 1))
    };
    let found =
        map_diagnostic(&found, &FileText::new(text.as_bytes()), &DiagnosticMapping::default()).unwrap();
    for shown in [&found.title, &found.body, &found.snippet] {
        assert!(shown.contains("AKIA…") && !shown.contains(&secret), "{shown}");
    }
    assert_eq!(found.suggestion, None);
}

#[test]
fn a_snippet_is_a_few_bounded_lines_without_control_characters() {
    let text = format!("\u{feff}a\u{1b}[31m\r{}\n", "x".repeat(5000)) + &"line\n".repeat(100);
    let found = map_diagnostic(
        &diagnostic(DiagnosticRange::from_lines(1, 90)),
        &FileText::new(text.as_bytes()),
        &DiagnosticMapping::default(),
    )
    .unwrap();
    assert!(found.snippet.len() < 4000 && found.snippet.lines().count() <= 8, "{}", found.snippet);
    assert!(!found.snippet.contains(['\u{1b}', '\r', '\u{feff}']));
    assert_eq!((found.location.start_line, found.location.end_line), (1, 90));
}
