//! The desired state of a pull request after a review: the summary, one comment per finding, and the head's
//! status.

use truing_core::dismissal::{Dismissal, RetractionScope};
use truing_core::finding::{AnchorKind, DiffSide, Finding, FindingSource, FindingStatus, Severity};
use truing_core::id::Sha;
use truing_core::outcome::{ReviewDetail, ReviewOutcome, ReviewOutcomeKind, ReviewRecord, WalkthroughLine};
use truing_core::publish::{
    CheckAnnotation, CheckConclusion, CheckContent, CommentSubject, DesiredComment, DesiredStatus,
    MAX_ANNOTATIONS, StatusState,
};

use super::ignores::unused_pattern_warnings;
use super::text::{self, SummaryContent};

/// Maximum number of characters of the message in an annotation.
const MAX_MESSAGE_CHARS: usize = 2000;

/// Returns the desired comments: first the summary, then the findings, worst first.
///
/// At most `max_inline_comments` open findings get a comment of their own; the summary lists the others.
/// `current_head` is the current head of the pull request, if it differs from `head`; otherwise, it is
/// `None`.
pub fn desired_comments(
    findings: &[Finding],
    head: &Sha,
    current_head: Option<&Sha>,
    record: &ReviewRecord,
    dismissals: &[Dismissal],
    max_inline_comments: usize,
) -> Vec<DesiredComment> {
    // The walkthrough describes only `head`. If the current head differs from `head`, the walkthrough is
    // omitted, because it would mislead readers.
    let walkthrough = if current_head.is_none() { record.detail.walkthrough() } else { &[] };
    let mut rows = vec![DesiredComment::for_summary(summary_text(
        findings,
        head,
        current_head,
        record,
        dismissals,
        walkthrough,
    ))];
    let open: Vec<&Finding> = sort_worst_first(findings.iter().filter(|finding| finding.is_open()));
    for (index, finding) in open.iter().enumerate() {
        let kind = if index < max_inline_comments { finding.anchor } else { AnchorKind::Summary };
        rows.push(finding_comment(finding, kind));
    }
    rows.extend(findings.iter().filter(|finding| !finding.is_open()).map(|finding| DesiredComment {
        retraction: retraction_scope(finding, dismissals),
        ..finding_comment(finding, finding.anchor)
    }));
    rows
}

/// Returns which comments on a finding must be deleted; `None` if all comments may stay.
fn retraction_scope(finding: &Finding, dismissals: &[Dismissal]) -> Option<RetractionScope> {
    let mut active_dismissals =
        dismissals.iter().filter(|dismissal| !dismissal.withdrawn && !finding.is_open());
    active_dismissals.find(|dismissal| dismissal.covers(finding))?.retraction
}

/// Renders the summary's text. `walkthrough` contains the lines of the walkthrough. `walkthrough` is empty if
/// the text is for a status.
pub fn summary_text(
    findings: &[Finding],
    head: &Sha,
    current_head: Option<&Sha>,
    record: &ReviewRecord,
    dismissals: &[Dismissal],
    walkthrough: &[WalkthroughLine],
) -> String {
    let ReviewDetail { base, outcome, coverage, increment: since, changed_config_files: configuring, .. } =
        &record.detail;
    let ReviewDetail { unused_suppressions: suppressions, unused_ignore_patterns, .. } = &record.detail;
    let remarks: Vec<String> = text::collect_remarks(record)
        .into_iter()
        .chain(unused_pattern_warnings(unused_ignore_patterns))
        .collect();
    let open: Vec<&Finding> = sort_worst_first(findings.iter().filter(|finding| finding.is_open()));
    let fixed = |finding: &&Finding| matches!(finding.status, FindingStatus::Fixed(_));
    let fixed = findings.iter().filter(fixed).count();
    let suppressed = |finding: &&Finding| matches!(finding.status, FindingStatus::Suppressed(_));
    let suppressed = findings.iter().filter(suppressed).count();
    let dismissed = |finding: &&Finding| matches!(finding.status, FindingStatus::Dismissed(_));
    let dismissed = sort_worst_first(findings.iter().filter(dismissed));
    let dismissed = dismissed.as_slice();
    let is_retracted = |finding: &&&Finding| retraction_scope(finding, dismissals).is_some();
    let retracted: Vec<&Finding> = dismissed.iter().filter(is_retracted).copied().collect();
    let since = since.as_ref();
    text::render_summary(&SummaryContent {
        outcome,
        head,
        current_head,
        base,
        increment: since,
        configuration_files: configuring,
        unused_suppressions: suppressions,
        remarks: &remarks,
        open_findings: &open,
        fixed_count: fixed,
        suppressed_count: suppressed,
        dismissed_findings: dismissed,
        retracted_findings: &retracted,
        coverage,
        walkthrough,
        reviewer_line: &text::reviewer_line(record),
    })
}

fn finding_comment(finding: &Finding, kind: AnchorKind) -> DesiredComment {
    DesiredComment {
        subject: CommentSubject::Finding(finding.id.clone()),
        location: Some((kind, finding.comment_location.clone())),
        body: text::render_comment(finding),
        suggestion: finding.raw.suggestion.clone().filter(|_| can_apply_suggestion(finding)),
        falls_back_to_code_block: finding.raw.source == FindingSource::Agent,
        resolved: !finding.is_open(),
        retraction: None,
        comment: None,
    }
}

/// True if the finding's comment is on exactly the lines of the head that the finding's suggestion replaces.
fn can_apply_suggestion(finding: &Finding) -> bool {
    finding.anchor == AnchorKind::Inline
        && finding.comment_location == finding.raw.location
        && finding.comment_location.side == DiffSide::New
}

/// Returns the head's status. The status is success if the review is complete without blocking findings, or
/// if there was nothing to review. The status is failure if there are blocking findings. In all other cases,
/// it is pending, with the reason. A check run is neutral if there was nothing to review, or if the status is
/// pending. Blocking findings of a partial review make both the status and the check run fail (ADR 0020).
/// `summary` is the summary of the pull request without the walkthrough.
pub fn desired_status(
    findings: &[Finding],
    outcome: &ReviewOutcome,
    head: &Sha,
    summary: &str,
) -> DesiredStatus {
    let open: Vec<&Finding> = sort_worst_first(findings.iter().filter(|finding| finding.is_open()));
    let blocking = open.iter().any(|finding| is_blocking(finding.raw.severity));
    let state = match outcome.kind {
        ReviewOutcomeKind::Reviewed | ReviewOutcomeKind::Skipped if !blocking => StatusState::Success,
        ReviewOutcomeKind::Reviewed | ReviewOutcomeKind::Skipped => StatusState::Failure,
        ReviewOutcomeKind::Partial if blocking => StatusState::Failure,
        ReviewOutcomeKind::Partial | ReviewOutcomeKind::Deferred | ReviewOutcomeKind::Failed => {
            StatusState::Pending
        }
    };
    let conclusion = match (state, outcome.kind) {
        (StatusState::Success, ReviewOutcomeKind::Reviewed) => CheckConclusion::Success,
        (StatusState::Failure, _) => CheckConclusion::Failure,
        (StatusState::Success | StatusState::Pending, _) => CheckConclusion::Neutral,
    };
    let annotations = open.iter().filter(|finding| finding.raw.location.side == DiffSide::New);
    let annotations = annotations.take(MAX_ANNOTATIONS).map(|finding| build_annotation(finding)).collect();
    let check = CheckContent { conclusion, summary: summary.to_owned(), annotations };
    DesiredStatus { sha: head.clone(), state, description: text::status_description(outcome, &open), check }
}

/// Returns the status of a head that could not be reviewed. The status is pending and not failure, because
/// Truing failed and the change may be correct.
pub fn unavailable_status(head: &Sha, failure_class: &str, summary: &str) -> DesiredStatus {
    pending_status(head, format!("review temporarily unavailable: {failure_class}"), summary)
}

/// Returns a pending status for a head without a review. Such a head never gets the status success.
pub(crate) fn pending_status(head: &Sha, description: String, summary: &str) -> DesiredStatus {
    let check = CheckContent { summary: summary.to_owned(), ..CheckContent::default() };
    DesiredStatus { sha: head.clone(), state: StatusState::Pending, description, check }
}

/// Creates an annotation on the lines of a finding in the commit.
fn build_annotation(finding: &Finding) -> CheckAnnotation {
    let raw = &finding.raw;
    CheckAnnotation {
        location: raw.location.clone(),
        blocks: is_blocking(raw.severity),
        title: format!("{}: {} ({})", raw.severity.as_str(), raw.title, raw.rule),
        message: raw.body.trim().chars().take(MAX_MESSAGE_CHARS).collect(),
    }
}

/// True if a finding of this severity makes the status fail.
fn is_blocking(severity: Severity) -> bool {
    match severity {
        Severity::P0 | Severity::P1 => true,
        Severity::P2 => false,
    }
}

/// Sorts findings by severity, then path and line.
pub fn sort_worst_first<'a>(findings: impl Iterator<Item = &'a Finding>) -> Vec<&'a Finding> {
    let mut sorted: Vec<&Finding> = findings.collect();
    sorted.sort_by(|a, b| {
        (a.raw.severity, &a.raw.location, &a.raw.rule).cmp(&(b.raw.severity, &b.raw.location, &b.raw.rule))
    });
    sorted
}

#[cfg(test)]
pub(crate) mod tests {
    use truing_core::finding::{CodeLocation, DefectCategory, RawFinding, SuggestedFix, fingerprint};
    use truing_core::id::{FindingId, RunId, SlotKey, UnixMillis};
    use truing_core::outcome::{ModelReviewDetail, ReviewRuntime};

    use super::*;
    use truing_core::code_digest::CodeDigests;

    /// Builds an open finding on one line.
    pub(crate) fn open_finding(id: &str, path: &str, line: u32) -> Finding {
        let place = CodeLocation { path: path.into(), side: DiffSide::New, start_line: line, end_line: line };
        Finding {
            id: FindingId::new(id),
            fingerprint: fingerprint("core/x", &path.into(), id),
            raw: RawFinding {
                location: place.clone(),
                severity: Severity::P1,
                category: DefectCategory::F,
                rule: "core/x".into(),
                title: "Swallowed error".into(),
                body: "Say what happened.".into(),
                snippet: id.into(),
                code: CodeDigests::default(),
                suggestion: None,
                source: FindingSource::Rule,
                specialists: Vec::new(),
            },
            old_path: None,
            anchor: AnchorKind::Inline,
            comment_location: place,
            status: FindingStatus::Open,
            surrounding_lines: None,
            unverified: None,
            seen_on: Vec::new(),
            evidence: None,
        }
    }

    fn sha() -> Sha {
        Sha::parse(&"a".repeat(40)).unwrap()
    }

    fn outcome_of_kind(kind: ReviewOutcomeKind) -> ReviewOutcome {
        ReviewOutcome { kind, reason: None, next_attempt_at: None, runtime: ReviewRuntime::Rules }
    }

    #[test]
    fn findings_over_the_cap_are_listed_in_the_summary() {
        let mut findings: Vec<Finding> =
            (1..=5).map(|line| open_finding(&format!("1:a-{line}"), "a.py", line)).collect();
        findings[4].raw.severity = Severity::P0;
        let detail = ReviewDetail::new(Some(sha()), sha(), outcome_of_kind(ReviewOutcomeKind::Reviewed));
        let record = ReviewRecord::new(RunId::new("r"), SlotKey::new("k"), detail, UnixMillis(0));
        let rows = desired_comments(&findings, &sha(), None, &record, &[], 2);
        let kinds: Vec<(String, AnchorKind)> = rows
            .iter()
            .filter_map(|row| Some((row.subject.as_str().to_owned(), row.location.as_ref()?.0)))
            .collect();
        assert_eq!(kinds[0], ("1:a-5".to_owned(), AnchorKind::Inline));
        assert_eq!(kinds.iter().filter(|(_, kind)| *kind == AnchorKind::Inline).count(), 2);
        assert_eq!(kinds.len(), 5, "none is lost");
    }

    #[test]
    fn a_walkthrough_is_shown_only_for_the_current_head() {
        let line = WalkthroughLine { path: "a.py".into(), text: "Retries.".into() };
        let did = ModelReviewDetail { walkthrough: vec![line], ..ModelReviewDetail::default() };
        let mut detail = ReviewDetail::new(Some(sha()), sha(), outcome_of_kind(ReviewOutcomeKind::Reviewed));
        detail.model_review = Some(did);
        let record = ReviewRecord::new(RunId::new("r"), SlotKey::new("k"), detail, UnixMillis(0));
        let told = "### Walkthrough of `aaaaaaaaaa`\n\n- `a.py`: Retries.\n";
        let body = |now: Option<&Sha>| desired_comments(&[], &sha(), now, &record, &[], 9).remove(0).body;
        assert!(body(None).contains(told), "{}", body(None));
        let later = Sha::parse(&"b".repeat(40)).unwrap();
        assert!(!body(Some(&later)).contains("Walkthrough"), "the pull request has moved on");
        let shown = summary_text(&[], &sha(), None, &record, &[], &[]);
        let status = desired_status(&[], &record.detail.outcome, &sha(), &shown);
        assert!(!format!("{status:?}").contains("Walkthrough"), "{status:?}");
    }

    #[test]
    fn a_pattern_that_ignores_nothing_is_named_once_in_the_summary() {
        let mut detail = ReviewDetail::new(Some(sha()), sha(), outcome_of_kind(ReviewOutcomeKind::Reviewed));
        detail.unused_ignore_patterns = vec!["lib".to_owned()];
        let record = ReviewRecord::new(RunId::new("r"), SlotKey::new("k"), detail, UnixMillis(0));
        let shown = summary_text(&[], &sha(), None, &record, &[], &[]);
        let warning =
            truing_core::markdown::escape_text(&unused_pattern_warnings(&["lib".to_owned()]).next().unwrap());
        assert!(warning.contains("matches no file of the repository"), "{warning}");
        assert_eq!(shown.matches(format!("- {warning}\n").as_str()).count(), 1, "{shown}");
        assert_eq!(shown.matches("matches no file").count(), 1, "{shown}");
    }

    #[test]
    fn a_suggestion_is_for_exactly_the_lines_of_the_comment_on_the_new_side() {
        let suggestion = SuggestedFix { replacement: "x".into() };
        let mut one = open_finding("1:a-1", "a.py", 3);
        one.raw.suggestion = Some(suggestion.clone());
        let suggested = |finding: &Finding| finding_comment(finding, finding.anchor).suggestion;
        assert_eq!(suggested(&one), Some(suggestion));
        let mut longer = one.clone();
        longer.raw.location.end_line = 4;
        let file = Finding { anchor: AnchorKind::File, ..one.clone() };
        let mut old = one;
        (old.raw.location.side, old.comment_location.side) = (DiffSide::Old, DiffSide::Old);
        for other in [longer, file, old] {
            assert_eq!(suggested(&other), None, "{other:?}");
        }
    }

    #[test]
    fn only_a_whole_review_without_blocking_findings_is_green() {
        let blocking = [open_finding("1:a-1", "a.py", 1)];
        let mut minor = blocking.clone();
        minor[0].raw.severity = Severity::P2;
        let shown = |findings: &[Finding], kind| {
            let status = desired_status(findings, &outcome_of_kind(kind), &sha(), "the summary");
            (status.state, status.check.conclusion)
        };
        let state = |findings: &[Finding], kind| shown(findings, kind).0;
        assert_eq!(
            shown(&[], ReviewOutcomeKind::Skipped).1,
            CheckConclusion::Neutral,
            "green is for what was reviewed"
        );
        assert_eq!(shown(&minor, ReviewOutcomeKind::Reviewed).1, CheckConclusion::Success);
        assert_eq!(shown(&blocking, ReviewOutcomeKind::Reviewed).1, CheckConclusion::Failure);
        assert_eq!(
            shown(&blocking, ReviewOutcomeKind::Partial),
            (StatusState::Failure, CheckConclusion::Failure),
            "a neutral check would let it be merged"
        );
        assert_eq!(state(&[], ReviewOutcomeKind::Reviewed), StatusState::Success);
        assert_eq!(state(&minor, ReviewOutcomeKind::Reviewed), StatusState::Success);
        assert_eq!(state(&[], ReviewOutcomeKind::Skipped), StatusState::Success);
        assert_eq!(state(&blocking, ReviewOutcomeKind::Reviewed), StatusState::Failure);
        for kind in [ReviewOutcomeKind::Partial, ReviewOutcomeKind::Deferred, ReviewOutcomeKind::Failed] {
            assert_eq!(shown(&minor, kind), (StatusState::Pending, CheckConclusion::Neutral), "{kind:?}");
        }
    }
}
