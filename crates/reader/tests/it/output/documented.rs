//! Tests with outputs that were written according to the tools' documentation. Some tools could not be run
//! for these tests; other outputs are in older or rarer formats.

use truing_reader::output::{
    Diagnostic, DiagnosticLevel, DiagnosticReport, OutputFormat, ProblemKind, choose_format,
};

use super::real::read_in;

/// Returns each diagnostic as `level rule path:line:column message`, with the column as the tool counts it.
fn render_diagnostics(report: &DiagnosticReport) -> Vec<String> {
    let one = |found: &Diagnostic| {
        let level = match found.level {
            DiagnosticLevel::Error => "error",
            DiagnosticLevel::Warning => "warning",
            DiagnosticLevel::Note => "note",
        };
        let rule = found.rule.as_deref().unwrap_or("-");
        let place = match found.range {
            truing_reader::output::DiagnosticRange::Lines(span) => {
                let column = span.start().column().map(|column| format!(":{column}")).unwrap_or_default();
                format!("{}{column}", span.start().line())
            }
            truing_reader::output::DiagnosticRange::Offsets(offsets) => format!("@{}", offsets.start()),
            truing_reader::output::DiagnosticRange::WholeFile => "file".to_owned(),
        };
        format!("{level} {rule} {}:{place} {}", found.path, found.message)
    };
    report.diagnostics.iter().map(one).collect()
}

/// Reads a text and returns its diagnostics. Fails if the reader left anything out.
fn read_completely(format: &str, text: &str) -> Vec<String> {
    let report = read_in("x", format, text.as_bytes());
    assert_eq!((report.left_out_count, &report.problems), (0, &Vec::new()), "{format}");
    render_diagnostics(&report)
}

#[test]
fn golangci_is_read_in_both_forms() {
    let json = r#"{"Issues":[
        {"FromLinter":"errcheck","Text":"Error return value of `f.Close` is not checked","Severity":"",
         "SourceLines":["\tf.Close()"],"Pos":{"Filename":"a/b.go","Offset":10,"Line":7,"Column":9},
         "ExpectNoLint":false,"ExpectedNoLintLinter":""},
        {"FromLinter":"goimports","Text":"File is not properly formatted","Severity":"error",
         "Pos":{"Filename":"a/c.go","Offset":0,"Line":6,"Column":0},"LineRange":{"From":6,"To":8}},
        {"FromLinter":"typecheck","Text":"undefined: x","Pos":{"Filename":"a/c.go","Line":9,"Column":2}}],
        "Report":{"Linters":[{"Name":"errcheck","Enabled":true}]}}"#;
    assert_eq!(
        read_completely("golangci-json", json),
        [
            "warning errcheck x/a/b.go:7:9 Error return value of `f.Close` is not checked",
            "error goimports x/a/c.go:6 File is not properly formatted",
            "error typecheck x/a/c.go:9:2 undefined: x",
        ]
    );
    let text = "a/b.go:7:9: Error return value of `f.Close` is not checked \
         (errcheck)\n\tf.Close()\n\t       ^\na/c.go:6: File is not properly formatted (goimports)\n2 \
         issues:\n* errcheck: 1\n";
    assert_eq!(
        read_completely("golangci", text),
        [
            "warning errcheck x/a/b.go:7:9 Error return value of `f.Close` is not checked",
            "warning goimports x/a/c.go:6 File is not properly formatted",
        ]
    );
}

#[test]
fn totals_of_golangci_behind_a_document_are_known_and_checked() {
    let issue = r#"{"FromLinter":"errcheck","Text":"x","Pos":{"Filename":"a.go","Line":7,"Column":9}}"#;
    for (issues, behind, problems) in [
        ("", "0 issues.\n", 0),
        (issue, "1 issues:\n* errcheck: 1\n", 0),
        (issue, "2 issues:\n* errcheck: 2\n", 1),
    ] {
        let json = format!("{{\"Issues\":[{issues}],\"Report\":{{\"Linters\":[]}}}}\n{behind}");
        assert_eq!(
            choose_format(None, json.as_bytes()).map(OutputFormat::as_str),
            Some("golangci-json"),
            "{json}"
        );
        let report = read_in("x", "golangci-json", json.as_bytes());
        assert_eq!((report.problems.len(), report.unparsed_lines.len()), (problems, 0), "{json}");
    }
    let sarif = "{\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{\"name\":\"x\"}},\"results\":[]}]}\n0 issues.\n";
    assert_eq!(choose_format(None, sarif.as_bytes()).map(OutputFormat::as_str), Some("sarif"));
    assert_eq!(read_completely("sarif", sarif), Vec::<String>::new());
}

#[test]
fn shellcheck_is_read_in_each_of_its_formats() {
    let comment = r#"{"file":"a.sh","line":3,"endLine":3,"column":9,"endColumn":12,"level":"info","code":2086,
        "message":"Double quote to prevent globbing.","fix":null}"#;
    let told = |text: &str| {
        let format = choose_format(Some("shellcheck"), text.as_bytes()).unwrap();
        let report = read_in("x", format.as_str(), text.as_bytes());
        assert_eq!(
            (report.left_out_count, report.problems.len(), report.unparsed_lines.len()),
            (0, 0, 0),
            "{text}"
        );
        render_diagnostics(&report)
    };
    for clean in ["", "[]", "{\"comments\":[]}"] {
        assert_eq!(told(clean), Vec::<String>::new(), "{clean}");
    }
    let of = |place: &str| vec![format!("note SC2086 x/a.sh:{place} Double quote to prevent globbing.")];
    assert_eq!(told(&format!("[{comment}]")), of("3"), "columns of this form count tabs otherwise");
    assert_eq!(told(&format!("{{\"comments\":[{comment}]}}")), of("3:9"));
    assert_eq!(told("a.sh:3:9: note: Double quote to prevent globbing. [SC2086]\n"), of("3:9"));
}

#[test]
fn what_golangci_says_of_its_run_is_a_problem() {
    let json = r#"{"Issues":null,"Report":{"Warnings":[{"Tag":"runner","Text":"a linter is deprecated"}],
        "Error":"no go files to analyze"}}"#;
    let report = read_in("x", "golangci-json", json.as_bytes());
    let told: Vec<_> = report.problems.iter().map(|problem| (problem.kind, problem.text.as_str())).collect();
    assert_eq!(
        told,
        [
            (ProblemKind::ToolFailed, "a linter is deprecated"),
            (
                ProblemKind::ToolFailed,
                "no go files to \
            analyze"
            )
        ]
    );
}

/// Findings of Gitleaks, one in the tree and one in a commit.
const GITLEAKS: &str = r#"[
    {"RuleID":"generic-api-key","Description":"Detected a key of the value not-a-real-secret-7","StartLine":4,
     "EndLine":5,"StartColumn":5,"EndColumn":1,"Match":"KEY=not-a-real-secret-7","Secret":"not-a-real-secret-7",
     "File":"a/.env","SymlinkFile":"","Commit":"","Entropy":3.5,"Author":"","Email":"","Date":"","Message":"",
     "Tags":["key","not-a-real-secret-7"],"Fingerprint":"a/.env:generic-api-key:4"},
    {"RuleID":"generic-api-key","Description":"Detected a Generic API Key","StartLine":2,"Secret":"REDACTED",
     "Match":"KEY=REDACTED","File":"a/b.env","Commit":"0123456789abcdef0123456789abcdef01234567","Tags":[]}
]"#;

#[test]
fn a_secret_of_gitleaks_is_nowhere() {
    let report = read_in("x", "gitleaks-json", GITLEAKS.as_bytes());
    assert_eq!(render_diagnostics(&report), ["error generic-api-key x/a/.env:4 A secret is in the file."]);
    assert!(!format!("{report:?}").contains("not-a-real-secret-7"));
    assert_eq!(report.left_out_count, 1);
    assert_eq!(report.problems[0].text, "a/b.env: generic-api-key in commit 0123456789ab, not in the tree");
}

#[test]
fn digests_of_secrets_and_passwords_are_nowhere() {
    for (name, format, value) in [
        ("detect-secrets.json", "detect-secrets-json", "fc8c5eb194806e31a213f073131e73b0012a0fb5"),
        ("bandit.json", "bandit-json", "hunter2hunter2"),
    ] {
        let bytes = super::real::bytes(name);
        assert!(String::from_utf8_lossy(&bytes).contains(value), "{name}");
        let report = read_in("py", format, &bytes);
        assert!(!report.diagnostics.is_empty() && !format!("{report:?}").contains(value), "{name}");
    }
}

#[test]
fn actionlint_is_read_with_snippets_and_without() {
    let text = ".github/workflows/ci.yml:2:12: unknown Webhook event \"pul_request\". see the list \
         [events]\n  |\n2 | on: [push, \
         pul_request]\n  |            ^~~~~~~~~~~~\n.github/workflows/ci.yml:8:37: shellcheck reported issue \
         in this script: SC2086:info:1:6: quote [shellcheck]\n";
    assert_eq!(
        read_completely("actionlint", text),
        [
            "error events x/.github/workflows/ci.yml:2:12 unknown Webhook event \"pul_request\". see the \
             list",
            "error shellcheck x/.github/workflows/ci.yml:8:37 shellcheck reported issue in this script: \
             SC2086:info:1:6: quote",
        ]
    );
}

#[test]
fn msbuild_is_read_with_projects_and_node_numbers() {
    let text = "  Determining projects to restore...\r\nsrc\\App\\Program.cs(10,17): warning CS0168: The \
         variable 'x' is declared but never used [C:\\b\\App.csproj]\r\n\x20    3>Lib/A.cs(4): error CS1002: \
         ; expected [C:\\b\\Lib.csproj]\r\nLib/B.fs(1,2,1,9): error FS0039: The value 'y' is not \
         defined.\r\nBuild FAILED.\r\nMSBUILD : error MSB1009: Project file does not exist.\r\n";
    let report = read_in("x", "msbuild", text.as_bytes());
    assert_eq!(
        render_diagnostics(&report),
        [
            "warning CS0168 x/src/App/Program.cs:10:17 The variable 'x' is declared but never used",
            "error CS1002 x/Lib/A.cs:4 ; expected",
            "error FS0039 x/Lib/B.fs:1:2 The value 'y' is not defined.",
        ]
    );
    assert_eq!(report.problems[0].kind, ProblemKind::ToolFailed);
}

#[test]
fn phpstan_is_read_with_rules_and_without() {
    let text = "src/A.php:3:Undefined variable: $x\nsrc/A.php:9:Call to an undefined method A::b(). \
         [identifier=method.notFound]\n";
    assert_eq!(
        read_completely("phpstan", text),
        [
            "error - x/src/A.php:3 Undefined variable: $x",
            "error method.notFound x/src/A.php:9 Call to an undefined method A::b().",
        ]
    );
    let report = read_in("x", "phpstan", b"?:?:Ignored error pattern was not matched\n");
    assert_eq!((report.diagnostics.len(), report.problems[0].kind), (0, ProblemKind::ToolFailed));
}

#[test]
fn other_forms_of_tools_are_read() {
    // TypeScript prints this output in a terminal, with escape sequences for colours.
    let pretty = "\x1b[96mshop.ts\x1b[0m:\x1b[93m2\x1b[0m:\x1b[93m7\x1b[0m - \x1b[91merror\x1b[0m\x1b[90m \
         TS2322: \x1b[0mType 'string' is not assignable.\n\n\x1b[7m2\x1b[0m const a\n";
    assert_eq!(
        read_completely("tsc", pretty),
        ["error TS2322 x/shop.ts:2:7 Type 'string' is not assignable."]
    );
    let next = "src/(group)/page.tsx(2,7): error TS1005: ',' expected.\n  more about it\nFound 1 error.\n";
    assert_eq!(read_completely("tsc", next), ["error TS1005 x/src/(group)/page.tsx:2:7 ',' expected."]);
    let pylint = "************* Module a\na.py:3:4: W0612: Unused variable 'x' (unused-variable)\n\nYour \
         code has been rated at 5.00/10\n";
    assert_eq!(read_completely("pylint", pylint), ["warning W0612 x/a.py:3:5 Unused variable 'x'"]);
    let stylelint = "a.css:1:21: Unknown property \"colr\" (property-no-unknown) [warning]\n\n1 problem (0 \
         errors, 1 warning)\n";
    assert_eq!(
        read_completely("eslint-unix", stylelint),
        ["warning property-no-unknown x/a.css:1:21 Unknown property \"colr\""]
    );
    let markdown = "README.md:5:10 MD009/no-trailing-spaces Trailing spaces [Expected: 0 or 2; Actual: 3]\n";
    assert_eq!(
        read_completely("markdownlint", markdown),
        ["warning MD009 x/README.md:5:10 Trailing spaces [Expected: 0 or 2; Actual: 3]"]
    );
    let unix = "main.go:3: no column\nC:\\a\\b.c:4:5: of a drive\nnot a place\n";
    let report = read_in("x", "unix", unix.as_bytes());
    assert_eq!(render_diagnostics(&report), ["warning - x/main.go:3 no column"]);
    assert_eq!(report.left_out_count, 1);
}

#[test]
fn biome_is_read_as_it_was_before() {
    let text = r#"{"summary":{"changed":0,"unchanged":1,"suggestedFixesSkipped":0},"diagnostics":[{
        "category":"lint/style/useConst","severity":"error","description":"This let is assigned once.",
        "message":[{"elements":[],"content":"This "}],"advices":{"advices":[]},
        "location":{"path":{"file":"a.js"},"span":[5,8],"sourceCode":"0123 let a"}}],"command":"lint"}"#;
    assert_eq!(
        read_completely("biome-json", text),
        ["error lint/style/useConst x/a.js:@5 This let is assigned once."]
    );
}

#[test]
fn rustc_tells_its_failures_and_macros() {
    let span = |file: &str, line: u32, more: &str| {
        format!(
            r#"{{"file_name":"{file}","line_start":{line},"line_end":{line},"column_start":5,"column_end":9,"is_primary":true,"suggested_replacement":null,"suggestion_applicability":null{more}}}"#
        )
    };
    let line = |level: &str, code: &str, spans: &str| {
        format!(
            r#"{{"reason":"compiler-message","message":{{"message":"no {level}","level":"{level}","code":{code},"spans":[{spans}],"children":[]}}}}"#
        )
    };
    let call = format!(r#","expansion":{{"span":{},"macro_decl_name":"vec!"}}"#, span("src/a.rs", 4, ""));
    let text = [
        line("error", r#"{"code":"E0308","explanation":"long"}"#, &span("src/a.rs", 3, "")),
        line("error", r#"{"code":"E0308"}"#, &span("src/a.rs", 3, "")),
        line("error", "null", &span("/rustc/0a1b/library/alloc/src/macros.rs", 41, &call)),
        line("error", "null", ""),
        line("warning", "null", ""),
    ]
    .join("\n");
    let report = read_in("x", "cargo-json", text.as_bytes());
    assert_eq!(
        render_diagnostics(&report),
        ["error E0308 x/src/a.rs:3:5 no error", "error - x/src/a.rs:4:5 no error"]
    );
    assert_eq!(
        report.diagnostics[0].rule_page_url.as_deref(),
        Some("https://doc.rust-lang.org/error_codes/E0308.html")
    );
    let problems: Vec<&str> = report.problems.iter().map(|problem| problem.text.as_str()).collect();
    let unfinished = "the output does not end with `build-finished`, so it may be incomplete";
    assert_eq!(problems, ["no error", unfinished]);
}

#[test]
fn alternatives_of_rustc_are_no_fix() {
    let part = |text: &str, column: u32, sure: &str| {
        format!(
            r#"{{"file_name":"a.rs","line_start":1,"line_end":1,"column_start":{column},"column_end":{},"is_primary":true,"suggested_replacement":"{text}","suggestion_applicability":"{sure}"}}"#,
            column + 2
        )
    };
    let fixes = |spans: &str| {
        let text = format!(
            r#"{{"reason":"compiler-message","message":{{"message":"m","level":"warning","code":null,
            "spans":[{}],"children":[{{"message":"try","level":"help","spans":[{spans}]}}]}}}}"#,
            part("", 1, "Unspecified")
        );
        let report = read_in("", "cargo-json", text.replace('\n', " ").as_bytes());
        report.diagnostics[0].fixes.len()
    };
    let sure = "MachineApplicable";
    assert_eq!(fixes(&part("x", 1, sure)), 1);
    assert_eq!(fixes(&[part("x", 1, sure), part("y", 5, sure)].join(",")), 1);
    assert_eq!(fixes(&[part("x", 1, sure), part("y", 1, sure)].join(",")), 0, "one place");
    assert_eq!(fixes(&[part("x", 1, sure), part("y", 2, sure)].join(",")), 0, "overlap");
    assert_eq!(fixes(&[part("x", 1, sure), part("y", 5, "MaybeIncorrect")].join(",")), 0);
}

#[test]
fn go_vet_tells_a_package_that_it_could_not_look_at() {
    let text = "# a\n{\n\t\"a\": {\n\t\t\"printf\": {\n\t\t\t\"error\": \"no types\"\n\t\t}\n\t}\n}\n# \
        b\n{\n\t\"b\": {\n\t\t\"copylocks\": [\n\t\t\t{\"posn\": \"b/x.go:3:4\", \"message\": \"copies a \
        lock\"}]}}\n";
    let report = read_in("x", "govet-json", text.as_bytes());
    assert_eq!(render_diagnostics(&report), ["warning copylocks x/b/x.go:3:4 copies a lock"]);
    assert_eq!(report.problems[0].text, "printf: no types");
}

#[test]
fn nothing_found_is_no_problem() {
    for (format, text) in [
        ("detect-secrets-json", ""),
        ("cargo-json", "{\"reason\":\"build-finished\",\"success\":true}\n"),
        ("govet-json", "# a\n{}\n"),
        ("mypy-json", ""),
        ("ast-grep-json", ""),
        ("gitleaks-json", "[]\n"),
        ("golangci-json", "{\"Issues\":[],\"Report\":{}}\n"),
        ("tsc", ""),
        ("mypy", "Success: no issues found in 2 source files\n"),
    ] {
        assert_eq!(read_completely(format, text), [""; 0], "{format}");
    }
    // An empty output is reported as a problem, because the tool may have failed.
    for format in ["ruff-json", "eslint-json", "pyright-json", "semgrep-json", "shellcheck-json"] {
        let report = read_in("x", format, b"");
        assert_eq!(report.problems[0].kind, ProblemKind::Unreadable, "{format}");
    }
}

#[test]
fn a_file_that_eslint_is_kept_from_is_no_problem() {
    let file = |message: &str| {
        format!(
            r#"[{{"filePath": "x/a.js", "messages": [{{"ruleId": null, "fatal": false, "severity": 1, "message": "{message}", "nodeType": null}}]}}]"#
        )
    };
    for message in [
        // This message and the next three are from ESLint 9.
        "File ignored because of a matching ignore pattern. Use \\\"--no-ignore\\\" to disable file ignore \
         settings.",
        "File ignored because no matching configuration was supplied.",
        "File ignored because outside of base path.",
        "File ignored by default because it is located under the node_modules directory.",
        // This message is from ESLint 8.
        "File ignored by default. Use \\\"--ignore-pattern '!node_modules/*'\\\" to override.",
    ] {
        assert_eq!(read_completely("eslint-json", &file(message)), [""; 0], "{message}");
        assert_eq!(ignored_files("eslint-json", &file(message)), ["x/a.js"], "{message}");
    }
    let report = read_in("x", "eslint-json", file("No files matching the pattern were found.").as_bytes());
    assert_eq!(report.problems[0].kind, ProblemKind::ToolFailed, "anything else about the run");
    assert!(report.ignored_files.is_empty());
}

/// Returns the files that a tool reports as not examined.
fn ignored_files(format: &str, text: &str) -> Vec<String> {
    let report = read_in("", format, text.as_bytes());
    report.ignored_files.iter().map(ToString::to_string).collect()
}

#[test]
fn a_file_that_stylelint_is_kept_from_was_not_looked_at() {
    let file = |name: &str, ignored: &str| {
        format!(
            r#"{{"source": "{name}", "deprecations": [], "invalidOptionWarnings": [], "parseErrors": [], "errored": false, "warnings": []{ignored}}}"#
        )
    };
    let (kept, seen) = (file("/build/tree/a.css", r#", "ignored": true"#), file("/build/tree/b.css", ""));
    let outside = file("/elsewhere/c.css", r#", "ignored": true"#);
    let text = format!("[{kept}, {seen}, {outside}]");
    assert_eq!(read_completely("stylelint-json", &text), [""; 0]);
    assert_eq!(ignored_files("stylelint-json", &text), ["a.css"]);
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(20))]

    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), text in "\\PC{0,80}") {
        for named in truing_reader::output::known::NAMED_FORMATS {
            (named.parse)(&bytes, &Default::default());
            (named.matches)(&bytes);
            for begins in ["[{\"line\": 1, ", "{\"results\": [", "a.py:1:2: ", "a.py:1:2: error: "] {
                (named.parse)(format!("{begins}{text}").as_bytes(), &Default::default());
            }
        }
    }
}

#[test]
fn tsc_builds_a_solution_without_writing() {
    let unwritten = "error TS5033: Could not write file '/b/a/tsconfig.tsbuildinfo': EACCES: permission denied, \
        open '/b/a/tsconfig.tsbuildinfo'.\n";
    let found = "a/x.ts(1,14): error TS2322: Type 'string' is not assignable to type 'number'.\n";
    assert_eq!(
        read_completely("tsc", &format!("{unwritten}{found}")),
        ["error TS2322 x/a/x.ts:1:14 Type 'string' is not assignable to type 'number'."]
    );
    assert!(read_completely("tsc", unwritten).is_empty());
    let old = "error TS5094: Compiler option '--noEmit' may not be used with '--build'.\n";
    let report = read_in("x", "tsc", old.as_bytes());
    assert_eq!(
        report.problems.iter().map(|problem| problem.kind).collect::<Vec<_>>(),
        [ProblemKind::ToolFailed]
    );
    let tsc = truing_reader::output::known::find_tool("tsc").unwrap();
    let is_solution = |text: &'static str| {
        tsc.config_selects_files("tsconfig.json", &|_: &str| Some(text.as_bytes().to_vec()))
    };
    assert!(is_solution(r#"{"files": [], "references": [{"path": "./a"}]}"#));
    assert!(!is_solution(r#"{"include": ["src"]}"#));
}
