//! Comments that suppress a finding (`truing: ignore[core/rule] why`). A comment with this syntax that
//! suppresses nothing is reported, because its author expects an effect.

use std::fmt;

use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

use crate::finding::RawFinding;

/// A finding that a comment in its file suppresses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SuppressedFinding {
    pub finding: RawFinding,
    /// Reason from the comment: one line, without secrets.
    pub reason: String,
}

/// A suppression comment that has no effect for one of the rules that it names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct UnusedSuppression {
    pub path: RepoPath,
    /// Line of the comment, from 1.
    pub line: u32,
    /// Rule that the comment names; empty for a malformed comment.
    pub rule: String,
    pub problem: UnusedSuppressionReason,
}

/// The reason why a comment suppresses nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnusedSuppressionReason {
    /// The comment gives no reason and is therefore ignored.
    NoReason,
    /// No rule has this name.
    UnknownRule,
    /// The rule has no finding on the lines to which the comment applies.
    #[serde(rename = "nothing_found")]
    NoMatchingFinding,
    /// The syntax of the comment is invalid.
    #[serde(rename = "misspelt")]
    InvalidSyntax,
}

impl UnusedSuppressionReason {
    /// Returns advice for the author, as the end of a sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Self::NoReason => "write a reason after the closing bracket",
            Self::UnknownRule => "there is no such rule (`truing rules list` shows all rules)",
            Self::NoMatchingFinding => {
                "the rule has no finding on the lines to which the comment applies; move or remove the \
                comment"
            }
            Self::InvalidSyntax => "write `truing: ignore[PACK/RULE] reason`",
        }
    }
}

/// Renders a warning for display.
impl fmt::Display for UnusedSuppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, rule, problem } = self;
        let advice = problem.advice();
        match problem {
            UnusedSuppressionReason::InvalidSyntax => {
                write!(f, "{path}:{line}: the comment has no effect: {advice}")
            }
            UnusedSuppressionReason::NoReason
            | UnusedSuppressionReason::UnknownRule
            | UnusedSuppressionReason::NoMatchingFinding => {
                write!(f, "{path}:{line}: `truing: ignore[{rule}]` has no effect: {advice}")
            }
        }
    }
}
