//! JSON of ESLint, Stylelint, Biome and oxlint.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::output::diagnostic::{Level, ToolFix};
use crate::output::entries::{List, Whole};
use crate::output::format::Input;
use crate::output::json::reading::Reading;
use crate::output::level::level_or_warning;
use crate::output::range::{ColumnUnit, Range};
use crate::output::report::Report;

/// The most messages of a file that are read.
const MAX_MESSAGES: usize = 20_000;
/// The beginning of the message that ESLint has in the place of findings for a file that its configuration leaves out: by a pattern,
/// by no entry for such files, by its folder.
const ESLINT_IGNORED: &str = "File ignored ";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EslintFile {
    file_path: String,
    #[serde(default)]
    messages: List<EslintMessage, MAX_MESSAGES>,
    #[serde(default)]
    suppressed_messages: List<EslintMessage, MAX_MESSAGES>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EslintMessage {
    rule_id: Option<String>,
    severity: Whole,
    #[serde(default)]
    fatal: bool,
    message: String,
    line: Option<Whole>,
    column: Option<Whole>,
    end_line: Option<Whole>,
    end_column: Option<Whole>,
    fix: Option<OffsetFix>,
    #[serde(default)]
    suggestions: List<IgnoredAny, 1>,
}

/// A replacement from one offset up to another one, in UTF-16 from 0.
#[derive(Deserialize)]
struct OffsetFix {
    range: (Whole, Whole),
    text: String,
}

impl OffsetFix {
    /// The range; none for the place before the text, at which ESLint takes a byte order mark away.
    fn range(&self) -> Option<Range> {
        Range::offsets(self.range.0.offset()?, self.range.1.offset()?, ColumnUnit::Utf16)
    }
}

/// Reads what `eslint --format json` prints. Columns are in UTF-16 from 1, and ends are behind the place. A message's `fix`
/// is taken; its `suggestions`, which ESLint never applies by itself, are not.
pub(crate) fn eslint(bytes: &[u8], input: &Input<'_>) -> Report {
    let mut reading = Reading::new("eslint", input);
    let text = reading.document(bytes);
    reading.each_of(&text, "file", |reading, file: EslintFile| {
        for (list, suppressed) in [(&file.messages, false), (&file.suppressed_messages, true)] {
            for message in &list.0 {
                match message {
                    Some(message) => eslint_message(reading, &file.file_path, message, suppressed),
                    None => reading.entry(&format!("{}: a message is malformed", file.file_path)),
                }
            }
        }
    });
    reading.finish()
}

fn eslint_message(reading: &mut Reading<'_>, path: &str, message: &EslintMessage, suppressed: bool) {
    let Some(line) = message.line else {
        let is_ignored =
            !message.fatal && message.rule_id.is_none() && message.message.starts_with(ESLINT_IGNORED);
        if is_ignored {
            reading.ignored(path);
        } else {
            reading.failed(&format!("{path}: {}", message.message));
        }
        return;
    };
    let start = (line.count(), message.column.map_or(0, Whole::count));
    let end = message.end_line.zip(message.end_column).map(|(line, column)| (line.count(), column.count()));
    let range = Range::between(start, end.unwrap_or(start), ColumnUnit::Utf16);
    let Some(mut diagnostic) = reading.diagnostic(path, range, &message.message) else { return };
    diagnostic.level = if message.fatal || message.severity.0 >= 2 { Level::Error } else { Level::Warning };
    let fix = message.fix.as_ref().and_then(|fix| reading.edit(path, fix.range(), &fix.text));
    diagnostic.fixes = fix.map(|edit| ToolFix { message: None, edits: vec![edit] }).into_iter().collect();
    diagnostic.has_unsafe_fix = message.fix.is_none() && message.suggestions.iter().next().is_some();
    diagnostic.rule_page = message.rule_id.as_deref().and_then(eslint_page);
    diagnostic.rule.clone_from(&message.rule_id);
    diagnostic.suppressed = suppressed;
    reading.collected.push(diagnostic);
}

/// The page of a rule of ESLint itself, or of a plugin whose pages are known.
fn eslint_page(rule: &str) -> Option<String> {
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
    /// Does the project keep the file from it?
    #[serde(default)]
    ignored: bool,
    warnings: List<StylelintWarning, MAX_MESSAGES>,
    #[serde(default)]
    parse_errors: List<StylelintWarning, MAX_MESSAGES>,
    #[serde(default)]
    invalid_option_warnings: List<StylelintOption, 100>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StylelintWarning {
    line: Whole,
    column: Whole,
    end_line: Option<Whole>,
    end_column: Option<Whole>,
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

/// Reads what `stylelint --formatter json` prints (on standard error since version 16). Columns are in UTF-16 from 1, and
/// ends are behind the place. The rule's name goes from the end of the message.
pub(crate) fn stylelint(bytes: &[u8], input: &Input<'_>) -> Report {
    let mut reading = Reading::new("stylelint", input);
    let text = reading.document(bytes);
    reading.each_of(&text, "file", |reading, file: StylelintFile| {
        let path = file.source.unwrap_or_default();
        if file.ignored {
            reading.ignored(&path);
        }
        for option in file.invalid_option_warnings.iter() {
            reading.failed(&option.text);
        }
        for warning in file.warnings.0.iter().chain(&file.parse_errors.0) {
            match warning {
                Some(warning) => stylelint_warning(reading, &path, warning),
                None => reading.entry(&format!("{path}: a warning is malformed")),
            }
        }
    });
    reading.finish()
}

fn stylelint_warning(reading: &mut Reading<'_>, path: &str, warning: &StylelintWarning) {
    let start = (warning.line.count(), warning.column.count());
    let end = warning.end_line.zip(warning.end_column).map(|(line, column)| (line.count(), column.count()));
    let range = Range::between(start, end.unwrap_or(start), ColumnUnit::Utf16);
    let rule = warning.rule.as_deref().unwrap_or_default();
    let message = warning.text.trim_end().strip_suffix(&format!(" ({rule})")).unwrap_or(&warning.text);
    let Some(mut diagnostic) = reading.diagnostic(path, range, message) else { return };
    diagnostic.level = level_or_warning(warning.severity.as_deref());
    let fix = warning.fix.as_ref().and_then(|fix| reading.edit(path, fix.range(), &fix.text));
    diagnostic.fixes = fix.map(|edit| ToolFix { message: None, edits: vec![edit] }).into_iter().collect();
    // The names of rules that plugins bring hold a slash.
    let is_own = !rule.is_empty() && rule.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let page = || is_own.then(|| format!("https://stylelint.io/user-guide/rules/{rule}"));
    diagnostic.rule_page = warning.url.clone().or_else(page);
    diagnostic.rule.clone_from(&warning.rule);
    reading.collected.push(diagnostic);
}

#[derive(Deserialize)]
struct BiomeDocument<'a> {
    #[serde(borrow)]
    diagnostics: &'a RawValue,
}

#[derive(Deserialize)]
struct Biome {
    severity: String,
    #[serde(default)]
    message: BiomeText,
    description: Option<String>,
    category: Option<String>,
    location: Option<BiomeLocation>,
}

/// The message since version 2.4; before, it was markup, and `description` holds its text.
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
    span: Option<(Whole, Whole)>,
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
    line: Whole,
    column: Whole,
}

impl BiomePosition {
    fn pair(self) -> (u32, u32) {
        (self.line.count(), self.column.count())
    }
}

/// Reads what `biome lint --reporter=json` prints: since version 2.4 lines and columns, from 1, in characters; before, a
/// span of bytes. Ends are behind the place. The form is experimental, and has no fixes. (The reporter `rdjson` has some,
/// but does not tell those that are safe, and counts characters where that format counts bytes.)
pub(crate) fn biome(bytes: &[u8], input: &Input<'_>) -> Report {
    let mut reading = Reading::new("biome", input);
    let text = reading.document(bytes);
    let Some(document) = reading.object::<BiomeDocument<'_>>(&text) else { return reading.finish() };
    reading.each(document.diagnostics, "diagnostic", |reading, entry: Biome| {
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
        let Some(path) = path else { return reading.failed(&message) };
        let range = entry.location.as_ref().map_or(Range::File, biome_range);
        let Some(mut diagnostic) = reading.diagnostic(&path, range, &message) else { return };
        diagnostic.level = level_or_warning(Some(&entry.severity));
        diagnostic.rule_page = entry.category.as_deref().and_then(biome_page);
        diagnostic.rule = entry.category;
        reading.collected.push(diagnostic);
    });
    reading.finish()
}

fn biome_range(location: &BiomeLocation) -> Range {
    match (location.start, location.end, location.span) {
        (Some(start), end, _) => {
            Range::between(start.pair(), end.unwrap_or(start).pair(), ColumnUnit::CodePoint)
        }
        (None, _, Some((start, end))) => {
            let offsets = start.offset().zip(end.offset());
            offsets
                .and_then(|(start, end)| Range::offsets(start, end, ColumnUnit::Byte))
                .unwrap_or(Range::File)
        }
        (None, _, None) => Range::File,
    }
}

/// The page of a rule: `lint/style/useConst` is `use-const`.
fn biome_page(category: &str) -> Option<String> {
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
}

#[derive(Deserialize)]
struct Oxlint {
    message: String,
    code: Option<String>,
    severity: Option<String>,
    url: Option<String>,
    help: Option<String>,
    filename: Option<String>,
    #[serde(default)]
    labels: List<OxlintLabel, 10>,
}

#[derive(Deserialize)]
struct OxlintLabel {
    span: OxlintSpan,
}

#[derive(Deserialize)]
struct OxlintSpan {
    offset: Whole,
    length: Whole,
}

/// Reads what `oxlint --format json` prints. The first label is the place; its offset and length are bytes.
pub(crate) fn oxlint(bytes: &[u8], input: &Input<'_>) -> Report {
    let mut reading = Reading::new("oxlint", input);
    let text = reading.document(bytes);
    let Some(document) = reading.object::<OxlintDocument<'_>>(&text) else { return reading.finish() };
    reading.each(document.diagnostics, "diagnostic", |reading, entry: Oxlint| {
        let range = entry.labels.iter().next().and_then(|label| {
            let start = label.span.offset.offset()?;
            Range::offsets(start, start.checked_add(label.span.length.offset()?)?, ColumnUnit::Byte)
        });
        let Some(path) = entry.filename else { return reading.failed(&entry.message) };
        let Some(mut diagnostic) = reading.diagnostic(&path, range.unwrap_or(Range::File), &entry.message)
        else {
            return;
        };
        diagnostic.level = level_or_warning(entry.severity.as_deref());
        diagnostic.rule = entry.code;
        diagnostic.rule_page = entry.url;
        diagnostic.help = entry.help;
        reading.collected.push(diagnostic);
    });
    reading.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_have_pages() {
        let eslint = |rule: &str| eslint_page(rule).unwrap_or_default();
        assert_eq!(eslint("no-var"), "https://eslint.org/docs/latest/rules/no-var");
        assert_eq!(eslint("@typescript-eslint/no-any"), "https://typescript-eslint.io/rules/no-any/");
        assert_eq!(eslint("react/jsx-key"), "");
        let biome = |rule: &str| biome_page(rule).unwrap_or_default();
        assert_eq!(biome("lint/suspicious/noDebugger"), "https://biomejs.dev/linter/rules/no-debugger");
        assert_eq!(biome("format"), "");
    }
}
