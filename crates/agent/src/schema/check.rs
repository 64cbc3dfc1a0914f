//! Compares the findings in a model's report with the files. Findings that do not match are dropped, and
//! counted by reason.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::RepoPath;
use truing_core::code_digest::CodeDigests;
use truing_core::excerpt;
use truing_core::finding::{CodeLocation, DefectCategory, DiffSide, FindingSource, RawFinding};
use truing_core::line;
use truing_core::recheck::MAX_SNIPPET_LINES;
use truing_reader::mask::mask_secrets;

use super::proposed;
use super::{
    MAX_BODY_BYTES, MAX_CODE_BYTES, MAX_FINDINGS, MAX_TITLE_CHARS, ReportedFinding, UncheckedFindings,
};

/// The findings that passed the check, and the number of dropped findings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckedFindings {
    /// Findings that match the files, the most severe first.
    pub findings: Vec<RawFinding>,
    /// Number of dropped findings for each reason.
    pub drop_counts: BTreeMap<DropReason, u32>,
    /// Number of findings that were dropped because they do not match the files. A dropped finding is not
    /// counted if a valid finding has the same title, because the model then has corrected the finding.
    pub mismatch_count: u32,
}

/// The reason that a finding is dropped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DropReason {
    /// The finding does not match the schema, or one of its texts is empty or too long.
    Malformed,
    /// The file does not exist in the reviewed tree.
    NoSuchFile,
    /// The file has no such lines.
    NoSuchLines,
    /// The lines of the file differ from the finding's excerpt.
    ExcerptMismatch,
    /// The same finding was already reported.
    Repeated,
    /// The number of findings exceeds the limit.
    TooMany,
}

impl DropReason {
    /// Returns the error message for the model; `None` for a reason that the model cannot correct.
    fn error_message(self) -> Option<&'static str> {
        match self {
            Self::NoSuchFile => Some("there is no such file at the head"),
            Self::NoSuchLines => Some("the file has no such lines"),
            Self::ExcerptMismatch => Some("the text of the lines differs from `excerpt`"),
            Self::Malformed | Self::Repeated | Self::TooMany => None,
        }
    }

    /// Returns the name of the reason in JSON and in text output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoSuchFile => "no_such_file",
            Self::NoSuchLines => "no_such_lines",
            Self::ExcerptMismatch => "other_excerpt",
            Self::Repeated => "repeated",
            Self::TooMany => "too_many",
        }
    }
}

/// Returns the rule name of a category's findings.
pub fn category_rule(category: DefectCategory) -> &'static str {
    match category {
        DefectCategory::A => "agent/api-contract",
        DefectCategory::B => "agent/compatibility",
        DefectCategory::C => "agent/lifecycle",
        DefectCategory::D => "agent/scoping",
        DefectCategory::E => "agent/dead-code",
        DefectCategory::F => "agent/silent-failure",
        DefectCategory::G => "agent/bounds",
        DefectCategory::H => "agent/security",
        DefectCategory::I => "agent/concurrency",
        DefectCategory::J => "agent/code-rules",
    }
}

/// Compares each finding with its file. `read_file` returns the text of a file in the reviewed tree, if it
/// exists.
pub fn check_findings(
    items: UncheckedFindings,
    read_file: impl Fn(&RepoPath) -> Option<String>,
) -> CheckedFindings {
    let UncheckedFindings {
        mut findings,
        malformed_count: malformed,
        excess_count,
        verdicts: _,
        walkthrough: _,
    } = items;
    // The findings are sorted by severity, so the least severe findings are dropped if there are too many.
    findings.sort_by_key(|item| item.severity);
    let mut checked = CheckedFindings::default();
    checked.count_drop(DropReason::Malformed, malformed);
    checked.count_drop(DropReason::TooMany, excess_count);
    let mut files: BTreeMap<RepoPath, Option<String>> = BTreeMap::new();
    let (mut seen, mut unfit) = (BTreeSet::new(), Vec::new());
    for item in findings {
        let path = RepoPath::from_bytes(item.path.as_bytes());
        let text = files.entry(path.clone()).or_insert_with(|| read_file(&path));
        let title = line::clean_line(&item.title, MAX_TITLE_CHARS);
        match verify_finding(item, path, text.as_deref()) {
            Err(why) => {
                checked.count_drop(why, 1);
                unfit.extend(why.error_message().map(|_| title));
            }
            Ok(finding) if !seen.insert(finding_key(&finding)) => checked.count_drop(DropReason::Repeated, 1),
            Ok(_) if checked.findings.len() >= MAX_FINDINGS => checked.count_drop(DropReason::TooMany, 1),
            Ok(finding) => checked.findings.push(finding),
        }
    }
    let is_said = |title: &String| checked.findings.iter().any(|finding| finding.title == *title);
    let lost: BTreeSet<String> = unfit.into_iter().filter(|title| !is_said(title)).collect();
    checked.mismatch_count = u32::try_from(lost.len()).unwrap_or(u32::MAX);
    checked
}

/// Returns a message that lists the findings that do not match the files, and asks the model to read the
/// lines again and correct these findings. Returns `None` if all findings match.
pub fn mismatch_message(
    items: &UncheckedFindings,
    read_file: impl Fn(&RepoPath) -> Option<String>,
) -> Option<String> {
    let mut lines = Vec::new();
    for item in &items.findings {
        let path = RepoPath::from_bytes(item.path.as_bytes());
        let text = read_file(&path);
        let complaint =
            verify_finding(item.clone(), path, text.as_deref()).err().and_then(DropReason::error_message);
        if let Some(complaint) = complaint.filter(|_| lines.len() < MAX_LISTED_MISMATCHES) {
            let (path, title) = (
                line::clean_line(&item.path, MAX_TITLE_CHARS),
                line::clean_line(&item.title, MAX_TITLE_CHARS),
            );
            lines.push(format!("{path}:{}, \"{title}\": {complaint}", item.start_line));
        }
    }
    (!lines.is_empty()).then(|| {
        format!(
            "These findings do not match the files, so they do not count: {}. Read the lines again, and \
            call `report` again with all your findings. Omit a finding that is not true.",
            lines.join("; ")
        )
    })
}

/// Maximum number of mismatched findings that are described to the model.
const MAX_LISTED_MISMATCHES: usize = 20;

impl CheckedFindings {
    fn count_drop(&mut self, reason: DropReason, count: u32) {
        if count > 0 {
            let counted = self.drop_counts.entry(reason).or_default();
            *counted = counted.saturating_add(count);
        }
    }
}

/// Returns the key by which duplicates are detected: duplicates have equal keys.
fn finding_key(finding: &RawFinding) -> (CodeLocation, DefectCategory, String) {
    (finding.location.clone(), finding.category, finding.title.clone())
}

/// Converts a reported finding to a finding, if it is valid and matches the file.
pub(super) fn verify_finding(
    item: ReportedFinding,
    path: RepoPath,
    text: Option<&str>,
) -> Result<RawFinding, DropReason> {
    let ReportedFinding {
        start_line, end_line, severity, category, title, body, excerpt, replacement, ..
    } = item;
    let end_line = end_line.unwrap_or(start_line);
    let title = line::clean_line(&title, MAX_TITLE_CHARS);
    let body = replace_hidden_chars(&body);
    if title.is_empty() || body.is_empty() || body.len() > MAX_BODY_BYTES || excerpt.len() > MAX_CODE_BYTES {
        return Err(DropReason::Malformed);
    }
    if !path.stays_within_folder() || path.as_bytes().len() > MAX_CODE_BYTES {
        return Err(DropReason::NoSuchFile);
    }
    let shown = find_quoted_lines(text, start_line, end_line, &excerpt)?;
    let masked = mask_secrets(text.unwrap_or_default());
    let quoted = excerpt::select_lines(&masked, start_line, end_line);
    let snippet = shown.iter().take(MAX_SNIPPET_LINES).copied().collect::<Vec<_>>().join("\n");
    let is_whole = excerpt::is_exact_excerpt(quoted.as_deref().unwrap_or(&shown), &excerpt);
    let raw = RawFinding {
        location: CodeLocation { path, side: DiffSide::New, start_line, end_line },
        severity,
        category,
        rule: category_rule(category).to_owned(),
        title,
        body,
        snippet,
        code: CodeDigests::default(),
        suggestion: None,
        source: FindingSource::Agent,
        specialists: Vec::new(),
    };
    Ok(match replacement {
        Some(said) => proposed::with_replacement(raw, &said, is_whole),
        None => raw,
    })
}

/// Returns the lines of a file from `start_line` to `end_line`, if they exist and contain `quoted_text`. The
/// comparison ignores white space and invisible characters.
pub(super) fn find_quoted_lines<'a>(
    text: Option<&'a str>,
    start_line: u32,
    end_line: u32,
    quoted_text: &str,
) -> Result<Vec<&'a str>, DropReason> {
    let shown = excerpt::select_lines(text.ok_or(DropReason::NoSuchFile)?, start_line, end_line);
    let shown = shown.ok_or(DropReason::NoSuchLines)?;
    // The model sees and quotes lines with masked secrets, so the excerpt is compared with the masked lines.
    // A comparison with the unmasked lines would let the model guess a secret by repeated reports.
    let masked = mask_secrets(text.unwrap_or_default());
    let quoted = excerpt::select_lines(&masked, start_line, end_line);
    let is_said = quoted.is_some_and(|lines| excerpt::contains_excerpt(&lines, quoted_text));
    if is_said { Ok(shown) } else { Err(DropReason::ExcerptMismatch) }
}

/// Replaces invisible characters in Markdown by spaces. Links and other active content stay, because the code
/// that displays the text makes them harmless.
fn replace_hidden_chars(body: &str) -> String {
    let seen = |char| if line::is_invisible_char(char) && !matches!(char, '\n' | '\t') { ' ' } else { char };
    body.replace("\r\n", "\n").chars().map(seen).collect::<String>().trim().to_owned()
}
