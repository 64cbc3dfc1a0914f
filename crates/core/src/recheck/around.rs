//! The surroundings of a finding, and the reasons for which it is unverified.

use serde::{Deserialize, Serialize};

use super::page::{ComparedFile, SearchTokens, key};
use super::statement::StatementMarks;

/// Lines of a finding that are kept for its identity and shown with it.
pub const MAX_SNIPPET_LINES: usize = 20;

/// Lines that are remembered above a finding, and below it.
pub const MAX_AROUND: usize = 12;

/// The reason why nobody knows whether an open finding is still there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnverifiedReason {
    /// No model has reviewed this head to the end.
    NotReviewed,
    /// No reviewer was shown the file.
    NotShown,
    /// No reviewer said anything of it.
    NoVerdict,
    /// The file does not bear out a reviewer's word on it.
    NoEvidence,
}

impl UnverifiedReason {
    /// For people: the reason, as the end of a sentence.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotReviewed => "no model has reviewed this head to the end",
            Self::NotShown => "no reviewer has looked at its file",
            Self::NoVerdict => "the model did not say what became of it",
            Self::NoEvidence => "the file does not bear out what the model says of it",
        }
    }
}

/// The surroundings of a finding, as they were when it was last seen.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SurroundingLines {
    /// Lines above it, the nearest last, without indentation.
    pub before: Vec<String>,
    /// Lines below it, the nearest first.
    pub after: Vec<String>,
    /// The number of times that its lines stood in the file.
    pub copies: u32,
    /// The lines of the change when a reviewer saw the finding last: all others are new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<ChangeSnapshot>,
}

/// The text of a change, as it is remembered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ChangeSnapshot {
    /// The lines of the finding's file near it, and those that the change added.
    pub marks: StatementMarks,
    /// Are they of all that the change added?
    pub is_whole: bool,
    /// The finding's lines and those near it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub near: String,
}

impl SurroundingLines {
    /// Of these lines of a file, first and last. `seen`: see there.
    pub(super) fn of(
        page: &ComparedFile,
        (start, end): (u32, u32),
        snippet: &str,
        seen: Option<ChangeSnapshot>,
    ) -> Self {
        let lines: Vec<&str> = page.text.lines().collect();
        let first = index(start).min(lines.len());
        let last = (index(end) + 1).clamp(first, lines.len());
        let kept = |lines: &[&str]| lines.iter().map(|line| key(line)).collect();
        let copies = page.places(&SearchTokens::of(snippet)).len();
        Self {
            before: kept(lines.get(first.saturating_sub(MAX_AROUND)..first).unwrap_or_default()),
            after: kept(lines.get(last..(last + MAX_AROUND).min(lines.len())).unwrap_or_default()),
            copies: u32::try_from(copies).unwrap_or(u32::MAX),
            seen,
        }
    }
}

/// The index of a line.
pub(super) fn index(line: u32) -> usize {
    usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX)
}
