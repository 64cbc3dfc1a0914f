//! Converts the record of a run, of any loop, to an entry for reports.

use truing_core::converge;
use truing_core::id::{SlotKey, UnixMillis};
use truing_core::line::format_count;
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewOutcomeKind, ReviewRecord};
use truing_core::port::SlotDescription;
use truing_core::run::{LoopStep as _, RunDetail, RunOutcome, RunRecord, StepCost};
use truing_core::slot::LoopKind;
use truing_core::sync::record::{JobPullKind, SyncRecord};

/// A run that has ended.
#[derive(Clone, Debug)]
pub struct ReportedRun {
    /// The loop of the run.
    pub loop_kind: LoopKind,
    /// Id of the run.
    pub id: String,
    /// Key of the run's slot.
    pub slot_key: String,
    /// Readable name of the job, pull request or branch that the run was for.
    pub name: String,
    /// The end of the run.
    pub outcome: RunOutcome,
    /// The result as a single word; `None` for reviews.
    pub result: Option<String>,
    /// The reason for the run's end, in words. The text may be empty, may have several lines, and is
    /// untrusted.
    pub reason: String,
    /// For a sync run, the kind of update that the release required.
    pub update_type: Option<&'static str>,
    /// The package that a sync run followed.
    pub package: Option<String>,
    /// The release of the followed package that the project used before the run.
    pub previous_release: Option<String>,
    /// The release of the followed package to which the run tried to update the project.
    pub target_release: Option<String>,
    /// The last step that the run began.
    pub furthest_step: &'static str,
    /// Cost and duration of each step.
    pub steps: Vec<ReportedStep>,
    /// The cost of earlier runs whose end was never reported.
    pub carried_cost: MicroUsd,
    /// The model that was called.
    pub model: Option<String>,
    /// The digest of the model's prompt.
    pub prompt_hash: Option<String>,
    /// Kind of the pull request: `wip` or `final`; `None` without a pull request.
    pub pull_kind: Option<&'static str>,
    /// Address of the pull request.
    pub pull_url: Option<String>,
    /// Address of the question to people.
    pub question_url: Option<String>,
    /// Time at which the run began.
    pub started_at: UnixMillis,
    /// Time at which the run ended.
    pub ended_at: UnixMillis,
}

/// Cost and duration of a step.
pub type ReportedStep = StepCost<&'static str>;

/// Parses an address to which a report may link. Returns `None` if the scheme is neither `http` nor `https`.
pub(super) fn parse_web_url(address: &str) -> Option<url::Url> {
    url::Url::parse(address).ok().filter(|url| ["http", "https"].contains(&url.scheme()))
}

impl ReportedRun {
    /// Creates an entry with only the fields that the records of all loops contain.
    fn from_record<D: RunDetail>(loop_kind: LoopKind, record: &RunRecord<D>, name: &str) -> Self {
        Self {
            loop_kind,
            id: record.run.as_str().to_owned(),
            slot_key: record.key.as_str().to_owned(),
            name: name.to_owned(),
            // The query returns only runs that have ended.
            outcome: record.run_outcome().unwrap_or(RunOutcome::Deferred),
            result: record.result_word(),
            reason: record.reason().unwrap_or_default().to_owned(),
            update_type: None,
            package: None,
            previous_release: None,
            target_release: None,
            furthest_step: record.furthest_step().as_str(),
            steps: record.steps.iter().map(reported_step).collect(),
            carried_cost: record.carried_micro_usd,
            model: record.model.clone(),
            prompt_hash: record.prompt_hash.clone(),
            pull_kind: None,
            pull_url: None,
            question_url: None,
            started_at: record.started_at,
            ended_at: record.ended_at,
        }
    }

    /// Creates the entry of a sync run.
    pub fn from_sync(record: &SyncRecord) -> Self {
        let detail = &record.detail;
        Self {
            update_type: detail.verdict.map(truing_core::sync::SyncVerdict::as_str),
            package: Some(detail.package.clone()),
            previous_release: detail.current_release.clone(),
            target_release: detail.target_release.clone(),
            pull_kind: detail.pull.as_ref().map(|pull| match pull.kind {
                JobPullKind::Wip => "wip",
                JobPullKind::Final => "final",
            }),
            pull_url: detail.pull.as_ref().map(|pull| pull.url.clone()),
            question_url: detail.question_url.clone(),
            ..Self::from_record(LoopKind::Sync, record, &detail.job)
        }
    }

    /// Creates the entry of a review. The entry contains the name of the pull request, if it is known.
    pub fn from_review(record: &ReviewRecord, slot_description: Option<&SlotDescription>) -> Self {
        let name = slot_description.map_or(record.key.as_str(), |slot_description| &slot_description.name);
        let url = slot_description.map(|slot_description| slot_description.url.clone());
        Self { pull_url: url, ..Self::from_record(LoopKind::Review, record, name) }
    }

    /// Creates the entry of a converge run. The entry contains the URL of the pull request, if it is known.
    pub fn from_converge(
        record: &converge::record::ConvergeRecord,
        description: Option<&SlotDescription>,
    ) -> Self {
        let url = description.map(|description| description.url.clone());
        Self { pull_url: url, ..Self::from_record(LoopKind::Converge, record, &record.detail.name) }
    }

    /// Returns the origin of a review: `served` for a review by the service, `local` for a review on a user's
    /// machine. Returns `None` for other loops.
    pub fn origin(&self) -> Option<&'static str> {
        let origin = if self.slot_key.starts_with(SlotKey::LOCAL_PREFIX) { "local" } else { "served" };
        (self.loop_kind == LoopKind::Review).then_some(origin)
    }

    /// Returns the name of the run's outcome, in the terms of the run's loop.
    pub fn outcome_word(&self) -> &'static str {
        outcome_word(self.loop_kind, self.outcome)
    }

    /// Returns the duration in milliseconds.
    pub fn duration_ms(&self) -> u64 {
        u64::try_from(self.ended_at.0.saturating_sub(self.started_at.0)).unwrap_or(0)
    }

    /// Returns the number of model responses.
    pub fn turns(&self) -> u64 {
        self.steps.iter().map(|part| u64::from(part.turns)).sum()
    }

    /// Returns the number of input and output tokens.
    pub fn tokens(&self) -> u64 {
        self.steps.iter().map(|part| part.tokens).fold(0, u64::saturating_add)
    }

    /// Returns the cost in micro-dollars.
    pub fn cost_micro_usd(&self) -> u64 {
        self.steps.iter().map(|part| part.cost_micro_usd.0).fold(self.carried_cost.0, u64::saturating_add)
    }

    /// Returns the reason on one line.
    pub fn reason_line(&self) -> String {
        first_visible_line(&self.reason)
    }
}

fn reported_step<S: truing_core::run::LoopStep>(step: &StepCost<S>) -> ReportedStep {
    let StepCost {
        step: id,
        turns,
        tokens,
        cost_micro_usd,
        covered_micro_usd,
        duration_ms: ms,
        denied_tool_calls: denied,
    } = *step;
    ReportedStep {
        step: id.as_str(),
        turns,
        tokens,
        cost_micro_usd,
        covered_micro_usd,
        duration_ms: ms,
        denied_tool_calls: denied,
    }
}

/// Returns the first line of `reason` that is not blank. Control characters are replaced by spaces, because
/// they could change the state of a terminal.
pub fn first_visible_line(reason: &str) -> String {
    let line = reason.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// Returns the name of an outcome, in the terms of a loop.
pub fn outcome_word(loop_kind: LoopKind, outcome: RunOutcome) -> &'static str {
    match (loop_kind, outcome) {
        (LoopKind::Review, RunOutcome::Done) => ReviewOutcomeKind::Reviewed.as_str(),
        (LoopKind::Review | LoopKind::Sync | LoopKind::Converge, _) => outcome.as_str(),
    }
}

/// Renders a result, a step or a requested update in plain words: `found 3` becomes `found 3 findings`.
pub fn to_plain_words(word: &str) -> String {
    match word.strip_prefix("found ").filter(|count| count.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(count) => format!("found {}", format_count(count, "finding")),
        None => word.replace('_', " "),
    }
}
