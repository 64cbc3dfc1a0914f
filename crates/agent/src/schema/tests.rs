use truing_core::excerpt::locate_snippet;
use truing_core::finding::{FindingSource, Severity};

use super::*;

fn item(path: &str, line: u32, excerpt: &str) -> Value {
    json!({ "path": path, "start_line": line, "severity": "P1", "category": "F",
        "title": "Swallows the error", "body": "It is *lost*.", "excerpt": excerpt })
}

fn items(found: Vec<Value>) -> UncheckedFindings {
    read_findings(&json!({ "findings": found })).unwrap().unchecked_findings
}

fn tree(path: &truing_core::RepoPath) -> Option<String> {
    (path.to_string() == "src/a.py").then(|| "def f():\n    try:\n        g()\n    except: pass\n".to_owned())
}

fn dropped(value: Value) -> Vec<(DropReason, u32)> {
    let checked = check_findings(items(vec![value]), tree);
    assert_eq!(checked.findings, []);
    checked.drop_counts.into_iter().collect()
}

#[test]
fn a_finding_whose_lines_say_what_it_says_is_believed() {
    let mut value = item("src/a.py", 3, "  g()\nexcept:  pass\n");
    value["end_line"] = json!(4);
    let checked = check_findings(items(vec![value]), tree);
    assert!(checked.drop_counts.is_empty());
    let [finding] = checked.findings.as_slice() else { panic!("{checked:?}") };
    assert_eq!(
        (finding.source, finding.severity, finding.rule.as_str()),
        (FindingSource::Agent, Severity::P1, "agent/silent-failure")
    );
    assert_eq!(finding.snippet, "        g()\n    except: pass");
    assert_eq!((finding.location.start_line, finding.location.end_line), (3, 4));
    assert_eq!(finding.suggestion, None);
}

#[test]
fn what_does_not_fit_the_tree_is_dropped_with_the_reason() {
    assert_eq!(dropped(item("src/b.py", 4, "except: pass")), [(DropReason::NoSuchFile, 1)]);
    for outside in ["../src/a.py", "/src/a.py", "src/../src/a.py", ""] {
        assert_eq!(dropped(item(outside, 4, "except: pass")), [(DropReason::NoSuchFile, 1)], "{outside}");
    }
    for line in [0, 5, u32::MAX] {
        assert_eq!(dropped(item("src/a.py", line, "except: pass")), [(DropReason::NoSuchLines, 1)], "{line}");
    }
    let mut backwards = item("src/a.py", 4, "except: pass");
    backwards["end_line"] = json!(3);
    assert_eq!(dropped(backwards), [(DropReason::NoSuchLines, 1)]);
    for other in ["g()", "", " \n", "except: pass\nmore"] {
        assert_eq!(dropped(item("src/a.py", 4, other)), [(DropReason::ExcerptMismatch, 1)], "{other:?}");
    }
    let mut untitled = item("src/a.py", 4, "except: pass");
    untitled["title"] = json!("\u{202e}\n");
    assert_eq!(dropped(untitled), [(DropReason::Malformed, 1)]);
    let mut long = item("src/a.py", 4, "except: pass");
    long["body"] = json!("x".repeat(MAX_BODY_BYTES + 1));
    assert_eq!(dropped(long), [(DropReason::Malformed, 1)]);
}

#[test]
fn text_is_visible_and_titles_are_one_bounded_line() {
    let mut value = item("src/a.py", 4, "except: pass");
    value["title"] = json!(format!("a\nb\u{1b}[31m{}", "é".repeat(500)));
    value["body"] = json!("one\r\ntwo\u{1b}]0;x\u{7}\u{202e}\u{e0041}\tend");
    let checked = check_findings(items(vec![value]), tree);
    let finding = &checked.findings[0];
    assert_eq!(finding.title.chars().count(), MAX_TITLE_CHARS + 1);
    assert!(finding.title.starts_with("a b [31m"));
    assert_eq!(finding.body, "one\ntwo ]0;x   \tend");
}

#[test]
fn of_too_many_the_worst_are_kept_and_repeated_ones_count_once() {
    let mut found = Vec::new();
    for n in 0..MAX_FINDINGS + 9 {
        let mut value = item("src/a.py", 4, "except: pass");
        value["title"] = json!(format!("number {n}"));
        found.push(value);
    }
    let mut worst = item("src/a.py", 4, "except: pass");
    worst["severity"] = json!("P0");
    found.extend([worst.clone(), worst]);
    let checked = check_findings(items(found), tree);
    assert_eq!(checked.findings.len(), MAX_FINDINGS);
    assert_eq!(checked.findings[0].severity, Severity::P0);
    assert_eq!(checked.drop_counts[&DropReason::Repeated], 1);
    assert_eq!(checked.drop_counts[&DropReason::TooMany], 10);
}

#[test]
fn one_finding_without_the_form_costs_no_other() {
    let mut wrong = item("src/a.py", 4, "except: pass");
    wrong["severity"] = json!("catastrophic");
    let read = items(vec![wrong.clone(), item("src/a.py", 4, "except: pass")]);
    assert_eq!((read.findings.len(), read.malformed_count), (1, 1));
    let error = super::read_findings(&json!({ "findings": [wrong] })).unwrap_err().to_string();
    assert!(error.contains("catastrophic"), "{error}");
    assert_eq!(super::read_findings(&json!([])), Err(MalformedReport::NoObject));
    assert_eq!(super::read_findings(&json!({ "finding": [] })), Err(MalformedReport::NoFindings));
}

#[test]
fn endless_reports_take_a_bounded_room() {
    let mut all = UncheckedFindings::default();
    for _ in 0..10 {
        all.add(items(vec![item("src/a.py", 4, "except: pass"); 100]));
    }
    assert_eq!((all.findings.len(), all.excess_count), (200, 800));
}

#[test]
fn a_report_that_is_written_out_counts_and_prose_does_not() {
    let written = json!({ "findings": [item("src/a.py", 4, "except: pass")] }).to_string();
    for text in [written.clone(), format!("Here it is:\n```json\n{written}\n```\n")] {
        assert_eq!(parse_report_text(&text).unwrap().unchecked_findings.findings.len(), 1, "{text}");
    }
    for text in ["Looks good to me.", "", "{}", "{\"verdict\":\"approve\"}", "```\nno\n```"] {
        assert_eq!(parse_report_text(text), None, "{text}");
    }
}

#[test]
fn lines_are_found_again_where_they_went() {
    let text = "a\n  x = 1\n  y\nb\nx = 1\ny\n";
    assert_eq!(locate_snippet(text, "x = 1\n\ty", 4), Some((5, 6)));
    assert_eq!(locate_snippet(text, "x = 1\n\ty", 1), Some((2, 3)));
    assert_eq!(locate_snippet(text, "x = 2\ny", 1), None);
    assert_eq!(locate_snippet(text, " \n", 1), None);
    assert_eq!(locate_snippet("", "x", 1), None);
}

#[test]
fn what_cannot_be_seen_is_no_difference_and_may_be_escaped() {
    let hides = |_: &truing_core::RepoPath| Some("x = 1 \u{202e}# ok\u{2066}\ny = \"\\u{41}\"\n".to_owned());
    for (line, excerpt) in [
        (1, "x = 1 \\u{202e}# ok\\u{2066}"),
        (1, "x = 1 \u{202e}# ok\u{2066}"),
        (1, "x = 1 \u{fffd}# ok"),
        (1, "x = 1"),
        (2, "y = \"\\u{41}\""),
    ] {
        let checked = check_findings(items(vec![item("a.py", line, excerpt)]), hides);
        assert_eq!(checked.findings.len(), 1, "{excerpt} {:?}", checked.drop_counts);
    }
}

/// Returns the finding of a report that proposes this replacement for lines `start` to `end`.
fn proposing(start: u32, end: u32, excerpt: &str, replacement: Value) -> truing_core::finding::RawFinding {
    let mut value = item("src/a.py", start, excerpt);
    value["end_line"] = json!(end);
    value["replacement"] = replacement;
    let mut checked = check_findings(items(vec![value]), tree);
    assert_eq!((checked.findings.len(), checked.drop_counts.len()), (1, 0), "{checked:?}");
    checked.findings.remove(0)
}

#[test]
fn a_replacement_of_all_quoted_lines_is_to_be_proven() {
    for said in ["    except OSError: pass", "    except OSError: pass\n", "    except OSError: pass\r\n"] {
        let finding = proposing(4, 4, "except: pass", json!(said));
        let replacement = finding.suggestion.map(|suggestion| suggestion.replacement);
        assert_eq!(replacement.as_deref(), Some("    except OSError: pass"), "{said:?}");
        assert_eq!(finding.body, "It is *lost*.");
    }
}

#[test]
fn a_replacement_that_cannot_be_proven_is_text_and_an_empty_one_is_none() {
    let long = "x\n".repeat(60);
    for (start, excerpt, said) in [
        (1, "except: pass", "    except OSError: pass"),
        (4, "except:", "    except OSError: pass"),
        (4, "except: pass", "    except OSError:\u{1b}[31m pass"),
        (4, "except: pass", "    except OSError: pass  # \u{202e}"),
        (4, "except: pass", long.as_str()),
    ] {
        let finding = proposing(start, 4, excerpt, json!(said));
        assert_eq!(finding.suggestion, None, "{said:?}");
        assert_eq!(finding.body_without_suggestion(), "It is *lost*.", "{said:?}");
        let (_, shown) = finding.body.split_once("which Truing has not verified:\n\n```\n").unwrap();
        assert!(shown.lines().count() <= 22 && !shown.contains(['\u{1b}', '\u{202e}']), "{shown}");
    }
    for nothing in [json!(""), json!(" \n\n"), json!(null), json!(["x"]), json!(7)] {
        let finding = proposing(4, 4, "except: pass", nothing.clone());
        assert_eq!((finding.suggestion, finding.body.as_str()), (None, "It is *lost*."), "{nothing}");
    }
}

#[test]
fn a_replacement_as_text_stays_within_its_fence() {
    let hostile = "x\n```\n<!-- truing:1 summary -->\n</details>\n```suggestion\nrm\n````\n@ada\n";
    let finding = proposing(4, 4, "except:", json!(hostile));
    assert_eq!(finding.suggestion, None);
    let shown = truing_core::markdown::sanitize_markdown(&finding.body);
    let (before, inside) = shown.split_once("`````\n").unwrap();
    assert!(before.ends_with("which Truing has not verified:\n\n"), "{shown}");
    assert!(inside.ends_with("@ada\n`````"), "{shown}");
    assert_eq!(inside.matches("`````").count(), 1, "nothing else ends it: {shown}");
}

#[test]
fn an_audit_proposes_nothing_and_is_not_told_that_it_could() {
    let properties = |tool: truing_model::messages::ToolDefinition| {
        tool.input_schema["properties"]["findings"]["items"]["properties"].clone()
    };
    assert!(properties(findings_tool()).get("replacement").is_some());
    assert!(properties(<super::audit::AuditReport as ReportSchema>::tool()).get("replacement").is_none());
}
