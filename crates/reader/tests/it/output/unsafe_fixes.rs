//! For each format, tests that only safe fixes, which the tool applies by default, become suggestions.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use truing_core::port::ToolFindings;
use truing_reader::WithheldFix;

use super::misread::{Tree, foreign_output};

/// Returns the suggestion of the only finding in a file of one line, or `None` if the finding has no
/// suggestion.
fn suggestions(path: &str, text: &str, format: &str, output: &Value) -> Vec<Option<String>> {
    let tree = Tree::from_files(&BTreeMap::from([(path.to_owned(), text.to_owned())]));
    let found: ToolFindings = tree.read(foreign_output(format, "", &output.to_string())).unwrap();
    assert_eq!(found.findings.len(), 1, "{format}: {found:?}");
    let raw = found.findings.into_iter().next().unwrap();
    assert_eq!(
        raw.suggestion.is_some(),
        WithheldFix::from_finding(&raw).is_none(),
        "why there is none: {raw:?}"
    );
    vec![raw.suggestion.map(|suggestion| suggestion.replacement)]
}

fn range(first: u32, last: u32) -> Value {
    json!({ "start": { "line": 1, "column": first }, "end": { "line": 1, "column": last } })
}

#[test]
fn rdjson_suggests_nothing_of_tools_whose_unsafe_fixes_it_does_not_tell_apart() {
    let unsafe_in = ["ruff", "Ruff", "biome", "clippy", "rubocop"];
    let tools = unsafe_in
        .map(|tool| (tool, true))
        .into_iter()
        .chain(["eslint", "truing", "my-linter"].map(|tool| (tool, false)));
    // ESLint's fixes are accepted, because its formatter writes only `fix`, never `suggestions`.
    for (tool, is_held_back) in tools {
        let entry = json!({
            "message": "Comparison to `None` should be `cond is None`",
            "location": { "path": "a.py", "range": range(3, 5) },
            "code": { "value": "E711" },
            "suggestions": [{ "range": range(3, 5), "text": "is" }],
        });
        let mut line = entry.clone();
        line["source"] = json!({ "name": tool });
        let whole = json!({ "source": { "name": tool }, "severity": "WARNING", "diagnostics": [entry] });
        let expected = [(!is_held_back).then(|| "x is None".to_owned())];
        assert_eq!(suggestions("a.py", "x == None\n", "rdjson", &whole), expected, "{tool}");
        assert_eq!(suggestions("a.py", "x == None\n", "rdjsonl", &line), expected, "{tool}");
    }
}

#[test]
fn the_option_that_names_the_tool_counts() {
    let tree = Tree::from_files(&BTreeMap::from([("a.py".to_owned(), "x == None\n".to_owned())]));
    let whole = json!({ "diagnostics": [{
        "message": "m", "location": { "path": "a.py", "range": range(3, 5) },
        "suggestions": [{ "range": range(3, 5), "text": "is" }],
    }] });
    let mut output = foreign_output("rdjson", "", &whole.to_string());
    if let Some(foreign) = &mut output.foreign {
        foreign.tool = Some("ruff".to_owned());
    }
    let found = tree.read(output).unwrap();
    assert_eq!((found.findings.len(), &found.findings[0].suggestion), (1, &None));
}

#[test]
fn sarif_suggests_nothing() {
    let region = json!({ "startLine": 1, "startColumn": 3, "endColumn": 5 });
    for tool in ["ruff", "clippy", "Biome", "ESLint"] {
        let log = json!({ "version": "2.1.0", "runs": [{
            "tool": { "driver": { "name": tool } },
            "results": [{
                "ruleId": "E711", "message": { "text": "m" },
                "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "a.py" }, "region": region } }],
                "fixes": [{ "artifactChanges": [{
                    "artifactLocation": { "uri": "a.py" },
                    "replacements": [{ "deletedRegion": region, "insertedContent": { "text": "is" } }],
                }] }],
            }],
        }] });
        assert_eq!(suggestions("a.py", "x == None\n", "sarif", &log), [None], "{tool}");
    }
}

#[test]
fn ruffs_json_suggests_what_ruff_calls_safe() {
    for (applicability, is_safe) in [("safe", true), ("unsafe", false), ("display", false), ("new", false)] {
        let (start, end) = (json!({ "row": 1, "column": 3 }), json!({ "row": 1, "column": 5 }));
        let entry = json!([{
            "cell": null, "code": "E711", "filename": "a.py", "message": "m", "location": start,
            "end_location": end, "noqa_row": 1,
            "fix": { "applicability": applicability, "message": "f",
                "edits": [{ "content": "is", "location": start, "end_location": end }] },
        }]);
        let expected = [is_safe.then(|| "x is None".to_owned())];
        assert_eq!(suggestions("a.py", "x == None\n", "ruff-json", &entry), expected, "{applicability}");
    }
}

#[test]
fn cargos_json_suggests_what_a_machine_may_apply() {
    for (applicability, is_safe) in [
        (json!("MachineApplicable"), true),
        (json!("MaybeIncorrect"), false),
        (json!("HasPlaceholders"), false),
        (json!("Unspecified"), false),
        (Value::Null, false),
    ] {
        let span = |extra: Value| {
            let mut span = json!({
                "file_name": "a.rs", "line_start": 1, "column_start": 12, "line_end": 1, "column_end": 15,
                "is_primary": true, "expansion": null,
            });
            for (name, value) in extra.as_object().unwrap() {
                span[name] = value.clone();
            }
            span
        };
        let message = json!({ "reason": "compiler-message", "package_id": "p", "message": {
            "message": "m", "level": "warning", "code": { "code": "clippy::x" }, "spans": [span(json!({}))],
            "children": [{ "message": "help", "level": "help", "spans": [
                span(json!({ "suggested_replacement": "new", "suggestion_applicability": applicability })),
            ] }],
        } });
        let expected = [is_safe.then(|| "fn main() {new}".to_owned())];
        assert_eq!(
            suggestions("a.rs", "fn main() {old}\n", "cargo-json", &message),
            expected,
            "{applicability}"
        );
    }
}

#[test]
fn eslints_json_suggests_its_fix_and_none_of_its_suggestions() {
    let edit = json!({ "range": [2, 4], "text": "===" });
    for (fix, expected) in [(edit.clone(), Some("x === y;".to_owned())), (Value::Null, None)] {
        let output = json!([{ "filePath": "a.js", "errorCount": 1, "messages": [{
            "ruleId": "eqeqeq", "severity": 2, "message": "m", "line": 1, "column": 3, "endLine": 1, "endColumn": 5,
            "fix": fix, "suggestions": [{ "desc": "d", "fix": edit }],
        }] }]);
        assert_eq!(suggestions("a.js", "x == y;\n", "eslint-json", &output), [expected]);
    }
}
