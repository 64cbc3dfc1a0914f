//! JSON of golangci-lint and `go vet`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::diagnostic::DiagnosticLevel;
use crate::output::entries::{BoundedList, WholeNumber};
use crate::output::format::OutputContext;
use crate::output::json::reading::{OutputReader, is_json_with_marks};
use crate::output::level::parse_level;
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::DiagnosticReport;

/// Maximum number of recorded warnings that golangci-lint prints about its own run.
const MAX_WARNINGS: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GolangciDocument<'a> {
    #[serde(borrow)]
    issues: &'a RawValue,
    report: Option<GolangciReport>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GolangciReport {
    error: Option<String>,
    #[serde(default)]
    warnings: BoundedList<GolangciWarning, MAX_WARNINGS>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GolangciWarning {
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GolangciIssue {
    from_linter: String,
    text: String,
    severity: Option<String>,
    pos: GoPosition,
    line_range: Option<GoLines>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GoPosition {
    filename: String,
    line: WholeNumber,
    column: Option<WholeNumber>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GoLines {
    from: WholeNumber,
    to: WholeNumber,
}

/// Reads the JSON of golangci-lint 1 (`--out-format json`) and 2 (`--output.json.path stdout`). Columns are
/// bytes from 1, and 0 means no column. Fixes are ignored, because their positions in version 2 are counted
/// across all files and are not offsets in one file.
pub(crate) fn read_golangci(bytes: &[u8], input: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("golangci-lint", input);
    let text = reading.extract_document(bytes);
    let Some(document) = reading.parse_object::<GolangciDocument<'_>>(&text) else { return reading.finish() };
    if let Some(report) = document.report {
        let warnings = report.warnings.iter().map(|warning| &warning.text);
        for failure in warnings.chain(report.error.as_ref().filter(|error| !error.is_empty())) {
            reading.add_tool_failure(failure);
        }
    }
    reading.for_each_entry(document.issues, "issue", |reading, entry: GolangciIssue| {
        let (line, column) =
            (entry.pos.line.to_line_or_column(), entry.pos.column.map_or(0, WholeNumber::to_line_or_column));
        let last = entry
            .line_range
            .filter(|lines| lines.from.to_line_or_column() == line)
            .map_or(line, |lines| lines.to.to_line_or_column());
        let range = if column == 0 {
            DiagnosticRange::from_lines(line, last)
        } else {
            DiagnosticRange::from_position(line, column, ColumnUnit::Byte)
        };
        let Some(mut diagnostic) = reading.build_diagnostic(&entry.pos.filename, range, &entry.text) else {
            return;
        };
        // If no severity is reported, findings of `typecheck` are errors, because `typecheck` reports code
        // that does not compile.
        let unnamed =
            if entry.from_linter == "typecheck" { DiagnosticLevel::Error } else { DiagnosticLevel::Warning };
        diagnostic.level = entry.severity.as_deref().and_then(parse_level).unwrap_or(unnamed);
        diagnostic.rule = Some(entry.from_linter);
        reading.collector.push(diagnostic);
    });
    reading.finish()
}

/// Returns true if the output is JSON of golangci-lint. If it contains no findings, the list of the linters
/// identifies the format.
pub(crate) fn is_golangci(bytes: &[u8]) -> bool {
    ["\"FromLinter\"", "\"Linters\""]
        .iter()
        .any(|mark| is_json_with_marks(bytes, b'{', &["\"Issues\"", mark]))
}

/// Result of one analyzer for one package: findings, or an object with the reason why the analyzer failed.
#[derive(Deserialize)]
#[serde(untagged)]
enum VetResult {
    Diagnostics(Vec<VetDiagnostic>),
    AnalyzerFailed { error: String },
}

#[derive(Deserialize)]
struct VetDiagnostic {
    posn: String,
    message: String,
}

/// Parses the output of `go vet -json`, which is on standard error before Go 1.25. The output contains a JSON
/// object for each package, after a line with the package's name. Columns are bytes from 1. If a package does
/// not compile, the lines of the compiler replace the object.
pub(crate) fn read_govet(bytes: &[u8], input: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("go vet", input);
    let text = reading.extract_document(bytes);
    let kept = |line: &&str| !line.starts_with('#') && !line.starts_with("vet: ");
    let text = text.lines().filter(kept).collect::<Vec<_>>().join("\n");
    let documents = serde_json::Deserializer::from_str(&text)
        .into_iter::<BTreeMap<String, BTreeMap<String, VetResult>>>();
    for document in documents {
        match document {
            Ok(packages) => {
                for (analyzer, analyzed) in packages.into_values().flatten() {
                    read_vet_result(&mut reading, &analyzer, analyzed);
                }
            }
            Err(error) => {
                reading.add_malformed_entry(&format!("a package is malformed: {error}"));
                break;
            }
        }
    }
    reading.finish()
}

/// Returns true if the output was printed by `go vet -json`. Lines that name packages may precede the JSON.
pub(crate) fn is_govet(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while rest.starts_with(b"#") {
        let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |at| at + 1);
        rest = rest.get(line..).unwrap_or_default();
    }
    is_json_with_marks(rest, b'{', &["\"posn\"", "\"message\""])
}

fn read_vet_result(reader: &mut OutputReader<'_>, analyzer: &str, result: VetResult) {
    let found = match result {
        VetResult::Diagnostics(found) => found,
        VetResult::AnalyzerFailed { error } => {
            return reader.add_tool_failure(&format!("{analyzer}: {error}"));
        }
    };
    for entry in found {
        let Some((path, line, column)) = parse_position(&entry.posn) else {
            reader.add_malformed_entry(&format!("{analyzer}: a diagnostic has no valid position"));
            continue;
        };
        let range = DiagnosticRange::from_position(line, column, ColumnUnit::Byte);
        let Some(mut diagnostic) = reader.build_diagnostic(path, range, &entry.message) else { continue };
        diagnostic.rule_page_url =
            Some(format!("https://pkg.go.dev/golang.org/x/tools/go/analysis/passes/{analyzer}"));
        diagnostic.rule = Some(analyzer.to_owned());
        reader.collector.push(diagnostic);
    }
}

/// Parses a position as Go prints it: `path:line:column`, or `path:line`.
fn parse_position(text: &str) -> Option<(&str, u32, u32)> {
    let (before, last) = text.rsplit_once(':')?;
    let last = last.parse().ok()?;
    match before.rsplit_once(':').and_then(|(path, line)| Some((path, line.parse().ok()?))) {
        Some((path, line)) => Some((path, line, last)),
        None => Some((before, last, 0)),
    }
}
