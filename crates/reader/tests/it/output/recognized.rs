//! Tests of the selection of formats by name and by content.

use truing_reader::output::{OutputContext, OutputFormat, read_output, recognize_format};

fn format_name(content: &str) -> Option<&'static str> {
    recognize_format(content.as_bytes()).map(OutputFormat::as_str)
}

#[test]
fn every_format_is_found_by_its_name_and_names_are_unique() {
    let names: Vec<&str> = OutputFormat::all_formats().map(OutputFormat::as_str).collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len());
    for name in names {
        assert_eq!(OutputFormat::parse(name).map(OutputFormat::as_str), Some(name));
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
            "{name}"
        );
    }
    assert_eq!(OutputFormat::parse(" SARIF "), Some(OutputFormat::Sarif));
    assert_eq!((OutputFormat::parse("sarif2"), OutputFormat::parse("")), (None, None));
}

#[test]
fn a_format_is_recognised_by_its_content() {
    let entry = r#"{"message": "m", "location": {"path": "a", "range": {}}}"#;
    for (content, format) in [
        (
            r#"{"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": []}"#
                .to_owned(),
            "sarif",
        ),
        ("\u{feff}\n {\"runs\": [{}], \"version\": \"2.1.0\"}".to_owned(), "sarif"),
        (format!(r#"{{"source": {{"name": "x"}}, "diagnostics": [{entry}]}}"#), "rdjson"),
        (r#"{"diagnostics": []}"#.to_owned(), "rdjson"),
        (entry.to_owned(), "rdjsonl"),
        (format!("{entry}\n{entry}\n"), "rdjsonl"),
        (r#" [ {"description": "d", "check_name": "c", "location": {"path": "a"}}, 7]"#.to_owned(), "gitlab"),
        (r#"[{"description": "d", "fingerprint": "f", "location": {"path": "a"}}"#.to_owned(), "gitlab"),
        (
            "<?xml version=\"1.0\"?>\n<!-- x --><checkstyle version=\"8\"></checkstyle>".to_owned(),
            "checkstyle",
        ),
        ("<testsuites><testsuite/></testsuites>".to_owned(), "junit"),
        ("<testsuite name=\"x\"/>".to_owned(), "junit"),
    ] {
        assert_eq!(format_name(&content), Some(format), "{content}");
    }
}

#[test]
fn what_is_of_many_formats_or_of_none_is_not_recognised() {
    for content in [
        "",
        "\n",
        "[]",
        "{}",
        "{\"runs\": []}",
        "{\"runs\": {}, \"version\": \"2.1.0\"}",
        "<html/>",
        "<",
        "plain text",
        "[{\"description\": \"d\"}]",
        "{\"message\": \"m\"}",
        "[1]",
        "{\"diagnostics\": [7]}",
    ] {
        assert_eq!(format_name(content), None, "{content}");
    }
    // Another tool's document may also have a field `diagnostics`.
    assert_ne!(format_name(r#"{"diagnostics": [], "errors": [], "version": 1}"#), Some("rdjson"));
}

#[test]
fn text_in_utf_16_is_recognised_and_read() {
    let text = r#"[{"description": "d é", "check_name": "c", "location": {"path": "a"}}]"#;
    let big: Vec<u8> =
        [0xFE, 0xFF].into_iter().chain(text.encode_utf16().flat_map(u16::to_be_bytes)).collect();
    let little: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    for bytes in [big, little] {
        assert_eq!(recognize_format(&bytes), Some(OutputFormat::Gitlab));
        let report = read_output(OutputFormat::Gitlab, &bytes, &OutputContext::default());
        assert_eq!(report.diagnostics[0].message, "d é");
    }
}

#[test]
fn the_given_name_of_the_tool_counts_where_the_output_names_none() {
    let input = OutputContext { tool: "eslint", ..OutputContext::default() };
    let tool = |format: OutputFormat, text: &str| {
        read_output(format, text.as_bytes(), &input).diagnostics[0].tool.clone()
    };
    let file = r#"<file name="a"><error line="1" message="m"/></file>"#;
    assert_eq!(tool(OutputFormat::Checkstyle, &format!("<checkstyle>{file}</checkstyle>")), "eslint");
    assert_eq!(tool(OutputFormat::Rdjsonl, r#"{"message": "m", "location": {"path": "a"}}"#), "eslint");
    assert_eq!(
        tool(
            OutputFormat::Rdjsonl,
            r#"{"message": "m", "location": {"path": "a"}, "source": {"name": "own"}}"#
        ),
        "own"
    );
}
