//! Tests of Reviewdog's format, both as one document and as one document per line.

use serde_json::{Value, json};
use truing_reader::output::{
    DiagnosticLevel, DiagnosticReport, FileText, OutputFormat, RangeError, resolve_fix,
};

use super::{problems, render_diagnostics, report};

fn diagnostic(range: Value) -> Value {
    json!({ "message": "wrong", "location": { "path": "a.txt", "range": range } })
}

fn read(diagnostics: Value) -> DiagnosticReport {
    report(
        OutputFormat::Rdjson,
        &json!({ "source": { "name": "super lint" }, "severity": "INFO", "diagnostics": diagnostics })
            .to_string(),
    )
}

fn position_at(line: u32, column: u32) -> Value {
    json!({ "line": line, "column": column })
}

#[test]
fn a_range_is_the_text_that_the_format_says() {
    // These ranges are examples from the format's description.
    for (text, range, bytes) in [
        ("haya14busa\n", json!({ "start": position_at(1, 5), "end": position_at(1, 7) }), "14"),
        ("abc\r\ndef\r\nghi\r\n", json!({ "start": { "line": 2 } }), "def"),
        ("abc\r\ndef\r\nghi\r\n", json!({ "start": { "line": 2 }, "end": { "line": 2 } }), "def"),
        ("abc\r\ndef\r\nghi\r\n", json!({ "start": { "line": 2 }, "end": { "line": 3 } }), "def\r\nghi"),
        ("abc\r\ndef\r\nghi\r\n", json!({ "start": { "line": 2 }, "end": position_at(3, 1) }), "def\r\n"),
        ("abc\r\ndef\r\nghi\r\n", json!({ "start": position_at(2, 1), "end": position_at(2, 4) }), "def"),
        ("abc\n", json!({ "start": position_at(1, 2) }), ""),
        ("a𐐀b\n", json!({ "start": position_at(1, 2), "end": position_at(1, 6) }), "𐐀"),
        (
            "a𐐀b\n",
            json!({ "start": { "line": "1", "column": "6" }, "end": { "line": 1, "column": 7.0 } }),
            "b",
        ),
    ] {
        let found = read(json!([diagnostic(range.clone())]));
        let range_found = FileText::new(text.as_bytes()).byte_range(&found.diagnostics[0].range).unwrap();
        assert_eq!(&text[range_found], bytes, "{range}");
    }
    let within = read(json!([diagnostic(json!({ "start": position_at(1, 3), "end": position_at(1, 4) }))]));
    let wrong = FileText::new("a𐐀b\n".as_bytes()).byte_range(&within.diagnostics[0].range);
    assert_eq!(wrong, Err(RangeError::InvalidColumn { line: 1, column: 3 }), "within a character");
}

#[test]
fn a_diagnostic_takes_what_it_does_not_say_from_the_whole() {
    let own = json!({ "source": { "name": "x" }, "severity": "ERROR", "code": { "value": "C1", "url": "https://x.example/C1" } });
    let mut entry = diagnostic(Value::Null);
    entry.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    let report = read(json!([diagnostic(Value::Null), entry]));
    let [one, two] = &report.diagnostics[..] else { panic!("{report:?}") };
    assert_eq!(
        (one.tool.as_str(), one.level, one.rule.as_deref()),
        ("super lint", DiagnosticLevel::Note, None)
    );
    assert_eq!(
        (two.tool.as_str(), two.level, two.rule.as_deref()),
        ("x", DiagnosticLevel::Error, Some("C1"))
    );
    assert_eq!(two.rule_page_url.as_deref(), Some("https://x.example/C1"));
}

#[test]
fn a_severity_is_a_name_or_a_number() {
    for (severity, level) in [
        (json!("ERROR"), DiagnosticLevel::Error),
        (json!(1), DiagnosticLevel::Error),
        (json!("WARNING"), DiagnosticLevel::Warning),
        (json!(3), DiagnosticLevel::Note),
        (json!("UNKNOWN_SEVERITY"), DiagnosticLevel::Warning),
        (json!(0), DiagnosticLevel::Warning),
        (Value::Null, DiagnosticLevel::Warning),
    ] {
        let line = json!({ "message": "m", "location": { "path": "a" }, "severity": severity }).to_string();
        assert_eq!(report(OutputFormat::Rdjsonl, &line).diagnostics[0].level, level, "{severity}");
    }
}

#[test]
fn a_suggestion_is_a_fix_by_itself_and_one_without_sound_range_is_left_out() {
    let suggestions = json!([
        { "range": { "start": position_at(1, 5), "end": position_at(1, 5) }, "text": "15" },
        { "range": { "start": position_at(1, 5) , "end": position_at(1, 7) }, "text": "" },
        { "range": { "start": { "line": 1 } }, "text": "whole" },
        { "range": { "start": position_at(1, 5), "end": { "line": 1 } }, "text": "mixed" },
        { "range": { "start": position_at(1, 5), "end": position_at(1, 2) }, "text": "backwards" },
        { "text": "nowhere" },
        "wrong",
    ]);
    let mut entry = diagnostic(json!({ "start": position_at(1, 5) }));
    entry["suggestions"] = suggestions;
    let report = read(json!([entry]));
    let found = &report.diagnostics[0];
    assert_eq!(
        (found.fixes.len(), report.problems.len(), report.left_out_count),
        (3, 4, 0),
        "{:?}",
        report.problems
    );
    let text = "hayabusa\r\nb\r\n";
    let applied = |index: usize| {
        let edits = resolve_fix(&found.fixes[index], &found.path, &FileText::new(text.as_bytes())).unwrap();
        let mut applied = text.to_owned();
        applied.replace_range(edits[0].range.clone(), &edits[0].new_text);
        applied
    };
    assert_eq!(
        [applied(0), applied(1), applied(2)],
        ["haya15busa\r\nb\r\n", "hayasa\r\nb\r\n", "whole\r\nb\r\n"]
    );
}

#[test]
fn each_line_stands_alone() {
    let line = |path: &str| json!({ "message": "m", "location": { "path": path } }).to_string();
    let text = format!("{}\r\n\n{{\"message\"\n[]\n{}\nnpm ERR!\n{}", line("a"), line("/b"), line("c"));
    let report = report(OutputFormat::Rdjsonl, &text);
    assert_eq!(
        (render_diagnostics(&report), report.left_out_count),
        (vec!["a:0: m".to_owned(), "c:0: m".to_owned()], 4)
    );
    let begins: Vec<&str> = problems(&report).iter().map(|text| text.split(':').next().unwrap()).collect();
    assert_eq!(begins, ["line 3", "line 4", "line 5", "line 6"]);
}

#[test]
fn a_malformed_diagnostic_costs_itself_alone() {
    let report = read(
        json!([diagnostic(json!({ "start": { "line": [] } })), { "message": "m" }, { "location": { "path": "b" } }, diagnostic(Value::Null)]),
    );
    assert_eq!((render_diagnostics(&report), report.left_out_count), (vec!["a.txt:0: wrong".to_owned()], 3));
    assert_eq!(problems(&report)[1..], ["diagnostic 1: no path", "b: no message"]);
    for text in ["", "[]", "{\"diagnostics\": 1}", "{\"diagnostics\": [{}"] {
        assert_eq!(super::report(OutputFormat::Rdjson, text).problems.len(), 1, "{text}");
    }
}
