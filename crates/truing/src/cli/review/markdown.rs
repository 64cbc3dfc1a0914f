//! Findings as Markdown, for a comment or a job summary: what was found with its code, what was not looked at,
//! what was compared.
//!
//! Everything from a repository is code or escaped, so that nothing in it becomes markup, a link, an image or a
//! mention. The code is the finding's snippet, in which secrets are cut, never the file.

use truing_core::finding::Finding;
use truing_core::outcome::NotReviewed;
use truing_diff::RepoPath;

use super::text::visible;
use crate::loops::text::{plain, tick};

/// The longest text, in bytes. GitHub's job summary takes 1 MiB from a step, which may write more than this.
const MAX_BYTES: usize = 1_000_000;
/// What is kept of it for the lines behind the findings.
const MAX_END_BYTES: usize = 100_000;
/// Files that were not reviewed and are listed; the rest is counted.
const MAX_GAPS: usize = 50;
/// Endings of files whose code a forge may colour. Others could name a diagram, which would be drawn.
const COLOURED: &[&str] = &[
    "c", "cc", "cpp", "cs", "go", "h", "hpp", "java", "js", "json", "jsx", "kt", "php", "py", "rb", "rs",
    "sh", "sql", "swift", "toml", "ts", "tsx", "yaml", "yml",
];

/// What is told.
pub(in crate::cli) struct Report<'a> {
    /// How it ended, in a few words.
    pub(in crate::cli) headline: String,
    /// What was compared and looked at: paragraphs of text.
    pub(in crate::cli) about: Vec<String>,
    /// What was found, worst first.
    pub(in crate::cli) findings: &'a [&'a Finding],
    /// What was not looked at.
    pub(in crate::cli) not_reviewed: &'a [NotReviewed],
}

/// The whole text.
pub(in crate::cli) fn report(report: &Report<'_>) -> String {
    let end = end(report);
    let mut text = format!("## Truing: {}\n\n", plain(&report.headline));
    for paragraph in &report.about {
        text += &format!("{}\n\n", plain(paragraph));
    }
    for (told, finding) in report.findings.iter().enumerate() {
        let section = section(finding);
        if text.len() + section.len() + MAX_END_BYTES > MAX_BYTES {
            let left = report.findings.len() - told;
            text += &format!("**{left} more left out**: this text is as long as it may be.\n\n");
            break;
        }
        text += &section;
    }
    text + &end
}

/// A finding with its code.
fn section(finding: &Finding) -> String {
    let raw = &finding.raw;
    let mut text = format!("### {}: {}\n\n", raw.severity.as_str(), plain(&raw.title));
    text += &format!("{}, {}\n\n", place(finding), tick(&raw.rule));
    if !raw.snippet.trim().is_empty() {
        text += &(fence(language(&raw.place.path), &visible(&raw.snippet)) + "\n");
    }
    text += &format!("{}\n\n", raw.body.trim());
    if let Some(suggestion) = &raw.suggestion {
        let lines = |sign: char, text: &str| -> String {
            visible(text).split('\n').map(|line| format!("{sign}{line}\n")).collect()
        };
        let change = lines('-', &raw.snippet) + &lines('+', &suggestion.replacement);
        text += &format!("Suggested change:\n\n{}\n", fence("diff", change.trim_end_matches('\n')));
    }
    text
}

/// `path`, line 3.
fn place(finding: &Finding) -> String {
    let place = &finding.raw.place;
    let path = tick(&visible(&place.path.to_string()));
    match place.start_line == place.end_line {
        true => format!("{path}, line {}", place.start_line),
        false => format!("{path}, lines {} to {}", place.start_line, place.end_line),
    }
}

/// What was not looked at, and by whom the rest was: what should have been looked at first.
fn end(report: &Report<'_>) -> String {
    let mut text = String::new();
    if !report.not_reviewed.is_empty() {
        let (by_design, missing): (Vec<_>, Vec<_>) =
            report.not_reviewed.iter().partition(|gap| gap.reason.by_design());
        text += "### Not reviewed\n\n";
        for gap in missing.iter().chain(&by_design).take(MAX_GAPS) {
            let why = gap.reason.as_str().replace('_', " ");
            let line = format!("- {}: {why}\n", tick(&visible(&gap.path.to_string())));
            text += &line;
        }
        let more = report.not_reviewed.len().saturating_sub(MAX_GAPS);
        if more > 0 {
            text += &format!("- and {more} more\n");
        }
        text.push('\n');
    }
    text + "_Rules only: no model was called._\n"
}

/// Lines between more back ticks than they hold in a row.
fn fence(language: &str, lines: &str) -> String {
    let longest = lines.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{lines}\n{fence}\n")
}

/// The word behind the fence: the file's ending, if it is known.
fn language(path: &RepoPath) -> &str {
    let ending = path.as_str().and_then(|path| path.rsplit_once('.')).map_or("", |(_, ending)| ending);
    COLOURED.iter().find(|known| **known == ending).copied().unwrap_or_default()
}
