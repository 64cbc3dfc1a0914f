//! Tests that the reader obeys its limits for hostile output, and that it reports the parts of an output that
//! it omits.

use proptest::prelude::*;
use truing_reader::output::report::{
    MAX_DIAGNOSTICS, MAX_INPUT_BYTES, MAX_PROBLEM_CHARS, MAX_PROBLEMS, MAX_TEXT_BYTES,
};
use truing_reader::output::{
    DiagnosticMapping, FileText, OutputContext, OutputFormat, ProblemKind, map_diagnostic, read_output,
    recognize_format,
};

use super::{problems, render_diagnostics, report};

#[test]
fn more_diagnostics_than_are_kept_are_counted() {
    let line = "{\"message\":\"m\",\"location\":{\"path\":\"a\"}}\n";
    let report = report(OutputFormat::Rdjsonl, &line.repeat(MAX_DIAGNOSTICS + 5));
    assert_eq!((report.diagnostics.len(), report.left_out_count), (MAX_DIAGNOSTICS, 5));
    assert_eq!(problems(&report), ["5 diagnostics left out: the first 100000 are kept"]);
    assert_eq!(report.problems[0].kind, ProblemKind::LimitReached);
}

#[test]
fn problems_are_named_up_to_a_number_and_then_counted() {
    let report = report(OutputFormat::Rdjsonl, &"{\n".repeat(1000));
    assert_eq!(
        (report.problems.len(), report.more_problems, report.left_out_count),
        (MAX_PROBLEMS, 980, 1000)
    );
    let name = "x".repeat(9000);
    let long = super::report(
        OutputFormat::Rdjsonl,
        &format!("{{\"message\":\"m\",\"location\":{{\"path\":\"/{name}\\u001b[31m\"}}}}"),
    );
    assert!(problems(&long)[0].chars().count() <= MAX_PROBLEM_CHARS + 1);
}

#[test]
fn the_bound_of_diagnostics_is_told_also_where_there_are_many_problems() {
    let line = "{\"message\":\"m\",\"location\":{\"path\":\"a\"}}\n";
    let report = report(OutputFormat::Rdjsonl, &("{\n".repeat(30) + &line.repeat(MAX_DIAGNOSTICS + 1)));
    assert_eq!((report.problems.len(), report.more_problems, report.left_out_count), (MAX_PROBLEMS, 11, 31));
    assert_eq!(report.problems.last().map(|problem| problem.kind), Some(ProblemKind::LimitReached));
}

#[test]
fn an_output_beyond_the_bound_is_named_and_of_lines_the_whole_ones_before_it_are_read() {
    let line = "{\"message\":\"m\",\"location\":{\"path\":\"a\"}}\n";
    let filler = format!("{{\"message\":\"{}\",\"location\":{{\"path\":\"b\"}}}}\n", "x".repeat(1 << 20));
    let text = line.to_owned() + &filler.repeat(100);
    assert!(text.len() > 100 << 20);
    let by_lines = report(OutputFormat::Rdjsonl, &text);
    assert_eq!(by_lines.diagnostics.len(), 64, "the last line is cut, and left out");
    assert_eq!((by_lines.problems.len(), by_lines.problems[0].kind), (1, ProblemKind::LimitReached));
    for format in [
        OutputFormat::Sarif,
        OutputFormat::Rdjson,
        OutputFormat::Gitlab,
        OutputFormat::Checkstyle,
        OutputFormat::Junit,
    ] {
        let report = report(format, &text);
        assert_eq!(
            (report.diagnostics.len(), report.problems[0].kind),
            (0, ProblemKind::LimitReached),
            "{format:?}"
        );
    }
    assert_eq!(recognize_format(text.as_bytes()), None);
    const { assert!(MAX_INPUT_BYTES == 64 << 20) };
}

#[test]
fn texts_of_all_diagnostics_together_are_bounded() {
    let help = "h".repeat(1 << 14);
    let rule = format!(r#"{{"id":"R","fullDescription":{{"text":"{help}"}}}}"#);
    let result = r#"{"ruleId":"R","message":{"text":"m"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a"}}}]},"#;
    let results = result.repeat(90_000);
    let log = format!(
        r#"{{"runs":[{{"tool":{{"driver":{{"rules":[{rule}]}}}},"results":[{}]}}]}}"#,
        results.trim_end_matches(',')
    );
    let report = report(OutputFormat::Sarif, &log);
    let kept = report.diagnostics.len();
    assert!((10_000..20_000).contains(&kept), "{kept}");
    assert!(kept * (8 << 10) <= MAX_TEXT_BYTES + (64 << 10));
    assert_eq!((kept as u64 + report.left_out_count, report.problems.len()), (90_000, 1));
}

#[test]
fn deep_nesting_is_no_danger() {
    let deep = "[".repeat(1 << 20);
    for text in [
        deep.clone(),
        format!("{{\"runs\":{deep}"),
        format!("{{\"runs\":[{{\"tool\":{deep}{}}}]}}", "]".repeat(1 << 20)),
        format!("{{\"diagnostics\":[{deep}{}]}}", "]".repeat(1 << 20)),
        format!("[{deep}{}]", "]".repeat(1 << 20)),
        "{\"message\":".repeat(1 << 18),
        "<a>".repeat(1 << 20),
        format!("<testsuite>{}", "<testsuite>".repeat(1 << 18)),
    ] {
        for format in OutputFormat::TOOL_INDEPENDENT_FORMATS {
            assert!(report(format, &text).diagnostics.is_empty(), "{format:?}");
        }
        recognize_format(text.as_bytes());
    }
    let nested = "<x>".repeat(200) + &"</x>".repeat(200);
    let shown = report(OutputFormat::Checkstyle, &format!("<checkstyle>{nested}</checkstyle>"));
    assert!(problems(&shown)[0].contains("more than 128 nested elements"), "{:?}", shown.problems);
}

#[test]
fn millions_of_small_entries_take_no_more_than_their_time() {
    let many = "{},".repeat(8 << 20);
    let many = many.trim_end_matches(',');
    let gitlab = report(OutputFormat::Gitlab, &format!("[{many}]"));
    assert_eq!((gitlab.left_out_count, gitlab.problems.len()), (8 << 20, MAX_PROBLEMS));
    let run = format!(
        r#"{{"runs":[{{"artifacts":[{many}],"tool":{{"driver":{{"rules":[{many}]}}}},"results":[]}}]}}"#
    );
    assert!(report(OutputFormat::Sarif, &run).problems.is_empty());
}

#[test]
fn an_element_with_very_many_attributes_takes_no_more_than_its_length() {
    let attributes: String = (0..200_000).map(|number| format!(" a{number}=\"x\"")).collect();
    let text = format!(
        "<checkstyle><file name=\"a\"><error line=\"1\" message=\"m\"{attributes}/></file></checkstyle>"
    );
    assert_eq!(render_diagnostics(&report(OutputFormat::Checkstyle, &text)), ["a:1: m"]);
}

#[test]
fn html_markers_and_mentions_are_kept_as_text() {
    let message = "<img src=x onerror=alert(1)> <!-- truing --> @all\u{1b}]8;;http://x\u{7}y";
    let line = serde_json::json!({ "message": message, "location": { "path": "a" } }).to_string();
    let report = report(OutputFormat::Rdjsonl, &line);
    assert_eq!(report.diagnostics[0].message, "<img src=x onerror=alert(1)> <!-- truing --> @ally");
}

/// Generates text that consists of fragments of the output formats.
fn output_strategy() -> impl Strategy<Value = String> {
    let parts = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\n",
        "null",
        "1",
        "-1",
        "1e9",
        "true",
        "\"runs\"",
        "\"results\"",
        "\"message\"",
        "\"text\"",
        "\"location\"",
        "\"path\"",
        "\"diagnostics\"",
        "\"a.py\"",
        "\"uri\"",
        "\"region\"",
        "\"startLine\"",
        "\"fixes\"",
        "<",
        ">",
        "/>",
        "</",
        "checkstyle",
        "file",
        " name=\"a\"",
        "error",
        " line=\"1\"",
        " message=\"m\"",
        "testsuite",
        "testcase",
        "failure",
        "<![CDATA[",
        "]]>",
        "&",
        "&lt;",
        "&#x0;",
        "a.py:1: x",
        "\u{1b}[",
        "é",
        "\u{feff}",
        "<!--",
        "-->",
        "<?xml",
        "?>",
        "<!DOCTYPE",
    ];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..40).prop_map(|parts| parts.concat())
}

/// A well-formed output of each format.
const SOUND: [(OutputFormat, &str); 6] = [
    (
        OutputFormat::Sarif,
        r#"{"runs":[{"tool":{"driver":{"name":"x","rules":[{"id":"R"}]}},"results":[{"ruleId":"R","ruleIndex":0,"message":{"text":"a {0}","arguments":["b"]},"locations":[{"physicalLocation":{"artifactLocation":{"uri":"a.py"},"region":{"startLine":1,"startColumn":2}}}],"fixes":[{"artifactChanges":[{"artifactLocation":{"uri":"a.py"},"replacements":[{"deletedRegion":{"charOffset":1},"insertedContent":{"text":"x"}}]}]}]}]}]}"#,
    ),
    (
        OutputFormat::Rdjson,
        r#"{"diagnostics":[{"message":"m","location":{"path":"a.py","range":{"start":{"line":1,"column":1},"end":{"line":1,"column":2}}},"suggestions":[{"range":{"start":{"line":1}},"text":"x"}]}]}"#,
    ),
    (
        OutputFormat::Rdjsonl,
        r#"{"message":"m","location":{"path":"a.py","range":{"start":{"line":2}}},"severity":"ERROR","code":{"value":"c"}}"#,
    ),
    (
        OutputFormat::Checkstyle,
        r#"<checkstyle><file name="a.py"><error line="1" column="2" message="m &lt; n" source="s"/></file></checkstyle>"#,
    ),
    (
        OutputFormat::Gitlab,
        r#"[{"description":"d","check_name":"c","fingerprint":"f","location":{"path":"a.py","lines":{"begin":1}}}]"#,
    ),
    (
        OutputFormat::Junit,
        r#"<testsuite><testcase name="t" file="a.py" line="1"><failure message="m">a.py:2: x</failure></testcase></testsuite>"#,
    ),
];

#[test]
fn the_sound_outputs_are_sound() {
    for (format, text) in SOUND {
        let report = report(format, text);
        assert_eq!((report.diagnostics.len(), report.problems.len()), (1, 0), "{format:?} {report:?}");
    }
}

/// Reads bytes in every format, and converts each diagnostic to a finding of a small file.
fn read_all_formats(bytes: &[u8]) {
    recognize_format(bytes);
    let (file, mapping) = (FileText::new("é = 1\n".as_bytes()), DiagnosticMapping::default());
    for format in OutputFormat::all_formats() {
        let report = read_output(format, bytes, &OutputContext::default());
        assert!(report.problems.len() <= MAX_PROBLEMS);
        for found in report.diagnostics.iter().take(3) {
            assert!(found.path.is_safe_to_write() && !found.message.is_empty());
            let _ = map_diagnostic(found, &file, &mapping);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_bytes_make_a_reader_panic(bytes: Vec<u8>) {
        read_all_formats(&bytes);
    }

    #[test]
    fn no_text_that_is_like_an_output_makes_a_reader_panic(text in output_strategy()) {
        read_all_formats(text.as_bytes());
    }

    #[test]
    fn no_damage_to_an_output_makes_a_reader_panic(
        which in 0..SOUND.len(), at in 0..600_usize, length in 0..30_usize, new in "[\\[\\]{}\",:0-9<>/\u{1b}é-]{0,6}",
    ) {
        let (_, text) = SOUND[which];
        let start = text.floor_char_boundary(at.min(text.len()));
        let end = text.floor_char_boundary((start + length).min(text.len()));
        read_all_formats(format!("{}{new}{}", &text[..start], &text[end..]).as_bytes());
    }
}

/// Returns the number of bytes that the reader allocates per entry. The number is the difference between
/// texts with 100 and 200 entries, divided by 100.
fn allocated_per_entry(format: OutputFormat, text: impl Fn(usize) -> String) -> u64 {
    let [few, many] = [100, 200].map(|entries| {
        let text = text(entries);
        allocation_counter::measure(|| drop(report(format, &text))).bytes_total
    });
    many.saturating_sub(few) / 100
}

#[test]
fn a_long_text_that_many_entries_share_is_not_copied_for_each() {
    let long = "x/".repeat(1 << 20);
    let rule = format!(
        r#"{{"id":"{long}","shortDescription":{{"text":"{long}"}},"help":{{"text":"{long}"}},"helpUri":"https://x.example/{long}","messageStrings":{{"m":{{"text":"{long}"}}}},"properties":{{"tags":["{long}"]}}}}"#
    );
    let log = |place: &str, results: usize| {
        let result = format!(
            r#"{{"ruleIndex":0,"message":{{"id":"m"}},"locations":[{{"physicalLocation":{{"artifactLocation":{place}}}}}]}},"#
        );
        let results = result.repeat(results);
        let results = results.trim_end_matches(',');
        format!(
            r#"{{"runs":[{{"tool":{{"driver":{{"name":"{long}","rules":[{rule}]}}}},"originalUriBaseIds":{{"B":{{"uri":"{long}"}}}},"results":[{results}]}}]}}"#
        )
    };
    let (named, below) = (r#"{"uri":"a"}"#, r#"{"uri":"a","uriBaseId":"B"}"#);
    assert_eq!(report(OutputFormat::Sarif, &log(named, 2)).diagnostics.len(), 2);
    assert_eq!(report(OutputFormat::Sarif, &log(below, 2)).left_out_count, 2, "the base is too long");
    let cases = |failures: usize| {
        let failures = "<failure/>".repeat(failures);
        format!("<testsuite><testcase name=\"{long}\" file=\"a\">{failures}</testcase></testsuite>")
    };
    assert_eq!(report(OutputFormat::Junit, &cases(2)).diagnostics.len(), 2);
    for (what, each) in [
        ("a result", allocated_per_entry(OutputFormat::Sarif, |results| log(named, results))),
        ("a result below a base", allocated_per_entry(OutputFormat::Sarif, |results| log(below, results))),
        ("a failure", allocated_per_entry(OutputFormat::Junit, cases)),
    ] {
        assert!(each < long.len() as u64 / 4, "{what} takes {each} bytes");
    }
}

#[test]
fn a_name_of_very_many_parts_is_no_name() {
    let long = "x/".repeat(4 << 20);
    let result = format!(
        r#"{{"ruleId":"{long}","message":{{"text":"m"}},"locations":[{{"physicalLocation":{{"artifactLocation":{{"uri":"a"}}}}}}]}}"#
    );
    let found = report(
        OutputFormat::Sarif,
        &format!(r#"{{"runs":[{{"tool":{{"driver":{{}}}},"results":[{result}]}}]}}"#),
    );
    assert_eq!((found.diagnostics.len(), found.diagnostics[0].rule.as_deref()), (1, None));
}
