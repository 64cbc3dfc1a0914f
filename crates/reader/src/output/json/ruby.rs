//! Reads the JSON of RuboCop.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::entries::{BoundedList, WholeNumber};
use crate::output::format::OutputContext;
use crate::output::json::reading::OutputReader;
use crate::output::level::level_or_warning;
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::DiagnosticReport;

/// Maximum number of offenses that are read from one file.
const MAX_OFFENSES: usize = 20_000;
/// Departments (groups of rules) that RuboCop's own pages document. Other departments belong to extensions.
const DEPARTMENTS: &[&str] =
    &["Bundler", "Gemspec", "Layout", "Lint", "Metrics", "Migration", "Naming", "Security", "Style"];

#[derive(Deserialize)]
struct RubocopDocument<'a> {
    #[serde(borrow)]
    files: &'a RawValue,
    #[serde(default)]
    summary: RubocopSummary,
}

#[derive(Deserialize, Default)]
struct RubocopSummary {
    target_file_count: Option<WholeNumber>,
    inspected_file_count: Option<WholeNumber>,
}

#[derive(Deserialize)]
struct RubocopFile {
    path: String,
    #[serde(default)]
    offenses: BoundedList<RubocopOffense, MAX_OFFENSES>,
}

#[derive(Deserialize)]
struct RubocopOffense {
    severity: String,
    message: String,
    cop_name: String,
    #[serde(default)]
    corrected: bool,
    location: RubocopLocation,
}

/// Location that RuboCop reports. Lines and columns count from 1, columns are characters, and the last column
/// is inclusive. RuboCop before version 0.52 reports only `line` and `column`.
#[derive(Deserialize)]
struct RubocopLocation {
    line: WholeNumber,
    column: WholeNumber,
    start_line: Option<WholeNumber>,
    start_column: Option<WholeNumber>,
    last_line: Option<WholeNumber>,
    last_column: Option<WholeNumber>,
}

/// Reads the output of `rubocop --format json`. The output has no fixes. Offenses that RuboCop has already
/// corrected are left out.
pub(crate) fn read_rubocop(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("rubocop", context);
    let text = reading.extract_document(bytes);
    let Some(document) = reading.parse_object::<RubocopDocument<'_>>(&text) else { return reading.finish() };
    let RubocopSummary { target_file_count: targets, inspected_file_count: inspected } = document.summary;
    if let Some((WholeNumber(targets), WholeNumber(inspected))) = targets.zip(inspected)
        && inspected < targets
    {
        reading.add_tool_failure(&format!("it inspected {inspected} of {targets} files"));
    }
    reading.for_each_entry(document.files, "file", |reading, file: RubocopFile| {
        for offense in &file.offenses.0 {
            match offense {
                Some(offense) if offense.corrected => {}
                Some(offense) => read_offense(reading, &file.path, offense),
                None => reading.add_malformed_entry(&format!("{}: an offense is malformed", file.path)),
            }
        }
    });
    reading.finish()
}

fn read_offense(reader: &mut OutputReader<'_>, path: &str, offense: &RubocopOffense) {
    let place = &offense.location;
    let start = (place.start_line.unwrap_or(place.line), place.start_column.unwrap_or(place.column));
    let start = (start.0.to_line_or_column(), start.1.to_line_or_column());
    let end = place.last_line.zip(place.last_column);
    let end =
        end.map(|(line, column)| (line.to_line_or_column(), column.to_line_or_column().saturating_add(1)));
    let range = DiagnosticRange::from_positions(start, end.unwrap_or(start), ColumnUnit::CodePoint);
    // With one of its options, RuboCop puts the rule's name before each message. This name is removed.
    let named = format!("{}: ", offense.cop_name);
    let message = offense.message.strip_prefix(&named).unwrap_or(&offense.message);
    let Some(mut diagnostic) = reader.build_diagnostic(path, range, message) else { return };
    diagnostic.level = level_or_warning(Some(&offense.severity));
    diagnostic.rule_page_url = rule_page_url(&offense.cop_name);
    diagnostic.rule = Some(offense.cop_name.clone());
    reader.collector.push(diagnostic);
}

/// Returns the URL of a rule's page. For `Style/NilComparison`, the URL ends with
/// `cops_style.html#stylenilcomparison`.
fn rule_page_url(rule: &str) -> Option<String> {
    let (department, name) = rule.split_once('/')?;
    let is_own = DEPARTMENTS.contains(&department) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (department, name) = (department.to_ascii_lowercase(), name.to_ascii_lowercase());
    is_own.then(|| format!("https://docs.rubocop.org/rubocop/cops_{department}.html#{department}{name}"))
}
