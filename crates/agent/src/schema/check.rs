//! Comparing what a model reported with the files it is about: what does not fit is dropped, and counted.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::RepoPath;
use truing_core::code::CodeDigests;
use truing_core::excerpt;
use truing_core::finding::{CodeLocation, DefectCategory, DiffSide, FindingSource, RawFinding};
use truing_core::line;
use truing_core::recheck::MAX_SNIPPET_LINES;
use truing_reader::mask::mask;

use super::proposed;
use super::{
    MAX_BODY_BYTES, MAX_CODE_BYTES, MAX_FINDINGS, MAX_TITLE_CHARS, ReportedFinding, UncheckedFindings,
};

/// What may be believed, and how much may not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CheckedFindings {
    /// Findings about lines that are there, worst first.
    pub findings: Vec<RawFinding>,
    /// The others, by reason.
    pub dropped: BTreeMap<DropReason, u32>,
    /// How many of them do not fit the files, and were not said again in a way that fits: what they mean nobody knows.
    pub lost: u32,
}

/// Why a finding is not believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum DropReason {
    /// It has not the form of the schema, or a text of it is empty or too long.
    Malformed,
    /// There is no such file in the tree that was shown.
    NoSuchFile,
    /// The file has no such lines.
    NoSuchLines,
    /// The lines do not say what it says they do.
    OtherExcerpt,
    /// It was reported before.
    Repeated,
    /// There were too many.
    TooMany,
}

impl DropReason {
    /// What is wrong with such a finding, for the model; none: there is nothing that it could put right.
    fn complaint(self) -> Option<&'static str> {
        match self {
            Self::NoSuchFile => Some("there is no such file at the head"),
            Self::NoSuchLines => Some("the file has no such lines"),
            Self::OtherExcerpt => Some("the lines do not say what `excerpt` says"),
            Self::Malformed | Self::Repeated | Self::TooMany => None,
        }
    }

    /// The word used in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoSuchFile => "no_such_file",
            Self::NoSuchLines => "no_such_lines",
            Self::OtherExcerpt => "other_excerpt",
            Self::Repeated => "repeated",
            Self::TooMany => "too_many",
        }
    }
}

/// The name under which findings of a category are kept and shown.
pub fn rule(category: DefectCategory) -> &'static str {
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

/// Compares each finding with its file. `tree`: the text of a file of the tree that was shown, if it has it.
pub fn check(items: UncheckedFindings, tree: impl Fn(&RepoPath) -> Option<String>) -> CheckedFindings {
    let UncheckedFindings { mut findings, malformed, beyond, verdicts: _, walkthrough: _ } = items;
    // Of too many the worst are kept.
    findings.sort_by_key(|item| item.severity);
    let mut checked = CheckedFindings::default();
    checked.drop(DropReason::Malformed, malformed);
    checked.drop(DropReason::TooMany, beyond);
    let mut files: BTreeMap<RepoPath, Option<String>> = BTreeMap::new();
    let (mut seen, mut unfit) = (BTreeSet::new(), Vec::new());
    for item in findings {
        let path = RepoPath::from_bytes(item.path.as_bytes());
        let text = files.entry(path.clone()).or_insert_with(|| tree(&path));
        let title = line::clean(&item.title, MAX_TITLE_CHARS);
        match believed(item, path, text.as_deref()) {
            Err(why) => {
                checked.drop(why, 1);
                unfit.extend(why.complaint().map(|_| title));
            }
            Ok(finding) if !seen.insert(key(&finding)) => checked.drop(DropReason::Repeated, 1),
            Ok(_) if checked.findings.len() >= MAX_FINDINGS => checked.drop(DropReason::TooMany, 1),
            Ok(finding) => checked.findings.push(finding),
        }
    }
    let is_said = |title: &String| checked.findings.iter().any(|finding| finding.title == *title);
    let lost: BTreeSet<String> = unfit.into_iter().filter(|title| !is_said(title)).collect();
    checked.lost = u32::try_from(lost.len()).unwrap_or(u32::MAX);
    checked
}

/// The findings of a report that do not fit the files, in words for the model: it may have misread a line.
pub fn unfit(items: &UncheckedFindings, tree: impl Fn(&RepoPath) -> Option<String>) -> Option<String> {
    let mut told = Vec::new();
    for item in &items.findings {
        let path = RepoPath::from_bytes(item.path.as_bytes());
        let text = tree(&path);
        let complaint = believed(item.clone(), path, text.as_deref()).err().and_then(DropReason::complaint);
        if let Some(complaint) = complaint.filter(|_| told.len() < MAX_UNFIT) {
            let (path, title) =
                (line::clean(&item.path, MAX_TITLE_CHARS), line::clean(&item.title, MAX_TITLE_CHARS));
            told.push(format!("{path}:{}, \"{title}\": {complaint}", item.start_line));
        }
    }
    (!told.is_empty()).then(|| {
        format!(
            "These findings do not fit the files, so they do not count: {}. Read the lines again and call `report` again, \
             with all your findings; leave out what is not so.",
            told.join("; ")
        )
    })
}

/// Findings that do not fit that the model is told of.
const MAX_UNFIT: usize = 20;

impl CheckedFindings {
    fn drop(&mut self, why: DropReason, count: u32) {
        if count > 0 {
            let counted = self.dropped.entry(why).or_default();
            *counted = counted.saturating_add(count);
        }
    }
}

/// What makes two findings one.
fn key(finding: &RawFinding) -> (CodeLocation, DefectCategory, String) {
    (finding.place.clone(), finding.category, finding.title.clone())
}

/// One finding, if its file says what it says.
pub(super) fn believed(
    item: ReportedFinding,
    path: RepoPath,
    text: Option<&str>,
) -> Result<RawFinding, DropReason> {
    let ReportedFinding {
        start_line, end_line, severity, category, title, body, excerpt, replacement, ..
    } = item;
    let end_line = end_line.unwrap_or(start_line);
    let title = line::clean(&title, MAX_TITLE_CHARS);
    let body = visible(&body);
    if title.is_empty() || body.is_empty() || body.len() > MAX_BODY_BYTES || excerpt.len() > MAX_CODE_BYTES {
        return Err(DropReason::Malformed);
    }
    if !path.is_inside() || path.as_bytes().len() > MAX_CODE_BYTES {
        return Err(DropReason::NoSuchFile);
    }
    let shown = is_there(text, (start_line, end_line), &excerpt)?;
    let masked = mask(text.unwrap_or_default());
    let quoted = excerpt::lines(&masked, (start_line, end_line));
    let snippet = shown.iter().take(MAX_SNIPPET_LINES).copied().collect::<Vec<_>>().join("\n");
    let is_whole = excerpt::is_whole(quoted.as_deref().unwrap_or(&shown), &excerpt);
    let raw = RawFinding {
        place: CodeLocation { path, side: DiffSide::New, start_line, end_line },
        severity,
        category,
        rule: rule(category).to_owned(),
        title,
        body,
        snippet,
        code: CodeDigests::default(),
        suggestion: None,
        source: FindingSource::Agent,
    };
    Ok(match replacement {
        Some(said) => proposed::with(raw, &said, is_whole),
        None => raw,
    })
}

/// The lines of a file, first and last, if they are there and say what an excerpt says: white space and unseen characters
/// aside.
pub(super) fn is_there<'a>(
    text: Option<&'a str>,
    (start_line, end_line): (u32, u32),
    said: &str,
) -> Result<Vec<&'a str>, DropReason> {
    let shown = excerpt::lines(text.ok_or(DropReason::NoSuchFile)?, (start_line, end_line));
    let shown = shown.ok_or(DropReason::NoSuchLines)?;
    // A model quotes the lines as it was shown them. An answer about the others would find a secret by guesses.
    let masked = mask(text.unwrap_or_default());
    let quoted = excerpt::lines(&masked, (start_line, end_line));
    let is_said = quoted.is_some_and(|lines| excerpt::says(&lines, said));
    if is_said { Ok(shown) } else { Err(DropReason::OtherExcerpt) }
}

/// Markdown without characters that hide, or change what follows. What else could act in it is made harmless by whoever
/// shows it.
fn visible(body: &str) -> String {
    let seen = |char| if line::is_hidden(char) && !matches!(char, '\n' | '\t') { ' ' } else { char };
    body.replace("\r\n", "\n").chars().map(seen).collect::<String>().trim().to_owned()
}
