//! Parses Reviewdog's diagnostic format (`proto/rdf/reviewdog.proto`): one JSON document (`rdjson`), or one
//! diagnostic on each line (`rdjsonl`).
//!
//! Lines and columns count from 1, columns are bytes of UTF-8, and ends are exclusive. A range without
//! columns consists of whole lines, including its last line. A range without an end is empty. As in all JSON
//! of protocol buffers, a number may be a string, an enumeration value may be a number, and an unset field
//! may be `null`.

use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::decode;
use crate::output::diagnostic::{Diagnostic, DiagnosticLevel, MAX_NAME_CHARS, ToolEdit, ToolFix};
use crate::output::entries::{self, BoundedList, WholeNumber};
use crate::output::format::OutputContext;
use crate::output::path::{PathError, PathResolver};
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::{DiagnosticCollector, DiagnosticReport, ProblemKind};
use crate::output::text::text_start;

/// Maximum number of suggestions of a diagnostic that are examined.
const MAX_SUGGESTIONS: usize = 100;

/// Object `DiagnosticResult` of the format.
#[derive(Deserialize)]
struct RdjsonResult<'a> {
    #[serde(borrow)]
    diagnostics: Option<&'a RawValue>,
    source: Option<RdjsonSource>,
    severity: Option<RdjsonSeverity>,
}

/// Object `Diagnostic` of the format.
#[derive(Deserialize)]
struct RdjsonDiagnostic {
    message: Option<String>,
    location: Option<RdjsonLocation>,
    severity: Option<RdjsonSeverity>,
    source: Option<RdjsonSource>,
    code: Option<RdjsonCode>,
    #[serde(default)]
    suggestions: BoundedList<RdjsonSuggestion, MAX_SUGGESTIONS>,
}

#[derive(Deserialize)]
struct RdjsonLocation {
    path: Option<String>,
    range: Option<RdjsonRange>,
}

/// Object `Range` of the format.
#[derive(Deserialize)]
struct RdjsonRange {
    start: Option<RdjsonPosition>,
    end: Option<RdjsonPosition>,
}

/// Object `Position` of the format.
#[derive(Deserialize, Clone, Copy)]
struct RdjsonPosition {
    line: Option<WholeNumber>,
    column: Option<WholeNumber>,
}

#[derive(Deserialize)]
struct RdjsonSuggestion {
    range: Option<RdjsonRange>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct RdjsonSource {
    name: Option<String>,
}

#[derive(Deserialize)]
struct RdjsonCode {
    value: Option<String>,
    url: Option<String>,
}

/// Severity, which is written as a name or as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum RdjsonSeverity {
    Name(String),
    Number(i64),
}

/// Reads a result. Never panics, for any input bytes.
pub(crate) fn read(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut collected = DiagnosticCollector::new();
    let Some(text) = decode::decode_document(bytes, &mut collected) else { return collected.finish() };
    let result: RdjsonResult<'_> = match entries::parse_document(&text, &mut collected) {
        Ok(result) => result,
        Err(error) => {
            collected.add_problem(
                ProblemKind::Unreadable,
                &format!("the output is not an rdjson result: {error}"),
            );
            return collected.finish();
        }
    };
    // The list of diagnostics may be missing, because the JSON of protocol buffers may omit an empty list.
    if result.diagnostics.is_none() && result.source.is_none() && result.severity.is_none() {
        collected.add_problem(ProblemKind::Unreadable, "the rdjson result has no diagnostics");
    }
    let paths = PathResolver::new(context);
    let whole = RdjsonDefaults { source: result.source, severity: result.severity };
    if let Some(name) = whole.source.as_ref().and_then(|source| source.name.as_ref()) {
        collected.add_tool(name);
    }
    if let Some(diagnostics) = result.diagnostics {
        let read = entries::for_each_entry(diagnostics.get(), |index, entry| {
            read_diagnostic(
                &format!("diagnostic {index}"),
                entry.get(),
                &whole,
                &paths,
                context,
                &mut collected,
            );
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            collected.add_problem(
                ProblemKind::Unreadable,
                &format!("the list of diagnostics is malformed: {error}"),
            );
        }
    }
    collected.finish()
}

/// Reads diagnostics, one on each line. Never panics, for any input bytes.
pub(crate) fn read_lines(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut collected = DiagnosticCollector::new();
    let text = decode::decode_lines(bytes, &mut collected);
    let paths = PathResolver::new(context);
    let whole = RdjsonDefaults { source: None, severity: None };
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        read_diagnostic(&format!("line {}", index + 1), line, &whole, &paths, context, &mut collected);
    }
    collected.finish()
}

/// Fields of a result that are used for diagnostics which lack them.
struct RdjsonDefaults {
    source: Option<RdjsonSource>,
    severity: Option<RdjsonSeverity>,
}

fn read_diagnostic(
    entry_label: &str,
    text: &str,
    defaults: &RdjsonDefaults,
    paths: &PathResolver,
    context: &OutputContext<'_>,
    collector: &mut DiagnosticCollector,
) {
    let entry: RdjsonDiagnostic = match serde_json::from_str(text) {
        Ok(entry) => entry,
        Err(error) => {
            return collector
                .add_skipped_entry(ProblemKind::MalformedEntry, &format!("{entry_label}: {error}"));
        }
    };
    let (written, span) = entry.location.map_or((None, None), |location| (location.path, location.range));
    let path = match written.as_deref().ok_or(PathError::Missing).and_then(|path| paths.resolve(path)) {
        Ok(path) => path,
        Err(error) => return collector.skip_unplaced_entry(&error, &format!("{entry_label}: {error}")),
    };
    let name = |source: &Option<RdjsonSource>| {
        source.as_ref()?.name.as_deref().map(|name| text_start(name, MAX_NAME_CHARS).to_owned())
    };
    let tool = name(&entry.source).or_else(|| name(&defaults.source)).filter(|name| !name.trim().is_empty());
    let tool = tool.unwrap_or_else(|| context.tool_name_or("rdjson").to_owned());
    let range = span.as_ref().map_or(DiagnosticRange::WholeFile, diagnostic_range);
    let mut diagnostic = Diagnostic::new(tool, path.clone(), range, entry.message.unwrap_or_default());
    diagnostic.level = severity_level(entry.severity.as_ref())
        .or(severity_level(defaults.severity.as_ref()))
        .unwrap_or(DiagnosticLevel::Warning);
    if let Some(code) = entry.code {
        (diagnostic.rule, diagnostic.rule_page_url) = (code.value, code.url);
    }
    for (index, suggestion) in entry.suggestions.0.into_iter().enumerate() {
        let range = suggestion.as_ref().and_then(|suggestion| exact_range(suggestion.range.as_ref()?));
        if let (Some(range), Some(RdjsonSuggestion { text, .. })) = (range, suggestion) {
            let edit = ToolEdit { path: path.clone(), range, new_text: text.unwrap_or_default() };
            diagnostic.fixes.push(ToolFix { message: None, edits: vec![edit] });
        } else {
            collector.add_problem(
                ProblemKind::MalformedEntry,
                &format!("{entry_label}: suggestion {index} has no valid range"),
            );
        }
    }
    collector.push(diagnostic);
}

/// Returns the range of a diagnostic. If the range is invalid, only its lines are used.
fn diagnostic_range(span: &RdjsonRange) -> DiagnosticRange {
    exact_range(span).unwrap_or_else(|| {
        let line = |place: Option<RdjsonPosition>| {
            place.and_then(|place| place.line).map_or(0, WholeNumber::to_line_or_column)
        };
        DiagnosticRange::from_lines(line(span.start), line(span.end))
    })
}

/// Returns the range if it conforms to the format. Returns `None` otherwise.
fn exact_range(span: &RdjsonRange) -> Option<DiagnosticRange> {
    let start = span.start?;
    let end = span.end.unwrap_or(start);
    let given = |whole: Option<WholeNumber>| whole.map_or(0, WholeNumber::to_line_or_column);
    let (first, last) = (given(start.line), given(end.line));
    match (given(start.column), given(end.column)) {
        (0, 0) => (first > 0 && first <= last).then(|| DiagnosticRange::from_lines(first, last)),
        // Without a start column, the range begins at the start of the first line.
        (0, column) => DiagnosticRange::from_exact_positions((first, 1), (last, column), ColumnUnit::Byte),
        (_, 0) => None,
        (start, end) => DiagnosticRange::from_exact_positions((first, start), (last, end), ColumnUnit::Byte),
    }
}

fn severity_level(severity: Option<&RdjsonSeverity>) -> Option<DiagnosticLevel> {
    let number = match severity? {
        RdjsonSeverity::Number(number) => *number,
        RdjsonSeverity::Name(name) => match name.as_str() {
            "ERROR" => 1,
            "WARNING" => 2,
            "INFO" => 3,
            _ => 0,
        },
    };
    match number {
        1 => Some(DiagnosticLevel::Error),
        2 => Some(DiagnosticLevel::Warning),
        3 => Some(DiagnosticLevel::Note),
        _ => None,
    }
}
