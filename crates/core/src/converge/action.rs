//! The actions of a converge run, and the events that report their results.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{AuditorFinding, ConvergeExit};
use crate::id::{FindingId, Sha};
use crate::identity::PlacedFinding;
use crate::increment::FileRenames;
use crate::outcome::ReviewCoverage;
use crate::run;

/// The next action of a converge run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "act")]
pub enum ConvergeAction {
    /// Run the gate on the head.
    Gate,
    /// Let a fixer resolve the problems that the gate reports on the head.
    Mend {
        /// Output of the gate.
        output: String,
    },
    /// Let fresh auditors audit the whole change.
    Audit {
        /// Indices of the auditors.
        auditors: BTreeSet<u32>,
        /// Number of the attempt, from 1.
        attempt: u32,
    },
    /// Post the findings of the audit.
    Post,
    /// Let a fresh fixer fix the findings.
    Fix {
        /// Problems of the current fix; empty if no fix exists yet.
        problems: Vec<FixProblem>,
    },
    /// Check the fix with the gate, the checks, the tests, and an audit of the fix alone.
    Check,
    /// Commit the fix if the repository's hooks allow it, and push it.
    Publish,
    /// Reply to the findings.
    Reply,
}

/// The kinds of actions, in the order in which a loop performs them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvergeStep {
    Gate,
    Mend,
    Audit,
    Post,
    Fix,
    Check,
    Publish,
    Reply,
    /// The description of the pull request is written. This step has no [`ConvergeAction`], because no other
    /// step depends on it.
    Describe,
}

impl ConvergeAction {
    pub fn step(&self) -> ConvergeStep {
        match self {
            Self::Gate => ConvergeStep::Gate,
            Self::Mend { .. } => ConvergeStep::Mend,
            Self::Audit { .. } => ConvergeStep::Audit,
            Self::Post => ConvergeStep::Post,
            Self::Fix { .. } => ConvergeStep::Fix,
            Self::Check => ConvergeStep::Check,
            Self::Publish => ConvergeStep::Publish,
            Self::Reply => ConvergeStep::Reply,
        }
    }

    /// Returns true if the action calls models.
    pub fn needs_models(&self) -> bool {
        match self {
            Self::Mend { .. } | Self::Audit { .. } | Self::Fix { .. } => true,
            // `Check` also calls a model to audit the fix, but this call counts as part of the action `Fix`.
            Self::Gate | Self::Post | Self::Check | Self::Publish | Self::Reply => false,
        }
    }

    /// Returns the step's name in records.
    pub fn as_str(&self) -> &'static str {
        run::LoopStep::as_str(self.step())
    }
}

impl ConvergeStep {
    /// All steps, in order.
    pub const ALL: [Self; 9] = [
        Self::Gate,
        Self::Mend,
        Self::Audit,
        Self::Post,
        Self::Fix,
        Self::Check,
        Self::Publish,
        Self::Reply,
        Self::Describe,
    ];
}

impl run::LoopStep for ConvergeStep {
    fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Mend => "mend",
            Self::Audit => "audit",
            Self::Post => "post",
            Self::Fix => "fix",
            Self::Check => "check",
            Self::Publish => "publish",
            Self::Reply => "reply",
            Self::Describe => "describe",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Gate => "run the gate",
            Self::Mend => "fix the problems that the gate reports",
            Self::Audit => "audit the whole change",
            Self::Post => "show the findings",
            Self::Fix => "fix the findings",
            Self::Check => "check the fix",
            Self::Publish => "push the fix",
            Self::Reply => "reply to the findings",
            Self::Describe => "describe the change",
        }
    }
}

/// A problem that a check found in a fix.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FixProblem {
    pub kind: FixProblemKind,
    /// Description of the problem, for the fixer.
    pub text: String,
}

/// The kinds of problems of a fix, worst first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixProblemKind {
    /// The fix deletes or weakens a test, and is discarded.
    Test,
    /// A check fails that passed without the fix.
    Check,
    /// A hook of the repository blocks the commit.
    Hook,
    /// The gate blocks the fix.
    Gate,
    /// The audit of the fix found a defect.
    Finding,
    /// The fix does not change the behaviour of the code, and is discarded.
    Unchanged,
}

/// The result of one auditor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuditorAnswer {
    /// A valid answer, with the findings.
    Complete(Vec<AuditorFinding>),
    /// No valid answer, with the reason: the auditor failed, timed out or broke the contract.
    NoAnswer(String),
}

/// A fixer's verdict on a finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "word", content = "why")]
pub enum FixerVerdict {
    Fixed,
    /// The fixer did not fix the finding, for this reason.
    Declined(String),
}

/// A fix that is committed and not yet pushed, so no user can see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FixCandidate {
    pub commit: Sha,
    /// Tree of the commit.
    pub tree: Sha,
}

/// The result of an action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConvergeEvent {
    /// The gate has run. The value is the output with which the gate blocks, or `None` if the gate does not
    /// block.
    GateFinished(Option<String>),
    /// A fixer has handled the gate's output. The value is the fix, or `None` if the fixer made no fix.
    GateFixFinished(Option<FixCandidate>),
    /// The auditors have finished.
    AuditFinished {
        /// Answer of each auditor, by the auditor's index.
        answers: BTreeMap<u32, AuditorAnswer>,
        /// Findings whose lines still exist at the head although a fixer declined them or reported them as
        /// fixed. Each finding has its present location.
        standing_findings: BTreeMap<FindingId, PlacedFinding>,
        /// Files of the change that were read, and files that could not be read.
        coverage: ReviewCoverage,
        /// Earlier names of files.
        renames: FileRenames,
    },
    /// The findings have been posted.
    FindingsPosted,
    /// A fixer has finished.
    FixFinished {
        /// Verdict of the fixer on each finding. A finding without an entry was not mentioned.
        verdicts: BTreeMap<FindingId, FixerVerdict>,
        /// The fix, or `None` if the fixer left the head unchanged.
        candidate: Option<FixCandidate>,
    },
    /// A fixer gave no report, for this reason: it failed, timed out or broke the contract.
    FixerSilent(String),
    /// The fix has been checked. The list contains its problems.
    FixChecked(Vec<FixProblem>),
    /// The fix has been pushed to the branch.
    FixPushed,
    /// A hook blocks the commit of the fix with this output.
    HookBlocked(String),
    /// The replies to the findings have been posted.
    RepliesPosted,
    /// The branch has a head that this run does not know. This event is possible at any time.
    HeadChanged {
        head: Sha,
        /// Tree of the head.
        tree: Sha,
    },
    /// The forge has merged the base into the branch at our request. This event is possible at any time.
    BaseMerged {
        head: Sha,
        /// Tree of the head.
        tree: Sha,
    },
    /// Other reviewers have reported findings at the head. This event is possible only while no action is in
    /// progress.
    FeedbackReceived {
        /// Findings that result from the feedback of the other reviewers.
        findings: Vec<AuditorFinding>,
        /// Earlier names of files.
        renames: FileRenames,
    },
    /// The run ends with this exit. This event is possible at any time.
    RunEnded(ConvergeExit),
}
