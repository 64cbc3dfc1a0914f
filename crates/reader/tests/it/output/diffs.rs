//! Tests that a formatter's diff is one finding for each file, only on changed lines, with the formatted
//! lines as its suggestion. The diffs were recorded from the formatters.

use tempfile::TempDir;
use truing_core::finding::{RawFinding, Severity};
use truing_core::port::{ChangedFile, ExternalToolRun, ToolFindings, ToolOutput, ToolOutputRequest};
use truing_reader::output::known::{find_tool, known_tools};
use truing_reader::output::recognize_format;
use truing_reader::sources::{SourcesAnswer, SourcesQuery};

const PYTHON: &str = "import sys\nimport os\n\n\ndef f(a,b):\n    return a+b\n\n\ndef g():\n    return 1\n\n\n\
    def h():\n    return 2\n\n\ndef i():\n    return 3\n\n\nx = {  \"a\":1 }\nclass A: pass\n";
const BLACK: &str = "--- a.py\t2026-11-30 14:53:50.900090+00:00\n+++ a.py\t2026-11-30 14:53:51.957042+00:00\n\
    @@ -1,11 +1,11 @@\n import sys\n import os\n \n \n-def f(a,b):\n-    return a+b\n+def f(a, b):\n\
    +    return a + b\n \n \n def g():\n     return 1\n \n@@ -16,7 +16,10 @@\n \n def i():\n     return 3\n \n \n\
    -x = {  \"a\":1 }\n-class A: pass\n+x = {\"a\": 1}\n+\n+\n+class A:\n+    pass\n";

/// Returns the findings of a diff of the file `name`, in which these lines are changed.
fn read(name: &str, content: &str, added_lines: &[(u32, u32)], tool: &str, diff: &str) -> ToolFindings {
    read_as("diff", name, content, added_lines, Some(tool), diff)
}

/// Returns the findings of an output about the file `name`, in which these lines are changed.
fn read_as(
    format: &str,
    name: &str,
    content: &str,
    added_lines: &[(u32, u32)],
    tool: Option<&str>,
    text: &str,
) -> ToolFindings {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
    let changed = ChangedFile {
        path: name.into(),
        old_path: None,
        added_lines: added_lines.to_vec(),
        secrets_only: false,
    };
    let foreign =
        ExternalToolRun { tool: tool.map(str::to_owned), is_tree_whole: true, ..Default::default() };
    let output = ToolOutput {
        format: Some(format.to_owned()),
        text: text.to_owned(),
        roots: vec!["/build".to_owned()],
        foreign: Some(foreign),
        ..ToolOutput::default()
    };
    let request = ToolOutputRequest { tree: folder.path().to_owned(), files: vec![changed], output };
    match SourcesQuery::Tool(Box::new(request)).execute() {
        Ok(SourcesAnswer::Tool(found)) => found,
        other => panic!("{other:?}"),
    }
}

/// Returns the lines and the suggestion of the only finding.
fn only_finding(found: &ToolFindings) -> (u32, u32, Option<&str>) {
    let [finding] = found.findings.as_slice() else { panic!("{found:?}") };
    (finding.location.start_line, finding.location.end_line, suggestion(finding))
}

fn suggestion(finding: &RawFinding) -> Option<&str> {
    finding.suggestion.as_ref().map(|suggestion| suggestion.replacement.as_str())
}

#[test]
fn reads_diffs_of_many_formatters() {
    let ruff = "--- a.py\n+++ a.py\n@@ -2,8 +2,8 @@\n import os\n \n \n-def f(a,b):\n-    return a+b\n\
        +def f(a, b):\n+    return a + b\n \n \n def g():\n\n";
    let yapf =
        ruff.replace("--- a.py", "--- a.py\t(original)").replace("+++ a.py", "+++ a.py\t(reformatted)");
    let git = ruff.replace("--- a.py", "--- a/a.py").replace("+++ a.py", "+++ b/a.py");
    let python = (5, 6, Some("def f(a, b):\n    return a + b"));
    let isort = "--- i.py:before\t2026-11-30 14:53:50.900090\n+++ i.py:after\t2026-11-30 14:53:53.862366\n\
        @@ -1,4 +1,4 @@\n+import os\n import zoo\n-import os\n \n x = 1\n";
    let shell = "diff a.sh.orig a.sh\n--- a.sh.orig\n+++ a.sh\n@@ -1,3 +1,3 @@\n-if true ; then\n-echo  x\n\
        +if true; then\n+\techo x\n fi\n";
    let go = "diff b/a.go.orig b/a.go\n--- b/a.go.orig\n+++ b/a.go\n@@ -1,4 +1,5 @@\n package a\n-func  f( ) {\n\
        -return\n+\n+func f() {\n+\treturn\n }\n";
    for (tool, name, content, diff, expected) in [
        ("ruff-format", "a.py", PYTHON, ruff, python),
        ("yapf", "a.py", PYTHON, &yapf, python),
        ("pre-commit", "a.py", PYTHON, &git, python),
        ("isort", "i.py", "import zoo\nimport os\n\nx = 1\n", isort, (1, 2, Some("import os\nimport zoo"))),
        ("shfmt", "a.sh", "if true ; then\necho  x\nfi\n", shell, (1, 2, Some("if true; then\n\techo x"))),
        (
            "gofmt",
            "b/a.go",
            "package a\nfunc  f( ) {\nreturn\n}\n",
            go,
            (2, 3, Some("\nfunc f() {\n\treturn")),
        ),
    ] {
        assert_eq!(recognize_format(diff.as_bytes()).map(|format| format.as_str()), Some("diff"), "{tool}");
        let found = read(name, content, &[(1, 99)], tool, diff);
        assert_eq!(only_finding(&found), expected, "{tool}");
        assert!(found.problems.is_empty() && found.keeps_open.is_none(), "{tool}: {found:?}");
        let finding = &found.findings[0];
        assert_eq!(finding.title, format!("{tool} would format this file otherwise"));
        assert_eq!((finding.rule.as_str(), finding.severity), (&*format!("{tool}/format"), Severity::P2));
        assert!(finding.body.contains("```diff\n@@ line "), "{}", finding.body);
    }
}

#[test]
fn reports_formatting_of_changed_lines_alone() {
    let found = read("a.py", PYTHON, &[(6, 6)], "black", BLACK);
    assert_eq!(only_finding(&found), (5, 6, Some("def f(a, b):\n    return a + b")));
    assert!(!found.findings[0].body.contains("class A"), "{}", found.findings[0].body);
    let found = read("a.py", PYTHON, &[(7, 20)], "black", BLACK);
    assert!(found.findings.is_empty() && found.outside_count == 2, "{found:?}");
    // A line that is only added belongs to the lines before and after it.
    let diff = "--- a.py\n+++ a.py\n@@ -1,2 +1,3 @@\n import sys\n+\n x = 1\n";
    for line in [1, 2] {
        let found = read("a.py", "import sys\nx = 1\ny = 2\n", &[(line, line)], "black", diff);
        assert_eq!(only_finding(&found), (1, 2, Some("import sys\n\nx = 1")));
    }
    let found = read("a.py", "import sys\nx = 1\ny = 2\n", &[(3, 3)], "black", diff);
    assert!(found.findings.is_empty(), "{found:?}");
}

#[test]
fn joins_the_places_of_a_file() {
    let found = read("a.py", PYTHON, &[(1, 22)], "black", BLACK);
    let (first, last, replacement) = only_finding(&found);
    let replacement = replacement.unwrap();
    assert_eq!((first, last), (5, 22));
    assert!(replacement.starts_with("def f(a, b):\n    return a + b\n\n\ndef g():\n"), "{replacement}");
    assert!(replacement.ends_with("\nx = {\"a\": 1}\n\n\nclass A:\n    pass"), "{replacement}");
    // Unchanged lines between two places are no part of a fix.
    let found = read("a.py", PYTHON, &[(5, 5), (22, 22)], "black", BLACK);
    assert_eq!(only_finding(&found), (5, 6, Some("def f(a, b):\n    return a + b")));
    let body = &found.findings[0].body;
    let rest = "It would also change lines 21-22. The suggested fix does not change these lines.";
    assert!(body.contains(rest) && body.contains("+class A:"), "{body}");
}

#[test]
fn a_fix_does_not_lose_a_moved_line() {
    let middle: String = (0..12).map(|number| format!("import m{number}\n")).collect();
    let content = format!("import zoo\n{middle}\nx = 1\n");
    let diff = "--- i.py:before\t2026\n+++ i.py:after\t2026\n@@ -1,4 +1,3 @@\n-import zoo\n import m0\n import m1\n \
        import m2\n@@ -11,5 +10,6 @@\n import m9\n import m10\n import m11\n+import zoo\n \n x = 1\n";
    let found = read("i.py", &content, &[(1, 1)], "isort", diff);
    let (first, last, replacement) = only_finding(&found);
    assert_eq!((first, last), (1, 14));
    let replacement = replacement.unwrap();
    assert!(replacement.starts_with("import m0\n") && replacement.contains("import m11\nimport zoo"));
    // The import of `b` moves into another line, far away, beside a change that loses words.
    let diff = "--- i.py\n+++ i.py\n@@ -1,4 +1,3 @@\n-import zoo\n import m0\n import m1\n import m2\n@@ -11,5 +10,5 @@\n \
        import m9\n import m10\n-import m11\n+import m11, zoo\n \n x = 1\n";
    let found = read("i.py", &content, &[(1, 1)], "isort", diff);
    assert_eq!(only_finding(&found), (1, 1, None));
}

#[test]
fn a_fix_that_needs_the_end_of_the_file_is_left_out() {
    let diff = "--- a.py\n+++ a.py\n@@ -1 +1 @@\n-x=1\n\\ No newline at end of file\n+x = 1\n";
    assert_eq!(only_finding(&read("a.py", "x=1", &[(1, 1)], "black", diff)), (1, 1, None));
    let diff = "--- a.py\n+++ a.py\n@@ -1,3 +1 @@\n x = 1\n-\n-\n";
    assert_eq!(only_finding(&read("a.py", "x = 1\n\n\n", &[(1, 3)], "black", diff)), (2, 3, Some("")));
    let crlf = "--- a.py\n+++ a.py\n@@ -1,2 +1,2 @@\n-x=1\r\n+x = 1\r\n y = 1\r\n";
    assert_eq!(
        only_finding(&read("a.py", "x=1\r\ny = 1\r\n", &[(1, 2)], "black", crlf)),
        (1, 1, Some("x = 1"))
    );
}

#[test]
fn an_output_without_a_diff_is_clean_only_if_empty() {
    let found = read("a.py", PYTHON, &[(1, 22)], "black", "\n");
    assert!(found.findings.is_empty() && found.problems.is_empty(), "{found:?}");
    let found = read("a.py", PYTHON, &[(1, 22)], "black", "All done! 1 file would be left unchanged.\n");
    assert_eq!(
        found.problems,
        ["none of 1 line could be parsed: `All done! 1 file would be left unchanged.`"]
    );
    let error = "error: cannot parse: bad.py:1:6";
    let found = read("a.py", PYTHON, &[(1, 22)], "black", &format!("{error}\n{BLACK}1 file would fail.\n"));
    assert_eq!((found.findings.len(), found.problems.as_slice()), (1, &[error.to_owned()][..]));
    let cut = BLACK.split("+    pass").next().unwrap();
    let found = read("a.py", PYTHON, &[(1, 22)], "black", cut);
    assert_eq!(found.problems.len(), 1, "{found:?}");
}

const RUST: &str = "fn   a(){}\n\n\n\n\n\nfn b() {}\n\nfn c() {}\n\nfn d() {}\n\nfn e() {}\nfn   f() { }\n";
const RUSTFMT: &str = "Diff in /build/a.rs:1:\n-fn   a(){}\n+fn a() {}\n \n-\n-\n-\n-\n fn b() {}\n \n \
    fn c() {}\nDiff in /build/a.rs:11:\n fn d() {}\n \n fn e() {}\n-fn   f() { }\n+fn f() {}\n \n";

#[test]
fn reads_lines_that_rustfmt_would_change() {
    let coloured =
        RUSTFMT.replace("\n-fn", "\n\u{1b}[31m-fn").replace("\n+fn", "\u{1b}(B\u{1b}[m\n\u{1b}[32m+fn");
    let old = RUSTFMT.replace("a.rs:1:", "a.rs at line 1:").replace("a.rs:11:", "a.rs at line 11:");
    for text in [RUSTFMT, &coloured, &old] {
        let found = read_as("rustfmt", "a.rs", RUST, &[(14, 14)], None, text);
        assert_eq!(only_finding(&found), (14, 14, Some("fn f() {}")), "{text}");
        assert_eq!(found.findings[0].rule, "rustfmt/format");
        let found = read_as("rustfmt", "a.rs", RUST, &[(1, 6)], None, text);
        assert_eq!(only_finding(&found), (1, 6, Some("fn a() {}\n")), "{text}");
        assert!(found.problems.is_empty() && found.keeps_open.is_none(), "{found:?}");
    }
    let found =
        read_as("rustfmt", "a.rs", RUST, &[(1, 14)], None, "Incorrect newline style in /build/a.rs\n");
    assert_eq!(only_finding(&found), (1, 1, None));
    let error = "error: this file contains an unclosed delimiter";
    let found = read_as("rustfmt", "a.rs", RUST, &[(1, 14)], None, &format!("{error}\n{RUSTFMT}"));
    assert_eq!(found.problems, [error]);
    assert_eq!(read_as("rustfmt", "a.rs", RUST, &[(1, 14)], None, "no diff\n").problems.len(), 1);
}

#[test]
fn reports_files_that_a_formatter_names_on_a_changed_line() {
    let check = "Checking formatting...\n[warn] a.js\n[warn] Code style issues found in the above file. Run \
        Prettier with --write to fix.\n";
    let errors = "[error] b.js: SyntaxError: Unexpected token (1:7)\n[error] > 1 | const = \n[error]   2 |\n";
    for (text, problems) in [("a.js\n", 0), (check, 0), (&*format!("a.js\n{errors}"), 1)] {
        let found = read_as("paths", "a.js", "a\nb\nc\n", &[(2, 3)], Some("prettier"), text);
        assert_eq!(only_finding(&found), (2, 2, None), "{text}");
        assert_eq!(found.problems.len(), problems, "{found:?}");
        let finding = &found.findings[0];
        assert_eq!(finding.title, "prettier would format this file otherwise");
        assert_eq!(finding.body, "Format it with `prettier --write a.js`.");
    }
    let clean = "Checking formatting...\nAll matched files use Prettier code style!\n";
    let found = read_as("paths", "a.js", "a\n", &[(1, 1)], Some("prettier"), clean);
    assert!(found.findings.is_empty() && found.problems.is_empty(), "{found:?}");
}

#[test]
fn reads_files_that_biome_would_format() {
    let biome = |category: &str, message: &str, line: u32| {
        let position = serde_json::json!({ "line": line, "column": line });
        let location = serde_json::json!({ "path": "a.js", "start": position, "end": position });
        let entry = serde_json::json!({
            "severity": "error", "message": message, "category": category, "location": location, "advices": [],
        });
        serde_json::json!({ "summary": { "suggestedFixesSkipped": 0 }, "diagnostics": [entry] }).to_string()
    };
    let text = biome("format", "Formatter would have printed the following content:", 0);
    let found = read_as("biome-json", "a.js", "a\nb\n", &[(2, 2)], Some("biome-format"), &text);
    assert_eq!(only_finding(&found), (2, 2, None));
    assert_eq!(found.findings[0].title, "biome-format would format this file otherwise");
    let text = biome("format", "Code formatting aborted due to parsing errors.", 0);
    let found = read_as("biome-json", "a.js", "a\nb\n", &[(2, 2)], Some("biome-format"), &text);
    assert_eq!(found.problems, ["it could not check a.js: Code formatting aborted due to parsing errors."]);
    assert!(found.findings.is_empty(), "{found:?}");
}

#[test]
fn a_formatter_is_no_substitute_for_a_linter() {
    for name in ["biome-format", "black", "gofmt", "isort", "prettier", "ruff-format", "rustfmt", "shfmt"] {
        assert!(!find_tool(name).unwrap().is_linter(), "{name}");
    }
    assert!(find_tool("ruff").unwrap().is_linter() && !find_tool("mypy").unwrap().is_linter());
}

#[test]
fn a_formatter_is_used_only_if_the_repository_shows_it() {
    let tracked =
        ["a.py", "a.go", "a.rs", "a.js", "a.sh", "Cargo.toml", "pyproject.toml", "Makefile", "biome.json"];
    let shown = |pyproject: &'static str, makefile: &'static str, biome: &'static str| {
        let read = move |path: &str| -> Option<Vec<u8>> {
            match path {
                "pyproject.toml" => Some(pyproject.into()),
                "Makefile" => Some(makefile.into()),
                "biome.json" => Some(biome.into()),
                _ => None,
            }
        };
        let formatters = known_tools().iter().filter(|tool| tool.formatter.is_some());
        let found = formatters.filter(|tool| tool.find_sign(&tracked, &read).is_some());
        found.map(|tool| tool.name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(shown("[tool.ruff]\n[tool.mypy]\n", "lint:\n\tcargo clippy\n\truff check\n", "{}"), [""; 0]);
    assert_eq!(
        shown(
            "[tool.black]\n[tool.isort]\n[tool.ruff.format]\n",
            "fmt:\n\tcargo fmt --check\n\tgofmt -l .\n\tshfmt -d a.sh\n\tnpx prettier -c .\n",
            r#"{"formatter": {"enabled": true}}"#,
        ),
        ["biome-format", "black", "isort", "ruff-format"]
    );
}
