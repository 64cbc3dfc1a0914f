//! What people read on a pull request: pure functions from findings and outcomes to Markdown. Nothing here is
//! copied from a pull request but paths, which are shown as code, and what rules say.

use std::fmt::Write as _;

use truing_core::finding::{AnchorKind, Finding, FindingStatus, Severity};
use truing_core::id::Sha;
use truing_core::outcome::{Coverage, Outcome, OutcomeKind};
use truing_diff::RepoPath;

/// Findings and files listed in a summary; the rest is counted.
const MAX_LISTED: usize = 50;

/// What the summary is about.
#[derive(Clone, Copy, Debug)]
pub struct Summary<'a> {
    /// How the review ended.
    pub outcome: &'a Outcome,
    /// The commit that was reviewed.
    pub head: &'a Sha,
    /// The commit it was compared with.
    pub base: &'a Sha,
    /// Open findings.
    pub open: &'a [&'a Finding],
    /// How many earlier findings are fixed.
    pub fixed: usize,
    /// What was looked at.
    pub coverage: &'a Coverage,
}

/// The summary comment.
pub fn summary(summary: &Summary<'_>) -> String {
    let Summary { outcome, head, base, open, fixed, coverage } = summary;
    let mut text = format!("## Truing: {}\n\n", headline(outcome, open));
    if let Some(reason) = &outcome.reason {
        let _ = writeln!(text, "{reason}.\n");
    }
    let _ = writeln!(text, "Reviewed commit `{}` against `{}`.", head.short(), base.short());
    if !open.is_empty() {
        text.push_str("\n| Severity | Open |\n|---|---|\n");
        for (severity, count) in by_severity(open) {
            let _ = writeln!(text, "| {} | {count} |", severity.as_str());
        }
        text.push('\n');
        for finding in open.iter().take(MAX_LISTED) {
            let raw = &finding.raw;
            let line = raw.place.start_line;
            let _ = writeln!(
                text,
                "- **{}** {} in {}:{line}",
                raw.severity.as_str(),
                plain(&raw.title),
                code(&raw.place.path)
            );
        }
        if open.len() > MAX_LISTED {
            let _ = writeln!(text, "- and {} more", open.len() - MAX_LISTED);
        }
    }
    if *fixed > 0 {
        let _ = writeln!(text, "\n{} fixed since the first review.", counted(*fixed, "finding"));
    }
    files(&mut text, coverage);
    text.push_str("\n_Rules only: no model was called._");
    text
}

fn files(text: &mut String, coverage: &Coverage) {
    let read = coverage.reviewed.len();
    let _ = write!(text, "\n{} reviewed", counted(read, "file"));
    if coverage.not_reviewed.is_empty() {
        text.push_str(".\n");
        return;
    }
    let _ = writeln!(text, ", {} not:\n", coverage.not_reviewed.len());
    for gap in coverage.not_reviewed.iter().take(MAX_LISTED) {
        let _ = writeln!(text, "- {}: {}", code(&gap.path), gap.reason.as_str());
    }
    if coverage.not_reviewed.len() > MAX_LISTED {
        let _ = writeln!(text, "- and {} more", coverage.not_reviewed.len() - MAX_LISTED);
    }
}

/// One line that says how it ended.
pub fn headline(outcome: &Outcome, open: &[&Finding]) -> String {
    match outcome.kind {
        OutcomeKind::Reviewed if open.is_empty() => "nothing found".into(),
        OutcomeKind::Reviewed => counted(open.len(), "finding"),
        OutcomeKind::Partial => format!("{}, review incomplete", counted(open.len(), "finding")),
        OutcomeKind::Skipped => "nothing to review".into(),
        OutcomeKind::Deferred => "review deferred".into(),
        OutcomeKind::Failed => "review failed".into(),
    }
}

/// The summary of a pull request that could not be reviewed: the class of the reason, no details.
pub fn unavailable(head: &Sha, class: &str) -> String {
    format!(
        "## Truing: review temporarily unavailable\n\nCommit `{}` has not been reviewed: {class}. It will be \
         tried again with the next push, or when an operator retries it.",
        head.short()
    )
}

/// An inline comment, or one on a file.
pub fn comment(finding: &Finding) -> String {
    let raw = &finding.raw;
    let mut text = format!("**{}: {}** ({})\n\n", raw.severity.as_str(), plain(&raw.title), tick(&raw.rule));
    if finding.anchor != AnchorKind::Inline {
        let _ = writeln!(text, "{}:{}\n", code(&raw.place.path), raw.place.start_line);
    }
    text.push_str(raw.body.trim());
    match &finding.status {
        FindingStatus::Open | FindingStatus::Claimed => {}
        FindingStatus::Fixed(sha) => {
            let _ = write!(text, "\n\n**Fixed in `{}`.**", sha.short());
        }
        FindingStatus::Declined(reason) => {
            let _ = write!(text, "\n\n**Declined:** {}", plain(reason));
        }
        FindingStatus::Dismissed(reason) => {
            let _ = write!(text, "\n\n**Dismissed:** {}", plain(reason));
        }
    }
    text
}

/// The line beside the commit.
pub fn status(outcome: &Outcome, open: &[&Finding]) -> String {
    match &outcome.reason {
        Some(reason) => format!("{}: {reason}", headline(outcome, open)),
        None => headline(outcome, open),
    }
}

/// How many findings of each severity, worst first, without zeros.
pub fn by_severity(open: &[&Finding]) -> Vec<(Severity, u32)> {
    let count = |severity| open.iter().filter(|finding| finding.raw.severity == severity).count();
    Severity::ALL
        .into_iter()
        .map(|severity| (severity, u32::try_from(count(severity)).unwrap_or(u32::MAX)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// `1 file`, `2 files`.
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// A path as code: it cannot become markup, a link or a mention.
fn code(path: &RepoPath) -> String {
    tick(&path.to_string())
}

/// Text between enough back ticks, on one line.
pub(crate) fn tick(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    if longest == 0 { format!("{fence}{text}{fence}") } else { format!("{fence} {text} {fence}") }
}

/// Text for people that cannot become markup, a formula, a link, an image or a mention. Mentions, references
/// (`#1`) and bare addresses are looked for behind the escapes, so a space without width parts those.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '/' if out.ends_with(':') => out.push_str("\u{200b}/"),
            '.' if is_www(out.as_bytes()) => out.push_str("\u{200b}."),
            '<' | '>' | '*' | '_' | '[' | ']' | '`' | '\\' | '|' | '~' | '&' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '@' | '#' => {
                out.push(c);
                out.push('\u{200b}');
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Does an address begin here that has no scheme?
fn is_www(text: &[u8]) -> bool {
    text.last_chunk::<3>().is_some_and(|end| end.eq_ignore_ascii_case(b"www"))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use truing_core::outcome::{NotReviewed, SkipReason};

    use super::*;
    use crate::loops::desired::tests::finding;

    fn sha(digit: char) -> Sha {
        Sha::parse(&digit.to_string().repeat(40)).unwrap()
    }

    #[test]
    fn the_summary_tells_outcome_commit_findings_and_files() {
        let coverage = Coverage {
            reviewed: vec!["a.py".into(), "b`c.py".into()],
            not_reviewed: vec![NotReviewed { path: "x.bin".into(), reason: SkipReason::Binary }],
        };
        let one = finding("1:aa-1", "a.py", 3);
        let open = [&one];
        let text = summary(&Summary {
            outcome: &Outcome::of_rules(&coverage),
            head: &sha('a'),
            base: &sha('b'),
            open: &open,
            fixed: 1,
            coverage: &coverage,
        });
        assert_snapshot!(text, @r"
        ## Truing: 1 finding

        Reviewed commit `aaaaaaaaaa` against `bbbbbbbbbb`.

        | Severity | Open |
        |---|---|
        | P1 | 1 |

        - **P1** Swallowed error in `a.py`:3

        1 finding fixed since the first review.

        2 files reviewed, 1 not:

        - `x.bin`: binary

        _Rules only: no model was called._
        ");
    }

    #[test]
    fn a_fixed_finding_says_where_it_was_fixed() {
        let fixed = Finding { status: FindingStatus::Fixed(sha('c')), ..finding("1:aa-1", "a.py", 3) };
        assert_snapshot!(comment(&fixed), @r"
        **P1: Swallowed error** (`core/x`)

        Say what happened.

        **Fixed in `cccccccccc`.**
        ");
    }

    #[test]
    fn hostile_text_stays_text() {
        let mut hostile = finding("1:aa-1", "`@team` <img src=x>.py", 3);
        hostile.raw.title = "<script> @everyone ![x](http://evil) `a`".into();
        hostile.anchor = AnchorKind::File;
        assert_snapshot!(comment(&hostile).replace('\u{200b}', "{zwsp}"), @r"
        **P1: \<script\> @{zwsp}everyone !\[x\](http:{zwsp}//evil) \`a\`** (`core/x`)

        `` `@team` <img src=x>.py ``:3

        Say what happened.
        ");
    }
}
