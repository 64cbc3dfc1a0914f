//! JSON of Ruff, Mypy, Pyright, Pylint and Bandit.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::decode;
use crate::output::diagnostic::ToolFix;
use crate::output::entries::{BoundedList, WholeNumber};
use crate::output::format::OutputContext;
use crate::output::json::reading::{OutputReader, cwe_tag, strip_secret_value};
use crate::output::level::level_or_warning;
use crate::output::notebook::NotebookCell;
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::DiagnosticReport;

/// Rules of Bandit and Ruff whose messages may contain a password from the code.
const SECRET_MESSAGE_RULES: &[&str] = &["B105", "B106", "B107", "S105", "S106", "S107"];

/// Position reported by Ruff: line and column from 1, the column in characters.
#[derive(Clone, Copy, Deserialize)]
struct RuffPosition {
    row: WholeNumber,
    column: WholeNumber,
}

#[derive(Deserialize)]
struct RuffDiagnostic {
    #[serde(default)]
    cell: Option<WholeNumber>,
    code: Option<String>,
    #[serde(default)]
    name: Option<String>,
    filename: String,
    message: String,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    url: Option<String>,
    location: RuffPosition,
    end_location: RuffPosition,
    #[serde(default)]
    fix: Option<RuffFix>,
}

#[derive(Deserialize)]
struct RuffFix {
    applicability: String,
    message: Option<String>,
    edits: Vec<RuffEdit>,
}

#[derive(Deserialize)]
struct RuffEdit {
    content: String,
    location: RuffPosition,
    end_location: RuffPosition,
}

impl RuffPosition {
    fn line_column(self) -> (u32, u32) {
        (self.row.to_line_or_column(), self.column.to_line_or_column())
    }
}

/// Parses the output of `ruff check --output-format json`. Ends are exclusive. Only fixes that Ruff marks as
/// safe are used.
pub(crate) fn read_ruff(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("ruff", context);
    let text = reading.extract_document(bytes);
    reading.for_each_array_entry(&text, "entry", |reading, entry: RuffDiagnostic| {
        let cell = entry.cell.map(|cell| NotebookCell::Any(cell.to_line_or_column()));
        let range = DiagnosticRange::from_positions(
            entry.location.line_column(),
            entry.end_location.line_column(),
            ColumnUnit::CodePoint,
        );
        let message = strip_secret_from_message(entry.code.as_deref(), &entry.message);
        let Some(mut diagnostic) = reading.build_diagnostic(&entry.filename, range, message) else { return };
        diagnostic.cell = cell;
        // An edit of a cell's lines is no edit of the file's lines, which are strings in JSON.
        let fix = entry.fix.filter(|_| cell.is_none());
        diagnostic.has_unsafe_fix = fix.as_ref().is_some_and(|fix| fix.applicability != "safe");
        let fix = fix.filter(|fix| fix.applicability == "safe");
        diagnostic.fixes = fix.and_then(|fix| ruff_fix(reading, &entry.filename, fix)).into_iter().collect();
        diagnostic.level = level_or_warning(entry.severity.as_deref());
        // With `--preview`, the code of a syntax error is null.
        diagnostic.rule = entry.code.or_else(|| entry.name.clone());
        diagnostic.title = entry.name;
        diagnostic.rule_page_url = entry.url;
        reading.collector.push(diagnostic);
    });
    reading.finish()
}

fn ruff_fix(reader: &OutputReader<'_>, path: &str, fix: RuffFix) -> Option<ToolFix> {
    let edits = fix.edits.iter().map(|edit| {
        let range = DiagnosticRange::from_exact_positions(
            edit.location.line_column(),
            edit.end_location.line_column(),
            ColumnUnit::CodePoint,
        );
        reader.build_edit(path, range, &edit.content)
    });
    Some(ToolFix { edits: edits.collect::<Option<Vec<_>>>()?, message: fix.message })
}

/// Returns the message of a diagnostic. If messages of this rule contain a password, the password is removed.
fn strip_secret_from_message<'a>(rule: Option<&str>, message: &'a str) -> &'a str {
    if rule.is_some_and(|rule| SECRET_MESSAGE_RULES.contains(&rule)) {
        strip_secret_value(message)
    } else {
        message
    }
}

#[derive(Deserialize)]
struct MypyDiagnostic {
    file: String,
    line: WholeNumber,
    column: WholeNumber,
    #[serde(default)]
    end_line: Option<WholeNumber>,
    #[serde(default)]
    end_column: Option<WholeNumber>,
    message: String,
    hint: Option<String>,
    code: Option<String>,
    severity: String,
}

/// Parses the output of `mypy --output json`, which has one object on each line. Columns are bytes from 0,
/// and -1 means no column. With `--show-error-end`, objects contain an exclusive end. An end on another line
/// is ignored, because it is the end of a whole definition and the diagnostic concerns the first line.
///
/// For lines with non-ASCII characters, Mypy 2.4 with its own parser reports columns that are too small.
/// Columns are therefore exact only in lines that are ASCII.
pub(crate) fn read_mypy(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("mypy", context);
    let text = decode::decode_lines(bytes, &mut reading.collector);
    let mut objects = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        objects += u64::from(line.starts_with('{') || line.starts_with("mypy: "));
        let entry: MypyDiagnostic = match serde_json::from_str(line) {
            Ok(entry) => entry,
            // Mypy reports its own failures as plain text.
            Err(_) if line.starts_with("mypy: ") => {
                reading.add_tool_failure(line);
                continue;
            }
            Err(error) if line.starts_with('{') => {
                reading.add_malformed_entry(&format!("an entry is malformed: {error}"));
                continue;
            }
            Err(_) => {
                // The last line is a summary for people: the number of errors, or that there are no errors.
                match line {
                    line if line.starts_with("Found ") || line.starts_with("Success: ") => objects += 1,
                    line => reading.collector.record_unparsed_line(line),
                }
                continue;
            }
        };
        let from_one = |column: WholeNumber| WholeNumber(column.0.saturating_add(1)).to_line_or_column();
        let (first, column) = (entry.line.to_line_or_column(), from_one(entry.column));
        let end = entry
            .end_line
            .zip(entry.end_column)
            .map(|(line, column)| (line.to_line_or_column(), from_one(column)));
        let end = end.filter(|(last, _)| *last == first);
        let range = DiagnosticRange::from_positions(
            (first, column),
            end.unwrap_or((first, column)),
            ColumnUnit::Byte,
        );
        let Some(mut diagnostic) = reading.build_diagnostic(&entry.file, range, &entry.message) else {
            continue;
        };
        diagnostic.level = level_or_warning(Some(&entry.severity));
        diagnostic.help = entry.hint;
        let page = |code: &String| format!("https://mypy.readthedocs.io/en/stable/_refs.html#code-{code}");
        diagnostic.rule_page_url = entry.code.as_ref().map(page);
        diagnostic.rule = entry.code;
        reading.collector.push(diagnostic);
    }
    reading.finish_lines(objects)
}

#[derive(Deserialize)]
struct PyrightDocument<'a> {
    #[serde(borrow, rename = "generalDiagnostics")]
    diagnostics: &'a RawValue,
    #[serde(default)]
    summary: PyrightSummary,
}

#[derive(Deserialize, Default)]
struct PyrightSummary {
    #[serde(rename = "filesAnalyzed")]
    analyzed_files: Option<WholeNumber>,
}

#[derive(Deserialize)]
struct PyrightDiagnostic {
    file: String,
    severity: String,
    message: String,
    range: Option<PyrightRange>,
    rule: Option<String>,
}

#[derive(Deserialize)]
struct PyrightRange {
    start: PyrightPosition,
    end: PyrightPosition,
}

/// Position reported by Pyright: line and character from 0, the character in UTF-16 units.
#[derive(Deserialize)]
struct PyrightPosition {
    line: WholeNumber,
    character: WholeNumber,
}

impl PyrightPosition {
    fn line_column(&self) -> (u32, u32) {
        (
            self.line.to_line_or_column().saturating_add(1),
            self.character.to_line_or_column().saturating_add(1),
        )
    }
}

/// Reads the output of `pyright --outputjson` and of basedpyright. Ends are exclusive.
pub(crate) fn read_pyright(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("pyright", context);
    let text = reading.extract_document(bytes);
    let Some(document) = reading.parse_object::<PyrightDocument<'_>>(&text) else { return reading.finish() };
    reading.record_examined_count(document.summary.analyzed_files);
    reading.for_each_entry(document.diagnostics, "diagnostic", |reading, entry: PyrightDiagnostic| {
        let range = entry.range.as_ref().map_or(DiagnosticRange::WholeFile, |range| {
            DiagnosticRange::from_positions(
                range.start.line_column(),
                range.end.line_column(),
                ColumnUnit::Utf16,
            )
        });
        let Some(mut diagnostic) = reading.build_diagnostic(&entry.file, range, &entry.message) else {
            return;
        };
        diagnostic.level = level_or_warning(Some(&entry.severity));
        let page = |rule: &String| {
            format!("https://github.com/microsoft/pyright/blob/main/docs/configuration.md#{rule}")
        };
        diagnostic.rule_page_url = entry.rule.as_ref().map(page);
        diagnostic.rule = entry.rule;
        reading.collector.push(diagnostic);
    });
    reading.finish()
}

#[derive(Deserialize)]
struct PylintDocument<'a> {
    #[serde(borrow)]
    messages: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PylintMessage {
    #[serde(rename = "type")]
    kind: String,
    symbol: String,
    message: String,
    #[serde(alias = "message-id")]
    message_id: String,
    line: WholeNumber,
    column: WholeNumber,
    end_line: Option<WholeNumber>,
    end_column: Option<WholeNumber>,
    path: String,
}

/// Reads the output of Pylint's formats `json2` and `json`. Columns are bytes from 0, and ends are exclusive.
pub(crate) fn read_pylint(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("pylint", context);
    let text = reading.extract_document(bytes);
    if text.trim_start().starts_with('[') {
        reading.for_each_array_entry(&text, "message", read_pylint_message);
    } else if let Some(document) = reading.parse_object::<PylintDocument<'_>>(&text) {
        reading.for_each_entry(document.messages, "message", read_pylint_message);
    }
    reading.finish()
}

fn read_pylint_message(reader: &mut OutputReader<'_>, entry: PylintMessage) {
    let from_one = |column: WholeNumber| column.to_line_or_column().saturating_add(1);
    let start = (entry.line.to_line_or_column(), from_one(entry.column));
    let end = entry
        .end_line
        .zip(entry.end_column)
        .map(|(line, column)| (line.to_line_or_column(), from_one(column)));
    // Messages about a whole module or line have no end, and have the column 0.
    let range = match end {
        Some(end) => DiagnosticRange::from_positions(start, end, ColumnUnit::Byte),
        None if entry.column.0 <= 0 => DiagnosticRange::from_lines(start.0, start.0),
        None => DiagnosticRange::from_position(start.0, start.1, ColumnUnit::Byte),
    };
    let Some(mut diagnostic) = reader.build_diagnostic(&entry.path, range, &entry.message) else { return };
    diagnostic.level = level_or_warning(Some(&entry.kind));
    let folder = if entry.kind == "info" { "information" } else { &entry.kind };
    let page =
        format!("https://pylint.readthedocs.io/en/stable/user_guide/messages/{folder}/{}.html", entry.symbol);
    diagnostic.rule_page_url = Some(page);
    diagnostic.rule = Some(entry.message_id);
    diagnostic.title = Some(entry.symbol);
    reader.collector.push(diagnostic);
}

#[derive(Deserialize)]
struct BanditDocument<'a> {
    #[serde(borrow)]
    results: &'a RawValue,
    #[serde(default)]
    errors: BoundedList<BanditError, 100>,
}

#[derive(Deserialize)]
struct BanditError {
    filename: String,
    reason: String,
}

#[derive(Deserialize)]
struct BanditIssue {
    filename: String,
    test_id: String,
    test_name: String,
    issue_text: String,
    issue_severity: String,
    line_number: WholeNumber,
    #[serde(default)]
    line_range: Vec<WholeNumber>,
    col_offset: Option<WholeNumber>,
    end_col_offset: Option<WholeNumber>,
    more_info: Option<String>,
    #[serde(default)]
    issue_cwe: Option<BanditWeakness>,
}

#[derive(Deserialize)]
struct BanditWeakness {
    id: Option<WholeNumber>,
}

/// Reads the output of `bandit -f json`. Columns are bytes from 0. The end column is exclusive and refers to
/// the last line of the range. The quoted code, and passwords in messages, are left out.
pub(crate) fn read_bandit(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("bandit", context);
    let text = reading.extract_document(bytes);
    let Some(document) = reading.parse_object::<BanditDocument<'_>>(&text) else { return reading.finish() };
    for error in &document.errors.0 {
        match error {
            Some(error) => reading.add_tool_failure(&format!("{}: {}", error.filename, error.reason)),
            None => reading.add_malformed_entry("an error is malformed"),
        }
    }
    reading.for_each_entry(document.results, "result", |reading, entry: BanditIssue| {
        let message = strip_secret_from_message(Some(&entry.test_id), &entry.issue_text);
        let Some(mut diagnostic) = reading.build_diagnostic(&entry.filename, bandit_range(&entry), message)
        else {
            return;
        };
        diagnostic.level = level_or_warning(Some(&entry.issue_severity));
        let weakness = entry.issue_cwe.and_then(|weakness| weakness.id);
        diagnostic.tags.extend(weakness.and_then(|id| cwe_tag(&id.0.to_string())));
        diagnostic.tags.push("security".to_owned());
        diagnostic.rule_page_url = entry.more_info;
        diagnostic.rule = Some(entry.test_id);
        diagnostic.title = Some(entry.test_name);
        reading.collector.push(diagnostic);
    });
    reading.finish()
}

fn bandit_range(entry: &BanditIssue) -> DiagnosticRange {
    let line = entry.line_number.to_line_or_column();
    let last = entry.line_range.last().map_or(line, |last| last.to_line_or_column().max(line));
    let from_one = |column: WholeNumber| column.to_line_or_column().saturating_add(1);
    match (entry.col_offset, entry.end_col_offset) {
        (Some(start), Some(end)) => {
            DiagnosticRange::from_positions((line, from_one(start)), (last, from_one(end)), ColumnUnit::Byte)
        }
        (Some(start), None) => DiagnosticRange::from_position(line, from_one(start), ColumnUnit::Byte),
        (None, _) => DiagnosticRange::from_lines(line, last),
    }
}

#[cfg(test)]
mod tests {
    use crate::output::diagnostic::DiagnosticLevel;
    use crate::output::level::level_or_warning;

    #[test]
    fn severities_are_levels() {
        let level = |word: &str| level_or_warning(Some(word));
        assert_eq!(
            ["HIGH", "MEDIUM", "LOW", "UNDEFINED"].map(level),
            [
                DiagnosticLevel::Error,
                DiagnosticLevel::Warning,
                DiagnosticLevel::Note,
                DiagnosticLevel::Warning
            ]
        );
    }
}
