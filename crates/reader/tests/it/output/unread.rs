//! Tests that a diagnostic by which a tool says that it could not check a file is a problem of the output,
//! even if the line of the diagnostic is unchanged.

use serde_json::json;
use tempfile::TempDir;
use truing_core::port::{ChangedFile, ExternalToolRun, ToolFindings, ToolOutput, ToolOutputRequest};
use truing_reader::output::OutputFormat;
use truing_reader::sources::{SourcesAnswer, SourcesQuery};

/// Returns the findings in an output about `a.x`, in which only line 9 is changed, and `other.x`, which is
/// unchanged.
fn read(format: &str, ending: &str, text: &str) -> ToolFindings {
    let folder = TempDir::new().unwrap();
    for name in ["a", "other"] {
        std::fs::write(folder.path().join(format!("{name}.{ending}")), "text\n".repeat(20)).unwrap();
    }
    let changed = ChangedFile {
        path: format!("a.{ending}").as_str().into(),
        old_path: None,
        added_lines: vec![(9, 9)],
        secrets_only: false,
    };
    let output =
        ToolOutput { format: Some(format.to_owned()), text: text.to_owned(), ..ToolOutput::default() };
    let request = ToolOutputRequest { tree: folder.path().to_owned(), files: vec![changed], output };
    match SourcesQuery::Tool(Box::new(request)).execute() {
        Ok(SourcesAnswer::Tool(found)) => found,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_a_tool_could_not_check_is_a_problem_on_whatever_line_it_says_so() {
    let eslint = json!([{ "filePath": "a.js", "messages": [{
        "ruleId": null, "fatal": true, "severity": 2, "message": "Parsing error: Unexpected token", "line": 2,
        "column": 1,
    }] }]);
    let ruff = json!([{
        "filename": "a.py", "code": "invalid-syntax", "message": "Expected an indented block",
        "location": { "row": 2, "column": 1 }, "end_location": { "row": 2, "column": 2 }, "noqa_row": null,
        "fix": null, "url": null, "cell": null, "severity": "error",
    }]);
    let shellcheck = json!({ "comments": [{
        "file": "a.sh", "line": 2, "endLine": 2, "column": 1, "endColumn": 2, "level": "error", "code": 1072,
        "message": "Unexpected keyword", "fix": null,
    }] });
    let outputs = [
        ("eslint-json", "js", eslint.to_string()),
        ("ruff-json", "py", ruff.to_string()),
        ("shellcheck-json", "sh", shellcheck.to_string()),
        ("flake8", "py", "a.py:2:1: E999 SyntaxError: invalid syntax\n".to_owned()),
        ("flake8", "py", "a.py:0:1: E902 TokenError: EOF\n".to_owned()),
        ("yamllint", "yml", "a.yml:2:1: [error] syntax error: expected <block end> (syntax)\n".to_owned()),
        ("tsc", "ts", "a.ts(2,1): error TS1005: ';' expected.\n".to_owned()),
        ("eslint-unix", "js", "a.js:2:1: Parsing error: Unexpected token [Error]\n".to_owned()),
    ];
    for (format, ending, text) in outputs {
        let found = read(format, ending, &text);
        let [problem] = found.problems.as_slice() else { panic!("{format}: {found:?}") };
        assert!(problem.starts_with(&format!("it could not check a.{ending}")), "{format}: {problem}");
        assert!(found.findings.is_empty(), "{format}: the line is not changed");
    }
}

#[test]
fn another_file_counts_only_if_its_error_hides_more_than_the_file() {
    let found = read("flake8", "py", "other.py:2:1: E999 SyntaxError: invalid syntax\n");
    assert!(found.problems.is_empty(), "{found:?}");
    let found = read("tsc", "ts", "other.ts(2,1): error TS1005: ';' expected.\n");
    assert_eq!(found.problems, ["it could not check other.ts:2: ';' expected."]);
    let types = read("tsc", "ts", "a.ts(2,1): error TS18048: 'x' is possibly 'undefined'.\n");
    assert!(types.problems.is_empty(), "an error of types hides nothing: {types:?}");
    let plain = read("flake8", "py", "a.py:2:1: E741 ambiguous variable name 'l'\n");
    assert!(plain.problems.is_empty(), "{plain:?}");
}

#[test]
fn findings_in_a_notebook_are_not_placed() {
    let found = read("flake8", "ipynb", "a.ipynb:9:1: E741 ambiguous\na.ipynb:2:1: E741 ambiguous\n");
    assert_eq!(found.problems, ["2 results in cells of a.ipynb cannot be placed"]);
    assert!(found.findings.is_empty() && found.outside_count == 0, "{found:?}");
}

/// Returns the findings in an output about `a.x`, whose content is `content`. `tool` is the name that the
/// caller gives.
fn read_content(tool: Option<&str>, format: &str, ending: &str, content: &[u8], text: &str) -> ToolFindings {
    let folder = TempDir::new().unwrap();
    let path = format!("a.{ending}");
    std::fs::write(folder.path().join(&path), content).unwrap();
    let file = ChangedFile {
        path: path.as_str().into(),
        old_path: None,
        added_lines: vec![(8, 9)],
        secrets_only: false,
    };
    let foreign = ExternalToolRun { tool: tool.map(str::to_owned), ..ExternalToolRun::default() };
    let of_format = OutputFormat::parse(format).and_then(OutputFormat::tool).unwrap_or(format);
    let output = ToolOutput {
        tool: tool.unwrap_or(of_format).to_owned(),
        format: Some(format.to_owned()),
        text: text.to_owned(),
        foreign: Some(foreign),
        ..ToolOutput::default()
    };
    let request = ToolOutputRequest { tree: folder.path().to_owned(), files: vec![file], output };
    match SourcesQuery::Tool(Box::new(request)).execute() {
        Ok(SourcesAnswer::Tool(found)) => found,
        other => panic!("{other:?}"),
    }
}

#[test]
fn text_that_a_tool_passes_over_is_a_problem() {
    let latin = b"caf\xe9\n".as_slice();
    let wide = b"\xff\xfea\0\n\0".as_slice();
    for (format, ending, content, text, is_read) in [
        ("ast-grep-json", "js", latin, "", false),
        ("ast-grep-json", "js", "café\n".as_bytes(), "", true),
        ("detect-secrets-json", "txt", latin, r#"{"version":"1.5.0","results":{}}"#, false),
        ("codespell", "txt", wide, "", false),
        ("codespell", "txt", latin, "", true),
        ("detect-secrets-json", "png", b"\x89PNG\0\n", r#"{"version":"1.5.0","results":{}}"#, true),
        (
            "semgrep-json",
            "py",
            wide,
            r#"{"version":"1","results":[],"errors":[],"paths":{"scanned":["a.py"]}}"#,
            false,
        ),
        ("flake8", "py", latin, "", true),
    ] {
        let found = read_content(None, format, ending, content, text);
        let told = format!("it could not check a.{ending}: it does not read ");
        assert_eq!(
            found.problems.iter().any(|problem| problem.starts_with(&told)),
            !is_read,
            "{format} {found:?}"
        );
    }
}

#[test]
fn the_output_of_another_tool_is_a_problem() {
    let sarif = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"ruff"}},"results":[]}]}"#;
    let bandit = r#"{"errors":[],"generated_at":"","metrics":{},"results":[]}"#;
    for (named, text, is_other) in [
        ("eslint", sarif, true),
        ("ruff", sarif, false),
        ("semgrep", bandit, true),
        ("bandit", bandit, false),
        ("basedpyright", r#"{"version":"1","generalDiagnostics":[],"summary":{"filesAnalyzed":1}}"#, false),
    ] {
        let found = read_content(None, named, "x", b"text\n", text);
        let is_told = found.problems.iter().any(|problem| problem.starts_with("the output is that of "));
        assert_eq!(is_told, is_other, "{named} {:?}", found.problems);
    }
}

#[test]
fn a_tool_that_wraps_another_one_fails_as_that_does() {
    let text = json!([{ "filePath": "a.js", "messages": [{
        "ruleId": null, "fatal": true, "severity": 2, "message": "Parsing error: x", "line": 2, "column": 1,
    }] }]);
    let found = read_content(Some("xo"), "eslint-json", "js", b"text\n", &text.to_string());
    assert_eq!(found.problems, ["it could not check a.js:2: Parsing error: x"]);
    assert_eq!(found.tools, ["xo".to_owned()].into());
}

#[test]
fn a_tool_that_examined_nothing_is_skipped() {
    for (format, ending, text, is_skipped) in [
        ("pyright", "py", r#"{"generalDiagnostics":[],"summary":{"filesAnalyzed":0}}"#, true),
        ("pyright", "py", r#"{"generalDiagnostics":[],"summary":{"filesAnalyzed":1}}"#, false),
        ("oxlint", "js", r#"{"diagnostics":[],"number_of_files":1,"number_of_rules":0}"#, true),
        ("oxlint", "js", r#"{"diagnostics":[],"number_of_files":1,"number_of_rules":9}"#, false),
        (
            "eslint",
            "js",
            r#"[{"filePath":"a.js","messages":[{"ruleId":null,"fatal":false,"severity":1,"message":"File ignored because of a matching ignore pattern."}]}]"#,
            true,
        ),
        ("eslint", "js", r#"[{"filePath":"a.js","messages":[]}]"#, false),
    ] {
        let found = read_content(None, format, ending, b"text\n", text);
        assert_eq!(found.skip_reason.is_some(), is_skipped, "{format} {text} {found:?}");
        assert!(found.problems.is_empty(), "{found:?}");
    }
}

#[test]
fn a_failure_among_other_lines_is_a_problem() {
    let message = r#"{"reason":"compiler-artifact"}"#;
    let pylint = ".pylintrc:1:0: F0011: error while parsing the configuration\n'[MAIN' (config-parse-error)\n\
        {\n\"messages\": [], \"statistics\": {}}";
    for (format, text, expected) in [
        (
            "flake8",
            "a.py:9:1: E741 ambiguous\nTraceback (most recent call last):\n  File \"x\"\nOSError: boom\n",
            "OSError: boom",
        ),
        ("pylint", pylint, "'[MAIN' (config-parse-error)"),
        (
            "clippy",
            &format!("{message}\n{{\"reason\":\"build-finished\",\"success\":false}}\n"),
            "the build failed",
        ),
        ("clippy", &format!("{message}\n"), "the output does not end with `build-finished`"),
        ("cppcheck", "a.py:0:0: warning: File is missing: a.py [missingFile]\n", "a.py:0:0: warning"),
        (
            "clang-tidy",
            "a.py:9:1: warning: x [bugprone-x]\nerror: error reading 'a.py'\n",
            "error: error reading",
        ),
        ("sarif", r#"{"version":"2.1.0","runs":[]}"#, "the SARIF log has no runs"),
        (
            "bandit",
            r#"{"errors":[{"message":"could not parse a.py"}],"results":[]}"#,
            "an error is malformed",
        ),
        (
            "rubocop",
            r#"{"files":[],"summary":{"target_file_count":5,"inspected_file_count":0}}"#,
            "it inspected 0 of 5",
        ),
        (
            "junit",
            r#"<testsuites><testsuite name="x" tests="0" errors="1"/></testsuites>"#,
            "the tool reports 1 finding",
        ),
        (
            "biome",
            r#"{"summary":{"changed":0,"unchanged":1},"diagnostics":[{"category":"lint","severity":"warning","description":"The size of the file is 9, which exceeds the configured maximum","location":{"path":{"file":"a.py"}}}],"command":"lint"}"#,
            "it could not check a.py",
        ),
    ] {
        let found = read_content(None, format, "py", b"text\n", text);
        assert!(found.problems.iter().any(|problem| problem.starts_with(expected)), "{format} {found:?}");
    }
}

#[test]
fn findings_in_a_cell_of_a_notebook_stand_at_its_line_of_the_file() {
    let notebook = "{\"cells\": [\n{\"cell_type\": \"markdown\", \"source\": [\n\"a\"]},\n{\"cell_type\": \
        \"code\", \"source\": [\n\"x\\n\",\n\"y\\n\",\n\"z\\n\",\n\"l = 1\"\n]}]}\n";
    let ruff = json!([{
        "filename": "a.ipynb", "code": "E741", "message": "Ambiguous variable name", "cell": 2,
        "location": { "row": 4, "column": 1 }, "end_location": { "row": 4, "column": 2 }, "noqa_row": 4,
        "fix": null, "url": null, "severity": "error",
    }]);
    for (format, text) in
        [("ruff", ruff.to_string()), ("flake8", "a.ipynb:cell_1:4:1: E741 ambiguous\n".to_owned())]
    {
        let found = read_content(None, format, "ipynb", notebook.as_bytes(), &text);
        let lines: Vec<u32> = found.findings.iter().map(|raw| raw.location.start_line).collect();
        assert_eq!((lines, found.problems.len()), (vec![8], 0), "{format}");
    }
}
