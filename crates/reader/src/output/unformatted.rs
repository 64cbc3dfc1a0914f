//! Parses the outputs of formatters that print no unified diff: names of files, and the lines of rustfmt.

use truing_diff::LineKind;

use crate::output::decode;
use crate::output::diagnostic::DiagnosticLevel;
use crate::output::format::OutputContext;
use crate::output::json::reading::OutputReader;
use crate::output::range::DiagnosticRange;
use crate::output::report::DiagnosticReport;
use crate::output::text::strip_escapes;
use crate::output::unified_diff::{ChangeGroup, FORMAT_RULE, LineGrouping, collect_groups, format_message};

/// Maximum number of characters of a line that are examined.
const MAX_LINE_CHARS: usize = 64 << 10;
/// Number of bytes at the beginning of an output in which a heading of rustfmt is searched.
const SEARCH_BYTES: usize = 4 << 10;
/// Beginnings of the lines that Prettier prints in addition to names of files.
const PRETTIER_SUMMARIES: &[&str] = &[
    "Checking formatting...",
    "All matched files use Prettier code style!",
    "Code style issues",
    "Error occurred when checking code style",
    "Run Prettier",
];

/// Reads the names of the files that a formatter would change, one on each line, as `prettier --check`,
/// `prettier --list-different` and `gofmt -l` print them.
pub(crate) fn read_paths(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("formatter", context);
    let text = decode::decode_lines(bytes, &mut reading.collector);
    for line in text.lines() {
        let line = strip_escapes(line, MAX_LINE_CHARS);
        let line = line.trim_end();
        if let Some(error) = line.strip_prefix("[error] ") {
            // Further lines of an error show the code.
            if !error.starts_with([' ', '>']) {
                reading.add_tool_failure(error);
            }
            continue;
        }
        let line = line.strip_prefix("[warn] ").unwrap_or(line);
        if !line.is_empty() && !PRETTIER_SUMMARIES.iter().any(|summary| line.starts_with(summary)) {
            push_unformatted_file(&mut reading, line);
        }
    }
    reading.finish()
}

/// Adds a diagnostic for a file without the lines that the formatter would change.
fn push_unformatted_file(reading: &mut OutputReader<'_>, path: &str) {
    let message = format_message(reading.tool());
    let Some(mut diagnostic) = reading.build_diagnostic(path, DiagnosticRange::WholeFile, &message) else {
        return;
    };
    diagnostic.rule = Some(FORMAT_RULE.to_owned());
    diagnostic.level = DiagnosticLevel::Note;
    reading.collector.push(diagnostic);
}

/// Returns true if the beginning of an output contains a heading of `rustfmt --check`.
pub(crate) fn is_rustfmt(bytes: &[u8]) -> bool {
    let beginning = decode::decode_text(bytes.get(..SEARCH_BYTES).unwrap_or(bytes));
    beginning.lines().any(|line| parse_heading(line).is_some())
}

/// Reads the output of `rustfmt --check`. A heading names the file and the first of the lines that follow.
pub(crate) fn read_rustfmt(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("rustfmt", context);
    let text = decode::decode_lines(bytes, &mut reading.collector);
    let text: String = text.lines().map(|line| strip_escapes(line, MAX_LINE_CHARS) + "\n").collect();
    let mut files: Vec<(&str, Vec<LineGrouping<'_>>)> = Vec::new();
    for line in text.lines() {
        if let Some((path, first_line)) = parse_heading(line) {
            if files.last().is_none_or(|(last, _)| *last != path) {
                files.push((path, Vec::new()));
            }
            if let Some((_, hunks)) = files.last_mut() {
                hunks.push(LineGrouping::new(first_line));
            }
            continue;
        }
        if let Some(path) = line.strip_prefix("Incorrect newline style in ") {
            push_unformatted_file(&mut reading, path);
            continue;
        }
        let hunk = files.last_mut().and_then(|(_, hunks)| hunks.last_mut());
        let kind = match line.as_bytes().first() {
            Some(b' ') => LineKind::Context,
            Some(b'+') => LineKind::Added,
            Some(b'-') => LineKind::Deleted,
            Some(_) if line.starts_with("error") || line.starts_with("Error ") => {
                reading.add_tool_failure(line);
                continue;
            }
            Some(_) => {
                reading.collector.record_unparsed_line(line);
                continue;
            }
            None => continue,
        };
        match hunk {
            Some(hunk) => hunk.add_line(kind, line.get(1..).unwrap_or_default(), true),
            None => reading.collector.record_unparsed_line(line),
        }
    }
    if files.is_empty() && reading.collector.is_empty() {
        reading.collector.report_unparsed_output();
    }
    for (path, hunks) in files {
        let is_only_hunk = hunks.len() == 1;
        let groups: Vec<ChangeGroup<'_>> = hunks.into_iter().flat_map(|hunk| hunk.groups).collect();
        collect_groups(&mut reading, path, &groups, is_only_hunk);
    }
    reading.finish()
}

/// Returns the path and the line of a heading: `Diff in PATH:LINE:`, or `Diff in PATH at line LINE:` before
/// version 1.8.
fn parse_heading(line: &str) -> Option<(&str, u32)> {
    let place = line.strip_prefix("Diff in ")?.trim_end().strip_suffix(':')?;
    let (path, first_line) = place.rsplit_once(" at line ").or_else(|| place.rsplit_once(':'))?;
    Some((path, first_line.parse().ok()?))
}
