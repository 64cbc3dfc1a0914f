//! Outcomes of reviews. Only the outcome `reviewed` sets a green status.

mod coverage;
mod tool_run;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

use crate::finding::Severity;
use crate::id::{Sha, UnixMillis};
use crate::increment::ReviewIncrement;
use crate::ledger::TokenUsage;
use crate::money::MicroUsd;
use crate::run::{self, RunOutcome, RunRecord, RunStage, StepCost};
use crate::slot::LoopKind;
use crate::suppression::UnusedSuppression;
use crate::tier::TierChoice;

pub use coverage::{CoverageGap, ReviewCoverage, SkipReason};
pub use tool_run::ToolRunResult;

/// Outcome of a review, as in the JSON of `truing review`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReviewOutcome {
    /// Kind of the outcome.
    pub kind: ReviewOutcomeKind,
    /// Reason for the outcome, for display; `None` if the kind alone explains the outcome.
    pub reason: Option<String>,
    /// Time of the next attempt. Set if the outcome is `deferred`, or if it is `partial` because the model's
    /// part waits for budget.
    #[serde(rename = "until")]
    pub next_attempt_at: Option<UnixMillis>,
    /// Runtime that computed the review.
    pub runtime: ReviewRuntime,
}

/// Reason that an interrupted review records. The review is deferred until a user runs it again.
pub const INTERRUPTED_REASON: &str = "interrupted";

/// The five kinds of outcome of a review.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewOutcomeKind {
    /// All files were reviewed, except those excluded by design.
    Reviewed,
    /// The review is incomplete: for example, some files were not reviewed, or a tool failed.
    Partial,
    /// There was nothing to review.
    Skipped,
    /// Postponed because the day's budget is used up.
    Deferred,
    /// The review could not be completed.
    Failed,
}

impl ReviewOutcomeKind {
    /// All kinds of outcome.
    pub const ALL: [Self; 5] = [Self::Reviewed, Self::Partial, Self::Skipped, Self::Deferred, Self::Failed];

    /// Converts the kind to a `RunOutcome`, which all loops share.
    pub fn run_outcome(self) -> RunOutcome {
        match self {
            Self::Reviewed => RunOutcome::Done,
            Self::Partial => RunOutcome::Partial,
            Self::Skipped => RunOutcome::Skipped,
            Self::Deferred => RunOutcome::Deferred,
            Self::Failed => RunOutcome::Failed,
        }
    }

    /// Returns the word used in JSON and text.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reviewed => "reviewed",
            Self::Partial => "partial",
            Self::Skipped => "skipped",
            Self::Deferred => "deferred",
            Self::Failed => "failed",
        }
    }
}

/// Runtime that performed a review.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewRuntime {
    /// Only rules. No model was called; the output reports this.
    Rules,
    /// Rules, and a model whose conversation Truing itself manages.
    Native,
    /// Rules, and a model whose conversation the `claude` program manages.
    Cli,
}

impl ReviewOutcome {
    /// Returns the outcome of a rules-only review with this coverage. The outcome is `skipped` if no file
    /// changed. The outcome is `partial` if the review omitted a changed file that is not excluded by design.
    /// Otherwise the outcome is `reviewed`, even if every changed file is excluded by design.
    pub fn from_rules_coverage(coverage: &ReviewCoverage) -> Self {
        let gaps = coverage.not_reviewed.iter().filter(|gap| !gap.reason.is_by_design()).count();
        let (kind, reason) = if coverage.reviewed.is_empty() && coverage.not_reviewed.is_empty() {
            (ReviewOutcomeKind::Skipped, Some("nothing to review: no changed files".to_owned()))
        } else if gaps == 1 {
            (ReviewOutcomeKind::Partial, Some("1 changed file was not reviewed".to_owned()))
        } else if gaps > 1 {
            (ReviewOutcomeKind::Partial, Some(format!("{gaps} changed files were not reviewed")))
        } else {
            (ReviewOutcomeKind::Reviewed, None)
        };
        Self { kind, reason, next_attempt_at: None, runtime: ReviewRuntime::Rules }
    }

    /// Returns the outcome of a review with a model. The outcome combines the rules' coverage with the status
    /// of the model's part. If there is nothing to review, the status has no effect.
    pub fn from_model_review(
        coverage: &ReviewCoverage,
        runtime: ReviewRuntime,
        model_status: ModelReviewStatus,
    ) -> Self {
        let rules = Self { runtime, ..Self::from_rules_coverage(coverage) };
        let joined = |model_reason: String| match &rules.reason {
            Some(reason) => format!("{model_reason}; {reason}"),
            None => model_reason,
        };
        match (rules.kind, model_status) {
            (ReviewOutcomeKind::Skipped, _) | (_, ModelReviewStatus::Complete) => rules,
            (_, ModelReviewStatus::Partial(why)) => {
                Self { kind: ReviewOutcomeKind::Partial, reason: Some(joined(why)), ..rules }
            }
            (_, ModelReviewStatus::Deferred { reason: why, until }) => {
                let reason = Some(format!("review skipped: {why}"));
                Self { kind: ReviewOutcomeKind::Deferred, reason, next_attempt_at: Some(until), ..rules }
            }
        }
    }

    /// Lowers the outcome to `partial` if a tool has failed.
    #[must_use]
    pub fn with_tool_results(self, tools: &[ToolRunResult]) -> Self {
        let failed =
            tools.iter().filter_map(|tool| Some(format!("{}: {}", tool.name, tool.failure_reason.as_ref()?)));
        let failed: Vec<String> = failed.collect();
        match self.kind {
            ReviewOutcomeKind::Reviewed | ReviewOutcomeKind::Skipped | ReviewOutcomeKind::Partial
                if !failed.is_empty() =>
            {
                let reason = failed.into_iter().chain(self.reason).collect::<Vec<_>>().join("; ");
                Self { kind: ReviewOutcomeKind::Partial, reason: Some(reason), ..self }
            }
            ReviewOutcomeKind::Reviewed
            | ReviewOutcomeKind::Skipped
            | ReviewOutcomeKind::Partial
            | ReviewOutcomeKind::Deferred
            | ReviewOutcomeKind::Failed => self,
        }
    }

    /// Lowers `reviewed` to `partial` if the open findings of earlier reviews could not be read. `read_error`
    /// is the reason why the findings could not be read.
    #[must_use]
    pub fn with_findings_read_error(self, read_error: Option<&str>) -> Self {
        match read_error.filter(|_| self.kind == ReviewOutcomeKind::Reviewed) {
            Some(why) => {
                let reason = format!("records: the findings of earlier reviews could not be read: {why}");
                Self { kind: ReviewOutcomeKind::Partial, reason: Some(reason), ..self }
            }
            None => self,
        }
    }
}

/// Status of the model's part of a review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ModelReviewStatus {
    /// The model reported all its findings.
    Complete,
    /// The model's report is incomplete, for this reason.
    Partial(String),
    /// The model's call is postponed, for example because a budget is used up.
    Deferred {
        /// Reason of the deferral, for display.
        reason: String,
        /// Earliest time for the call.
        until: UnixMillis,
    },
}

/// The model's part of a review, as input to the record ([`ReviewRecord::with_model_review`]).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ModelReview {
    /// Model that answered; empty if no model answered.
    pub model: String,
    /// Hash that identifies the text of the prompt.
    pub prompt_hash: String,
    /// Number of the model's answers.
    pub turns: u32,
    /// Cost of these answers.
    pub cost: MicroUsd,
    /// Part of this cost that a subscription covers.
    pub covered_cost: MicroUsd,
    /// Wall-clock time in milliseconds.
    pub duration_ms: u64,
    /// Further data for the record's detail.
    pub detail: ModelReviewDetail,
}

/// Data on the model's part of a review, apart from turns, cost and time.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ModelReviewDetail {
    /// Tokens that the provider counted.
    pub tokens: TokenUsage,
    /// Number of tool calls by the name of the tool.
    #[serde(default)]
    pub calls: BTreeMap<String, u32>,
    /// Number of denied tool calls by the name of the tool.
    #[serde(default)]
    pub denials: BTreeMap<String, u32>,
    /// Number of conversations by the reason for their end (`done`, `turns`, `spend_cap`, …).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[serde(rename = "ends")]
    pub conversation_ends: BTreeMap<String, u32>,
    /// Number of rejected findings by reason.
    #[serde(default)]
    #[serde(rename = "dropped")]
    pub rejected_findings: BTreeMap<String, u32>,
    /// MCP servers that failed or lacked an expected operation, each with its number of failures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[serde(rename = "servers_failed")]
    pub mcp_server_failures: BTreeMap<String, u32>,
    /// Memory and skills given to the model by the repository and the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ModelMemory>,
    /// Results of each specialist; empty if there was one reviewer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub specialists: Vec<SpecialistResult>,
    /// True if the answers were replayed from a cassette.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// Walkthrough of a complete report. Empty if the configuration requests no walkthrough, or if the model
    /// wrote no walkthrough.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub walkthrough: Vec<WalkthroughLine>,
}

/// One line of a walkthrough.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WalkthroughLine {
    /// Changed file that the line describes.
    pub path: RepoPath,
    /// A model's description of the change in this file, on one line.
    pub text: String,
}

/// Result of one of several specialists.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpecialistResult {
    /// Name of the specialist, with its layer as prefix.
    pub name: String,
    /// Number of the specialist's answers.
    pub turns: u32,
    /// Cost of these answers.
    pub cost_micro_usd: MicroUsd,
    /// Number of the specialist's accepted findings, before they were merged with the findings of the other
    /// specialists.
    #[serde(rename = "found")]
    pub accepted_findings: u32,
    /// Reason why the specialist's report is incomplete; `None` if the report is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "partial")]
    pub incomplete_reason: Option<String>,
}

/// Memory and skills that a model received from a repository and its operator.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ModelMemory {
    /// Hash that identifies the whole content.
    pub hash: String,
    /// Description of the repository's own content and of its source, for display; `None` if the repository
    /// has no such content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "own")]
    pub repository_content: Option<String>,
    /// Origin (file and line) of each instruction for the changed paths: `truing.toml:14`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instructions: Vec<String>,
    /// Notes for display on content that was omitted or truncated, and on links that were not followed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Record with which every review ends.
pub type ReviewRecord = RunRecord<ReviewDetail>;

/// Part of a run's record that exists only for reviews.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReviewDetail {
    /// Stage at which the review ended.
    pub stage: RunStage,
    /// Commit that was reviewed; `None` for a working tree.
    pub head: Option<Sha>,
    /// Commit with which the head was compared.
    pub base: Sha,
    pub outcome: ReviewOutcome,
    /// Number of open findings by severity, worst first.
    #[serde(rename = "open")]
    pub open_finding_counts: Vec<(Severity, u32)>,
    /// Changed files that were reviewed, and changed files that were not reviewed, with the reasons.
    pub coverage: ReviewCoverage,
    /// Spending limit at which the model stopped. Truing asks a person to raise this limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "asks")]
    pub reached_spending_limit: Option<MicroUsd>,
    /// Tier that was chosen for the review. `None` for a review without a pull request, and for a review by
    /// an older version of Truing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<TierChoice>,
    /// Changes since the last review; `None` if there was no earlier review, or if the commit of that review
    /// is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "since")]
    pub increment: Option<ReviewIncrement>,
    /// Changed files that configure reviews. This review still uses their content from before the change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "configuring")]
    pub changed_config_files: Vec<RepoPath>,
    /// Suppression comments on added lines that suppress nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "suppressions")]
    pub unused_suppressions: Vec<UnusedSuppression>,
    /// Patterns of `rules.ignore` that match no file of the repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "idle_ignores")]
    pub unused_ignore_patterns: Vec<String>,
    /// Data on the model's part; `None` if no model was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "modelled")]
    pub model_review: Option<ModelReviewDetail>,
    /// Tools whose findings the review includes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolRunResult>,
    /// Number of dismissals that no longer apply, because their records do not distinguish the dismissed
    /// lines from other lines.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outdated_dismissals: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl ReviewDetail {
    /// Returns the walkthrough of the change; empty if there is none.
    pub fn walkthrough(&self) -> &[WalkthroughLine] {
        self.model_review.as_ref().map_or(&[], |did| did.walkthrough.as_slice())
    }

    /// Creates the detail of a review of `head` against `base` that has not read any file yet.
    pub fn new(head: Option<Sha>, base: Sha, outcome: ReviewOutcome) -> Self {
        Self {
            stage: RunStage::Prepared,
            head,
            base,
            outcome,
            open_finding_counts: Vec::new(),
            coverage: ReviewCoverage::default(),
            reached_spending_limit: None,
            tier: None,
            increment: None,
            changed_config_files: Vec::new(),
            unused_suppressions: Vec::new(),
            unused_ignore_patterns: Vec::new(),
            model_review: None,
            tools: Vec::new(),
            outdated_dismissals: 0,
        }
    }
}

impl run::RunDetail for ReviewDetail {
    type Step = ReviewStep;

    const LOOP: LoopKind = LoopKind::Review;

    fn run_outcome(&self) -> Option<RunOutcome> {
        Some(self.outcome.kind.run_outcome())
    }

    fn outcome_word(end: RunOutcome) -> &'static str {
        match end {
            RunOutcome::Done => ReviewOutcomeKind::Reviewed.as_str(),
            RunOutcome::Partial | RunOutcome::Skipped | RunOutcome::Deferred | RunOutcome::Failed => {
                end.as_str()
            }
        }
    }

    fn result_word(&self) -> Option<String> {
        let is_interrupted = self.outcome.reason.as_deref() == Some(INTERRUPTED_REASON);
        (is_interrupted && self.outcome.kind == ReviewOutcomeKind::Deferred)
            .then(|| INTERRUPTED_REASON.to_owned())
    }

    fn reason(&self) -> Option<&str> {
        self.outcome.reason.as_deref()
    }

    fn furthest_step(&self, _: &[StepCost<ReviewStep>]) -> ReviewStep {
        match self.stage {
            RunStage::Prepared | RunStage::EndedUnpublished => ReviewStep::Prepared,
            RunStage::Computed => ReviewStep::Computed,
            RunStage::Published => ReviewStep::Published,
        }
    }
}

impl ReviewRecord {
    /// Adds the model's part as one step. The remaining time of the review becomes another step.
    #[must_use]
    pub fn with_model_review(mut self, model_review: Option<ModelReview>) -> Self {
        self.steps = Vec::new();
        if let Some(ModelReview { model, prompt_hash, turns, cost, covered_cost, duration_ms: ms, detail }) =
            model_review
        {
            let tokens = detail.tokens.total();
            self.model = Some(model).filter(|model| !model.is_empty());
            self.prompt_hash = Some(prompt_hash).filter(|hash| !hash.is_empty());
            self.detail.model_review = Some(detail);
            let id = ReviewStep::Model;
            self.steps.push(StepCost {
                step: id,
                turns,
                tokens,
                cost_micro_usd: cost,
                covered_micro_usd: covered_cost,
                duration_ms: ms,
                denied_tool_calls: 0,
            });
        }
        let now = self.ended_at;
        self.with_end_time(now)
    }

    /// Sets the end time. The duration of the step `Review` becomes the total duration minus the durations of
    /// the other steps.
    #[must_use]
    pub fn with_end_time(mut self, now: UnixMillis) -> Self {
        self.ended_at = now;
        let others = |step: &&StepCost<ReviewStep>| step.step != ReviewStep::Review;
        let others =
            self.steps.iter().filter(others).map(|step| step.duration_ms).fold(0, u64::saturating_add);
        let ms = self.duration_ms().saturating_sub(others);
        match self.steps.iter_mut().find(|step| step.step == ReviewStep::Review) {
            Some(step) => step.duration_ms = ms,
            None => self.steps.insert(0, StepCost { duration_ms: ms, ..StepCost::zero(ReviewStep::Review) }),
        }
        self
    }

    /// Removes the data and the cost of the model's part, because the record of another run contains them.
    #[must_use]
    pub fn without_model_review(mut self) -> Self {
        (self.model, self.prompt_hash, self.detail.model_review) = (None, None, None);
        self.with_model_review(None)
    }
}

/// Steps of a review, as they appear in its record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewStep {
    /// Head and base are known.
    Prepared,
    /// All work except the model's part.
    Review,
    /// The part that the model performs.
    #[serde(rename = "agent")]
    Model,
    /// The findings are recorded.
    Computed,
    /// The forge shows the findings.
    Published,
}

impl ReviewStep {
    /// All steps, in order.
    pub const ALL: [Self; 5] = [Self::Prepared, Self::Review, Self::Model, Self::Computed, Self::Published];
}

impl run::LoopStep for ReviewStep {
    fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Review => "review",
            Self::Model => "agent",
            Self::Computed => "computed",
            Self::Published => "published",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Prepared => "determine the head and the base",
            Self::Review => "read the change",
            Self::Model => "ask the model",
            Self::Computed => "record the findings",
            Self::Published => "show the review",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreviewed_file(reason: SkipReason) -> CoverageGap {
        CoverageGap { path: RepoPath::from("x"), reason }
    }

    #[test]
    fn nothing_changed_is_skipped_and_never_green_by_accident() {
        assert_eq!(
            ReviewOutcome::from_rules_coverage(&ReviewCoverage::default()).kind,
            ReviewOutcomeKind::Skipped
        );
    }

    #[test]
    fn only_gaps_that_are_not_by_design_make_it_partial() {
        let binary = ReviewCoverage {
            reviewed: vec![],
            not_reviewed: vec![unreviewed_file(SkipReason::Binary)],
            ..ReviewCoverage::default()
        };
        assert_eq!(ReviewOutcome::from_rules_coverage(&binary).kind, ReviewOutcomeKind::Reviewed);
        let large = ReviewCoverage {
            reviewed: vec!["a".into()],
            not_reviewed: vec![unreviewed_file(SkipReason::TooLarge)],
            ..ReviewCoverage::default()
        };
        assert_eq!(ReviewOutcome::from_rules_coverage(&large).kind, ReviewOutcomeKind::Partial);
    }

    #[test]
    fn with_a_model_only_its_whole_report_is_green() {
        let all =
            ReviewCoverage { reviewed: vec!["a".into()], not_reviewed: vec![], ..ReviewCoverage::default() };
        let whole =
            ReviewOutcome::from_model_review(&all, ReviewRuntime::Native, ModelReviewStatus::Complete);
        assert_eq!((whole.kind, whole.runtime), (ReviewOutcomeKind::Reviewed, ReviewRuntime::Native));
        let cut = || ModelReviewStatus::Partial("turn limit".into());
        assert_eq!(
            ReviewOutcome::from_model_review(&all, ReviewRuntime::Native, cut()).kind,
            ReviewOutcomeKind::Partial
        );
        let gap = ReviewCoverage { not_reviewed: vec![unreviewed_file(SkipReason::NotShown)], ..all };
        assert_eq!(
            ReviewOutcome::from_model_review(&gap, ReviewRuntime::Native, ModelReviewStatus::Complete).kind,
            ReviewOutcomeKind::Partial
        );
        let both = ReviewOutcome::from_model_review(&gap, ReviewRuntime::Native, cut()).reason.unwrap();
        assert_eq!(both, "turn limit; 1 changed file was not reviewed");
        let later = ModelReviewStatus::Deferred { reason: "daily budget".into(), until: UnixMillis(7) };
        let later = ReviewOutcome::from_model_review(&gap, ReviewRuntime::Native, later);
        assert_eq!((later.kind, later.next_attempt_at), (ReviewOutcomeKind::Deferred, Some(UnixMillis(7))));
        let nothing =
            ReviewOutcome::from_model_review(&ReviewCoverage::default(), ReviewRuntime::Native, cut());
        assert_eq!(nothing.kind, ReviewOutcomeKind::Skipped, "no model is called for nothing");
    }
}
