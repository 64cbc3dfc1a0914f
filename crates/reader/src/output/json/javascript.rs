//! JSON of ESLint, Stylelint, Biome and oxlint.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::output::diagnostic::{DiagnosticLevel, ToolFix};
use crate::output::entries::{BoundedList, WholeNumber};
use crate::output::format::OutputContext;
use crate::output::json::reading::OutputReader;
use crate::output::level::level_or_warning;
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::DiagnosticReport;
use crate::output::unified_diff::{FORMAT_RULE, format_message};

/// Maximum number of messages that are read from one file.
const MAX_MESSAGES: usize = 20_000;
/// Beginning of ESLint's messages about files that its configuration excludes by a pattern or a folder, or
/// does not include.
const ESLINT_IGNORED_PREFIX: &str = "File ignored ";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EslintFile {
    file_path: String,
    #[serde(default)]
    messages: BoundedList<EslintMessage, MAX_MESSAGES>,
    #[serde(default)]
    suppressed_messages: BoundedList<EslintMessage, MAX_MESSAGES>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EslintMessage {
    rule_id: Option<String>,
    severity: WholeNumber,
    #[serde(default)]
    fatal: bool,
    message: String,
    line: Option<WholeNumber>,
    column: Option<WholeNumber>,
    end_line: Option<WholeNumber>,
    end_column: Option<WholeNumber>,
    fix: Option<OffsetFix>,
    #[serde(default)]
    suggestions: BoundedList<IgnoredAny, 1>,
}

/// Replacement between two offsets, in UTF-16 units from 0.
#[derive(Deserialize)]
struct OffsetFix {
    range: (WholeNumber, WholeNumber),
    text: String,
}

impl OffsetFix {
    /// Returns the range. Returns `None` if the range begins at a negative offset, which ESLint uses to
    /// remove a byte order mark.
    fn range(&self) -> Option<DiagnosticRange> {
        DiagnosticRange::from_offsets(self.range.0.to_offset()?, self.range.1.to_offset()?, ColumnUnit::Utf16)
    }
}

/// Reads the output of `eslint --format json`. Columns are in UTF-16 units from 1, and ends are exclusive.
/// The `fix` of a message is used. Its `suggestions` are not used, because ESLint never applies them
/// automatically.
pub(crate) fn read_eslint(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("eslint", context);
    let text = reading.extract_document(bytes);
    reading.for_each_array_entry(&text, "file", |reading, file: EslintFile| {
        for (list, suppressed) in [(&file.messages, false), (&file.suppressed_messages, true)] {
            for message in &list.0 {
                match message {
                    Some(message) => read_eslint_message(reading, &file.file_path, message, suppressed),
                    None => {
                        reading.add_malformed_entry(&format!("{}: a message is malformed", file.file_path));
                    }
                }
            }
        }
    });
    reading.finish()
}

fn read_eslint_message(
    reader: &mut OutputReader<'_>,
    path: &str,
    message: &EslintMessage,
    is_suppressed: bool,
) {
    let Some(line) = message.line else {
        let is_ignored =
            !message.fatal && message.rule_id.is_none() && message.message.starts_with(ESLINT_IGNORED_PREFIX);
        if is_ignored {
            reader.add_ignored_file(path);
        } else {
            reader.add_tool_failure(&format!("{path}: {}", message.message));
        }
        return;
    };
    let start = (line.to_line_or_column(), message.column.map_or(0, WholeNumber::to_line_or_column));
    let end = message
        .end_line
        .zip(message.end_column)
        .map(|(line, column)| (line.to_line_or_column(), column.to_line_or_column()));
    let range = DiagnosticRange::from_positions(start, end.unwrap_or(start), ColumnUnit::Utf16);
    let Some(mut diagnostic) = reader.build_diagnostic(path, range, &message.message) else { return };
    diagnostic.level = if message.fatal || message.severity.0 >= 2 {
        DiagnosticLevel::Error
    } else {
        DiagnosticLevel::Warning
    };
    let fix = message.fix.as_ref().and_then(|fix| reader.build_edit(path, fix.range(), &fix.text));
    diagnostic.fixes = fix.map(|edit| ToolFix { message: None, edits: vec![edit] }).into_iter().collect();
    diagnostic.has_unsafe_fix = message.fix.is_none() && message.suggestions.iter().next().is_some();
    diagnostic.rule_page_url = message.rule_id.as_deref().and_then(eslint_page_url);
    diagnostic.rule.clone_from(&message.rule_id);
    diagnostic.is_suppressed = is_suppressed;
    reader.collector.push(diagnostic);
}

/// Returns the URL of a rule's page. Such pages are known for ESLint's own rules and for the rules of some
/// plugins.
fn eslint_page_url(rule: &str) -> Option<String> {
    const PLUGINS: &[(&str, &str, &str)] = &[
        ("@typescript-eslint/", "https://typescript-eslint.io/rules/", "/"),
        ("@stylistic/", "https://eslint.style/rules/", ""),
    ];
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let plugin = PLUGINS.iter().find_map(|(prefix, page, end)| Some((rule.strip_prefix(prefix)?, page, end)));
    match plugin {
        Some((name, page, end)) if is_name(name) => Some(format!("{page}{name}{end}")),
        None if is_name(rule) => Some(format!("https://eslint.org/docs/latest/rules/{rule}")),
        Some(_) | None => None,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StylelintFile {
    source: Option<String>,
    /// True if the project's configuration excludes the file.
    #[serde(default)]
    ignored: bool,
    warnings: BoundedList<StylelintWarning, MAX_MESSAGES>,
    #[serde(default)]
    parse_errors: BoundedList<StylelintWarning, MAX_MESSAGES>,
    #[serde(default)]
    invalid_option_warnings: BoundedList<StylelintOption, 100>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StylelintWarning {
    line: WholeNumber,
    column: WholeNumber,
    end_line: Option<WholeNumber>,
    end_column: Option<WholeNumber>,
    rule: Option<String>,
    severity: Option<String>,
    text: String,
    url: Option<String>,
    fix: Option<OffsetFix>,
}

#[derive(Deserialize)]
struct StylelintOption {
    text: String,
}

/// Reads the output of `stylelint --formatter json` (on standard error since version 16). Columns are in
/// UTF-16 units from 1, and ends are exclusive. The rule's name is removed from the end of the message.
pub(crate) fn read_stylelint(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("stylelint", context);
    let text = reading.extract_document(bytes);
    reading.for_each_array_entry(&text, "file", |reading, file: StylelintFile| {
        let path = file.source.unwrap_or_default();
        if file.ignored {
            reading.add_ignored_file(&path);
        }
        for option in file.invalid_option_warnings.iter() {
            reading.add_tool_failure(&option.text);
        }
        for warning in file.warnings.0.iter().chain(&file.parse_errors.0) {
            match warning {
                Some(warning) => read_stylelint_warning(reading, &path, warning),
                None => reading.add_malformed_entry(&format!("{path}: a warning is malformed")),
            }
        }
    });
    reading.finish()
}

fn read_stylelint_warning(reader: &mut OutputReader<'_>, path: &str, warning: &StylelintWarning) {
    let start = (warning.line.to_line_or_column(), warning.column.to_line_or_column());
    let end = warning
        .end_line
        .zip(warning.end_column)
        .map(|(line, column)| (line.to_line_or_column(), column.to_line_or_column()));
    let range = DiagnosticRange::from_positions(start, end.unwrap_or(start), ColumnUnit::Utf16);
    let rule = warning.rule.as_deref().unwrap_or_default();
    let message = warning.text.trim_end().strip_suffix(&format!(" ({rule})")).unwrap_or(&warning.text);
    let Some(mut diagnostic) = reader.build_diagnostic(path, range, message) else { return };
    diagnostic.level = level_or_warning(warning.severity.as_deref());
    let fix = warning.fix.as_ref().and_then(|fix| reader.build_edit(path, fix.range(), &fix.text));
    diagnostic.fixes = fix.map(|edit| ToolFix { message: None, edits: vec![edit] }).into_iter().collect();
    // Only Stylelint's own rules have a known page. Names of plugins' rules contain a slash.
    let is_own = !rule.is_empty() && rule.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let page = || is_own.then(|| format!("https://stylelint.io/user-guide/rules/{rule}"));
    diagnostic.rule_page_url = warning.url.clone().or_else(page);
    diagnostic.rule.clone_from(&warning.rule);
    reader.collector.push(diagnostic);
}

#[derive(Deserialize)]
struct BiomeDocument<'a> {
    #[serde(borrow)]
    diagnostics: &'a RawValue,
    #[serde(default)]
    summary: BiomeSummary,
}

/// The number of files that Biome read.
#[derive(Deserialize, Default)]
struct BiomeSummary {
    changed: Option<WholeNumber>,
    unchanged: Option<WholeNumber>,
}

#[derive(Deserialize)]
struct BiomeDiagnostic {
    severity: String,
    #[serde(default)]
    message: BiomeText,
    description: Option<String>,
    category: Option<String>,
    location: Option<BiomeLocation>,
}

/// The message of a Biome diagnostic. Since version 2.4, the message is text. In earlier versions, the
/// message is markup, and the field `description` contains its text.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum BiomeText {
    Text(String),
    #[default]
    Markup,
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct BiomeLocation {
    path: Option<BiomePath>,
    start: Option<BiomePosition>,
    end: Option<BiomePosition>,
    span: Option<(WholeNumber, WholeNumber)>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum BiomePath {
    Text(String),
    File { file: String },
    Other(serde::de::IgnoredAny),
}

#[derive(Clone, Copy, Deserialize)]
struct BiomePosition {
    line: WholeNumber,
    column: WholeNumber,
}

impl BiomePosition {
    fn line_column(self) -> (u32, u32) {
        (self.line.to_line_or_column(), self.column.to_line_or_column())
    }
}

/// Beginning of the message that Biome could not format a file because of a syntax error.
const BIOME_NOT_FORMATTED: &str = "Code formatting aborted";

/// Reads the output of `biome lint --reporter=json`. Since version 2.4, a location has lines and columns,
/// which count from 1 and in characters. Earlier versions report a span of byte offsets. Ends are exclusive
/// in all versions. The format is experimental, and has no fixes. (The output of Biome's reporter `rdjson`
/// contains fixes, but does not mark which of them are safe. Its columns count characters, although the
/// rdjson format requires bytes.)
pub(crate) fn read_biome(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("biome", context);
    let text = reading.extract_document(bytes);
    let Some(document) = reading.parse_object::<BiomeDocument<'_>>(&text) else { return reading.finish() };
    let BiomeSummary { changed, unchanged } = document.summary;
    let read_files = changed.zip(unchanged).map(|(changed, unchanged)| changed.0.saturating_add(unchanged.0));
    reading.record_examined_count(read_files.map(WholeNumber));
    reading.for_each_entry(document.diagnostics, "diagnostic", |reading, entry: BiomeDiagnostic| {
        let message = match (entry.message, entry.description) {
            (BiomeText::Text(message), _) | (BiomeText::Markup | BiomeText::Other(_), Some(message)) => {
                message
            }
            (BiomeText::Markup | BiomeText::Other(_), None) => String::new(),
        };
        let path = entry.location.as_ref().and_then(|location| match location.path.as_ref()? {
            BiomePath::Text(path) | BiomePath::File { file: path } => Some(path.clone()),
            BiomePath::Other(_) => None,
        });
        let Some(path) = path else { return reading.add_tool_failure(&message) };
        let range = entry.location.as_ref().map_or(DiagnosticRange::WholeFile, biome_range);
        let Some(mut diagnostic) = reading.build_diagnostic(&path, range, &message) else { return };
        diagnostic.level = level_or_warning(Some(&entry.severity));
        diagnostic.rule_page_url = entry.category.as_deref().and_then(biome_page_url);
        diagnostic.rule = entry.category;
        if diagnostic.rule.as_deref() == Some(FORMAT_RULE) {
            if diagnostic.message.starts_with(BIOME_NOT_FORMATTED) {
                diagnostic.rule = Some("parse".to_owned());
            } else {
                diagnostic.message = format_message(&diagnostic.tool);
                diagnostic.level = DiagnosticLevel::Note;
            }
        }
        reading.collector.push(diagnostic);
    });
    reading.finish()
}

fn biome_range(location: &BiomeLocation) -> DiagnosticRange {
    match (location.start, location.end, location.span) {
        (Some(start), end, _) => DiagnosticRange::from_positions(
            start.line_column(),
            end.unwrap_or(start).line_column(),
            ColumnUnit::CodePoint,
        ),
        (None, _, Some((start, end))) => {
            let offsets = start.to_offset().zip(end.to_offset());
            offsets
                .and_then(|(start, end)| DiagnosticRange::from_offsets(start, end, ColumnUnit::Byte))
                .unwrap_or(DiagnosticRange::WholeFile)
        }
        (None, _, None) => DiagnosticRange::WholeFile,
    }
}

/// Returns the URL of a rule's page. For `lint/style/useConst`, the URL ends with `use-const`.
fn biome_page_url(category: &str) -> Option<String> {
    let name = category.strip_prefix("lint/")?.rsplit('/').next()?;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let mut page = String::from("https://biomejs.dev/linter/rules/");
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            page.push('-');
        }
        page.push(letter.to_ascii_lowercase());
    }
    Some(page)
}

#[derive(Deserialize)]
struct OxlintDocument<'a> {
    #[serde(borrow)]
    diagnostics: &'a RawValue,
    number_of_files: Option<WholeNumber>,
    number_of_rules: Option<WholeNumber>,
}

#[derive(Deserialize)]
struct OxlintDiagnostic {
    message: String,
    code: Option<String>,
    severity: Option<String>,
    url: Option<String>,
    help: Option<String>,
    filename: Option<String>,
    #[serde(default)]
    labels: BoundedList<OxlintLabel, 10>,
}

#[derive(Deserialize)]
struct OxlintLabel {
    span: OxlintSpan,
}

#[derive(Deserialize)]
struct OxlintSpan {
    offset: WholeNumber,
    length: WholeNumber,
}

/// Reads the output of `oxlint --format json`. The first label of a diagnostic is its location, with an
/// offset and a length in bytes.
pub(crate) fn read_oxlint(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("oxlint", context);
    let text = reading.extract_document(bytes);
    let Some(document) = reading.parse_object::<OxlintDocument<'_>>(&text) else { return reading.finish() };
    reading.record_examined_count(document.number_of_files);
    reading.record_examined_count(document.number_of_rules);
    reading.for_each_entry(document.diagnostics, "diagnostic", |reading, entry: OxlintDiagnostic| {
        let range = entry.labels.iter().next().and_then(|label| {
            let start = label.span.offset.to_offset()?;
            DiagnosticRange::from_offsets(
                start,
                start.checked_add(label.span.length.to_offset()?)?,
                ColumnUnit::Byte,
            )
        });
        let Some(path) = entry.filename else { return reading.add_tool_failure(&entry.message) };
        let Some(mut diagnostic) =
            reading.build_diagnostic(&path, range.unwrap_or(DiagnosticRange::WholeFile), &entry.message)
        else {
            return;
        };
        diagnostic.level = level_or_warning(entry.severity.as_deref());
        diagnostic.rule = entry.code;
        diagnostic.rule_page_url = entry.url;
        diagnostic.help = entry.help;
        reading.collector.push(diagnostic);
    });
    reading.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_pages() {
        let eslint = |rule: &str| eslint_page_url(rule).unwrap_or_default();
        assert_eq!(eslint("no-var"), "https://eslint.org/docs/latest/rules/no-var");
        assert_eq!(eslint("@typescript-eslint/no-any"), "https://typescript-eslint.io/rules/no-any/");
        assert_eq!(eslint("react/jsx-key"), "");
        let biome = |rule: &str| biome_page_url(rule).unwrap_or_default();
        assert_eq!(biome("lint/suspicious/noDebugger"), "https://biomejs.dev/linter/rules/no-debugger");
        assert_eq!(biome("format"), "");
    }
}
