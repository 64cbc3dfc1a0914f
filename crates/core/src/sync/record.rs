//! What one run of a job came to: its outcome record (cli.md, "Prompts, reports, health"; spec/sync.md A.6). It is
//! written whatever happened, by the server, and says nothing that an agent said of itself.

use serde::{Deserialize, Serialize};

use super::classify::ReleaseClassification;
use super::{PinChange, SyncVerdict, UnguardedPart};
use crate::run::{self, RunOutcome, RunRecord, StepCost};
use crate::slot::LoopKind;

/// The steps of a run, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncStep {
    /// Which release there is, and what the project admits.
    Detect,
    /// What the release asks for.
    Decide,
    /// What stands at the forge.
    Look,
    /// The change itself.
    Change,
    /// The project's own checks.
    Verify,
    /// Branch and pull request.
    Publish,
    /// The question to people.
    Ask,
}

impl SyncStep {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::Detect, Self::Decide, Self::Look, Self::Change, Self::Verify, Self::Publish, Self::Ask];
}

impl run::LoopStep for SyncStep {
    fn as_str(self) -> &'static str {
        match self {
            Self::Detect => "detect",
            Self::Decide => "decide",
            Self::Look => "look",
            Self::Change => "change",
            Self::Verify => "verify",
            Self::Publish => "publish",
            Self::Ask => "ask",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Detect => "find the newest release and the range",
            Self::Decide => "decide what the release asks for",
            Self::Look => "look at the pull requests there are",
            Self::Change => "make the change",
            Self::Verify => "run the project's checks",
            Self::Publish => "push the branch and write the pull request",
            Self::Ask => "ask a person",
        }
    }
}

/// What it came to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SyncOutcome {
    /// The newest release is in the range already.
    UpToDate,
    /// A pull request has it already.
    Covered,
    /// A person ruled that this release is left out.
    LeftOut,
    /// A pull request widens the range.
    Relaxed,
    /// A pull request ports the code.
    Bumped,
    /// A draft holds what is done so far.
    Saved,
    /// A person is asked.
    Asked,
    /// People are at work on the pull request: the release waits for them.
    Blocked,
    /// The circuit breaker is open.
    Breaker,
    /// A dry run: nothing was written.
    Rehearsed,
    /// The kill switch is on, the money is used up, the forge may still come to show a write whose answer was lost, or
    /// somebody named a release that cannot be followed.
    Held,
    /// It could not be done.
    Failed,
}

impl SyncOutcome {
    /// Its name in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UpToDate => "up_to_date",
            Self::Covered => "covered",
            Self::LeftOut => "left_out",
            Self::Relaxed => "relaxed",
            Self::Bumped => "bumped",
            Self::Saved => "saved",
            Self::Asked => "asked",
            Self::Blocked => "blocked",
            Self::Breaker => "breaker",
            Self::Rehearsed => "rehearsed",
            Self::Held => "held",
            Self::Failed => "failed",
        }
    }

    /// Which of the five ends that is.
    pub fn end(self) -> RunOutcome {
        match self {
            Self::Relaxed | Self::Bumped | Self::Asked | Self::Rehearsed => RunOutcome::Done,
            Self::Saved => RunOutcome::Partial,
            Self::UpToDate | Self::Covered | Self::LeftOut | Self::Blocked | Self::Breaker => {
                RunOutcome::Skipped
            }
            Self::Held => RunOutcome::Deferred,
            Self::Failed => RunOutcome::Failed,
        }
    }
}

/// A pull request of the job.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobPull {
    /// For people to merge, or in progress.
    pub kind: JobPullKind,
    /// Its page.
    pub url: String,
}

/// What a pull request of a job is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobPullKind {
    /// In progress, a draft.
    Wip,
    /// For people to merge.
    Final,
}

/// What the decision rests on.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SyncEvidence {
    /// In one sentence.
    pub reason: String,
    /// Pinned definitions that differ.
    pub changed: Vec<PinChange>,
    /// What the manifest does not see; the first [`MAX_UNGUARDED`].
    pub unguarded: Vec<UnguardedPart>,
    /// How many there are of these.
    pub unguarded_count: usize,
    /// What a model said of them, if one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classification: Option<ReleaseClassification>,
}

/// So many definitions that nobody guards are kept in a record.
pub const MAX_UNGUARDED: usize = 50;

/// One run of a job.
pub type SyncRecord = RunRecord<SyncDetail>;

/// The part of a run's record that only runs of jobs have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SyncDetail {
    /// The job.
    pub job: String,
    /// The result.
    pub result: SyncOutcome,
    /// Why, in words for people.
    pub exit_reason: String,
    /// What the release asked for, if that was decided.
    pub update_type: Option<SyncVerdict>,
    /// The package.
    pub package: String,
    /// The release that the project was made for, if that is known.
    pub from: Option<String>,
    /// The release that was tried, if that is known.
    pub to: Option<String>,
    /// The step that it came to: where it failed, if it did.
    pub highest_step: SyncStep,
    /// The pull request that it ended with.
    pub pull: Option<JobPull>,
    /// The question's page, if one is open.
    pub question: Option<String>,
    /// What the decision rests on.
    pub evidence: SyncEvidence,
}

impl run::RunDetail for SyncDetail {
    type Step = SyncStep;

    const LOOP: LoopKind = LoopKind::Sync;

    fn end(&self) -> Option<RunOutcome> {
        Some(self.result.end())
    }

    fn result(&self) -> Option<String> {
        Some(self.result.as_str().to_owned())
    }

    fn reason(&self) -> Option<&str> {
        Some(&self.exit_reason)
    }

    fn furthest(&self, _: &[StepCost<SyncStep>]) -> SyncStep {
        self.highest_step
    }
}
