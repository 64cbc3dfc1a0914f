//! JSON of Semgrep and ast-grep, which search for code patterns.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::decode;
use crate::output::diagnostic::ToolFix;
use crate::output::entries::{BoundedList, WholeNumber};
use crate::output::format::OutputContext;
use crate::output::json::reading::{OutputReader, cwe_tag};
use crate::output::level::level_or_warning;
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::DiagnosticReport;

/// Maximum number of errors that are read from a run. The same maximum applies to the weaknesses (CWE
/// entries) of a rule.
const MAX_LIST_ENTRIES: usize = 20;

#[derive(Deserialize)]
struct SemgrepDocument<'a> {
    #[serde(borrow)]
    results: &'a RawValue,
    #[serde(default)]
    errors: BoundedList<SemgrepError, MAX_LIST_ENTRIES>,
    #[serde(default)]
    paths: SemgrepPaths,
}

#[derive(Deserialize, Default)]
struct SemgrepPaths {
    /// The files that Semgrep searched. Only the first one is read.
    scanned: Option<BoundedList<serde::de::IgnoredAny, 1>>,
}

#[derive(Deserialize)]
struct SemgrepError {
    message: Option<String>,
    path: Option<String>,
}

#[derive(Deserialize)]
struct SemgrepResult {
    check_id: String,
    path: String,
    start: SemgrepPosition,
    end: SemgrepPosition,
    extra: SemgrepExtra,
}

/// Position reported by Semgrep: line and column from 1, the column in bytes.
#[derive(Deserialize)]
struct SemgrepPosition {
    line: WholeNumber,
    col: WholeNumber,
}

impl SemgrepPosition {
    fn line_column(&self) -> (u32, u32) {
        (self.line.to_line_or_column(), self.col.to_line_or_column())
    }
}

#[derive(Deserialize)]
struct SemgrepExtra {
    message: String,
    severity: String,
    fix: Option<String>,
    fingerprint: Option<String>,
    #[serde(default)]
    is_ignored: bool,
    #[serde(default)]
    metadata: SemgrepMetadata,
}

#[derive(Deserialize, Default)]
struct SemgrepMetadata {
    category: Option<String>,
    cwe: Option<OneOrMore>,
    source: Option<String>,
    shortlink: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
    Other(serde::de::IgnoredAny),
}

/// Reads the output of `semgrep scan --json` and of Opengrep. Columns are bytes from 1, and ends are
/// exclusive. The `fix` of a rule is the text with which `--autofix` replaces the whole match.
pub(crate) fn read_semgrep(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("semgrep", context);
    let text = reading.extract_document(bytes);
    let Some(document) = reading.parse_object::<SemgrepDocument<'_>>(&text) else { return reading.finish() };
    if document.paths.scanned.is_some_and(|paths| paths.0.is_empty()) {
        reading.collector.record_nothing_examined();
    }
    for error in &document.errors.0 {
        let Some(SemgrepError { message, path }) = error else {
            reading.add_malformed_entry("an error is malformed");
            continue;
        };
        let path = path.as_ref().map(|path| format!("{path}: ")).unwrap_or_default();
        reading.add_tool_failure(&format!("{path}{}", message.as_deref().unwrap_or("an error")));
    }
    reading.for_each_entry(document.results, "result", |reading, entry: SemgrepResult| {
        let (start, end) = (entry.start.line_column(), entry.end.line_column());
        let range = DiagnosticRange::from_positions(start, end, ColumnUnit::Byte);
        let SemgrepExtra { message, severity, fix, fingerprint, is_ignored, metadata } = entry.extra;
        let Some(mut diagnostic) = reading.build_diagnostic(&entry.path, range, &message) else { return };
        diagnostic.level = level_or_warning(Some(&severity));
        let exact = DiagnosticRange::from_exact_positions(start, end, ColumnUnit::Byte);
        let edit = fix.and_then(|text| reading.build_edit(&entry.path, exact, &text));
        diagnostic.fixes =
            edit.map(|edit| ToolFix { message: None, edits: vec![edit] }).into_iter().collect();
        // Without a login, Semgrep prints a sentence in place of the fingerprint, so a text with a space is
        // ignored.
        diagnostic.fingerprint = fingerprint.filter(|text| !text.contains(' '));
        diagnostic.is_suppressed = is_ignored;
        let weaknesses = match metadata.cwe {
            Some(OneOrMore::One(one)) => vec![one],
            Some(OneOrMore::More(more)) => more,
            Some(OneOrMore::Other(_)) | None => Vec::new(),
        };
        diagnostic.tags = weaknesses.iter().filter_map(|text| cwe_tag(text)).take(MAX_LIST_ENTRIES).collect();
        diagnostic.tags.extend(metadata.category);
        diagnostic.rule_page_url = metadata.source.or(metadata.shortlink);
        diagnostic.rule = Some(entry.check_id);
        reading.collector.push(diagnostic);
    });
    reading.finish()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AstGrepMatch {
    file: String,
    range: AstGrepRange,
    replacement: Option<String>,
    replacement_offsets: Option<StartEnd>,
    rule_id: Option<String>,
    severity: Option<String>,
    message: Option<String>,
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AstGrepRange {
    byte_offset: StartEnd,
}

#[derive(Deserialize)]
struct StartEnd {
    start: WholeNumber,
    end: WholeNumber,
}

impl StartEnd {
    fn range(&self) -> Option<DiagnosticRange> {
        DiagnosticRange::from_offsets(self.start.to_offset()?, self.end.to_offset()?, ColumnUnit::Byte)
    }
}

/// Reads the output of `ast-grep scan --json=stream` (one object per line) and of `--json=compact` (an array
/// of the same objects). Locations are offsets in bytes. A replacement is the text that `--update-all` would
/// write.
pub(crate) fn read_ast_grep(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("ast-grep", context);
    let text = decode::decode_lines(bytes, &mut reading.collector);
    if text.trim_start().starts_with('[') {
        reading.for_each_array_entry(&text, "match", read_ast_grep_match);
        return reading.finish();
    }
    let mut objects = 0;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if !line.starts_with('{') {
            reading.collector.record_unparsed_line(line);
            continue;
        }
        objects += 1;
        match serde_json::from_str(line) {
            Ok(entry) => read_ast_grep_match(&mut reading, entry),
            Err(error) => reading.add_malformed_entry(&format!("a match is malformed: {error}")),
        }
    }
    reading.finish_lines(objects)
}

fn read_ast_grep_match(reader: &mut OutputReader<'_>, entry: AstGrepMatch) {
    let range = entry.range.byte_offset.range();
    let message = entry.message.as_deref().filter(|message| !message.is_empty());
    // A rule may have no message. Its id is then used.
    let message = message.or(entry.rule_id.as_deref()).unwrap_or("a match");
    let Some(mut diagnostic) =
        reader.build_diagnostic(&entry.file, range.unwrap_or(DiagnosticRange::WholeFile), message)
    else {
        return;
    };
    diagnostic.level = level_or_warning(entry.severity.as_deref());
    let offsets = entry.replacement_offsets.as_ref().and_then(StartEnd::range);
    let edit = entry.replacement.and_then(|text| reader.build_edit(&entry.file, offsets, &text));
    diagnostic.fixes = edit.map(|edit| ToolFix { message: None, edits: vec![edit] }).into_iter().collect();
    diagnostic.rule = entry.rule_id;
    diagnostic.help = entry.note;
    reader.collector.push(diagnostic);
}
