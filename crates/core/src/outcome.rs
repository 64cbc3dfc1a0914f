//! How a run ended. Only `reviewed` is green (design.md section 7).

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
use crate::suppression::IdleSuppression;
use crate::tier::TierChoice;

pub use coverage::{ReviewCoverage, SkipReason, UnreviewedFile};
pub use tool_run::ToolRun;

/// What a review came to. The JSON of `truing review` (cli.md) is this, with the runtime.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReviewOutcome {
    /// One of the five ends.
    pub kind: OutcomeKind,
    /// Why, in words for people; none where the kind says it all.
    pub reason: Option<String>,
    /// The time at which it is tried again: of `deferred`, and of `partial` where a model waits for money.
    pub until: Option<UnixMillis>,
    /// What computed it.
    pub runtime: ReviewRuntime,
}

/// The reason of a review that was told to stop: it is deferred, to whoever runs it again.
pub const INTERRUPTED: &str = "interrupted";

/// The five ends of a review.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    /// Everything that is not excluded by design was reviewed.
    Reviewed,
    /// Something that should have been reviewed was not.
    Partial,
    /// There was nothing to review.
    Skipped,
    /// Not now: the day's budget is used up.
    Deferred,
    /// It could not be done.
    Failed,
}

impl OutcomeKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Reviewed, Self::Partial, Self::Skipped, Self::Deferred, Self::Failed];

    /// The end, as every loop has it.
    pub fn end(self) -> RunOutcome {
        match self {
            Self::Reviewed => RunOutcome::Done,
            Self::Partial => RunOutcome::Partial,
            Self::Skipped => RunOutcome::Skipped,
            Self::Deferred => RunOutcome::Deferred,
            Self::Failed => RunOutcome::Failed,
        }
    }

    /// The word used in JSON and text.
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

/// Who did the reading.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewRuntime {
    /// The rules alone: no model was called, and the output says so.
    Rules,
    /// The rules, and a model in our own loop of tools.
    Native,
    /// The rules, and a model whose conversation the `claude` program holds.
    Cli,
}

impl ReviewOutcome {
    /// The outcome of a rules-only review with this coverage.
    /// Nothing changed at all: `skipped`. A gap that is not by design: `partial`. Else `reviewed`, also when
    /// every changed file is excluded by design, because then nothing that should be read was left out.
    pub fn of_rules(coverage: &ReviewCoverage) -> Self {
        let gaps = coverage.not_reviewed.iter().filter(|gap| !gap.reason.by_design()).count();
        let (kind, reason) = if coverage.reviewed.is_empty() && coverage.not_reviewed.is_empty() {
            (OutcomeKind::Skipped, Some("nothing to review: no changed files".to_owned()))
        } else if gaps == 1 {
            (OutcomeKind::Partial, Some("1 changed file was not reviewed".to_owned()))
        } else if gaps > 1 {
            (OutcomeKind::Partial, Some(format!("{gaps} changed files were not reviewed")))
        } else {
            (OutcomeKind::Reviewed, None)
        };
        Self { kind, reason, until: None, runtime: ReviewRuntime::Rules }
    }

    /// The outcome of a review with a model, by what the rules' outcome would be and how the model's part ended. Where
    /// there is nothing to review no model is called.
    pub fn of_model(coverage: &ReviewCoverage, runtime: ReviewRuntime, part: ModelReviewStatus) -> Self {
        let rules = Self { runtime, ..Self::of_rules(coverage) };
        let joined = |more: String| match &rules.reason {
            Some(reason) => format!("{more}; {reason}"),
            None => more,
        };
        match (rules.kind, part) {
            (OutcomeKind::Skipped, _) | (_, ModelReviewStatus::Whole) => rules,
            (_, ModelReviewStatus::Partial(why)) => {
                Self { kind: OutcomeKind::Partial, reason: Some(joined(why)), ..rules }
            }
            (_, ModelReviewStatus::Deferred { why, until }) => {
                let reason = Some(format!("review skipped: {why}"));
                Self { kind: OutcomeKind::Deferred, reason, until: Some(until), ..rules }
            }
        }
    }

    /// A review is not whole if a tool has failed.
    #[must_use]
    pub fn without_tools(self, tools: &[ToolRun]) -> Self {
        let failed =
            tools.iter().filter_map(|tool| Some(format!("{}: {}", tool.name, tool.failed.as_ref()?)));
        let failed: Vec<String> = failed.collect();
        match self.kind {
            OutcomeKind::Reviewed | OutcomeKind::Skipped | OutcomeKind::Partial if !failed.is_empty() => {
                let reason = failed.into_iter().chain(self.reason).collect::<Vec<_>>().join("; ");
                Self { kind: OutcomeKind::Partial, reason: Some(reason), ..self }
            }
            OutcomeKind::Reviewed
            | OutcomeKind::Skipped
            | OutcomeKind::Partial
            | OutcomeKind::Deferred
            | OutcomeKind::Failed => self,
        }
    }

    /// Nor is a review whole if nobody knows what earlier ones left open, for this reason.
    #[must_use]
    pub fn without_earlier(self, unread: Option<&str>) -> Self {
        match unread.filter(|_| self.kind == OutcomeKind::Reviewed) {
            Some(why) => {
                let reason = format!("records: the findings of earlier reviews could not be read: {why}");
                Self { kind: OutcomeKind::Partial, reason: Some(reason), ..self }
            }
            None => self,
        }
    }
}

/// How the model's part of a review ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ModelReviewStatus {
    /// It has reported all it found.
    Whole,
    /// It has not: why, for people.
    Partial(String),
    /// It was not asked at all, by policy.
    Deferred {
        /// Why, for people.
        why: String,
        /// When it may be.
        until: UnixMillis,
    },
}

/// The model's part of a review, as the record takes it ([`ReviewRecord::asked`]).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ModelReview {
    /// The model that answered; empty if none did.
    pub model: String,
    /// Names the prompt: the hash of its text.
    pub prompt_hash: String,
    /// Its answers.
    pub turns: u32,
    /// Their price.
    pub cost: MicroUsd,
    /// Wall clock, in milliseconds.
    pub ms: u64,
    /// More of it, for the detail.
    pub did: ModelReviewDetail,
}

/// A model's part of a review, besides turns, cost and time.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ModelReviewDetail {
    /// What the provider counted.
    pub tokens: TokenUsage,
    /// Tools that it called, each with how often.
    #[serde(default)]
    pub calls: BTreeMap<String, u32>,
    /// Calls of what it may not call, each with how often.
    #[serde(default)]
    pub denials: BTreeMap<String, u32>,
    /// The ends of its conversations, by word (`done`, `turns`, `spend_cap`, …), each with how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ends: BTreeMap<String, u32>,
    /// Findings of it that were not believed, by reason.
    #[serde(default)]
    pub dropped: BTreeMap<String, u32>,
    /// MCP servers that failed, or did not offer what they should, each with how often.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub servers_failed: BTreeMap<String, u32>,
    /// What the repository and the operator told it besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ModelMemory>,
    /// What each of several reviewers did; none: there was one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub specialists: Vec<SpecialistRun>,
    /// Its answers came from a cassette.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
    /// The walkthrough of a whole report; empty: the configuration asks for none, or there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub walkthrough: Vec<WalkthroughLine>,
}

/// A line of a walkthrough.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WalkthroughLine {
    /// A file of the change.
    pub path: RepoPath,
    /// A model's words on what the change does there, on one line.
    pub text: String,
}

/// What one of several reviewers of a change did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpecialistRun {
    /// Its name, with its layer's in front.
    pub name: String,
    /// Its answers.
    pub turns: u32,
    /// What they cost.
    pub cost_micro_usd: MicroUsd,
    /// Findings of it that were believed, before they were put together with those of the others.
    pub found: u32,
    /// Why it has not reported all, for people; none: it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
}

/// What a model was told by a repository and its operator: memory and skills.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ModelMemory {
    /// Names all of it: the hash of its content.
    pub hash: String,
    /// What the repository itself brought, and from where, for people; none: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<String>,
    /// The places of the instructions for the paths of the change: `truing.toml:14`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instructions: Vec<String>,
    /// What of it was left out, cut or not followed, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// The record that every review ends in.
pub type ReviewRecord = RunRecord<ReviewDetail>;

/// The part of a run's record that only reviews have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReviewDetail {
    /// The stage at which it ended.
    pub stage: RunStage,
    /// The commit that was reviewed; none for a working tree.
    pub head: Option<Sha>,
    /// The commit it was compared with.
    pub base: Sha,
    /// How it ended.
    pub outcome: ReviewOutcome,
    /// Open findings by severity, worst first.
    pub open: Vec<(Severity, u32)>,
    /// The files that were read, and those that were not.
    pub coverage: ReviewCoverage,
    /// The limit at which its model stopped, and a person is asked for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asks: Option<MicroUsd>,
    /// The tier that was chosen for it; none: of a review without a pull request, or of an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<TierChoice>,
    /// What came since the review before, if there was one and its commit is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<ReviewIncrement>,
    /// Files of the change that configure reviews, and do not count for this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configuring: Vec<RepoPath>,
    /// Comments on added lines that suppress nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suppressions: Vec<IdleSuppression>,
    /// Patterns of `rules.ignore` that match no file of the repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle_ignores: Vec<String>,
    /// What a model did; none: none was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modelled: Option<ModelReviewDetail>,
    /// Tools whose findings are part of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolRun>,
    /// Dismissals that count no longer, since their records do not distinguish the lines they were said of from others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outdated_dismissals: u32,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl ReviewDetail {
    /// The walkthrough of the change; empty: there is none.
    pub fn walkthrough(&self) -> &[WalkthroughLine] {
        self.modelled.as_ref().map_or(&[], |did| did.walkthrough.as_slice())
    }

    /// A review of this head, compared with this base, that has read nothing.
    pub fn new(head: Option<Sha>, base: Sha, outcome: ReviewOutcome) -> Self {
        Self {
            stage: RunStage::Prepared,
            head,
            base,
            outcome,
            open: Vec::new(),
            coverage: ReviewCoverage::default(),
            asks: None,
            tier: None,
            since: None,
            configuring: Vec::new(),
            suppressions: Vec::new(),
            idle_ignores: Vec::new(),
            modelled: None,
            tools: Vec::new(),
            outdated_dismissals: 0,
        }
    }
}

impl run::RunDetail for ReviewDetail {
    type Step = ReviewStep;

    const LOOP: LoopKind = LoopKind::Review;

    fn end(&self) -> Option<RunOutcome> {
        Some(self.outcome.kind.end())
    }

    fn word(end: RunOutcome) -> &'static str {
        match end {
            RunOutcome::Done => OutcomeKind::Reviewed.as_str(),
            RunOutcome::Partial | RunOutcome::Skipped | RunOutcome::Deferred | RunOutcome::Failed => {
                end.as_str()
            }
        }
    }

    fn result(&self) -> Option<String> {
        let is_interrupted = self.outcome.reason.as_deref() == Some(INTERRUPTED);
        (is_interrupted && self.outcome.kind == OutcomeKind::Deferred).then(|| INTERRUPTED.to_owned())
    }

    fn reason(&self) -> Option<&str> {
        self.outcome.reason.as_deref()
    }

    fn furthest(&self, _: &[StepCost<ReviewStep>]) -> ReviewStep {
        match self.stage {
            RunStage::Prepared | RunStage::Ended => ReviewStep::Prepared,
            RunStage::Computed => ReviewStep::Computed,
            RunStage::Published => ReviewStep::Published,
        }
    }
}

impl ReviewRecord {
    /// With what a model was asked. Its part is one step; the rest of the review's time is another.
    #[must_use]
    pub fn asked(mut self, asked: Option<ModelReview>) -> Self {
        self.steps = Vec::new();
        if let Some(ModelReview { model, prompt_hash, turns, cost, ms, did }) = asked {
            let tokens = did.tokens.all();
            self.model = Some(model).filter(|model| !model.is_empty());
            self.prompt_hash = Some(prompt_hash).filter(|hash| !hash.is_empty());
            self.detail.modelled = Some(did);
            let id = ReviewStep::Agent;
            self.steps.push(StepCost { id, turns, tokens, cost_micro_usd: cost, ms, denied: 0 });
        }
        let now = self.ended;
        self.ended_at(now)
    }

    /// It, as it has ended at that time.
    #[must_use]
    pub fn ended_at(mut self, now: UnixMillis) -> Self {
        self.ended = now;
        let others = |step: &&StepCost<ReviewStep>| step.id != ReviewStep::Review;
        let others = self.steps.iter().filter(others).map(|step| step.ms).fold(0, u64::saturating_add);
        let ms = self.ms().saturating_sub(others);
        match self.steps.iter_mut().find(|step| step.id == ReviewStep::Review) {
            Some(step) => step.ms = ms,
            None => self.steps.insert(0, StepCost { ms, ..StepCost::zero(ReviewStep::Review) }),
        }
        self
    }

    /// It without its cost, which another run's record has.
    #[must_use]
    pub fn without_cost(mut self) -> Self {
        (self.model, self.prompt_hash, self.detail.modelled) = (None, None, None);
        self.asked(None)
    }
}

/// The steps of a review.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReviewStep {
    /// Head and base are known.
    Prepared,
    /// All of it but the model's part.
    Review,
    /// The model's part.
    Agent,
    /// Findings are recorded.
    Computed,
    /// The forge shows them.
    Published,
}

impl ReviewStep {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Prepared, Self::Review, Self::Agent, Self::Computed, Self::Published];
}

impl run::LoopStep for ReviewStep {
    fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Review => "review",
            Self::Agent => "agent",
            Self::Computed => "computed",
            Self::Published => "published",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Prepared => "head and base are known",
            Self::Review => "read the change",
            Self::Agent => "ask the model",
            Self::Computed => "findings are recorded",
            Self::Published => "the review is shown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(reason: SkipReason) -> UnreviewedFile {
        UnreviewedFile { path: RepoPath::from("x"), reason }
    }

    #[test]
    fn nothing_changed_is_skipped_and_never_green_by_accident() {
        assert_eq!(ReviewOutcome::of_rules(&ReviewCoverage::default()).kind, OutcomeKind::Skipped);
    }

    #[test]
    fn only_gaps_that_are_not_by_design_make_it_partial() {
        let binary = ReviewCoverage { reviewed: vec![], not_reviewed: vec![gap(SkipReason::Binary)] };
        assert_eq!(ReviewOutcome::of_rules(&binary).kind, OutcomeKind::Reviewed);
        let large =
            ReviewCoverage { reviewed: vec!["a".into()], not_reviewed: vec![gap(SkipReason::TooLarge)] };
        assert_eq!(ReviewOutcome::of_rules(&large).kind, OutcomeKind::Partial);
    }

    #[test]
    fn with_a_model_only_its_whole_report_is_green() {
        let all = ReviewCoverage { reviewed: vec!["a".into()], not_reviewed: vec![] };
        let whole = ReviewOutcome::of_model(&all, ReviewRuntime::Native, ModelReviewStatus::Whole);
        assert_eq!((whole.kind, whole.runtime), (OutcomeKind::Reviewed, ReviewRuntime::Native));
        let cut = || ModelReviewStatus::Partial("turn limit".into());
        assert_eq!(ReviewOutcome::of_model(&all, ReviewRuntime::Native, cut()).kind, OutcomeKind::Partial);
        let gap = ReviewCoverage { not_reviewed: vec![gap(SkipReason::NotShown)], ..all };
        assert_eq!(
            ReviewOutcome::of_model(&gap, ReviewRuntime::Native, ModelReviewStatus::Whole).kind,
            OutcomeKind::Partial
        );
        let both = ReviewOutcome::of_model(&gap, ReviewRuntime::Native, cut()).reason.unwrap();
        assert_eq!(both, "turn limit; 1 changed file was not reviewed");
        let later = ModelReviewStatus::Deferred { why: "daily budget".into(), until: UnixMillis(7) };
        let later = ReviewOutcome::of_model(&gap, ReviewRuntime::Native, later);
        assert_eq!((later.kind, later.until), (OutcomeKind::Deferred, Some(UnixMillis(7))));
        let nothing = ReviewOutcome::of_model(&ReviewCoverage::default(), ReviewRuntime::Native, cut());
        assert_eq!(nothing.kind, OutcomeKind::Skipped, "no model is called for nothing");
    }
}
