//! Tests of SARIF: locations, rules, levels, messages, fixes, and tool failures that the log reports.

use serde_json::{Value, json};
use truing_reader::output::{
    Diagnostic, DiagnosticLevel, DiagnosticReport, FileText, OutputFormat, ProblemKind, RangeError, ToolFix,
    recognize_format,
};

use super::{problems, render_diagnostics, report, report_at};

/// Returns a log of one run with these results; `run` contains additional fields of the run.
fn log(run: Value, results: Value) -> String {
    let mut whole = json!({ "tool": { "driver": { "name": "Lint" } }, "results": results });
    if let (Some(whole), Value::Object(run)) = (whole.as_object_mut(), run) {
        whole.extend(run);
    }
    json!({ "version": "2.1.0", "runs": [whole] }).to_string()
}

fn result(uri: &str, line: u32) -> Value {
    json!({
        "ruleId": "R1",
        "message": { "text": "wrong" },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri }, "region": { "startLine": line },
        } }],
    })
}

fn merge_fields(mut value: Value, more: Value) -> Value {
    if let (Some(value), Value::Object(more)) = (value.as_object_mut(), more) {
        value.extend(more);
    }
    value
}

fn read(run: Value, results: Value) -> DiagnosticReport {
    report(OutputFormat::Sarif, &log(run, results))
}

fn read_one(run: Value, result: Value) -> Diagnostic {
    let mut report = read(run, json!([result]));
    assert_eq!((report.diagnostics.len(), problems(&report)), (1, vec![]));
    report.diagnostics.remove(0)
}

#[test]
fn a_result_is_a_diagnostic_with_all_that_its_rule_says() {
    let rule = json!({
        "id": "R1", "shortDescription": { "text": "No *x*" }, "fullDescription": { "text": "Long." },
        "help": { "text": "Plain.", "markdown": "Do **y**.\n\n* z" }, "helpUri": "https://lint.example/R1",
        "defaultConfiguration": { "level": "error" },
        "properties": { "tags": ["Correctness", "cwe"], "security-severity": "7.1" },
    });
    let run = json!({ "tool": { "driver": { "name": "Lint", "rules": [rule] } } });
    let found =
        read_one(run, merge_fields(result("src/a.py", 3), json!({ "properties": { "tags": ["own"] } })));
    assert_eq!(
        (found.tool.as_str(), found.rule.as_deref(), found.message.as_str()),
        ("Lint", Some("R1"), "wrong")
    );
    assert_eq!(
        (found.level, found.path.as_str(), found.range.first_line()),
        (DiagnosticLevel::Error, Some("src/a.py"), Some(3))
    );
    assert_eq!(found.title.as_deref(), Some("No *x*"));
    assert_eq!(found.help.as_deref(), Some("Do **y**.\n\n* z"));
    assert_eq!(found.rule_page_url.as_deref(), Some("https://lint.example/R1"));
    assert_eq!(found.tags, ["security", "own", "correctness", "cwe"]);
    assert!(!found.is_suppressed && found.fixes.is_empty() && found.fingerprint.is_none());
}

#[test]
fn every_run_is_read_and_each_has_its_own_tool() {
    let run = |name: &str, uri: &str| json!({ "tool": { "driver": { "name": name } }, "results": [result(uri, 1)] });
    let text = json!({ "runs": [run("one", "a.py"), "no run", run(" ", "b.py")] }).to_string();
    let report = report(OutputFormat::Sarif, &text);
    let tools: Vec<&str> = report.diagnostics.iter().map(|found| found.tool.as_str()).collect();
    assert_eq!(tools, ["one", "sarif"]);
    assert_eq!(render_diagnostics(&report), ["a.py:1: wrong", "b.py:1: wrong"]);
    assert!(matches!(problems(&report)[..], [text] if text.starts_with("run 1: ")), "{:?}", report.problems);
}

#[test]
fn a_region_is_the_text_that_the_standard_says() {
    // This is the example file of section 3.30.2 of the SARIF standard, with its regions.
    let text = "abcd\r\nefg\r\nhijk\r\nlmn\r\n";
    let cases = [
        (json!({ "startLine": 1, "startColumn": 2, "endLine": 1, "endColumn": 4 }), "bc", (1, 1)),
        (json!({ "charOffset": 1, "charLength": 2 }), "bc", (1, 1)),
        (json!({ "startLine": 2 }), "efg", (2, 2)),
        (json!({ "startLine": 2, "endLine": 3 }), "efg\r\nhijk", (2, 3)),
        (json!({ "startLine": 2, "endLine": 3, "endColumn": 1 }), "efg\r\n", (2, 2)),
        (json!({ "startLine": 1, "startColumn": 2, "endColumn": 2 }), "", (1, 1)),
        (json!({ "startLine": 3, "startColumn": 3 }), "jk", (3, 3)),
        (json!({ "startLine": 4, "startColumn": 6, "endColumn": 6 }), "", (4, 4)),
        (json!({ "charOffset": 22, "charLength": 0 }), "", (4, 4)),
        (json!({ "byteOffset": 11, "byteLength": 6 }), "hijk\r\n", (3, 3)),
        (json!({ "startLine": 3, "charOffset": -1, "byteOffset": -1 }), "hijk", (3, 3)),
    ];
    let file = FileText::new(text.as_bytes());
    for (region, bytes, lines) in cases {
        let place = json!([{ "physicalLocation": { "artifactLocation": { "uri": "a" }, "region": region } }]);
        let found = read_one(json!({}), merge_fields(result("a", 1), json!({ "locations": place })));
        let range = file.byte_range(&found.range).unwrap();
        assert_eq!((&text[range], file.range_lines(&found.range)), (bytes, Ok(lines)), "{region}");
    }
}

#[test]
fn columns_count_in_the_units_that_the_run_names_and_else_in_utf_16() {
    let text = "é😀x = 1\n";
    let file = FileText::new(text.as_bytes());
    for (kind, column) in [
        (json!({}), 4),
        (json!({ "columnKind": "utf16CodeUnits" }), 4),
        (json!({ "columnKind": "unicodeCodePoints" }), 3),
    ] {
        let region = json!({ "startLine": 1, "startColumn": column, "endColumn": column + 1 });
        let place = json!([{ "physicalLocation": { "artifactLocation": { "uri": "a" }, "region": region } }]);
        let found = read_one(kind.clone(), merge_fields(result("a", 1), json!({ "locations": place })));
        assert_eq!(&text[file.byte_range(&found.range).unwrap()], "x", "{kind}");
    }
}

#[test]
fn a_malformed_region_is_its_line_and_without_one_it_is_the_file() {
    for (region, line) in [
        (json!({ "startLine": 5, "startColumn": 0, "endLine": 2 }), Some(5)),
        (json!({ "startLine": 5, "endLine": 4, "endColumn": 1 }), Some(5)),
        (json!({ "startLine": 0 }), None),
        (json!({}), None),
        (Value::Null, None),
    ] {
        let place = json!([{ "physicalLocation": { "artifactLocation": { "uri": "a" }, "region": region } }]);
        let found = read_one(json!({}), merge_fields(result("a", 1), json!({ "locations": place })));
        assert_eq!(found.range.first_line(), line, "{region}");
    }
}

#[test]
fn bases_are_followed_through_a_chain_and_a_circle_has_no_end() {
    let bases = json!({ "originalUriBaseIds": {
        "ROOT": { "uri": "file:///build/project/" }, "SRC": { "uri": "src/", "uriBaseId": "ROOT" },
        "OPEN": {}, "LIB": { "uri": "lib%20s/", "uriBaseId": "OPEN" },
        "A": { "uri": "a/", "uriBaseId": "B" }, "B": { "uri": "b/", "uriBaseId": "A" },
    } });
    let at = |uri: &str, base: &str| {
        let place = json!({ "uri": uri, "uriBaseId": base });
        merge_fields(
            result("x", 1),
            json!({ "locations": [{ "physicalLocation": { "artifactLocation": place } }] }),
        )
    };
    let results = json!([
        at("x%20y.py", "SRC"),
        at("x.py", "LIB"),
        at("x.py", "NOWHERE"),
        at("x.py", "A"),
        at("../../up.py", "SRC"),
    ]);
    let report = report_at(OutputFormat::Sarif, "/build/project", &log(bases, results));
    assert_eq!(render_diagnostics(&report), ["src/x y.py:0: wrong", "lib s/x.py:0: wrong", "x.py:0: wrong"]);
    assert_eq!(report.left_out_count, 2);
    assert!(
        problems(&report).iter().all(|text| text.contains("outside of the tree")),
        "{:?}",
        report.problems
    );
}

#[test]
fn without_a_known_root_it_is_where_the_repository_was_checked_out_or_the_folder_of_all_bases() {
    let uri = "file:///C:/Build/project/src/a.py";
    let bases = json!({ "SRC": { "uri": "file:///c:/build/project/src/" }, "BIN": { "uri": "file:///c:/build/project/bin/" } });
    let read = |run: Value| render_diagnostics(&read(run, json!([result(uri, 2)])));
    assert_eq!(read(json!({ "originalUriBaseIds": bases })), ["src/a.py:2: wrong"]);
    let checked_out = json!([{ "mappedTo": { "uriBaseId": "SRC" } }]);
    let run = json!({ "originalUriBaseIds": bases, "versionControlProvenance": checked_out });
    assert_eq!(read(run.clone()), ["a.py:2: wrong"]);
    assert_eq!(read(json!({})), [""; 0]);
    // A root that the context passes takes precedence over the roots in the log.
    let known = report_at(OutputFormat::Sarif, r"C:\build", &log(run, json!([result(uri, 2)])));
    assert_eq!(render_diagnostics(&known), ["project/src/a.py:2: wrong"]);
    let far = json!({ "A": { "uri": "file:///a/" }, "B": { "uri": "file:///b/" } });
    let report = super::report(
        OutputFormat::Sarif,
        &log(json!({ "originalUriBaseIds": far }), json!([result("file:///a/x", 1)])),
    );
    assert!(matches!(problems(&report)[..], [text] if text.contains("the root of the tree on the tool's \
            machine is not known")));
}

#[test]
fn an_artifact_is_found_by_its_index_unless_it_is_within_another_one() {
    let run = json!({ "artifacts": [
        { "location": { "uri": "a.py" } }, "wrong", { "location": { "uri": "b.py" }, "parentIndex": 0 },
        { "location": { "uri": "c.py" }, "parentIndex": -1 },
    ] });
    let at = |index: i64| {
        let place = json!({ "artifactLocation": { "index": index } });
        merge_fields(result("x", 1), json!({ "locations": [{ "physicalLocation": place }] }))
    };
    let report = read(run, json!([at(0), at(1), at(2), at(3), at(-1), at(9)]));
    assert_eq!(
        (render_diagnostics(&report), report.left_out_count),
        (vec!["a.py:0: wrong".to_owned(), "c.py:0: wrong".to_owned()], 4)
    );
}

#[test]
fn a_rule_is_found_by_index_by_name_by_guid_and_in_extensions() {
    let rule = |id: &str, title: &str| json!({ "id": id, "guid": format!("g-{title}"), "shortDescription": { "text": title } });
    let run = json!({ "tool": {
        "driver": { "name": "Lint", "rules": [rule("R1", "one"), rule("R2", "two")] },
        "extensions": [{ "name": "Pack", "guid": "p", "rules": [rule("R3", "three"), rule("R1", "hidden")] }],
    } });
    let pack = |reference: Value| json!({ "ruleId": null, "rule": merge_fields(reference, json!({ "toolComponent": { "index": 0 } })) });
    for (reference, title, name) in [
        (json!({ "ruleId": "R2" }), Some("two"), Some("R2")),
        (json!({ "ruleId": null, "ruleIndex": 1 }), Some("two"), Some("R2")),
        (json!({ "ruleId": "R1", "ruleIndex": 1 }), Some("one"), Some("R1")),
        (json!({ "ruleId": "R2/md5", "ruleIndex": 1 }), Some("two"), Some("R2/md5")),
        (json!({ "ruleId": "R2/md5" }), Some("two"), Some("R2/md5")),
        (json!({ "ruleId": "R3" }), Some("three"), Some("R3")),
        (pack(json!({ "index": 0 })), Some("three"), Some("R3")),
        (pack(json!({ "id": "R1", "index": 1 })), Some("hidden"), Some("R1")),
        (pack(json!({ "guid": "g-hidden" })), Some("hidden"), Some("R1")),
        (
            json!({ "ruleId": null, "rule": { "id": "R1", "toolComponent": { "name": "Pack" }, "index": 1 } }),
            Some("hidden"),
            Some("R1"),
        ),
        (json!({ "ruleId": "R9", "ruleIndex": -1 }), None, Some("R9")),
        (json!({ "ruleId": null, "ruleIndex": 99 }), None, None),
    ] {
        let found = read_one(run.clone(), merge_fields(result("a", 1), reference.clone()));
        assert_eq!((found.title.as_deref(), found.rule.as_deref()), (title, name), "{reference}");
    }
}

#[test]
fn a_level_is_the_results_own_or_an_invocations_or_the_rules_or_a_warning() {
    let run = json!({
        "tool": { "driver": { "name": "Lint", "rules": [
            { "id": "R1", "defaultConfiguration": { "level": "note" } }, { "id": "R2" },
        ] } },
        "invocations": [{ "executionSuccessful": true, "ruleConfigurationOverrides": [
            { "descriptor": { "id": "R1" }, "configuration": { "level": "error" } },
        ] }],
    });
    for (more, level) in [
        (json!({}), DiagnosticLevel::Note),
        (json!({ "level": "error" }), DiagnosticLevel::Error),
        (json!({ "level": "none" }), DiagnosticLevel::Note),
        (json!({ "provenance": { "invocationIndex": 0 } }), DiagnosticLevel::Error),
        (json!({ "provenance": { "invocationIndex": -1 } }), DiagnosticLevel::Note),
        (json!({ "ruleId": "R2" }), DiagnosticLevel::Warning),
        (json!({ "ruleId": "R3" }), DiagnosticLevel::Warning),
        (json!({ "ruleId": "R2", "kind": "review" }), DiagnosticLevel::Note),
        (json!({ "ruleId": "R2", "level": "dreadful" }), DiagnosticLevel::Warning),
    ] {
        let found = read_one(run.clone(), merge_fields(result("a", 1), more.clone()));
        assert_eq!(found.level, level, "{more}");
    }
}

#[test]
fn results_that_are_no_findings_are_passed_over_in_silence() {
    for more in [
        json!({ "kind": "pass" }),
        json!({ "kind": "notApplicable" }),
        json!({ "kind": "informational" }),
        json!({ "baselineState": "absent" }),
    ] {
        let report = read(json!({}), json!([merge_fields(result("a", 1), more.clone())]));
        assert_eq!(
            report,
            DiagnosticReport { tools: report.tools.clone(), ..DiagnosticReport::default() },
            "{more}"
        );
        assert_eq!(report.tools.len(), 1, "the tool has looked: {more}");
    }
    let kept = merge_fields(result("a", 1), json!({ "kind": "fail", "baselineState": "unchanged" }));
    assert_eq!(read(json!({}), json!([kept])).diagnostics.len(), 1);
}

#[test]
fn a_result_is_suppressed_if_all_of_its_suppressions_stand() {
    for (suppressions, suppressed) in [
        (json!([{ "kind": "inSource" }]), true),
        (json!([{ "kind": "external", "status": "accepted" }]), true),
        (json!([{ "kind": "inSource" }, { "kind": "external", "status": "rejected" }]), false),
        (json!([{ "kind": "external", "status": "underReview" }]), false),
        (json!(["wrong"]), false),
        (json!([]), false),
        (Value::Null, false),
    ] {
        let found =
            read_one(json!({}), merge_fields(result("a", 1), json!({ "suppressions": suppressions })));
        assert_eq!(found.is_suppressed, suppressed, "{suppressions}");
    }
}

#[test]
fn messages_take_their_arguments_and_lose_links_within_the_log() {
    let run = json!({ "tool": { "driver": {
        "name": "Lint", "rules": [{ "id": "R1", "messageStrings": { "default": { "text": "{0} is {{{1}}}" } } }],
        "globalMessageStrings": { "all": { "text": "for all" } },
    } } });
    for (message, shown) in [
        (json!({ "text": "{0} and {1} and {0}", "arguments": ["a", "b"] }), "a and b and a"),
        (json!({ "text": "{0} {7} {x} {", "arguments": ["a"] }), "a {7} {x} {"),
        (json!({ "text": "use {{ and {0}" }), "use {{ and {0}"),
        (json!({ "id": "default", "arguments": ["x", "y"] }), "x is {y}"),
        (json!({ "id": "all" }), "for all"),
        (json!({ "text": "from [here](1) to [a\\[0\\]](sarif:/runs/0/results/1)" }), "from here to a[0]"),
        (
            json!({ "text": "see [docs](https://x.example) and a[0](b)" }),
            "see [docs](https://x.example) and a[0](b)",
        ),
        (json!({ "text": "nested {0}", "arguments": ["{1}", "no"] }), "nested {1}"),
    ] {
        let found = read_one(run.clone(), merge_fields(result("a", 1), json!({ "message": message })));
        assert_eq!(found.message, shown, "{message}");
    }
    for message in [json!({ "id": "unknown" }), json!({}), json!({ "text": " " }), Value::Null] {
        let report = read(run.clone(), json!([merge_fields(result("a", 1), json!({ "message": message }))]));
        assert_eq!(
            (report.left_out_count, problems(&report)),
            (
                1,
                vec![
                    "result 0 (R1): no \
            message"
                ]
            ),
            "{message}"
        );
    }
}

#[test]
fn a_malformed_result_is_left_out_and_named_and_the_rest_goes_on() {
    let results = json!([
        result("a", 1),
        7,
        merge_fields(result("b", 1), json!({ "ruleId": ["x"] })),
        merge_fields(result("c", 1), json!({ "locations": [] })),
        merge_fields(
            result("d", 1),
            json!({ "locations": [{ "physicalLocation": { "region": { "startLine": {} } } }] })
        ),
        result("z", 1),
    ]);
    let report = read(json!({}), results);
    assert_eq!(
        (render_diagnostics(&report), report.left_out_count),
        (vec!["a:1: wrong".to_owned(), "z:1: wrong".to_owned()], 4)
    );
    let kinds: Vec<ProblemKind> = report.problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(
        kinds,
        [ProblemKind::MalformedEntry, ProblemKind::MalformedEntry, ProblemKind::NoFile, ProblemKind::NoFile]
    );
    assert!(problems(&report)[2] == "result 3 (R1): no path", "{:?}", report.problems);
}

#[test]
fn the_first_location_in_the_tree_counts() {
    let at = |uri: &str| json!({ "physicalLocation": { "artifactLocation": { "uri": uri } } });
    let places = json!([{ "logicalLocations": [] }, at("file:///usr/include/x.h"), at("a.c"), at("b.c")]);
    let related = json!([at("related.c")]);
    let result = merge_fields(result("x", 1), json!({ "locations": places, "relatedLocations": related }));
    assert_eq!(render_diagnostics(&read(json!({}), json!([result]))), ["a.c:0: wrong"]);
}

#[test]
fn what_a_tool_tells_of_its_own_failure_is_a_problem() {
    let note = |level: &str, text: &str| json!({ "level": level, "message": { "text": text } });
    for (invocation, expected) in [
        (json!({ "executionSuccessful": true }), vec![]),
        (json!({ "executionSuccessful": false }), vec!["Lint failed"]),
        (
            json!({ "executionSuccessful": false, "exitCode": 3, "exitCodeDescription": "bad flag" }),
            vec!["Lint failed with exit code 3: bad flag"],
        ),
        (
            json!({ "executionSuccessful": false, "processStartFailureMessage": "no such file" }),
            vec!["Lint did not start: no such file"],
        ),
        (
            json!({ "executionSuccessful": false, "toolExecutionNotifications": [note("error", "crashed\non a.py"), note("warning", "slow")],
                "toolConfigurationNotifications": [note("error", "no such rule")] }),
            vec!["Lint: crashed on a.py", "Lint: no such rule"],
        ),
    ] {
        let report = read(json!({ "invocations": [invocation] }), json!([result("a", 1)]));
        assert_eq!((problems(&report), report.diagnostics.len()), (expected, 1), "{invocation}");
        assert!(report.problems.iter().all(|problem| problem.kind == ProblemKind::ToolFailed));
    }
    for results in [Value::Null, json!({})] {
        let report = read(json!({}), results.clone());
        assert_eq!(report.problems.len(), 1, "{results}");
    }
}

#[test]
fn a_fix_has_all_of_its_edits_or_it_is_left_out() {
    let region = json!({ "startLine": 1, "startColumn": 1, "endColumn": 4 });
    let change = |uri: &str, replacements: Value| json!({ "artifactLocation": { "uri": uri }, "replacements": replacements });
    let edit =
        |region: &Value, text: &str| json!({ "deletedRegion": region, "insertedContent": { "text": text } });
    let fix = |changes: Value| json!({ "description": { "text": "Use y" }, "artifactChanges": changes });
    let fixes = json!([
        fix(json!([change("a.py", json!([edit(&region, "y"), { "deletedRegion": { "startLine": 2 } }]))])),
        fix(json!([change("a.py", json!([edit(&region, "y")])), change("../up", json!([edit(&region, "y")]))])),
        fix(json!([change("a.py", json!([edit(&json!({ "startLine": 3, "endLine": 2 }), "y")]))])),
        fix(json!([change("a.py", json!([{ "deletedRegion": region, "insertedContent": { "binary": "eA==" } }]))])),
        fix(json!([])),
        { "artifactChanges": 1 },
    ]);
    let report = read(json!({}), json!([merge_fields(result("a.py", 1), json!({ "fixes": fixes }))]));
    let found = &report.diagnostics[0];
    let [ToolFix { message, edits }] = &found.fixes[..] else { panic!("{:?}", found.fixes) };
    assert_eq!((message.as_deref(), edits.len()), (Some("Use y"), 2));
    assert_eq!((edits[0].new_text.as_str(), edits[1].new_text.as_str()), ("y", ""));
    let file = FileText::new(b"abc def\nghi\n");
    assert_eq!(
        edits.iter().map(|edit| file.byte_range(&edit.range)).collect::<Vec<_>>(),
        [Ok(0..3), Ok(8..11)]
    );
    assert_eq!((report.problems.len(), report.left_out_count), (5, 0), "{:?}", report.problems);
    assert!(problems(&report)[0].starts_with("result 0 (R1): fix 1: ../up"), "{:?}", report.problems);
}

#[test]
fn a_fingerprint_is_the_whole_one_of_the_highest_version_or_made_of_the_partial_ones() {
    let mark = |more: Value| read_one(json!({}), merge_fields(result("a", 1), more)).fingerprint;
    assert_eq!(
        mark(json!({ "fingerprints": { "h/v2": "two", "h/v10": "ten", "h/v1": "one" } })).as_deref(),
        Some("ten")
    );
    let primary = json!({ "partialFingerprints": { "other": "x", "primaryLocationLineHash": "39fa:1" } });
    assert_eq!(mark(primary).as_deref(), Some("39fa:1"));
    assert_eq!(mark(json!({ "partialFingerprints": { "only": "x" } })).as_deref(), Some("x"));
    let two = |a: &str, b: &str| mark(json!({ "partialFingerprints": { "a": a, "b": b } }));
    assert_eq!(two("1", "2").map(|mark| mark.len()), Some(64));
    assert!(
        two("1", "2") == two("1", "2") && two("1", "2") != two("12", "") && two("1", "2") != two("2", "1")
    );
    assert_eq!(mark(json!({ "fingerprints": {}, "partialFingerprints": null })), None);
}

#[test]
fn a_line_beyond_the_file_is_told_where_the_file_is_known() {
    let found = read_one(json!({}), result("a", 9));
    let file = FileText::new(b"a\nb\n");
    assert_eq!(file.range_lines(&found.range), Err(RangeError::LineOutOfRange { line: 9, line_count: 2 }));
}

#[test]
fn what_is_no_log_is_one_problem() {
    for text in ["", "{", "[]", "7", "{}", r#"{"runs": null}"#, r#"{"runs": {}}"#, r#"{"runs": [{]}"#] {
        let report = report(OutputFormat::Sarif, text);
        assert_eq!((report.diagnostics.len(), report.problems.len()), (0, 1), "{text}");
        assert_eq!(report.problems[0].kind, ProblemKind::Unreadable, "{text}");
    }
    let followed = log(json!({}), json!([result("a", 1)])) + "\n1 problem\n";
    let report = report(OutputFormat::Sarif, &followed);
    assert_eq!((report.diagnostics.len(), report.problems.len()), (1, 0));
    assert_eq!(report.unparsed_lines, ["1 problem"]);
}

#[test]
fn former_versions_are_recognised_and_refused_by_their_names() {
    for version in ["1.0.0", "2.0.0", "2.0.0-csd.2.beta.2019-01-24"] {
        let text =
            json!({ "version": version, "runs": [{ "tool": { "name": "x" }, "results": [{}] }] }).to_string();
        assert_eq!(recognize_format(text.as_bytes()), Some(OutputFormat::Sarif), "{version}");
        let report = report(OutputFormat::Sarif, &text);
        assert_eq!(
            problems(&report),
            [format!("SARIF {version} is not supported: let the tool print SARIF 2.1.0")]
        );
    }
    let draft = log(json!({}), json!([result("a", 1)])).replace("2.1.0", "2.1.0-rtm.5");
    assert_eq!(report(OutputFormat::Sarif, &draft).diagnostics.len(), 1);
}

#[test]
fn a_message_of_markdown_alone_is_a_message() {
    let mut found = result("a", 1);
    found["message"] = json!({ "markdown": "`teh` should be `the`" });
    let report = report(OutputFormat::Sarif, &log(json!({}), json!([found])));
    assert_eq!(problems(&report), Vec::<String>::new());
    assert_eq!(report.diagnostics[0].message, "`teh` should be `the`");
}
