//! The texts of a pull request: pure functions from findings and outcomes to Markdown. Untrusted text (paths,
//! rules, reasons) is escaped by [`truing_core::markdown`].

// long: all texts of summaries and comments, which are proofread together.

mod remarks;
mod unreviewed_head;

use std::fmt::Write as _;

use jiff::Timestamp;
use truing_core::dismissal;
use truing_core::finding::{AnchorKind, Finding, FindingSource, FindingStatus, Severity};
use truing_core::id::{RunId, Sha, UnixMillis};
use truing_core::increment::{BranchHistory, FindingTally, ReviewIncrement};
use truing_core::line::clean_line;
use truing_core::markdown::{code_span, escape_text, render_title, sanitize_markdown};
use truing_core::outcome::{
    CoverageGap, ModelReviewDetail, ReviewCoverage, ReviewOutcome, ReviewOutcomeKind, ReviewRecord,
    WalkthroughLine,
};
use truing_core::suppression::UnusedSuppression;
use truing_diff::RepoPath;

pub use self::remarks::collect_remarks;
pub use self::unreviewed_head::{
    not_reviewed_text, off_tier_reason, once_tier_reason, rules_only_reason, unreviewed_status,
};

/// Maximum number of findings, and maximum number of files, that a summary lists. Further findings or files
/// are only counted.
const MAX_LISTED_ENTRIES: usize = 50;
/// Maximum number of characters of a model's name.
const MAX_MODEL_NAME_CHARS: usize = 80;
/// Maximum number of characters of a tool's name.
const MAX_TOOL_NAME_CHARS: usize = 40;
/// Maximum number of unused suppression comments that are listed. Further comments are only counted.
const MAX_LISTED_SUPPRESSIONS: usize = 5;
/// Maximum number of commits named in a summary.
const MAX_LISTED_COMMITS: usize = 10;

/// Formats an instant as RFC 3339 in UTC, to the second. An instant outside of the calendar's range is
/// printed as its number of seconds since 1970.
pub fn format_instant(instant: UnixMillis) -> String {
    let seconds = instant.0.div_euclid(1000);
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// The content of a summary.
#[derive(Clone, Copy, Debug)]
pub struct SummaryContent<'a> {
    /// Outcome of the review.
    pub outcome: &'a ReviewOutcome,
    /// The commit that was reviewed.
    pub head: &'a Sha,
    /// The pull request's current head, if it differs from the reviewed head.
    pub current_head: Option<&'a Sha>,
    /// The commit that the head was compared with.
    pub base: &'a Sha,
    /// The difference from the previous review.
    pub increment: Option<&'a ReviewIncrement>,
    /// Files of the change that configure reviews. The review does not use the changed content of these
    /// files.
    pub configuration_files: &'a [RepoPath],
    /// Suppression comments of the change that suppress no finding.
    pub unused_suppressions: &'a [UnusedSuppression],
    /// Remarks on the model's context and on linters that did not run.
    pub remarks: &'a [String],
    /// Open findings of the review.
    pub open_findings: &'a [&'a Finding],
    /// Number of earlier findings that are fixed.
    pub fixed_count: usize,
    /// Number of findings that a comment suppresses.
    pub suppressed_count: usize,
    /// The findings that people have dismissed.
    pub dismissed_findings: &'a [&'a Finding],
    /// Dismissed findings whose comments an operator has removed, so people can no longer answer these
    /// comments.
    pub retracted_findings: &'a [&'a Finding],
    /// The reviewed files and the files that were not reviewed.
    pub coverage: &'a ReviewCoverage,
    /// A model's walkthrough of the change, with the lines that a person should read first.
    pub walkthrough: &'a [WalkthroughLine],
    /// The reviewers and the cost, as [`reviewer_line`] returns them.
    pub reviewer_line: &'a str,
}

/// Returns the reviewers and the cost, as the last line of every report.
pub fn reviewer_line(record: &ReviewRecord) -> String {
    let tools = record.detail.tools.iter().filter(|tool| tool.skip_reason.is_none());
    let tools: Vec<String> = tools.map(|tool| clean_line(&tool.name, MAX_TOOL_NAME_CHARS)).collect();
    let Some(ModelReviewDetail { replayed, .. }) = &record.detail.model_review else {
        return match tools.as_slice() {
            [] => "rules only: no model was called".to_owned(),
            tools => format!("rules and the output of {}: no model was called", tools.join(", ")),
        };
    };
    let turns = format_count(record.turns(), "turn");
    let model = record.model.as_deref().unwrap_or_default();
    let of = if *replayed { "a recording of " } else { "" };
    let tools =
        if tools.is_empty() { String::new() } else { format!(", the output of {}", tools.join(", ")) };
    format!(
        "rules{tools} and {of}{}: {turns}, {}",
        clean_line(model, MAX_MODEL_NAME_CHARS),
        record.cost_text()
    )
}

/// Returns the reason why no model reviewed a head: a converge run has audited the head and found nothing.
pub fn clean_audit_reason(run: &RunId) -> String {
    format!("converge run {run} has audited this commit and found nothing, so no other model was asked")
}

/// Formats the line about the reviewers and the cost as an italic sentence in Markdown.
pub fn render_reviewers(reviewers: &str) -> String {
    format!("_{}._", escape_text(&capitalise(reviewers)))
}

/// Returns the text with a capital letter at its beginning.
fn capitalise(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// Renders the summary comment.
pub fn render_summary(summary: &SummaryContent<'_>) -> String {
    let SummaryContent {
        outcome,
        head,
        current_head: moved_head,
        base,
        increment: since,
        configuration_files: configuring,
        unused_suppressions: suppressions,
        remarks,
        ..
    } = summary;
    let SummaryContent {
        open_findings: open,
        fixed_count: fixed,
        suppressed_count: suppressed,
        dismissed_findings: dismissed,
        retracted_findings: retracted,
        coverage,
        walkthrough,
        reviewer_line: reviewers,
        ..
    } = summary;
    let mut text = format!("## Truing: {}\n\n", render_headline(outcome, open));
    if let Some(reason) = &outcome.reason {
        let _ = writeln!(text, "{}.\n", escape_text(reason));
    }
    let _ = writeln!(text, "Reviewed commit `{}` against `{}`.", head.short_sha(), base.short_sha());
    if let Some(moved_head) = moved_head {
        let moved_head = moved_head.short_sha();
        let _ = writeln!(
            text,
            "\nThe pull request has moved on to `{moved_head}`; this review does not cover that commit."
        );
    }
    if !configuring.is_empty() {
        let changed: Vec<String> = configuring.iter().map(code_path).collect();
        let _ = writeln!(
            text,
            "\nThis pull request changes the configuration of reviews: {}. The review of this pull request \
             does not use these changes.",
            changed.join(", ")
        );
    }
    if !remarks.is_empty() {
        text.push('\n');
        for remark in *remarks {
            let _ = writeln!(text, "- {}", escape_text(remark));
        }
    }
    if let Some(since) = since {
        self::append_increment(&mut text, since);
    }
    if !open.is_empty() {
        text.push_str("\n| Severity | Open |\n|---|---|\n");
        for (severity, count) in count_by_severity(open) {
            let _ = writeln!(text, "| {} | {count} |", severity.as_str());
        }
        text.push('\n');
        for finding in open.iter().take(MAX_LISTED_ENTRIES) {
            let raw = &finding.raw;
            let line = raw.location.start_line;
            let _ = writeln!(
                text,
                "- **{}** {} in {}:{line} ({}){}",
                raw.severity.as_str(),
                render_title(&raw.title),
                code_path(&raw.location.path),
                code_span(&dismissal::short_id(&finding.id)),
                finding.unverified.map(|why| format!(", not verified: {}", why.reason())).unwrap_or_default()
            );
        }
        if open.len() > MAX_LISTED_ENTRIES {
            let _ = writeln!(text, "- and {} more", open.len() - MAX_LISTED_ENTRIES);
        }
    }
    if *fixed > 0 {
        let _ = writeln!(text, "\n{} fixed since the first review.", format_count(*fixed, "finding"));
    }
    if *suppressed > 0 {
        let _ =
            writeln!(text, "\n{} suppressed by a comment in the code.", format_count(*suppressed, "finding"));
    }
    self::append_dismissed(&mut text, dismissed);
    self::append_unused_suppressions(&mut text, suppressions);
    append_coverage(&mut text, coverage);
    if !open.is_empty() {
        text.push_str(
            "\nTo dismiss a finding, answer its comment with `/dismiss` and the reason, or comment here with \
             `/dismiss`, its id and the reason.\n",
        );
    }
    if dismissed.len() > retracted.len() {
        text.push_str("\nTo undo a dismissal, answer its comment with `/undismiss`.\n");
    }
    if !retracted.is_empty() {
        let ids = retracted
            .iter()
            .take(MAX_LISTED_ENTRIES)
            .map(|finding| code_span(&dismissal::short_id(&finding.id)));
        let ids = ids.collect::<Vec<_>>().join(", ");
        let what = "To restore a finding that an operator retracted, comment here with `/undismiss` and \
            the finding's id";
        let _ = writeln!(text, "\n{what}: {ids}.");
    }
    if !walkthrough.is_empty() {
        let _ = writeln!(text, "\n### Walkthrough of `{}`\n", head.short_sha());
        for line in *walkthrough {
            let _ = writeln!(text, "- {}: {}", code_path(&line.path), escape_text(&line.text));
        }
    }
    text.push('\n');
    text + &render_reviewers(reviewers)
}

/// Adds the changes since the previous review: the number of findings by new status, the commits, and the new
/// lines.
fn append_increment(text: &mut String, increment: &ReviewIncrement) {
    let ReviewIncrement { last_reviewed_head: since, history, lines, findings } = increment;
    let FindingTally { new, reopened, fixed, suppressed, still_open: still } = findings;
    let counts = [
        (new, "new"),
        (reopened, "open again"),
        (fixed, "fixed"),
        (suppressed, "suppressed"),
        (still, "still open"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| **count > 0);
    let counts: Vec<String> = counts.map(|(count, what)| format!("{count} {what}")).collect();
    let counts = if counts.is_empty() { "no finding changed".to_owned() } else { counts.join(", ") };
    let _ = writeln!(text, "\nSince `{}`: {counts}.", since.short_sha());
    let mut parts = Vec::new();
    match history {
        Some(BranchHistory::Grown { new_commits: new }) => parts.push(format_count(new.len(), "commit")),
        Some(BranchHistory::Rewritten {
            new_commits: new,
            changed_commits: changed,
            unchanged_count: same,
            removed_count: gone,
        }) => {
            parts.push(format!("the branch was rewritten: {}", format_commits(new, "new")));
            parts.extend((!changed.is_empty()).then(|| format_commits(changed, "changed")));
            parts.extend((*same > 0).then(|| format!("{same} as before")));
            parts.extend((*gone > 0).then(|| format!("{gone} gone")));
        }
        None => {}
    }
    let count: u64 = lines.values().flatten().map(|(start, end)| u64::from(end - start) + 1).sum();
    parts.push(format!("{} in {}", format_count(count, "new line"), format_count(lines.len(), "file")));
    let _ = writeln!(text, "{}.", capitalise(&parts.join(", ")));
}

/// Formats a list such as `2 new commits (…, …)`.
fn format_commits(commits: &[Sha], noun: &str) -> String {
    let listed: Vec<String> =
        commits.iter().take(MAX_LISTED_COMMITS).map(|commit| format!("`{}`", commit.short_sha())).collect();
    let more = if commits.len() > MAX_LISTED_COMMITS { ", …" } else { "" };
    let names = if listed.is_empty() { String::new() } else { format!(" ({}{more})", listed.join(", ")) };
    format!("{}{names}", format_count(commits.len(), &format!("{noun} commit")))
}

/// Adds the number of findings that people have dismissed. Dismissed findings of the worst severity (P0) are
/// also listed, because no other section of the summary mentions them.
fn append_dismissed(text: &mut String, dismissed: &[&Finding]) {
    if dismissed.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{} dismissed.", format_count(dismissed.len(), "finding"));
    let worst = dismissed.iter().filter(|finding| finding.raw.severity == Severity::P0);
    for (index, finding) in worst.take(MAX_LISTED_ENTRIES).enumerate() {
        let raw = &finding.raw;
        let reason = match &finding.status {
            FindingStatus::Dismissed(reason) => escape_text(reason),
            FindingStatus::Open
            | FindingStatus::Claimed
            | FindingStatus::Fixed(_)
            | FindingStatus::OutOfScope
            | FindingStatus::Suppressed(_)
            | FindingStatus::Declined(_) => continue,
        };
        let (line, path) = (raw.location.start_line, code_path(&raw.location.path));
        let gap = if index == 0 { "\n" } else { "" };
        let _ = writeln!(
            text,
            "{gap}- **P0** {} in {path}:{line}, dismissed: {reason}",
            render_title(&raw.title)
        );
    }
}

/// Lists suppression comments that suppress no finding, with a hint for the author of each comment.
fn append_unused_suppressions(text: &mut String, suppressions: &[UnusedSuppression]) {
    for (index, UnusedSuppression { path, line, rule, problem }) in
        suppressions.iter().take(MAX_LISTED_SUPPRESSIONS).enumerate()
    {
        let gap = if index == 0 { "\n" } else { "" };
        let (path, comment) = (self::code_path(path), code_span(&format!("truing: ignore[{rule}]")));
        let _ = writeln!(text, "{gap}- {path}:{line}: {comment} has no effect: {}", problem.advice());
    }
    if let Some(more @ 1..) = suppressions.len().checked_sub(MAX_LISTED_SUPPRESSIONS) {
        let _ = writeln!(text, "- and {more} more without effect");
    }
}

fn append_coverage(text: &mut String, coverage: &ReviewCoverage) {
    let read = coverage.reviewed.len();
    let _ = write!(text, "\n{} reviewed", format_count(read, "file"));
    let unread: Vec<&CoverageGap> = coverage.unread_files().collect();
    if unread.is_empty() {
        text.push_str(".\n");
    } else {
        let _ = writeln!(text, ", {} not:\n", unread.len());
        for gap in unread.iter().take(MAX_LISTED_ENTRIES) {
            let _ = writeln!(text, "- {}: {}", code_path(&gap.path), gap.reason.as_str());
        }
        if unread.len() > MAX_LISTED_ENTRIES {
            let _ = writeln!(text, "- and {} more", unread.len() - MAX_LISTED_ENTRIES);
        }
    }
    for cut in coverage.files_with_dropped_findings().take(MAX_LISTED_ENTRIES) {
        let _ = writeln!(
            text,
            "\n{} exceeds the maximum number of findings for one file: only the worst findings are shown.",
            code_path(cut)
        );
    }
}

/// Returns one line with the result of the review.
pub fn render_headline(outcome: &ReviewOutcome, open_findings: &[&Finding]) -> String {
    match outcome.kind {
        ReviewOutcomeKind::Reviewed if open_findings.is_empty() => "nothing found".into(),
        ReviewOutcomeKind::Reviewed => format_count(open_findings.len(), "finding"),
        ReviewOutcomeKind::Partial => {
            format!("{}, review incomplete", format_count(open_findings.len(), "finding"))
        }
        ReviewOutcomeKind::Skipped => "nothing to review".into(),
        ReviewOutcomeKind::Deferred => "review deferred".into(),
        ReviewOutcomeKind::Failed => "review failed".into(),
    }
}

/// Renders the summary of a pull request that could not be reviewed. The summary contains the class of the
/// failure, but no details.
pub fn unavailable_summary(head: &Sha, failure_class: &str) -> String {
    format!(
        "## Truing: review temporarily unavailable\n\nCommit `{}` has not been reviewed: {failure_class}. \
            Truing \
            tries again with the next push, or when an operator retries the review.",
        head.short_sha()
    )
}

/// Renders an inline comment or a comment on a file. The finding's status comes first, because it must remain
/// visible if a forge truncates the comment.
pub fn render_comment(finding: &Finding) -> String {
    let raw = &finding.raw;
    let mut text =
        format!("**{}: {}** ({})\n\n", raw.severity.as_str(), render_title(&raw.title), code_span(&raw.rule));
    match &finding.status {
        FindingStatus::Open | FindingStatus::Claimed => {
            if let Some(why) = finding.unverified {
                let _ = writeln!(text, "**Open, but not verified as still present:** {}.\n", why.reason());
            }
        }
        FindingStatus::Fixed(sha) => {
            let _ = writeln!(text, "**Fixed in `{}`.**\n", sha.short_sha());
        }
        FindingStatus::OutOfScope if raw.source == FindingSource::Tool => text.push_str(
            "**No longer reported, but not confirmed as fixed:** the finding's lines are unchanged (the \
            cause is a comment, a setting or a change elsewhere), or the lines are no longer part of the \
            change.\n\n",
        ),
        FindingStatus::OutOfScope => text.push_str(
            "**No longer part of this review:** these lines are no longer part of the change, or the rule is \
             off.\n\n",
        ),
        FindingStatus::Suppressed(reason) => {
            let comment = code_span(&format!("truing: ignore[{}]", raw.rule));
            let _ = writeln!(
                text,
                "**Suppressed:** a comment in the code, {comment}, gives the reason: {}\n",
                escape_text(reason)
            );
        }
        FindingStatus::Declined(reason) => {
            let _ = writeln!(text, "**Declined:** {}\n", escape_text(reason));
        }
        FindingStatus::Dismissed(reason) => {
            let _ = writeln!(text, "**Dismissed:** {}\n", escape_text(reason));
        }
    }
    if finding.anchor != AnchorKind::Inline {
        let _ = writeln!(text, "{}:{}\n", code_path(&raw.location.path), raw.location.start_line);
    }
    text.push_str(&sanitize_markdown(&raw.body));
    match &finding.status {
        FindingStatus::Open | FindingStatus::Claimed => {
            text.push_str("\n\n_Not a problem? Answer with `/dismiss` and the reason._");
        }
        FindingStatus::Dismissed(_) => text.push_str("\n\n_A problem after all? Answer with `/undismiss`._"),
        FindingStatus::Fixed(_)
        | FindingStatus::OutOfScope
        | FindingStatus::Suppressed(_)
        | FindingStatus::Declined(_) => {}
    }
    text
}

/// Returns the description of the commit status: the headline, and the reason for the outcome if there is
/// one.
pub fn status_description(outcome: &ReviewOutcome, open_findings: &[&Finding]) -> String {
    match &outcome.reason {
        Some(reason) => format!("{}: {reason}", render_headline(outcome, open_findings)),
        None => render_headline(outcome, open_findings),
    }
}

/// Counts the findings of each severity, worst first. Severities without findings are omitted.
pub fn count_by_severity(open_findings: &[&Finding]) -> Vec<(Severity, u32)> {
    let count = |severity| open_findings.iter().filter(|finding| finding.raw.severity == severity).count();
    Severity::ALL
        .into_iter()
        .map(|severity| (severity, u32::try_from(count(severity)).unwrap_or(u32::MAX)))
        .filter(|(_, count)| *count > 0)
        .collect()
}

pub use truing_core::line::format_count;

/// Formats a path as code.
fn code_path(path: &RepoPath) -> String {
    code_span(&path.to_string())
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use truing_core::outcome::{CoverageGap, SkipReason};
    use truing_core::suppression::UnusedSuppressionReason;

    use super::*;
    use crate::desired_state::tests::open_finding;

    fn sha(digit: char) -> Sha {
        Sha::parse(&digit.to_string().repeat(40)).unwrap()
    }

    #[test]
    fn the_summary_tells_outcome_commit_findings_and_files() {
        let coverage = ReviewCoverage {
            reviewed: vec!["a.py".into(), "b`c.py".into()],
            not_reviewed: vec![CoverageGap { path: "x.bin".into(), reason: SkipReason::Binary }],
            ..ReviewCoverage::default()
        };
        let one = open_finding("1:aaaaaaaaaaaa-1", "a.py", 3);
        let open = [&one];
        let mut secret = open_finding("1:bb-1", "b.py", 5);
        secret.raw.severity = Severity::P0;
        secret.status = FindingStatus::Dismissed("a key of the tests (ada)".into());
        let mut retracted = open_finding("1:cccccccccccc-1", "c.py", 7);
        retracted.status = FindingStatus::Dismissed("a bad rule (op)".into());
        let idle = |line| UnusedSuppression {
            path: "c`_.py".into(),
            line,
            rule: "core/`@team`".into(),
            problem: UnusedSuppressionReason::NoReason,
        };
        let text = render_summary(&SummaryContent {
            outcome: &ReviewOutcome::from_rules_coverage(&coverage),
            head: &sha('a'),
            current_head: Some(&sha('d')),
            base: &sha('b'),
            increment: None,
            configuration_files: &[".truing.toml".into()],
            unused_suppressions: &(1..=7).map(idle).collect::<Vec<_>>(),
            remarks: &["`.claude/skills/x/SKILL.md` is left out: it is <b>bad</b>".into()],
            open_findings: &open,
            fixed_count: 1,
            suppressed_count: 2,
            dismissed_findings: &[&secret, &retracted],
            retracted_findings: &[&retracted],
            coverage: &coverage,
            walkthrough: &[WalkthroughLine {
                path: "a.py".into(),
                text: "Retries; ask @ada, see #1 <!-- truing:1 x --> [look](http://evil) </details>".into(),
            }],
            reviewer_line: "rules only: no model was called",
        });
        assert_snapshot!(text.replace('\u{200b}', "{zwsp}"), @r"
        ## Truing: 1 finding

        Reviewed commit `aaaaaaaaaa` against `bbbbbbbbbb`.

        The pull request has moved on to `dddddddddd`; this review does not cover that commit.

        This pull request changes the configuration of reviews: `.truing.toml`. The review of this pull request does not use these changes.

        - \`.claude/skills/x/SKILL.md\` is left out: it is \<b\>bad\</b\>

        | Severity | Open |
        |---|---|
        | P1 | 1 |

        - **P1** Swallowed error in `a.py`:3 (`aaaaaaaaaa-1`)

        1 finding fixed since the first review.

        2 findings suppressed by a comment in the code.

        2 findings dismissed.

        - **P0** Swallowed error in `b.py`:5, dismissed: a key of the tests (ada)

        - `` c`_.py ``:1: `` truing: ignore[core/`@team`] `` has no effect: write a reason after the closing bracket
        - `` c`_.py ``:2: `` truing: ignore[core/`@team`] `` has no effect: write a reason after the closing bracket
        - `` c`_.py ``:3: `` truing: ignore[core/`@team`] `` has no effect: write a reason after the closing bracket
        - `` c`_.py ``:4: `` truing: ignore[core/`@team`] `` has no effect: write a reason after the closing bracket
        - `` c`_.py ``:5: `` truing: ignore[core/`@team`] `` has no effect: write a reason after the closing bracket
        - and 2 more without effect

        2 files reviewed, 1 not:

        - `x.bin`: binary

        To dismiss a finding, answer its comment with `/dismiss` and the reason, or comment here with `/dismiss`, its id and the reason.

        To undo a dismissal, answer its comment with `/undismiss`.

        To restore a finding that an operator retracted, comment here with `/undismiss` and the finding's id: `cccccccccc-1`.

        ### Walkthrough of `aaaaaaaaaa`

        - `a.py`: Retries; ask @{zwsp}ada, see #{zwsp}1 \<{zwsp}!-- truing:1 x --\> \[look\](http:{zwsp}//evil) \</details\>

        _Rules only: no model was called._
        ");
    }

    #[test]
    fn a_fixed_finding_says_where_it_was_fixed() {
        let fixed = Finding { status: FindingStatus::Fixed(sha('c')), ..open_finding("1:aa-1", "a.py", 3) };
        assert_snapshot!(render_comment(&fixed), @r"
        **P1: Swallowed error** (`core/x`)

        **Fixed in `cccccccccc`.**

        Say what happened.
        ");
    }

    #[test]
    fn a_finding_that_a_comment_suppresses_is_not_called_fixed() {
        let status = FindingStatus::Suppressed("a key of the tests, @team".into());
        let suppressed = Finding { status, ..open_finding("1:aa-1", "a.py", 3) };
        assert_snapshot!(render_comment(&suppressed).replace('\u{200b}', "{zwsp}"), @r"
        **P1: Swallowed error** (`core/x`)

        **Suppressed:** a comment in the code, `truing: ignore[core/x]`, gives the reason: a key of the tests, @{zwsp}team

        Say what happened.
        ");
    }

    #[test]
    fn a_finding_whose_code_left_the_change_says_so_on_a_line_of_its_own() {
        let outside = Finding { status: FindingStatus::OutOfScope, ..open_finding("1:aa-1", "a.py", 3) };
        assert_snapshot!(render_comment(&outside), @r"
        **P1: Swallowed error** (`core/x`)

        **No longer part of this review:** these lines are no longer part of the change, or the rule is off.

        Say what happened.
        ");
    }

    #[test]
    fn hostile_text_stays_text() {
        let mut hostile = open_finding("1:aa-1", "`@team` <img src=x>.py", 3);
        hostile.raw.title = "<script> @everyone ![x](http://evil) `a`".into();
        hostile.raw.body =
            "Ask @ada, see #1 or [here](http://evil).\n/approve\n\n</details><!-- truing:1 x -->".into();
        hostile.anchor = AnchorKind::File;
        assert_snapshot!(render_comment(&hostile).replace('\u{200b}', "{zwsp}"), @r"
        **P1: \<script\> @{zwsp}everyone !\[x\](http:{zwsp}//evil) `a`** (`core/x`)

        `` `@team` <img src=x>.py ``:3

        Ask @{zwsp}ada, see #{zwsp}1 or here (`http://evil`).
        \/approve

        \</details\>\<{zwsp}!-- truing:1 x --\>

        _Not a problem? Answer with `/dismiss` and the reason._
        ");
    }
}
