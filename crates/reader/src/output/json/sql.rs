//! Reads the JSON of SQLFluff.

use serde::Deserialize;

use crate::output::diagnostic::{DiagnosticLevel, ToolFix};
use crate::output::entries::{BoundedList, WholeNumber};
use crate::output::format::OutputContext;
use crate::output::json::reading::OutputReader;
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::DiagnosticReport;

/// Maximum number of violations that are read from one file.
const MAX_VIOLATIONS: usize = 20_000;
/// Codes of violations that report a file which SQLFluff could not split, template or parse.
const FAILURE_CODES: &[&str] = &["LXR", "PRS", "TMP"];

#[derive(Deserialize)]
struct SqlfluffFile {
    filepath: String,
    #[serde(default)]
    violations: BoundedList<SqlfluffViolation, MAX_VIOLATIONS>,
}

#[derive(Deserialize)]
struct SqlfluffViolation {
    #[serde(alias = "line_no")]
    start_line_no: WholeNumber,
    #[serde(alias = "line_pos")]
    start_line_pos: WholeNumber,
    end_line_no: Option<WholeNumber>,
    end_line_pos: Option<WholeNumber>,
    code: String,
    description: String,
    name: Option<String>,
    #[serde(default)]
    warning: bool,
    #[serde(default)]
    fixes: Vec<SqlfluffEdit>,
}

#[derive(Deserialize)]
struct SqlfluffEdit {
    edit: String,
    start_line_no: WholeNumber,
    start_line_pos: WholeNumber,
    end_line_no: WholeNumber,
    end_line_pos: WholeNumber,
}

/// Reads the output of `sqlfluff lint --format json`. Positions are characters from 1, and ends are
/// exclusive. All edits of a violation form one fix. Fixes are ignored if SQLFluff could not parse the file,
/// because SQLFluff does not fix such a file either.
pub(crate) fn read_sqlfluff(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("sqlfluff", context);
    let text = reading.extract_document(bytes);
    let mut has_files = false;
    reading.for_each_array_entry(&text, "file", |reading, file: SqlfluffFile| {
        has_files = true;
        let is_parsed = !file.violations.iter().any(SqlfluffViolation::is_failure);
        for violation in &file.violations.0 {
            match violation {
                Some(violation) => read_violation(reading, &file.filepath, violation, is_parsed),
                None => reading.add_malformed_entry(&format!("{}: a violation is malformed", file.filepath)),
            }
        }
    });
    // SQLFluff lists each file that it checks.
    if !has_files {
        reading.collector.record_nothing_examined();
    }
    reading.finish()
}

impl SqlfluffViolation {
    fn is_failure(&self) -> bool {
        FAILURE_CODES.contains(&self.code.as_str()) && !self.warning
    }
}

fn read_violation(reader: &mut OutputReader<'_>, path: &str, violation: &SqlfluffViolation, is_parsed: bool) {
    let start = (violation.start_line_no.to_line_or_column(), violation.start_line_pos.to_line_or_column());
    let end = violation.end_line_no.zip(violation.end_line_pos);
    let end = end.map(|(line, column)| (line.to_line_or_column(), column.to_line_or_column()));
    let range = DiagnosticRange::from_positions(start, end.unwrap_or(start), ColumnUnit::CodePoint);
    let Some(mut diagnostic) = reader.build_diagnostic(path, range, &violation.description) else { return };
    diagnostic.level = if violation.is_failure() { DiagnosticLevel::Error } else { DiagnosticLevel::Warning };
    if is_parsed {
        diagnostic.fixes = violation_fix(reader, path, &violation.fixes).into_iter().collect();
    }
    // Each group of rules has one page. The group is the part of the rule's name before the dot.
    let group = violation.name.as_deref().and_then(|name| name.split_once('.'));
    let group =
        group.map(|(group, _)| group).filter(|group| group.bytes().all(|byte| byte.is_ascii_lowercase()));
    diagnostic.rule_page_url =
        group.map(|group| format!("https://docs.sqlfluff.com/en/stable/reference/rules/{group}"));
    diagnostic.rule = Some(violation.code.clone());
    diagnostic.title = violation.name.clone();
    reader.collector.push(diagnostic);
}

fn violation_fix(reader: &OutputReader<'_>, path: &str, edits: &[SqlfluffEdit]) -> Option<ToolFix> {
    let edits = edits.iter().map(|edit| {
        let start = (edit.start_line_no.to_line_or_column(), edit.start_line_pos.to_line_or_column());
        let range = DiagnosticRange::from_exact_positions(
            start,
            (edit.end_line_no.to_line_or_column(), edit.end_line_pos.to_line_or_column()),
            ColumnUnit::CodePoint,
        );
        reader.build_edit(path, range, &edit.edit)
    });
    let edits = edits.collect::<Option<Vec<_>>>()?;
    (!edits.is_empty()).then_some(ToolFix { message: None, edits })
}
