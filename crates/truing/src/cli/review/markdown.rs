//! Formats findings as Markdown for a comment or a job summary: the findings with their code, the gaps, and
//! the compared commits.
//!
//! All text from a repository is shown as code or escaped. It therefore cannot become markup, a link, an
//! image or a mention. The shown code is the finding's snippet, from which secrets were removed, and never
//! the file.

use truing_core::finding::Finding;
use truing_core::markdown::{code_block, code_span, escape_text, render_title, sanitize_markdown};
use truing_core::outcome::{CoverageGap, ReviewOutcomeKind, SkipReason, WalkthroughLine};
use truing_diff::RepoPath;
use truing_loops::local::LocalReviewOutcome;
use truing_loops::text::{collect_remarks, format_count, render_reviewers};

use super::text::{
    self, is_snippet_complete, render_comparison, render_counts, render_file_counts, visible_text,
};

/// Maximum bytes of the text. GitHub accepts a job summary of 1 MiB from a step, and the step may write other
/// text as well.
const MAX_REPORT_BYTES: usize = 1_000_000;
/// Maximum bytes of the text after the findings. This part of `MAX_REPORT_BYTES` is reserved for that text.
const MAX_FOOTER_BYTES: usize = 100_000;
/// Maximum number of unread files that are listed. Further files are only counted.
const MAX_LISTED_FILES: usize = 50;

/// The parts of a Markdown report.
pub(in crate::cli) struct MarkdownReport<'a> {
    /// The result of the review in a few words.
    pub(in crate::cli) headline: String,
    /// Remarks on the review, such as the compared commits. A remark begins in lower case and has no full
    /// stop.
    pub(in crate::cli) remarks: Vec<String>,
    /// Findings to list, worst first.
    pub(in crate::cli) findings: &'a [&'a Finding],
    /// Files that were not reviewed.
    pub(in crate::cli) not_reviewed: &'a [CoverageGap],
    /// Lines on what the change does and where to look first.
    pub(in crate::cli) walkthrough: &'a [WalkthroughLine],
    /// Name of the reviewer.
    pub(in crate::cli) reviewer: &'a str,
}

/// Returns the Markdown report of a review.
pub(super) fn from_review<'a>(
    review: &'a LocalReviewOutcome,
    findings: &'a [&'a Finding],
    head_name: Option<&str>,
    config_source: Option<&str>,
    reviewer: &'a str,
) -> MarkdownReport<'a> {
    let record = &review.record;
    let (coverage, reason) = (&record.detail.coverage, record.detail.outcome.reason.clone());
    let (headline, reason) = match record.detail.outcome.kind {
        ReviewOutcomeKind::Reviewed => (render_counts(&record.detail.open_finding_counts), reason),
        ReviewOutcomeKind::Partial => {
            (format!("{}, review incomplete", render_counts(&record.detail.open_finding_counts)), reason)
        }
        ReviewOutcomeKind::Skipped => (reason.unwrap_or_else(|| "nothing to review".to_owned()), None),
        ReviewOutcomeKind::Deferred => ("review deferred".to_owned(), reason),
        ReviewOutcomeKind::Failed => ("review failed".to_owned(), reason),
    };
    let any = !(coverage.reviewed.is_empty() && coverage.not_reviewed.is_empty());
    let looked_at = any.then(|| render_file_counts(coverage, "reviewed"));
    let configured = config_source.map(text::render_config_source);
    let about =
        [reason, looked_at, Some(render_comparison(review, head_name)), configured].into_iter().flatten();
    let left_out = [
        text::render_suppressed_count(&review.findings.suppressed),
        text::render_dismissed_count(&review.findings.dismissed),
    ];
    let about = about.chain(left_out.into_iter().flatten()).chain(collect_remarks(record)).collect();
    let walkthrough = record.detail.walkthrough();
    MarkdownReport {
        headline,
        remarks: about,
        findings,
        not_reviewed: &coverage.not_reviewed,
        walkthrough,
        reviewer,
    }
}

/// Renders the whole text.
pub(in crate::cli) fn render_markdown(report: &MarkdownReport<'_>) -> String {
    let end = render_footer(report);
    let mut text = format!("## Truing: {}\n\n", escape_text(&report.headline));
    text += &report.remarks.iter().map(|line| format_sentence(line)).collect::<Vec<_>>().join(" ");
    text += "\n\n";
    for (index, finding) in report.findings.iter().enumerate() {
        let section = render_finding_section(finding);
        if text.len() + section.len() + MAX_FOOTER_BYTES > MAX_REPORT_BYTES {
            let left = report.findings.len() - index;
            let more = format_count(left, "more finding");
            let verb = if left == 1 { "is" } else { "are" };
            text += &format!("**{more} {verb} left out**: this text has reached its maximum length.\n\n");
            break;
        }
        text += &section;
    }
    text + &end
}

/// Formats a remark as a sentence.
fn format_sentence(remark: &str) -> String {
    let mut letters = remark.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    escape_text(&format!("{first}{}.", letters.as_str()))
}

/// Renders a finding with its code.
fn render_finding_section(finding: &Finding) -> String {
    let raw = &finding.raw;
    let mut text = format!("### {}: {}\n\n", raw.severity.as_str(), render_title(&raw.title));
    text += &format!("{}, {}\n\n", format_location(finding), code_span(&raw.rule));
    if let Some(why) = finding.unverified {
        text += &format!("Open, but not verified as still present: {}.\n\n", why.reason());
    } else if !raw.snippet.trim().is_empty() {
        text += &(code_block(code_language(&raw.location.path), &visible_text(&raw.snippet)) + "\n\n");
    }
    text += &format!("{}\n\n", sanitize_markdown(&raw.body));
    if let Some(suggestion) = &raw.suggestion {
        let new = visible_text(&suggestion.replacement);
        let (heading, lines) = if is_snippet_complete(finding) {
            ("Suggested change:", code_block("diff", &render_change(&visible_text(&raw.snippet), &new)))
        } else if new.is_empty() {
            ("Suggested change: delete these lines.", String::new())
        } else {
            ("Suggested replacement of these lines:", code_block(code_language(&raw.location.path), &new))
        };
        text += &format!("{heading}\n\n{lines}");
        text += if lines.is_empty() { "" } else { "\n\n" };
    }
    text
}

/// Renders the difference between two texts, with the unchanged lines before and after it. If `new` is empty,
/// all old lines are shown as deleted.
fn render_change(old: &str, new: &str) -> String {
    let old: Vec<&str> = old.split('\n').collect();
    let new: Vec<&str> = new.split('\n').filter(|_| !new.is_empty()).collect();
    let common = |pairs: &mut dyn Iterator<Item = (&&str, &&str)>| pairs.take_while(|(a, b)| a == b).count();
    let before = common(&mut old.iter().zip(&new));
    let most = old.len().min(new.len()) - before;
    let after = common(&mut old.iter().rev().zip(new.iter().rev())).min(most);
    let signed =
        |sign: char, lines: &[&str]| lines.iter().map(|line| format!("{sign}{line}")).collect::<Vec<_>>();
    let middle =
        |lines: &[&str], sign| signed(sign, lines.get(before..lines.len() - after).unwrap_or_default());
    let same = |lines| signed(' ', lines);
    let end = old.get(old.len() - after..).unwrap_or_default();
    let start = old.get(..before).unwrap_or_default();
    [same(start), middle(&old, '-'), middle(&new, '+'), same(end)].concat().join("\n")
}

/// Formats a location such as `path`, line 3.
fn format_location(finding: &Finding) -> String {
    let place = &finding.raw.location;
    let path = code_span(&visible_text(&place.path.to_string()));
    match place.start_line == place.end_line {
        true => format!("{path}, line {}", place.start_line),
        false => format!("{path}, lines {} to {}", place.start_line, place.end_line),
    }
}

/// Renders the walkthrough, the files that were not reviewed, and the reviewer. Files that should have been
/// reviewed are listed first.
fn render_footer(report: &MarkdownReport<'_>) -> String {
    let mut text = String::new();
    if !report.walkthrough.is_empty() {
        text += "### Walkthrough\n\n";
        for line in report.walkthrough {
            text += &format!(
                "- {}: {}\n",
                code_span(&visible_text(&line.path.to_string())),
                escape_text(&line.text)
            );
        }
        text.push('\n');
    }
    let (cut, unread): (Vec<_>, Vec<_>) =
        report.not_reviewed.iter().partition(|gap| gap.reason == SkipReason::MoreFindings);
    for gap in cut.iter().take(MAX_LISTED_FILES) {
        let path = code_span(&visible_text(&gap.path.to_string()));
        text +=
            &format!("{path} has more findings than the limit for one file: only the worst are shown.\n\n");
    }
    if !unread.is_empty() {
        let (by_design, missing): (Vec<&CoverageGap>, Vec<_>) =
            unread.iter().partition(|gap| gap.reason.is_by_design());
        text += "### Not reviewed\n\n";
        let mut listed = 0;
        for gap in missing.iter().chain(&by_design).take(MAX_LISTED_FILES) {
            let reason = gap.reason.as_str().replace('_', " ");
            let line = format!("- {}: {reason}\n", code_span(&visible_text(&gap.path.to_string())));
            if text.len() + line.len() > MAX_FOOTER_BYTES {
                break;
            }
            text += &line;
            listed += 1;
        }
        if unread.len() > listed {
            text += &format!("- and {} more\n", unread.len() - listed);
        }
        text.push('\n');
    }
    text + &render_reviewers(report.reviewer) + "\n"
}

/// Returns the file's extension, which names the language of its code.
fn code_language(path: &RepoPath) -> &str {
    path.as_str().and_then(|path| path.rsplit_once('.')).map_or("", |(_, ending)| ending)
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use truing_core::finding::SuggestedFix;
    use truing_core::outcome::SkipReason;

    use super::*;
    use crate::cli::review::sample_finding::sample_finding;

    fn render_findings(findings: &[Finding], not_reviewed: &[CoverageGap]) -> String {
        let findings: Vec<&Finding> = findings.iter().collect();
        let (headline, remarks) =
            ("2 findings (1 P0, 1 P1)".to_owned(), vec!["reviewed @x against y".to_owned()]);
        render_markdown(&MarkdownReport {
            headline,
            remarks,
            findings: &findings,
            not_reviewed,
            walkthrough: &[],
            reviewer: "rules only: no model was called",
        })
        .replace('\u{200b}', "{zwsp}")
    }

    #[test]
    fn findings_are_told_with_their_code_and_change() {
        let mut one = sample_finding("1:aa-1", "src/a.py", 3);
        one.raw.location.end_line = 4;
        one.raw.snippet = "if x is 1:\n\tpass".into();
        one.raw.suggestion = Some(SuggestedFix { replacement: "if x == 1:\n\tpass".into() });
        let gap = CoverageGap { path: "x.bin".into(), reason: SkipReason::TooLarge };
        assert_snapshot!(render_findings(&[one], &[gap]), @r"
        ## Truing: 2 findings (1 P0, 1 P1)

        Reviewed @{zwsp}x against y.

        ### P1: Swallowed error

        `src/a.py`, lines 3 to 4, `core/x`

        ```py
        if x is 1:
            pass
        ```

        Say what happened.

        Suggested change:

        ```diff
        -if x is 1:
        +if x == 1:
             pass
        ```

        ### Not reviewed

        - `x.bin`: too large

        _Rules only: no model was called._
        ");
    }

    #[test]
    fn a_change_has_the_lines_around_it_and_none_is_made_up_where_code_is_cut() {
        assert_eq!(render_change("a\nb\nc", "a\nx\ny\nc"), " a\n-b\n+x\n+y\n c");
        assert_eq!(render_change("a\na", "a"), " a\n-a");
        assert_eq!(render_change("a", "a\na"), " a\n+a");
        assert_eq!(render_change("a\nb", ""), "-a\n-b");
        let mut one = sample_finding("1:aa-1", "src/a.py", 3);
        one.raw.snippet = "x = f(…".into();
        one.raw.suggestion = Some(SuggestedFix { replacement: "x = g()".into() });
        assert!(
            render_findings(&[one], &[])
                .contains("Suggested replacement of these lines:\n\n```py\nx = g()\n```\n")
        );
    }

    #[test]
    fn hostile_text_stays_text() {
        let mut one = sample_finding("1:aa-1", "`@team`\n<b>|.mermaid", 3);
        one.raw.title = "`@team` and @team <b> www.x.y http://x.y #1 ![a](b) $x$ &lt;".into();
        one.raw.snippet = "```` @team\u{1b}[31m\u{202e}\n```\n<script>".into();
        one.raw.suggestion = Some(SuggestedFix { replacement: "`````\n</details>".into() });
        assert_snapshot!(render_findings(&[one], &[]), @r#"
        ## Truing: 2 findings (1 P0, 1 P1)

        Reviewed @{zwsp}x against y.

        ### P1: `@team` and @{zwsp}team \<b\> www{zwsp}.x.y http:{zwsp}//x.y #{zwsp}1 !\[a\](b) \$x\$ \&lt;

        `` "`@team`\n<b>|.mermaid" ``, line 3, `core/x`

        `````
        ```` @team␛[31m\u{202e}
        ```
        <script>
        `````

        Say what happened.

        Suggested replacement of these lines:

        ``````
        `````
        </details>
        ``````

        _Rules only: no model was called._
        "#);
    }

    #[test]
    fn it_is_never_longer_than_a_job_summary_takes_and_says_what_is_missing() {
        let many: Vec<Finding> = (1..=3_000)
            .map(|line| {
                let mut one = sample_finding("1:aa-1", &"d/".repeat(1_000), line);
                one.raw.snippet = "`".repeat(400);
                one
            })
            .collect();
        let gaps: Vec<CoverageGap> = (0..3_000)
            .map(|_| CoverageGap { path: "`/".repeat(2_000).as_str().into(), reason: SkipReason::Binary })
            .collect();
        let text = render_findings(&many, &gaps);
        assert!(text.len() < 1 << 20, "{}", text.len());
        let left = 3_000 - text.matches("### P1").count();
        assert!(left > 0 && text.contains(&format!("**{left} more findings are left out**")));
        assert!(text.contains("more\n\n_Rules only"), "{}", text.split_at(text.len() - 300).1);
    }
}
