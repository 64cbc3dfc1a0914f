//! Comparing what a model reported with the files it is about: what does not fit is dropped, and counted.

use std::collections::{BTreeMap, BTreeSet};

use truing_core::RepoPath;
use truing_core::finding::{Category, Place, RawFinding, Side, Source};
use truing_core::line;

use super::{Item, Items, MAX_BODY_BYTES, MAX_CODE_BYTES, MAX_FINDINGS, MAX_TITLE_CHARS};

/// Lines of a finding that are kept for its identity and shown with it.
const MAX_SNIPPET_LINES: usize = 20;
/// What stands where a tool shows a character that cannot be seen.
const UNSEEN: char = '\u{fffd}';

/// What may be believed, and how much may not.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Checked {
    /// Findings about lines that are there, worst first.
    pub findings: Vec<RawFinding>,
    /// The others, by reason.
    pub dropped: BTreeMap<Dropped, u32>,
}

/// Why a finding is not believed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Dropped {
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

impl Dropped {
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
pub fn rule(category: Category) -> &'static str {
    match category {
        Category::A => "agent/api-contract",
        Category::B => "agent/compatibility",
        Category::C => "agent/lifecycle",
        Category::D => "agent/scoping",
        Category::E => "agent/dead-code",
        Category::F => "agent/silent-failure",
        Category::G => "agent/bounds",
        Category::H => "agent/security",
        Category::I => "agent/concurrency",
        Category::J => "agent/code-rules",
    }
}

/// Compares each finding with its file. `tree`: the text of a file of the tree that was shown, if it has it.
pub fn check(items: Items, tree: impl Fn(&RepoPath) -> Option<String>) -> Checked {
    let Items { mut findings, malformed, beyond } = items;
    // Of too many the worst are kept.
    findings.sort_by_key(|item| item.severity);
    let mut checked = Checked::default();
    checked.drop(Dropped::Malformed, malformed);
    checked.drop(Dropped::TooMany, beyond);
    let mut files: BTreeMap<RepoPath, Option<String>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for item in findings {
        let path = RepoPath::from_bytes(item.path.as_bytes());
        let text = files.entry(path.clone()).or_insert_with(|| tree(&path));
        match believed(item, path, text.as_deref()) {
            Err(why) => checked.drop(why, 1),
            Ok(finding) if !seen.insert(key(&finding)) => checked.drop(Dropped::Repeated, 1),
            Ok(_) if checked.findings.len() >= MAX_FINDINGS => checked.drop(Dropped::TooMany, 1),
            Ok(finding) => checked.findings.push(finding),
        }
    }
    checked
}

impl Checked {
    fn drop(&mut self, why: Dropped, count: u32) {
        if count > 0 {
            let counted = self.dropped.entry(why).or_default();
            *counted = counted.saturating_add(count);
        }
    }
}

/// What makes two findings one.
fn key(finding: &RawFinding) -> (Place, Category, String) {
    (finding.place.clone(), finding.category, finding.title.clone())
}

/// One finding, if its file says what it says.
pub(super) fn believed(item: Item, path: RepoPath, text: Option<&str>) -> Result<RawFinding, Dropped> {
    let Item { start_line, end_line, severity, category, title, body, excerpt, .. } = item;
    let end_line = end_line.unwrap_or(start_line);
    let title = line::clean(&title, MAX_TITLE_CHARS);
    let body = visible(&body);
    if title.is_empty() || body.is_empty() || body.len() > MAX_BODY_BYTES || excerpt.len() > MAX_CODE_BYTES {
        return Err(Dropped::Malformed);
    }
    if !path.is_inside() || path.as_bytes().len() > MAX_CODE_BYTES {
        return Err(Dropped::NoSuchFile);
    }
    let shown = is_there(text, (start_line, end_line), &excerpt)?;
    let snippet = shown.iter().take(MAX_SNIPPET_LINES).copied().collect::<Vec<_>>().join("\n");
    Ok(RawFinding {
        place: Place { path, side: Side::New, start_line, end_line },
        severity,
        category,
        rule: rule(category).to_owned(),
        title,
        body,
        snippet,
        suggestion: None,
        source: Source::Agent,
    })
}

/// The lines of a file, first and last, if they are there and say what an excerpt says: white space and unseen characters
/// aside.
pub(super) fn is_there<'a>(
    text: Option<&'a str>,
    (start_line, end_line): (u32, u32),
    excerpt: &str,
) -> Result<Vec<&'a str>, Dropped> {
    let lines: Vec<&str> = text.ok_or(Dropped::NoSuchFile)?.lines().collect();
    let place = |line: u32| usize::try_from(line).unwrap_or(usize::MAX);
    let first = place(start_line).checked_sub(1).ok_or(Dropped::NoSuchLines)?;
    let shown = lines.get(first..place(end_line)).filter(|shown| !shown.is_empty());
    let shown = shown.ok_or(Dropped::NoSuchLines)?;
    let said = folded(unescaped(excerpt).lines());
    if said.is_empty() || !folded(shown.iter().copied()).contains(&said) {
        return Err(Dropped::OtherExcerpt);
    }
    Ok(shown.to_vec())
}

/// Markdown without characters that hide, or change what follows. What else could act in it is made harmless by whoever
/// shows it.
fn visible(body: &str) -> String {
    let seen = |char| if line::is_hidden(char) && !matches!(char, '\n' | '\t') { ' ' } else { char };
    body.replace("\r\n", "\n").chars().map(seen).collect::<String>().trim().to_owned()
}

/// Without escapes of what cannot be seen (`\u{202e}`), as which a prompt shows it.
pub(super) fn unescaped(text: &str) -> String {
    let mut parts = text.split("\\u{");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let hidden = part.split_once('}').filter(|(digits, _)| {
            let letter = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
            letter.is_some_and(line::is_hidden)
        });
        match hidden {
            Some((_, rest)) => out.extend([" ", rest]),
            None => out.extend(["\\u{", part]),
        }
    }
    out
}

/// Words with one blank between them: how lines are indented and broken is no difference, nor what cannot be seen.
pub(super) fn folded<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let seen = |char| if line::is_hidden(char) || char == UNSEEN { ' ' } else { char };
    let text: String = lines.flat_map(|line| line.chars().chain(['\n'])).map(seen).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where the lines of a snippet are in a text, first and last, the nearest to where they were; none if it has them no
/// more.
pub fn locate(text: &str, snippet: &str, was: u32) -> Option<(u32, u32)> {
    let wanted: Vec<String> = snippet.lines().map(|line| folded([line].into_iter())).collect();
    if wanted.iter().all(String::is_empty) {
        return None;
    }
    let lines: Vec<String> = text.lines().map(|line| folded([line].into_iter())).collect();
    let at = lines.windows(wanted.len()).enumerate().filter(|(_, shown)| *shown == wanted);
    let first = at.filter_map(|(at, _)| u32::try_from(at + 1).ok()).min_by_key(|at| at.abs_diff(was))?;
    let more = u32::try_from(wanted.len()).ok()?.saturating_sub(1);
    Some((first, first.saturating_add(more)))
}
