//! JSON of ShellCheck and hadolint.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::diagnostic::{Diagnostic, ToolFix};
use crate::output::entries::WholeNumber;
use crate::output::format::OutputContext;
use crate::output::json::reading::OutputReader;
use crate::output::level::level_or_warning;
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::DiagnosticReport;

#[derive(Deserialize)]
struct ShellcheckDocument<'a> {
    #[serde(borrow)]
    comments: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShellcheckComment {
    file: String,
    line: WholeNumber,
    end_line: WholeNumber,
    column: WholeNumber,
    end_column: WholeNumber,
    level: String,
    code: WholeNumber,
    message: String,
    fix: Option<ShellcheckFix>,
}

#[derive(Deserialize)]
struct ShellcheckFix {
    replacements: Vec<ShellcheckReplacement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShellcheckReplacement {
    line: WholeNumber,
    end_line: WholeNumber,
    column: WholeNumber,
    end_column: WholeNumber,
    replacement: String,
}

/// Reads the output of `shellcheck -f json1`. Columns are characters from 1, a tab counts as one character,
/// and ends are exclusive. ShellCheck's format `json` is an array. In that format, a tab extends to the next
/// multiple of 8 columns, so only the line numbers are used.
pub(crate) fn read_shellcheck(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("shellcheck", context);
    let text = reading.extract_document(bytes);
    if text.trim_start().starts_with('[') {
        reading.for_each_array_entry(&text, "comment", |reading, entry: ShellcheckComment| {
            let lines = DiagnosticRange::from_lines(
                entry.line.to_line_or_column(),
                entry.end_line.to_line_or_column(),
            );
            if let Some(diagnostic) = map_shellcheck_comment(reading, &entry, lines) {
                reading.collector.push(diagnostic);
            }
        });
        return reading.finish();
    }
    let Some(document) = reading.parse_object::<ShellcheckDocument<'_>>(&text) else {
        return reading.finish();
    };
    reading.for_each_entry(document.comments, "comment", |reading, entry: ShellcheckComment| {
        let start = (entry.line.to_line_or_column(), entry.column.to_line_or_column());
        let range = DiagnosticRange::from_positions(
            start,
            (entry.end_line.to_line_or_column(), entry.end_column.to_line_or_column()),
            ColumnUnit::CodePoint,
        );
        let Some(mut diagnostic) = map_shellcheck_comment(reading, &entry, range) else { return };
        let fix = entry.fix.and_then(|fix| shellcheck_fix(reading, &entry.file, &fix.replacements));
        diagnostic.fixes = fix.into_iter().collect();
        reading.collector.push(diagnostic);
    });
    reading.finish()
}

fn map_shellcheck_comment(
    reader: &mut OutputReader<'_>,
    entry: &ShellcheckComment,
    range: DiagnosticRange,
) -> Option<Diagnostic> {
    let mut diagnostic = reader.build_diagnostic(&entry.file, range, &entry.message)?;
    diagnostic.level = level_or_warning(Some(&entry.level));
    let rule = format!("SC{:04}", entry.code.0);
    diagnostic.rule_page_url = Some(format!("https://www.shellcheck.net/wiki/{rule}"));
    diagnostic.rule = Some(rule);
    Some(diagnostic)
}

fn shellcheck_fix(
    reader: &OutputReader<'_>,
    path: &str,
    replacements: &[ShellcheckReplacement],
) -> Option<ToolFix> {
    let edits = replacements.iter().map(|part| {
        let start = (part.line.to_line_or_column(), part.column.to_line_or_column());
        let range = DiagnosticRange::from_exact_positions(
            start,
            (part.end_line.to_line_or_column(), part.end_column.to_line_or_column()),
            ColumnUnit::CodePoint,
        );
        reader.build_edit(path, range, &part.replacement)
    });
    Some(ToolFix { message: None, edits: edits.collect::<Option<Vec<_>>>()? })
}

#[derive(Deserialize)]
struct HadolintDiagnostic {
    code: String,
    column: WholeNumber,
    file: String,
    level: String,
    line: WholeNumber,
    message: String,
}

/// Reads the output of `hadolint -f json`. Only the line is used, because the column is always 1, except for
/// a file that cannot be parsed.
pub(crate) fn read_hadolint(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("hadolint", context);
    let text = reading.extract_document(bytes);
    reading.for_each_array_entry(&text, "entry", |reading, entry: HadolintDiagnostic| {
        let (line, column) = (entry.line.to_line_or_column(), entry.column.to_line_or_column());
        let range = if column <= 1 {
            DiagnosticRange::from_lines(line, line)
        } else {
            DiagnosticRange::from_position(line, column, ColumnUnit::CodePoint)
        };
        let Some(mut diagnostic) = reading.build_diagnostic(&entry.file, range, &entry.message) else {
            return;
        };
        diagnostic.level = level_or_warning(Some(&entry.level));
        let site = if entry.code.starts_with("SC") {
            "https://www.shellcheck.net/wiki"
        } else {
            "https://github.com/hadolint/hadolint/wiki"
        };
        diagnostic.rule_page_url = Some(format!("{site}/{}", entry.code));
        diagnostic.rule = Some(entry.code);
        reading.collector.push(diagnostic);
    });
    reading.finish()
}
