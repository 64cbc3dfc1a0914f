//! Reviewdog's diagnostic format (`proto/rdf/reviewdog.proto`): one result in JSON (`rdjson`), or a diagnostic on each line
//! (`rdjsonl`).
//!
//! Lines and columns count from 1, columns in bytes of UTF-8, and an end is not in its range. A range whose positions both
//! have no column is whole lines, the last one included; one without end is empty. As in all JSON of protocol buffers, a
//! number may be written as text, an enumeration as its number, and `null` stands for what is not set.

use std::ops::ControlFlow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::decode;
use crate::output::diagnostic::{Diagnostic, Level, MAX_NAME_CHARS, ToolEdit, ToolFix};
use crate::output::entries::{self, List, Whole};
use crate::output::format::Input;
use crate::output::path::{PathError, Paths};
use crate::output::range::{ColumnUnit, Range};
use crate::output::report::{Collected, ProblemKind, Report};
use crate::output::text::start;

/// The most suggestions of a diagnostic that are looked at.
const MAX_SUGGESTIONS: usize = 100;

/// `DiagnosticResult`.
#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(borrow)]
    diagnostics: Option<&'a RawValue>,
    source: Option<Source>,
    severity: Option<Severity>,
}

/// `Diagnostic`.
#[derive(Deserialize)]
struct Entry {
    message: Option<String>,
    location: Option<Location>,
    severity: Option<Severity>,
    source: Option<Source>,
    code: Option<Code>,
    #[serde(default)]
    suggestions: List<Suggestion, MAX_SUGGESTIONS>,
}

#[derive(Deserialize)]
struct Location {
    path: Option<String>,
    range: Option<Extent>,
}

/// `Range`.
#[derive(Deserialize)]
struct Extent {
    start: Option<Place>,
    end: Option<Place>,
}

/// `Position`.
#[derive(Deserialize, Clone, Copy)]
struct Place {
    line: Option<Whole>,
    column: Option<Whole>,
}

#[derive(Deserialize)]
struct Suggestion {
    range: Option<Extent>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct Source {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Code {
    value: Option<String>,
    url: Option<String>,
}

/// `Severity`, by its name or its number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Severity {
    Name(String),
    Number(i64),
}

/// Reads a result. It does not panic on any bytes.
pub(crate) fn read(bytes: &[u8], input: &Input<'_>) -> Report {
    let mut collected = Collected::new();
    let Some(text) = decode::document(bytes, &mut collected) else { return collected.finish() };
    let result: Outcome<'_> = match entries::document(&text, &mut collected) {
        Ok(result) => result,
        Err(error) => {
            collected.problem(ProblemKind::Unreadable, &format!("no result: {error}"));
            return collected.finish();
        }
    };
    // The JSON of protocol buffers may leave out a list without entries.
    if result.diagnostics.is_none() && result.source.is_none() && result.severity.is_none() {
        collected.problem(ProblemKind::Unreadable, "a result without diagnostics");
    }
    let paths = Paths::new(input);
    let whole = Defaults { source: result.source, severity: result.severity };
    if let Some(name) = whole.source.as_ref().and_then(|source| source.name.as_ref()) {
        collected.tool(name);
    }
    if let Some(diagnostics) = result.diagnostics {
        let read = entries::each(diagnostics.get(), |index, entry| {
            one(&format!("diagnostic {index}"), entry.get(), &whole, (&paths, input), &mut collected);
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            collected.problem(ProblemKind::Unreadable, &format!("diagnostics: {error}"));
        }
    }
    collected.finish()
}

/// Reads diagnostics, one on each line. It does not panic on any bytes.
pub(crate) fn read_lines(bytes: &[u8], input: &Input<'_>) -> Report {
    let mut collected = Collected::new();
    let text = decode::lines(bytes, &mut collected);
    let paths = Paths::new(input);
    let whole = Defaults { source: None, severity: None };
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        one(&format!("line {}", index + 1), line, &whole, (&paths, input), &mut collected);
    }
    collected.finish()
}

/// The fields of a result that stand for its diagnostics' own.
struct Defaults {
    source: Option<Source>,
    severity: Option<Severity>,
}

fn one(
    named: &str,
    text: &str,
    whole: &Defaults,
    (paths, input): (&Paths, &Input<'_>),
    collected: &mut Collected,
) {
    let entry: Entry = match serde_json::from_str(text) {
        Ok(entry) => entry,
        Err(error) => return collected.leave_out(ProblemKind::Entry, &format!("{named}: {error}")),
    };
    let (written, span) = entry.location.map_or((None, None), |location| (location.path, location.range));
    let path = match written.as_deref().ok_or(PathError::Missing).and_then(|path| paths.path(path)) {
        Ok(path) => path,
        Err(error) => return collected.unplaced(&error, &format!("{named}: {error}")),
    };
    let name = |source: &Option<Source>| {
        source.as_ref()?.name.as_deref().map(|name| start(name, MAX_NAME_CHARS).to_owned())
    };
    let tool = name(&entry.source).or_else(|| name(&whole.source)).filter(|name| !name.trim().is_empty());
    let tool = tool.unwrap_or_else(|| input.tool_or("rdjson").to_owned());
    let range = span.as_ref().map_or(Range::File, range);
    let mut diagnostic = Diagnostic::new(tool, path.clone(), range, entry.message.unwrap_or_default());
    diagnostic.level =
        level(entry.severity.as_ref()).or(level(whole.severity.as_ref())).unwrap_or(Level::Warning);
    if let Some(code) = entry.code {
        (diagnostic.rule, diagnostic.rule_page) = (code.value, code.url);
    }
    for (index, suggestion) in entry.suggestions.0.into_iter().enumerate() {
        let range = suggestion.as_ref().and_then(|suggestion| exact(suggestion.range.as_ref()?));
        if let (Some(range), Some(Suggestion { text, .. })) = (range, suggestion) {
            let edit = ToolEdit { path: path.clone(), range, new_text: text.unwrap_or_default() };
            diagnostic.fixes.push(ToolFix { message: None, edits: vec![edit] });
        } else {
            collected.problem(ProblemKind::Entry, &format!("{named}: suggestion {index} has no sound range"));
        }
    }
    collected.push(diagnostic);
}

/// A range of a diagnostic, as far as it makes sense.
fn range(span: &Extent) -> Range {
    exact(span).unwrap_or_else(|| {
        let line = |place: Option<Place>| place.and_then(|place| place.line).map_or(0, Whole::count);
        Range::lines(line(span.start), line(span.end))
    })
}

/// A range as the format defines it; none for one that it does not define.
fn exact(span: &Extent) -> Option<Range> {
    let start = span.start?;
    let end = span.end.unwrap_or(start);
    let given = |whole: Option<Whole>| whole.map_or(0, Whole::count);
    let (first, last) = (given(start.line), given(end.line));
    match (given(start.column), given(end.column)) {
        (0, 0) => (first > 0 && first <= last).then(|| Range::lines(first, last)),
        // The line's beginning up to a column.
        (0, column) => Range::exact((first, 1), (last, column), ColumnUnit::Byte),
        (_, 0) => None,
        (start, end) => Range::exact((first, start), (last, end), ColumnUnit::Byte),
    }
}

fn level(severity: Option<&Severity>) -> Option<Level> {
    let number = match severity? {
        Severity::Number(number) => *number,
        Severity::Name(name) => match name.as_str() {
            "ERROR" => 1,
            "WARNING" => 2,
            "INFO" => 3,
            _ => 0,
        },
    };
    match number {
        1 => Some(Level::Error),
        2 => Some(Level::Warning),
        3 => Some(Level::Note),
        _ => None,
    }
}
