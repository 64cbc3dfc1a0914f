//! Converts diagnostics of tools to findings.

use std::collections::BTreeMap;

use truing_core::code_digest::{CodeDigests, OMISSION_MARK};
use truing_core::finding::{
    CodeLocation, DefectCategory, DiffSide, FindingSource, RawFinding, Severity, SuggestedFix,
};
use truing_core::markdown::code_span;

use crate::output::diagnostic::{Diagnostic, DiagnosticLevel, MAX_TITLE_CHARS, ToolFix};
use crate::output::known::{self, KnownTool};
use crate::output::range::DiagnosticRange;
use crate::output::resolve::{ByteEdit, FileText, RangeError, resolve_fix};
use crate::output::text;
use crate::output::unified_diff::FORMAT_RULE;
use crate::redact::FileSecrets;
use crate::snippet::{SecretRanges, render_snippet};

/// Maximum number of bytes of a suggestion.
pub(crate) const MAX_SUGGESTION_BYTES: usize = 8 << 10;
/// Maximum number of edits of a fix that becomes a suggestion.
const MAX_SUGGESTED_EDITS: usize = 20;
/// Maximum number of bytes of a title. The value is below the limit of the reader protocol.
const MAX_TITLE_BYTES: usize = 480;
/// Maximum number of bytes of each part of a finding's rule name: the tool's part and the rule's part.
const MAX_RULE_PART_BYTES: usize = 90;
/// Prefix for the name of a tool in findings if a pack has the same name.
const TOOL_PREFIX: &str = "tool-";
/// Rule name for a diagnostic without a rule.
pub const DEFAULT_RULE_NAME: &str = "diagnostic";

/// The severities and categories that the findings of tools receive.
#[derive(Clone, Debug)]
pub struct DiagnosticMapping {
    /// Severities for the levels error, warning and note.
    pub levels: LevelSeverities,
    /// Severities for all findings of a rule or a tool, regardless of their level. The key is `tool/rule`, as
    /// returned by [`rule_name`], or `tool`.
    pub rule_severities: BTreeMap<String, Severity>,
    /// Defect categories. The key is `tool/rule`, a tag, or `tool`; if several keys match, the first in this
    /// order applies.
    pub categories: BTreeMap<String, DefectCategory>,
    /// Names of packs that tools must not have in findings. A tool with such a name gets a prefix: `core`
    /// becomes `tool-core`.
    pub reserved_names: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LevelSeverities {
    /// Severity of an error.
    pub error: Severity,
    /// Severity of a warning.
    pub warning: Severity,
    /// Severity of a note.
    pub note: Severity,
}

impl Default for LevelSeverities {
    fn default() -> Self {
        Self { error: Severity::P1, warning: Severity::P2, note: Severity::P2 }
    }
}

impl Default for DiagnosticMapping {
    /// Maps errors to P1, and warnings and notes to P2, except for tools with other severities in the table
    /// of known tools. Diagnostics with a security tag get the category of this tag. All other diagnostics
    /// get the category for code rules, except for tools with other categories in the table.
    fn default() -> Self {
        let categories = [
            ("security", DefectCategory::H),
            ("bug risk", DefectCategory::F),
            ("correctness", DefectCategory::F),
            ("performance", DefectCategory::J),
            ("unused", DefectCategory::E),
        ];
        Self {
            levels: LevelSeverities::default(),
            rule_severities: BTreeMap::new(),
            categories: categories.map(|(tag, category)| (tag.to_owned(), category)).into(),
            reserved_names: ["agent", "core"].map(str::to_owned).into(),
        }
    }
}

/// Converts diagnostics of one file to findings. Data that is the same for all diagnostics is computed only
/// once.
pub struct FindingMapper<'a> {
    file: &'a FileText<'a>,
    quoted_secrets: FileSecrets,
    mapping: &'a DiagnosticMapping,
}

impl<'a> FindingMapper<'a> {
    /// Creates a mapper for a file. The file is searched for secrets only once, for all diagnostics.
    pub fn new(file: &'a FileText<'a>, mapping: &'a DiagnosticMapping) -> Self {
        Self { file, quoted_secrets: FileSecrets::from_text(&String::from_utf8_lossy(file.bytes())), mapping }
    }

    /// Converts a diagnostic of this file to a finding. Secrets that occur in the file, and secrets with a
    /// known format, are removed from the finding's texts. The finding has a suggestion if one of the fixes
    /// is applicable and changes nothing outside the finding's lines. The fix is not validated by parsing the
    /// fixed file.
    ///
    /// # Errors
    ///
    /// Returns an error if the diagnostic's location is not in the file.
    pub fn map_diagnostic(&self, diagnostic: &Diagnostic) -> Result<RawFinding, RangeError> {
        let (first, last) = self.file.range_lines(&diagnostic.range)?;
        let rule = rule_name(&diagnostic.tool, diagnostic.rule.as_deref(), &self.mapping.reserved_names);
        let is_short = |fix: &&ToolFix| fix.edits.len() <= MAX_SUGGESTED_EDITS;
        let suggestion = diagnostic.fixes.iter().filter(is_short).find_map(|fix| {
            let edits = resolve_fix(fix, &diagnostic.path, self.file).ok()?;
            let suggestion = edited_lines(self.file, first, last, &edits)?;
            // A fix is dropped if its text contains a secret.
            (self.hide_secrets(&suggestion) == suggestion).then_some(SuggestedFix { replacement: suggestion })
        });
        let snippet = self.snippet(&diagnostic.range, first, last);
        // If the snippet contained a secret, the tool's fingerprint is dropped. The fingerprint may be a hash
        // of the lines, with which a person could test guesses of the secret.
        let fingerprint = diagnostic.fingerprint.as_deref().filter(|_| !snippet.contains(OMISSION_MARK));
        let code = CodeDigests {
            tool_fingerprint: fingerprint.map(CodeDigests::digest_tool_fingerprint),
            ..CodeDigests::default()
        };
        Ok(RawFinding {
            location: CodeLocation {
                path: diagnostic.path.clone(),
                side: DiffSide::New,
                start_line: first,
                end_line: last,
            },
            severity: self.mapping.severity(diagnostic, &rule),
            category: self.mapping.category(diagnostic, &rule),
            title: finding_title(&self.hide_secrets(&diagnostic.message)),
            body: self.hide_secrets(&finding_body(diagnostic, known::find_tool(&diagnostic.tool))),
            snippet,
            code,
            suggestion,
            source: FindingSource::Tool,
            rule,
            specialists: Vec::new(),
        })
    }

    fn hide_secrets(&self, text: &str) -> String {
        self.quoted_secrets.hide_secrets(text)
    }

    /// Returns the text of the lines. Returns an empty text if the range is the whole file.
    fn snippet(&self, range: &DiagnosticRange, first_line: u32, last_line: u32) -> String {
        if *range == DiagnosticRange::WholeFile {
            return String::new();
        }
        let lines = self.file.line_index();
        let focus = self
            .file
            .byte_range(range)
            .map_or_else(|_| lines.line_range(first_line).start, |found| found.start);
        let shown = render_snippet(lines, first_line, last_line, focus, &SecretRanges::default());
        let shown = shown.strip_prefix('\u{feff}').unwrap_or(&shown);
        let is_unseen = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
        self.hide_secrets(shown).replace(is_unseen, "\u{FFFD}")
    }
}

/// Converts a diagnostic of a file to a finding. For several diagnostics of a file, use [`FindingMapper`],
/// which searches the file for secrets only once.
///
/// # Errors
///
/// Returns an error if the diagnostic's location is not in the file.
pub fn map_diagnostic(
    diagnostic: &Diagnostic,
    file: &FileText<'_>,
    mapping: &DiagnosticMapping,
) -> Result<RawFinding, RangeError> {
    FindingMapper::new(file, mapping).map_diagnostic(diagnostic)
}

impl DiagnosticMapping {
    fn severity(&self, diagnostic: &Diagnostic, rule: &str) -> Severity {
        let of_tool = || self.rule_severities.get(tool_in_rule_name(rule));
        let set = self.rule_severities.get(rule).or_else(of_tool).copied();
        let of_level = || match diagnostic.level {
            DiagnosticLevel::Error => self.levels.error,
            DiagnosticLevel::Warning => self.levels.warning,
            DiagnosticLevel::Note => self.levels.note,
        };
        let of_known = |tool: &'static KnownTool| tool.severity(diagnostic.rule.as_deref(), diagnostic.level);
        set.or_else(|| known::find_tool(&diagnostic.tool).map(of_known)).unwrap_or_else(of_level)
    }

    fn category(&self, diagnostic: &Diagnostic, rule: &str) -> DefectCategory {
        let by_tag = || diagnostic.tags.iter().find_map(|tag| self.categories.get(tag));
        let by_tool = || self.categories.get(tool_in_rule_name(rule));
        let found = self.categories.get(rule).or_else(by_tag).or_else(by_tool);
        let of_known = |tool: &'static KnownTool| tool.category(diagnostic.rule.as_deref());
        found
            .copied()
            .or_else(|| known::find_tool(&diagnostic.tool).map(of_known))
            .unwrap_or(DefectCategory::J)
    }
}

/// Returns the name that a tool has in findings.
pub fn tool_name(tool: &str) -> String {
    let name = rule_name(tool, None, &DiagnosticMapping::default().reserved_names);
    tool_in_rule_name(&name).to_owned()
}

fn tool_in_rule_name(rule: &str) -> &str {
    rule.split_once('/').map_or(rule, |(tool, _)| tool)
}

/// Returns the rule name of a finding, `tool/rule`. Both parts consist of ASCII letters, digits, `-`, `_` and
/// `.`, as in the rule names of packs. The tool's part is in lower case. A separator in the rule's own name
/// (`/`, `:`) becomes a dot: `eslint/typescript-eslint.no-shadow` for `@typescript-eslint/no-shadow`,
/// `clippy/clippy.unwrap_used` for `clippy::unwrap_used`.
pub fn rule_name(tool: &str, rule: Option<&str>, reserved_names: &[String]) -> String {
    let tool = known::find_tool(tool).map_or(tool, |known| known.name.as_str());
    // zizmor writes its own name before each rule.
    let rule =
        rule.map(|rule| rule.strip_prefix(tool).and_then(|rest| rest.strip_prefix('/')).unwrap_or(rule));
    let tool = sanitize_word(&tool.to_lowercase());
    let tool = if tool.is_empty() { "tool".to_owned() } else { tool };
    let prefix = if reserved_names.contains(&tool) { TOOL_PREFIX } else { "" };
    let rule = rule
        .map(sanitize_word)
        .filter(|rule| !rule.is_empty())
        .unwrap_or_else(|| DEFAULT_RULE_NAME.to_owned());
    format!("{prefix}{tool}/{rule}")
}

fn sanitize_word(text: &str) -> String {
    let mut word = String::with_capacity(text.len().min(MAX_RULE_PART_BYTES));
    for letter in text.chars() {
        let letter = match letter {
            letter if letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.') => letter,
            '/' | ':' | '\\' => '.',
            _ => '-',
        };
        let is_mark = |letter: char| matches!(letter, '-' | '.');
        // A replaced character is left out if the word would otherwise contain two separators in a row.
        // Separators that the tool itself writes are kept.
        if is_mark(letter) && !text.contains(letter) && word.ends_with(is_mark) {
            continue;
        }
        if word.len() == MAX_RULE_PART_BYTES {
            break;
        }
        word.push(letter);
    }
    word.trim_matches(['-', '.']).to_owned()
}

/// Returns the title of a finding: the message as one line, truncated if necessary.
fn finding_title(message: &str) -> String {
    let mut title = text::strip_line_escapes(message, MAX_TITLE_CHARS);
    if title.len() > MAX_TITLE_BYTES {
        title.truncate(title.floor_char_boundary(MAX_TITLE_BYTES - '…'.len_utf8()));
        title.push('…');
    }
    title
}

/// Returns the body of a finding. The body contains the whole message (if the title does not contain it), the
/// rule's description, and the URL of the rule's page.
fn finding_body(diagnostic: &Diagnostic, tool: Option<&KnownTool>) -> String {
    let mut parts = Vec::new();
    if diagnostic.message != finding_title(&diagnostic.message) {
        parts.push(truing_core::markdown::escape_text(&diagnostic.message));
    }
    match (&diagnostic.help, &diagnostic.title) {
        (Some(help), _) => parts.push(help.clone()),
        (None, Some(title)) if *title != diagnostic.message => {
            parts.push(truing_core::markdown::escape_text(title));
        }
        (None, Some(_) | None) => {}
    }
    if let Some(command) = tool.and_then(|tool| tool.formatter.as_deref())
        && diagnostic.rule.as_deref() == Some(FORMAT_RULE)
    {
        let command = command.replace(known::FILES_PLACEHOLDER, &diagnostic.path.to_string());
        parts.insert(0, format!("Format it with {}.", code_span(&command)));
    }
    let page = || tool?.rule_page_url(diagnostic.rule.as_deref()?);
    parts.extend(diagnostic.rule_page_url.clone().or_else(page).map(|page| format!("<{page}>")));
    parts.join("\n\n")
}

/// Returns the text of the lines with the edits applied, without a line end at its end. The result is empty
/// if the lines are deleted. Returns `None` if an edit changes other lines or removes the last line end. Also
/// returns `None` if the result is only whitespace, because a suggestion must not consist of whitespace.
fn edited_lines(file: &FileText<'_>, first_line: u32, last_line: u32, edits: &[ByteEdit]) -> Option<String> {
    let start =
        if first_line == 1 { file.bom_length() } else { file.line_index().line_range(first_line).start };
    let (content_end, end) =
        (file.line_index().line_range(last_line).end, file.line_break_end_offset(last_line));
    let text = |range: std::ops::Range<usize>| std::str::from_utf8(file.bytes().get(range)?).ok();
    let (mut fixed, mut at) = (String::new(), start);
    for edit in edits {
        if edit.range.start < start || edit.range.end > end {
            return None;
        }
        // An insertion after the last line end would belong to the next line, which is not part of the
        // finding.
        if edit.range.start == end && end > content_end {
            return None;
        }
        fixed.push_str(text(at..edit.range.start)?);
        fixed.push_str(&edit.new_text);
        at = edit.range.end;
        if fixed.len() > MAX_SUGGESTION_BYTES {
            return None;
        }
    }
    fixed.push_str(text(at..end)?);
    let fixed = fixed.replace("\r\n", "\n");
    if fixed.is_empty() {
        return Some(fixed);
    }
    let fixed = if end > content_end { fixed.strip_suffix('\n')? } else { &fixed };
    (!fixed.trim().is_empty() && fixed.len() <= MAX_SUGGESTION_BYTES).then(|| fixed.to_owned())
}
