//! The record of one run of a job. A record is written for every outcome. It contains only measured data, no
//! statements of an agent about its own work.

use serde::{Deserialize, Serialize};

use super::classify::ReleaseClassification;
use super::{PinChange, SyncVerdict, UnguardedPart};
use crate::run::{self, RunOutcome, RunRecord, StepCost};
use crate::slot::LoopKind;

/// The steps of a run, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncStep {
    /// Determine the newest release and the project's version range.
    Detect,
    /// Decide whether the release requires a change.
    Decide,
    /// Read the job's pull requests at the forge.
    #[serde(rename = "look")]
    ReadPulls,
    /// Make the change in the project's files.
    #[serde(rename = "change")]
    EditFiles,
    /// Run the project's own checks.
    Verify,
    /// Push the branch and open the pull request.
    Publish,
    /// Ask users a question.
    #[serde(rename = "ask")]
    AskUsers,
}

impl SyncStep {
    /// All steps, in order.
    pub const ALL: [Self; 7] = [
        Self::Detect,
        Self::Decide,
        Self::ReadPulls,
        Self::EditFiles,
        Self::Verify,
        Self::Publish,
        Self::AskUsers,
    ];
}

impl run::LoopStep for SyncStep {
    fn as_str(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Decide => "decide",
            Self::ReadPulls => "look",
            Self::EditFiles => "change",
            Self::Verify => "verify",
            Self::Publish => "publish",
            Self::AskUsers => "ask",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Detect => "find the newest release and the project's version range",
            Self::Decide => "decide what the release requires",
            Self::ReadPulls => "read the existing pull requests",
            Self::EditFiles => "make the change",
            Self::Verify => "run the project's checks",
            Self::Publish => "push the branch and write the pull request",
            Self::AskUsers => "ask a person",
        }
    }
}

/// The detailed outcome of a run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncOutcome {
    /// The project's version range already includes the newest release.
    UpToDate,
    /// A pull request already covers the release.
    #[serde(rename = "covered")]
    CoveredByPull,
    /// A user decided to skip this release.
    #[serde(rename = "left_out")]
    SkippedByUser,
    /// A pull request that widens the range is open.
    #[serde(rename = "relaxed")]
    RangeWidened,
    /// A pull request that ports the code is open.
    #[serde(rename = "bumped")]
    CodePorted,
    /// The unfinished work is saved in a draft pull request.
    #[serde(rename = "saved")]
    DraftSaved,
    /// A user has to answer a question.
    #[serde(rename = "asked")]
    QuestionAsked,
    /// Users work on the pull request, so the release waits for these users.
    #[serde(rename = "blocked")]
    WaitingForUsers,
    /// The run was skipped, because the circuit breaker is open.
    #[serde(rename = "breaker")]
    CircuitOpen,
    /// The run was a dry run and wrote nothing.
    #[serde(rename = "rehearsed")]
    DryRun,
    /// The run was postponed. Possible reasons: the kill switch is on, the budget is used up, or the
    /// requested release cannot be followed. Another possible reason: the result of a write is not known yet,
    /// because its response was lost.
    #[serde(rename = "held")]
    Postponed,
    /// The run could not be carried out.
    Failed,
}

impl SyncOutcome {
    /// Returns the name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "up_to_date",
            Self::CoveredByPull => "covered",
            Self::SkippedByUser => "left_out",
            Self::RangeWidened => "relaxed",
            Self::CodePorted => "bumped",
            Self::DraftSaved => "saved",
            Self::QuestionAsked => "asked",
            Self::WaitingForUsers => "blocked",
            Self::CircuitOpen => "breaker",
            Self::DryRun => "rehearsed",
            Self::Postponed => "held",
            Self::Failed => "failed",
        }
    }

    /// Converts the outcome to a `RunOutcome`, which all loops share.
    pub fn run_outcome(self) -> RunOutcome {
        match self {
            Self::RangeWidened | Self::CodePorted | Self::QuestionAsked | Self::DryRun => RunOutcome::Done,
            Self::DraftSaved => RunOutcome::Partial,
            Self::UpToDate
            | Self::CoveredByPull
            | Self::SkippedByUser
            | Self::WaitingForUsers
            | Self::CircuitOpen => RunOutcome::Skipped,
            Self::Postponed => RunOutcome::Deferred,
            Self::Failed => RunOutcome::Failed,
        }
    }
}

/// A pull request of the job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobPull {
    /// Kind of the pull request: final, or a draft with unfinished work.
    pub kind: JobPullKind,
    /// Address of the pull request's web page.
    pub url: String,
}

/// The kind of a job's pull request.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobPullKind {
    /// A draft with unfinished work.
    Wip,
    /// A final pull request, which people can merge.
    Final,
}

/// The evidence for a decision.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SyncEvidence {
    /// Reason in one sentence.
    pub reason: String,
    /// Pinned definitions that differ.
    #[serde(rename = "changed")]
    pub pin_changes: Vec<PinChange>,
    /// Unguarded parts of the release; at most the first [`MAX_UNGUARDED_PARTS`].
    #[serde(rename = "unguarded")]
    pub unguarded_parts: Vec<UnguardedPart>,
    /// Total number of unguarded parts.
    pub unguarded_count: usize,
    /// A model's classification of the changes in the unguarded parts; `None` if no model was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<ReleaseClassification>,
}

/// Maximum number of unguarded definitions in a record.
pub const MAX_UNGUARDED_PARTS: usize = 50;

/// The record of one run of a job.
pub type SyncRecord = RunRecord<SyncDetail>;

/// The fields of a run's record that are specific to job runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SyncDetail {
    /// Name of the job.
    pub job: String,
    pub result: SyncOutcome,
    /// Reason as text for users.
    pub exit_reason: String,
    /// Verdict on the release; `None` if the run ended before the decision.
    #[serde(rename = "update_type")]
    pub verdict: Option<SyncVerdict>,
    /// Name of the followed package.
    pub package: String,
    /// Release for which the project's code was written; `None` if it could not be determined.
    #[serde(rename = "from")]
    pub current_release: Option<String>,
    /// Release that the run tried; `None` if it could not be determined.
    #[serde(rename = "to")]
    pub target_release: Option<String>,
    /// Furthest step that the run reached; after a failure, the failed step.
    pub highest_step: SyncStep,
    /// The job's pull request at the end of the run; `None` if there is none.
    pub pull: Option<JobPull>,
    /// Address of the open question's web page; `None` if no question is open.
    #[serde(rename = "question")]
    pub question_url: Option<String>,
    /// Evidence for the decision.
    pub evidence: SyncEvidence,
}

impl run::RunDetail for SyncDetail {
    type Step = SyncStep;

    const LOOP: LoopKind = LoopKind::Sync;

    fn run_outcome(&self) -> Option<RunOutcome> {
        Some(self.result.run_outcome())
    }

    fn result_word(&self) -> Option<String> {
        Some(self.result.as_str().to_owned())
    }

    fn reason(&self) -> Option<&str> {
        Some(&self.exit_reason)
    }

    fn furthest_step(&self, _: &[StepCost<SyncStep>]) -> SyncStep {
        self.highest_step
    }
}
