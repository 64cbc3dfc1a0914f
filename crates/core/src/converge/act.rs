//! The acts of a run, and how each can go.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Claim, Exit};
use crate::id::{FindingId, Sha};
use crate::identity::Placed;
use crate::increment::Renames;
use crate::outcome::Coverage;
use crate::run;

/// What is to be done next.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "act")]
pub enum Act {
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
        problems: Vec<Problem>,
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
pub enum Step {
    /// [`Act::Gate`]
    Gate,
    /// [`Act::Mend`]
    Mend,
    /// [`Act::Audit`]
    Audit,
    /// [`Act::Post`]
    Post,
    /// [`Act::Fix`]
    Fix,
    /// [`Act::Check`]
    Check,
    /// [`Act::Publish`]
    Publish,
    /// [`Act::Reply`]
    Reply,
    /// The description is written: no act of the machine, as nothing follows from it.
    Describe,
}

impl Act {
    /// Which of the acts it is.
    pub fn step(&self) -> Step {
        match self {
            Self::Gate => Step::Gate,
            Self::Mend { .. } => Step::Mend,
            Self::Audit { .. } => Step::Audit,
            Self::Post => Step::Post,
            Self::Fix { .. } => Step::Fix,
            Self::Check => Step::Check,
            Self::Publish => Step::Publish,
            Self::Reply => Step::Reply,
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
        run::Step::as_str(self.step())
    }
}

impl Step {
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

impl run::Step for Step {
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
pub struct Problem {
    /// What kind.
    pub kind: ProblemKind,
    /// What, for the fixer.
    pub text: String,
}

/// What a look at a fix can find. The worst is first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
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
pub enum Answer {
    /// An answer that fulfils the contract.
    Whole(Vec<Claim>),
    /// None, and why: dead, out of time, or not to the contract.
    None(String),
}

/// What a fixer says of a finding.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "word", content = "why")]
pub enum Word {
    /// It is fixed.
    Fixed,
    /// It is not, and why.
    Declined(String),
}

/// A fix that is made and not yet pushed: its commit, which nobody has seen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Candidate {
    /// The commit.
    pub commit: Sha,
    /// Its tree.
    pub tree: Sha,
}

/// How an act went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The gate looked: nothing blocks, or what does.
    Gated(Option<String>),
    /// A fixer has seen to the gate's words.
    Mended(Option<Candidate>),
    /// Auditors have answered.
    Audited {
        /// What each came to, by index.
        answers: BTreeMap<u32, Answer>,
        /// Findings that fixers declined, or say to be fixed, and whose own lines still stand at the head: there.
        standing: BTreeMap<FindingId, Placed>,
        /// What could not be read.
        coverage: Coverage,
        /// Which files have had other names.
        renames: Renames,
    },
    /// What was found can be seen.
    Posted,
    /// A fixer is done.
    Fixed {
        /// What it says of each finding; of one that is not named, nothing was said.
        words: BTreeMap<FindingId, Word>,
        /// What it left; none: the head as it was.
        candidate: Option<Candidate>,
    },
    /// A fixer came to no report, and why: dead, out of time, or not to the contract.
    Silent(String),
    /// What is wrong with the fix.
    Checked(Vec<Problem>),
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
        claims: Vec<Claim>,
        /// Which files have had other names.
        renames: Renames,
    },
    /// At any time: it ends here.
    Ended(Exit),
}
