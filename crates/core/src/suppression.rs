//! Comments that suppress a finding (`truing: ignore[core/rule] why`), and those that are to and do not: whoever wrote one
//! believes that it does.

use std::fmt;

use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

use crate::finding::RawFinding;

/// A finding that a comment in its file suppresses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SuppressedFinding {
    /// The finding.
    pub finding: RawFinding,
    /// The comment's reason: one line, without secrets.
    pub reason: String,
}

/// A comment that suppresses nothing, by one of the rules that it names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct IdleSuppression {
    /// The file.
    pub path: RepoPath,
    /// Its line, from 1.
    pub line: u32,
    /// The rule, as it is named there; of a comment that is written otherwise, none.
    pub rule: String,
    /// What is wrong.
    pub problem: IdleSuppressionReason,
}

/// Why a comment suppresses nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleSuppressionReason {
    /// It gives no reason, and does not count.
    NoReason,
    /// There is no such rule.
    UnknownRule,
    /// The rule finds nothing there.
    NothingFound,
    /// It is not written as such a comment has to be.
    Misspelt,
}

impl IdleSuppressionReason {
    /// What to do about it, as the end of a sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Self::NoReason => "give a reason after the bracket",
            Self::UnknownRule => "there is no such rule (`truing rules list` names all)",
            Self::NothingFound => "the rule finds nothing there; move or remove it",
            Self::Misspelt => "write `truing: ignore[PACK/RULE] reason`",
        }
    }
}

/// As a warning for people.
impl fmt::Display for IdleSuppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, problem } = self;
        let advice = problem.advice();
        match problem {
            IdleSuppressionReason::Misspelt => {
                write!(f, "{path}:{line}: the comment suppresses nothing: {advice}")
            }
            IdleSuppressionReason::NoReason
            | IdleSuppressionReason::UnknownRule
            | IdleSuppressionReason::NothingFound => {
                write!(f, "{path}:{line}: `truing: ignore[{rule}]` suppresses nothing: {advice}")
            }
        }
    }
}
