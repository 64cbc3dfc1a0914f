//! Formats a review for programs: the object `truing.review/1`, on one line.

use std::collections::BTreeMap;

use serde::Serialize;
use truing_core::finding::{
    AnchorKind, DefectCategory, DiffSide, Finding, FindingSource, FindingStatus, FixEvidence, Severity,
    SuggestedFix,
};
use truing_core::id::{FindingId, Fingerprint, Sha, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::outcome::{
    ModelMemory, ReviewCoverage, ReviewOutcomeKind, ReviewRuntime, SpecialistResult, ToolRunResult,
    WalkthroughLine,
};
use truing_core::recheck::UnverifiedReason;
use truing_core::suppression::UnusedSuppression;
use truing_diff::RepoPath;
use truing_loops::fix::UnappliedSuggestion;
use truing_loops::local::LocalReviewOutcome;

use super::publish::PublishJson;
use crate::cli::error::CliError;
use crate::cli::output::json_line;

/// A review in the JSON output. Programs rely on the meaning and the order of the fields.
#[derive(Serialize)]
struct ReviewJson<'a> {
    schema: &'static str,
    outcome: OutcomeJson<'a>,
    base: &'a Sha,
    head: Option<&'a Sha>,
    findings: Vec<FindingJson<'a>>,
    /// Findings of the previous review that are verified as fixed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fixed: Vec<FindingJson<'a>>,
    /// Findings that a comment in the code suppresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suppressed: Vec<FindingJson<'a>>,
    /// Findings that people have dismissed, with the person and the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dismissed: Vec<FindingJson<'a>>,
    coverage: &'a ReviewCoverage,
    cost_micro_usd: MicroUsd,
    /// Part of the cost that a subscription covers.
    #[serde(skip_serializing_if = "Option::is_none")]
    covered_micro_usd: Option<MicroUsd>,
    turns: u32,
    /// Comments that suppress nothing.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    suppressions: &'a [UnusedSuppression],
    /// Patterns of `rules.ignore` that match no file of the repository.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    idle_ignores: &'a [String],
    /// Tools whose findings are included.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tools: &'a [ToolRunResult],
    /// Additional instructions of the repository and the operator to the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<&'a ModelMemory>,
    /// Result of each specialist, if several specialists reviewed the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    specialists: Option<&'a [SpecialistResult]>,
    /// Number of denied tool calls of the model, by tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    denials: Option<&'a BTreeMap<String, u32>>,
    /// Lines on what the change does and where to look first.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    walkthrough: &'a [WalkthroughLine],
    #[serde(skip_serializing_if = "Option::is_none")]
    publish: Option<&'a PublishJson>,
    /// Fixes that `--fix` has not made, each with the reason.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    not_fixed: &'a [UnappliedSuggestion],
}

#[derive(Serialize)]
struct OutcomeJson<'a> {
    kind: ReviewOutcomeKind,
    reason: Option<&'a str>,
    /// Time at which the review is retried, in RFC 3339.
    #[serde(rename = "until")]
    next_attempt_at: Option<String>,
    runtime: ReviewRuntime,
}

/// A finding in the JSON output.
#[derive(Serialize)]
pub(in crate::cli) struct FindingJson<'a> {
    id: &'a FindingId,
    fingerprint: &'a Fingerprint,
    path: &'a RepoPath,
    old_path: Option<&'a RepoPath>,
    side: DiffSide,
    start_line: u32,
    end_line: u32,
    severity: Severity,
    category: DefectCategory,
    /// Rule of the finding. For a finding of a tool, the tool's own name of the rule.
    rule: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<&'a str>,
    title: &'a str,
    body: &'a str,
    suggestion: Option<&'a SuggestedFix>,
    anchor: AnchorKind,
    source: FindingSource,
    status: &'static str,
    /// Reason why the review could not verify that the finding is still present.
    #[serde(skip_serializing_if = "Option::is_none")]
    unverified: Option<UnverifiedReason>,
    /// The reason in the suppressing comment, or the reason of the person who dismissed the finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    /// Evidence that the finding is fixed. The evidence for a model's finding consists of lines. A rule's
    /// finding has no evidence, because the rule no longer matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<EvidenceJson<'a>>,
}

/// Lines that show that a finding is fixed.
#[derive(Serialize)]
struct EvidenceJson<'a> {
    path: &'a RepoPath,
    /// First line; none if the file is deleted.
    start_line: Option<u32>,
    end_line: Option<u32>,
    text: &'a str,
}

impl<'a> From<&'a FixEvidence> for EvidenceJson<'a> {
    fn from(evidence: &'a FixEvidence) -> Self {
        let FixEvidence { path, start_line, end_line, text, mark: _ } = evidence;
        let line = |line: u32| (*start_line > 0).then_some(line);
        Self { path, start_line: line(*start_line), end_line: line(*end_line), text }
    }
}

/// Returns the JSON object with a line break.
pub(super) fn render_json(
    review: &LocalReviewOutcome,
    publish: Option<&PublishJson>,
    not_fixed: &[UnappliedSuggestion],
) -> Result<String, CliError> {
    let record = &review.record;
    let report = ReviewJson {
        schema: "truing.review/1",
        outcome: OutcomeJson {
            kind: record.detail.outcome.kind,
            reason: record.detail.outcome.reason.as_deref(),
            next_attempt_at: record.detail.outcome.next_attempt_at.and_then(try_format_instant),
            runtime: record.detail.outcome.runtime,
        },
        base: &record.detail.base,
        head: record.detail.head.as_ref(),
        findings: review.findings.open.iter().map(finding_json).collect(),
        fixed: review.findings.fixed.iter().map(fixed_finding_json).collect(),
        suppressed: review.findings.suppressed.iter().map(finding_json).collect(),
        dismissed: review.findings.dismissed.iter().map(finding_json).collect(),
        coverage: &record.detail.coverage,
        cost_micro_usd: record.cost(),
        covered_micro_usd: Some(record.covered_cost()).filter(|covered| *covered > MicroUsd(0)),
        turns: record.turns(),
        suppressions: &record.detail.unused_suppressions,
        idle_ignores: &record.detail.unused_ignore_patterns,
        tools: &record.detail.tools,
        memory: record.detail.model_review.as_ref().and_then(|modelled| modelled.memory.as_ref()),
        specialists: record
            .detail
            .model_review
            .as_ref()
            .map(|did| did.specialists.as_slice())
            .filter(|all| !all.is_empty()),
        denials: record
            .detail
            .model_review
            .as_ref()
            .map(|did| &did.denials)
            .filter(|denials| !denials.is_empty()),
        walkthrough: record.detail.walkthrough(),
        publish,
        not_fixed,
    };
    json_line(&report)
}

/// Returns the JSON object of a finding with the status `fixed`, regardless of the recorded status.
fn fixed_finding_json(finding: &Finding) -> FindingJson<'_> {
    let evidence = finding.evidence.as_ref().map(EvidenceJson::from);
    FindingJson { status: "fixed", evidence, ..finding_json(finding) }
}

/// Returns the JSON object of a finding. Every command prints the same fields.
pub(in crate::cli) fn finding_json(finding: &Finding) -> FindingJson<'_> {
    let Finding { id, fingerprint, raw, old_path, anchor, status, unverified, .. } = finding;
    FindingJson {
        id,
        fingerprint,
        path: &raw.location.path,
        old_path: old_path.as_ref(),
        side: raw.location.side,
        start_line: raw.location.start_line,
        end_line: raw.location.end_line,
        severity: raw.severity,
        category: raw.category,
        rule: raw.rule_name(),
        tool: raw.tool(),
        title: &raw.title,
        body: &raw.body,
        suggestion: raw.suggestion.as_ref(),
        anchor: *anchor,
        source: raw.source,
        status: match status {
            FindingStatus::Open | FindingStatus::Claimed => "open",
            FindingStatus::Fixed(_) | FindingStatus::OutOfScope => "fixed",
            FindingStatus::Suppressed(_) => "suppressed",
            FindingStatus::Dismissed(_) => "dismissed",
            FindingStatus::Declined(_) => "declined",
        },
        unverified: *unverified,
        reason: match status {
            FindingStatus::Suppressed(reason) | FindingStatus::Dismissed(reason) => Some(reason),
            FindingStatus::Open
            | FindingStatus::Claimed
            | FindingStatus::Fixed(_)
            | FindingStatus::OutOfScope
            | FindingStatus::Declined(_) => None,
        },
        evidence: None,
    }
}

/// Formats a time in RFC 3339. Returns `None` if the time is out of range.
pub(super) fn try_format_instant(instant: UnixMillis) -> Option<String> {
    jiff::Timestamp::from_millisecond(instant.0).ok().map(|instant| instant.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_rfc_3339() {
        assert_eq!(
            try_format_instant(UnixMillis(1_700_000_000_500)).as_deref(),
            Some("2023-11-14T22:13:20.5Z")
        );
        assert_eq!(try_format_instant(UnixMillis(i64::MAX)), None);
    }
}
