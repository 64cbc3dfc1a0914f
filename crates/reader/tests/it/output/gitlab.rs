//! Tests of GitLab's code quality report.

use serde_json::{Value, json};
use truing_reader::output::{DiagnosticLevel, DiagnosticReport, FileText, OutputFormat};

use super::{problems, render_diagnostics, report};

fn entry(more: Value) -> Value {
    let mut entry = json!({
        "description": "'unused' is never used.", "check_name": "no-unused-vars", "fingerprint": "7815",
        "severity": "minor", "location": { "path": "./lib/index.js", "lines": { "begin": 42 } },
    });
    entry.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry
}

fn read(entries: Value) -> DiagnosticReport {
    report(OutputFormat::Gitlab, &entries.to_string())
}

#[test]
fn an_entry_is_a_diagnostic() {
    let more = json!({ "categories": ["Bug Risk", 7], "content": { "body": "# Why" }, "engine_name": "eslint", "type": "issue" });
    let report = read(json!([entry(more)]));
    assert_eq!(render_diagnostics(&report), ["lib/index.js:42: 'unused' is never used."]);
    let found = &report.diagnostics[0];
    assert_eq!((found.tool.as_str(), found.rule.as_deref()), ("eslint", Some("no-unused-vars")));
    assert_eq!((found.fingerprint.as_deref(), found.help.as_deref()), (Some("7815"), Some("# Why")));
    assert_eq!(found.tags, ["bug risk"]);
    assert_eq!(read(json!([entry(json!({}))])).diagnostics[0].tool, "gitlab");
}

#[test]
fn severities_are_three_levels() {
    for (severity, level) in [
        (json!("info"), DiagnosticLevel::Note),
        (json!("minor"), DiagnosticLevel::Warning),
        (json!("major"), DiagnosticLevel::Error),
        (json!("critical"), DiagnosticLevel::Error),
        (json!("blocker"), DiagnosticLevel::Error),
        (Value::Null, DiagnosticLevel::Warning),
    ] {
        let report = read(json!([entry(json!({ "severity": severity }))]));
        assert_eq!(report.diagnostics[0].level, level, "{severity}");
    }
}

#[test]
fn a_place_is_lines_or_positions_or_the_file() {
    let file = FileText::new(b"1\n2\n3\n4\n");
    for (location, lines) in [
        (json!({ "path": "a", "lines": { "begin": 2, "end": 3 } }), (2, 3)),
        (json!({ "path": "a", "lines": { "begin": 3, "end": 1 } }), (3, 3)),
        (
            json!({ "path": "a", "positions": { "begin": { "line": 2, "column": 4 }, "end": { "line": 4, "column": 1 } } }),
            (2, 4),
        ),
        (json!({ "path": "a" }), (1, 1)),
    ] {
        let report = read(json!([entry(json!({ "location": location }))]));
        assert_eq!(file.range_lines(&report.diagnostics[0].range), Ok(lines), "{location}");
    }
}

#[test]
fn what_is_no_issue_is_passed_over_and_what_is_malformed_is_named() {
    let report = read(json!([
        entry(json!({ "type": "measurement" })),
        1,
        entry(json!({ "location": {} })),
        entry(json!({ "description": "" })),
        entry(json!({})),
    ]));
    assert_eq!((report.diagnostics.len(), report.left_out_count), (1, 3));
    assert_eq!(problems(&report)[1..], ["entry 2: no path", "lib/index.js:42: no message"]);
}

#[test]
fn entries_before_a_damaged_place_are_kept() {
    let text = format!("[{},{},{{\"desc", entry(json!({})), entry(json!({})));
    let report = report(OutputFormat::Gitlab, &text);
    assert_eq!((report.diagnostics.len(), report.problems.len()), (2, 1));
    assert_eq!(read(json!([])), DiagnosticReport::default());
}
