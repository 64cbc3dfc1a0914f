//! The acts of a run, and how each can go.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{AuditorFinding, ConvergeExit};
use crate::id::{FindingId, Sha};
use crate::identity::PlacedFinding;
use crate::increment::FileRenames;
use crate::outcome::ReviewCoverage;
use crate::run;

/// What is to be done next.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "act")]
pub enum ConvergeAction {
    /// Let the gate look at the head.
    Gate,
    /// Let a fixer fix what the gate reports of the head.
    Mend {
        /// What it says.
        output: String,
    },
    /// Let fresh auditors look at the whole change.
    Audit {
        /// Who, by index.
        auditors: BTreeSet<u32>,
        /// How often they were asked, with this time.
        attempt: u32,
    },
    /// Show what the audit found.
    Post,
    /// Let a fresh fixer fix it.
    Fix {
        /// What is wrong with the fix that there is; none: there is none yet.
        problems: Vec<FixProblem>,
    },
    /// Look at the fix: gate, checks, tests, and an audit of the fix alone.
    Check,
    /// Commit the fix as its repository's hooks allow, and push it.
    Publish,
    /// Answer the findings.
    Reply,
}

/// The acts, whatever they are about, in the order in which a loop comes to them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvergeStep {
    /// [`ConvergeAction::Gate`]
    Gate,
    /// [`ConvergeAction::Mend`]
    Mend,
    /// [`ConvergeAction::Audit`]
    Audit,
    /// [`ConvergeAction::Post`]
    Post,
    /// [`ConvergeAction::Fix`]
    Fix,
    /// [`ConvergeAction::Check`]
    Check,
    /// [`ConvergeAction::Publish`]
    Publish,
    /// [`ConvergeAction::Reply`]
    Reply,
    /// The description is written: no act of the machine, as nothing follows from it.
    Describe,
}

impl ConvergeAction {
    /// Which of the acts it is.
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

    /// Are models asked for it?
    pub fn asks(&self) -> bool {
        match self {
            Self::Mend { .. } | Self::Audit { .. } | Self::Fix { .. } => true,
            // The audit of a fix is part of the fix.
            Self::Gate | Self::Post | Self::Check | Self::Publish | Self::Reply => false,
        }
    }

    /// Its name in records.
    pub fn as_str(&self) -> &'static str {
        run::LoopStep::as_str(self.step())
    }
}

impl ConvergeStep {
    /// All of them, in order.
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
            Self::Mend => "fix what the gate reports",
            Self::Audit => "audit the whole change",
            Self::Post => "show what was found",
            Self::Fix => "fix what was found",
            Self::Check => "check the fix",
            Self::Publish => "push the fix",
            Self::Reply => "answer what was found",
            Self::Describe => "describe the change",
        }
    }
}

/// What is wrong with a fix.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FixProblem {
    /// What kind.
    pub kind: FixProblemKind,
    /// What, for the fixer.
    pub text: String,
}

/// What a look at a fix can find. The worst is first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixProblemKind {
    /// It deletes or weakens a test: it is thrown away.
    Test,
    /// A check fails that did not.
    Check,
    /// A hook of the repository blocks its commit.
    Hook,
    /// The gate blocks it.
    Gate,
    /// Its audit found something.
    Finding,
    /// It changes nothing of what the code does: it is thrown away.
    Unchanged,
}

/// What an auditor came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuditorAnswer {
    /// An answer that fulfils the contract.
    Whole(Vec<AuditorFinding>),
    /// None, and why: dead, out of time, or not to the contract.
    None(String),
}

/// What a fixer says of a finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "word", content = "why")]
pub enum FixerVerdict {
    /// It is fixed.
    Fixed,
    /// It is not, and why.
    Declined(String),
}

/// A fix that is made and not yet pushed: its commit, which nobody has seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FixCandidate {
    /// The commit.
    pub commit: Sha,
    /// Its tree.
    pub tree: Sha,
}

/// How an act went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConvergeEvent {
    /// The gate looked: nothing blocks, or what does.
    Gated(Option<String>),
    /// A fixer has seen to the gate's words.
    Mended(Option<FixCandidate>),
    /// Auditors have answered.
    Audited {
        /// What each came to, by index.
        answers: BTreeMap<u32, AuditorAnswer>,
        /// Findings that fixers declined, or say to be fixed, and whose own lines still stand at the head: there.
        standing: BTreeMap<FindingId, PlacedFinding>,
        /// What could not be read.
        coverage: ReviewCoverage,
        /// Which files have had other names.
        renames: FileRenames,
    },
    /// What was found can be seen.
    Posted,
    /// A fixer is done.
    Fixed {
        /// What it says of each finding; of one that is not named, nothing was said.
        words: BTreeMap<FindingId, FixerVerdict>,
        /// What it left; none: the head as it was.
        candidate: Option<FixCandidate>,
    },
    /// A fixer came to no report, and why: dead, out of time, or not to the contract.
    Silent(String),
    /// What is wrong with the fix.
    Checked(Vec<FixProblem>),
    /// The fix is at the branch.
    Pushed,
    /// A hook blocks it, in these words.
    Blocked(String),
    /// The findings are answered.
    Replied,
    /// At any time: the branch has another head than this run knows.
    Moved {
        /// The head.
        head: Sha,
        /// Its tree.
        tree: Sha,
    },
    /// At any time: the forge has merged the base into the branch, as we have asked it to.
    Updated {
        /// The head.
        head: Sha,
        /// Its tree.
        tree: Sha,
    },
    /// At rest: other reviewers have found something at the head.
    Heard {
        /// What, in the words of whoever maps theirs to ours.
        claims: Vec<AuditorFinding>,
        /// Which files have had other names.
        renames: FileRenames,
    },
    /// At any time: it ends here.
    Ended(ConvergeExit),
}
