//! Tests with complete outputs of real tools. For each output, `expected/NAME.txt` lists the byte range of
//! each diagnostic. The expected ranges were compared with the code that the tool marks in its human-readable
//! output.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use truing_diff::RepoPath;
use truing_reader::output::known::find_tool;
use truing_reader::output::recognize::recognize_format;
use truing_reader::output::{
    Diagnostic, DiagnosticLevel, DiagnosticReport, FileText, OutputContext, OutputFormat, ProblemKind,
    read_output, resolve_fix,
};

/// Outputs: the file, the format, and the folder of the tree in which the tool ran.
pub(super) const OUTPUTS: &[(&str, &str, &str)] = &[
    ("ast-grep.jsonl", "ast-grep-json", "sg"),
    ("bandit.json", "bandit-json", "py"),
    ("biome.json", "biome-json", "web"),
    ("clang.txt", "gcc", "c"),
    ("clippy.json", "cargo-json", "rs"),
    ("codespell.txt", "codespell", "md"),
    ("cppcheck.txt", "gcc", "c"),
    ("detect-secrets.json", "detect-secrets-json", "py"),
    ("eslint-compact.txt", "eslint-compact", "web"),
    ("eslint-unix.txt", "eslint-unix", "web"),
    ("eslint.json", "eslint-json", "web"),
    ("flake8.txt", "flake8", "py"),
    ("gcc.txt", "gcc", "c"),
    ("govet.json", "govet-json", "go"),
    ("govet.txt", "govet", "go"),
    ("hadolint.gitlab.json", "gitlab", "docker"),
    ("hadolint.json", "hadolint-json", "docker"),
    ("hadolint.sarif.json", "sarif", "docker"),
    ("hadolint.txt", "hadolint", "docker"),
    ("hadolint.xml", "checkstyle", "docker"),
    ("markdownlint.txt", "markdownlint", "md"),
    ("mypy.json", "mypy-json", "py"),
    ("mypy.txt", "mypy", "py"),
    ("oxlint.json", "oxlint-json", "web"),
    ("php.txt", "php", "php"),
    ("pylint.json", "pylint-json", "py"),
    ("pylint.txt", "pylint", "py"),
    ("pyright.json", "pyright-json", "py"),
    ("rubocop.json", "rubocop-json", "rb"),
    ("rubocop.txt", "rubocop", "rb"),
    ("ruff.json", "ruff-json", "py"),
    ("ruff.txt", "ruff", "py"),
    ("semgrep.json", "semgrep-json", "sg"),
    ("semgrep.sarif.json", "sarif", "sg"),
    ("shellcheck-gcc.txt", "gcc", "sh"),
    ("shellcheck.json", "shellcheck-json", "sh"),
    ("sqlfluff.json", "sqlfluff-json", "sql"),
    ("stylelint.json", "stylelint-json", "css"),
    ("tsc.txt", "tsc", "web"),
    ("yamllint.txt", "yamllint", "yaml"),
];

/// Returns the path of a file in the folder of the recorded outputs.
fn sibling_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/output/real").join(name)
}

/// Returns the content of a recorded output.
pub(super) fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(sibling_path(name)).unwrap()
}

/// Returns the path and text of each file that the tools examined.
fn tree() -> BTreeMap<String, String> {
    serde_json::from_slice(&bytes("tree.json")).unwrap()
}

/// Reads an output of a tool that ran in this folder.
pub(super) fn read_in(folder: &str, format: &str, bytes: &[u8]) -> DiagnosticReport {
    let folder = RepoPath::from_text(folder);
    let roots = ["/build/tree".to_owned()];
    let input = OutputContext { roots: &roots, working_folder: Some(&folder), ..OutputContext::default() };
    read_output(OutputFormat::parse(format).unwrap(), bytes, &input)
}

fn read_real(name: &str) -> DiagnosticReport {
    let (name, format, folder) = OUTPUTS.iter().find(|output| output.0 == name).unwrap();
    read_in(folder, format, &bytes(name))
}

/// Renders a diagnostic: level, rule, path, line and byte column of its start, text of its range, and fixes.
fn render_diagnostic(diagnostic: &Diagnostic, tree: &BTreeMap<String, String>) -> String {
    let level = match diagnostic.level {
        DiagnosticLevel::Error => "error",
        DiagnosticLevel::Warning => "warning",
        DiagnosticLevel::Note => "note",
    };
    let path = diagnostic.path.to_string();
    let text = tree.get(&path).unwrap_or_else(|| panic!("{path} is not a file of the tree"));
    let file = FileText::new(text.as_bytes());
    let place = match file.byte_range(&diagnostic.range) {
        Ok(range) => {
            let line_start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
            let line = text[..range.start].matches('\n').count() + 1;
            // For an empty range, the rendered text is the code that follows the start of the range.
            let rest = text[range.start..].lines().next().unwrap_or_default();
            let at = if range.is_empty() {
                rest.chars().take(10).collect()
            } else {
                text[range.clone()].to_owned()
            };
            let more = if range.is_empty() { "…" } else { "" };
            format!("{path}:{line}:{} {at:?}{more}", range.start - line_start + 1)
        }
        Err(error) => {
            let (first, last) = file.range_lines(&diagnostic.range).unwrap();
            format!("{path}:{first}-{last} ({error})")
        }
    };
    let mut shown = format!("{level} {} {place}", diagnostic.rule.as_deref().unwrap_or("-"));
    for fix in &diagnostic.fixes {
        shown.push_str("\n   ");
        for edit in resolve_fix(fix, &diagnostic.path, &file).unwrap() {
            write!(shown, " {:?} -> {:?}", &text[edit.range.clone()], edit.new_text).unwrap();
        }
    }
    shown
}

#[test]
fn every_output_is_read_whole_and_exactly() {
    let tree = tree();
    for (name, _, _) in OUTPUTS {
        let report = read_real(name);
        let mut all = String::new();
        for found in &report.diagnostics {
            writeln!(all, "{}\n    {}", render_diagnostic(found, &tree), found.message).unwrap();
        }
        for problem in &report.problems {
            writeln!(all, "{:?}: {}", problem.kind, problem.text).unwrap();
        }
        let expected = std::fs::read_to_string(sibling_path(&format!("expected/{name}.txt"))).unwrap();
        assert_eq!(all, expected, "{name}");
        assert_eq!(report.left_out_count, 0, "{name}");
    }
}

/// Returns the start of each diagnostic of an output: path, offset of the first byte, and rule.
fn diagnostic_starts(name: &str, tree: &BTreeMap<String, String>) -> Vec<(String, usize, String)> {
    let start = |found: &Diagnostic| {
        let path = found.path.to_string();
        let file = FileText::new(tree[&path].as_bytes());
        (path, file.byte_range(&found.range).unwrap().start, found.rule.clone().unwrap_or_default())
    };
    let mut starts: Vec<_> = read_real(name).diagnostics.iter().map(start).collect();
    starts.sort();
    starts
}

#[test]
fn two_formats_of_a_tool_tell_the_same_places() {
    let tree = tree();
    for (one, two) in [
        ("eslint.json", "eslint-unix.txt"),
        ("eslint.json", "eslint-compact.txt"),
        ("mypy.json", "mypy.txt"),
        ("rubocop.json", "rubocop.txt"),
        ("ruff.json", "ruff.txt"),
        ("shellcheck.json", "shellcheck-gcc.txt"),
        ("hadolint.json", "hadolint.txt"),
        ("hadolint.json", "hadolint.xml"),
        ("hadolint.json", "hadolint.gitlab.json"),
    ] {
        assert_eq!(diagnostic_starts(one, &tree), diagnostic_starts(two, &tree), "{one} and {two}");
    }
}

#[test]
fn places_agree_with_another_tool_that_found_the_same() {
    // Several tools report the same defects on lines with non-ASCII characters. Although the tools count
    // columns in different units, the byte offsets must be equal.
    let tree = tree();
    let place = |name: &str, rule: &str, path: &str| {
        let all = diagnostic_starts(name, &tree);
        all.iter().filter(|found| found.2 == rule && found.0 == path).map(|found| found.1).max().unwrap()
    };
    let undefined =
        [("ruff.json", "F821"), ("flake8.txt", "F821"), ("pyright.json", "reportUndefinedVariable")];
    let undefined = undefined.map(|(name, rule)| place(name, rule, "py/shop.py"));
    assert_eq!(undefined, [place("pylint.json", "E0602", "py/shop.py"); 3]);
    let debugger = [("biome.json", "lint/suspicious/noDebugger"), ("oxlint.json", "eslint(no-debugger)")];
    let debugger = debugger.map(|(name, rule)| place(name, rule, "web/shop.js"));
    assert_eq!(debugger, [place("eslint.json", "no-debugger", "web/shop.js"); 2]);
    let eval = [("semgrep.json", "no-eval"), ("ast-grep.jsonl", "no-eval")];
    let eval = eval.map(|(name, rule)| place(name, rule, "sg/shop.py"));
    assert_eq!(eval[0], eval[1]);
    let unused = ["clang.txt", "gcc.txt"].map(|name| place(name, "-Wunused-variable", "c/shop.c"));
    assert_eq!(unused[0], unused[1]);
}

#[test]
fn outputs_in_a_format_of_their_own_are_recognised() {
    for (name, format, _) in OUTPUTS {
        let found = recognize_format(&bytes(name)).map(OutputFormat::as_str);
        let is_text = name.ends_with(".txt");
        assert_eq!(found, (!is_text).then_some(*format), "{name}");
    }
}

#[test]
fn known_tools_print_formats_that_were_read() {
    // For each JSON format of one tool in `OUTPUTS`, the table of known tools must list this format for that
    // tool.
    for (name, format, _) in OUTPUTS.iter().filter(|output| output.1.ends_with("-json")) {
        let tool = OutputFormat::parse(format).unwrap();
        let OutputFormat::Named(named) = tool else { panic!("{name}") };
        assert_eq!(find_tool(named.tool).unwrap().format, *format, "{name}");
    }
}

#[test]
fn line_ends_and_colours_change_nothing() {
    for (name, format, folder) in OUTPUTS.iter().filter(|output| output.0.ends_with(".txt")) {
        let whole = read_real(name);
        let text = String::from_utf8(bytes(name)).unwrap().replace("\r\n", "\n");
        let windows = read_in(folder, format, text.replace('\n', "\r\n").as_bytes());
        assert_eq!(windows, whole, "{name}");
        let coloured: String =
            text.lines().map(|line| format!("\u{1b}[1m{line}\u{1b}[0m\u{1b}[K\n")).collect();
        assert_eq!(read_in(folder, format, coloured.as_bytes()), whole, "{name}");
    }
}

#[test]
fn a_damaged_output_gives_no_other_diagnostics() {
    for (name, format, folder) in OUTPUTS {
        let (whole, bytes) = (read_real(name), bytes(name));
        let own = OutputFormat::parse(format).unwrap();
        for part in 1..40 {
            let cut = &bytes[..bytes.len() * part / 40];
            let report = read_in(folder, format, cut);
            // If a text output is cut, the last line may be damaged. Every diagnostic before the last one
            // must equal a diagnostic of the complete output.
            let sure = report.diagnostics.len().saturating_sub(usize::from(name.ends_with(".txt")));
            for found in &report.diagnostics[..sure] {
                assert!(whole.diagnostics.contains(found), "{name} up to {}: {found:?}", cut.len());
            }
            let is_told = report
                .problems
                .iter()
                .any(|problem| matches!(problem.kind, ProblemKind::Unreadable | ProblemKind::MalformedEntry));
            let is_by_lines = name.ends_with(".txt") || name.ends_with("l");
            let is_less = report.diagnostics.len() < whole.diagnostics.len();
            let has_lines = matches!(*format, "mypy-json" | "cargo-json" | "govet-json");
            assert!(
                is_by_lines || has_lines || is_told || !is_less,
                "{name} up to {}: nothing told",
                cut.len()
            );
        }
        // At many offsets, a byte is replaced by 0xFF, which is invalid in UTF-8.
        for at in (0..bytes.len()).step_by(bytes.len() / 50 + 1) {
            let mut damaged = bytes.clone();
            damaged[at] = 0xFF;
            let report = read_output(own, &damaged, &OutputContext::default());
            assert!(report.diagnostics.len() <= whole.diagnostics.len() + 1, "{name}");
        }
    }
}

#[test]
fn a_malformed_entry_costs_itself_alone() {
    // In each of these documents, the named list is replaced by another value.
    for (name, list) in [
        ("bandit.json", "/results"),
        ("biome.json", "/diagnostics"),
        ("eslint.json", ""),
        ("eslint.json", "/0/messages"),
        ("hadolint.json", ""),
        ("oxlint.json", "/diagnostics"),
        ("pylint.json", "/messages"),
        ("pyright.json", "/generalDiagnostics"),
        ("rubocop.json", "/files"),
        ("rubocop.json", "/files/0/offenses"),
        ("ruff.json", ""),
        ("semgrep.json", "/results"),
        ("shellcheck.json", "/comments"),
        ("sqlfluff.json", ""),
        ("sqlfluff.json", "/0/violations"),
        ("stylelint.json", ""),
        ("stylelint.json", "/0/warnings"),
    ] {
        let (_, format, folder) = OUTPUTS.iter().find(|output| output.0 == name).unwrap();
        let whole = read_real(name);
        for entry in ["7", "null", "[]", r#"{"line": {}, "message": 3}"#] {
            let mut document: serde_json::Value = serde_json::from_slice(&bytes(name)).unwrap();
            let entries = document.pointer_mut(list).and_then(serde_json::Value::as_array_mut).unwrap();
            entries.insert(0, serde_json::from_str(entry).unwrap());
            let report = read_in(folder, format, document.to_string().as_bytes());
            assert_eq!(report.diagnostics, whole.diagnostics, "{name}{list}: {entry}");
            assert_eq!(report.left_out_count, 1, "{name}{list}: {entry}");
        }
    }
}

#[test]
fn every_line_of_a_real_output_is_understood() {
    for (name, _, _) in OUTPUTS {
        let report = read_real(name);
        assert_eq!((report.unparsed_lines, report.more_unparsed_lines), (Vec::new(), 0), "{name}");
    }
}
