//! Stored lines around a finding, and the reasons why a finding is unverified.

use serde::{Deserialize, Serialize};

use super::compared_file::{ComparedFile, SearchTokens, line_key};
use super::statement::StatementHashes;

/// Maximum number of a finding's lines that are stored for its identity and shown with the finding.
pub const MAX_SNIPPET_LINES: usize = 20;

/// Maximum number of stored lines above a finding. The same maximum applies to the lines below the finding.
pub const MAX_SURROUNDING_LINES: usize = 12;

/// The reason why a review could not verify that an open finding still exists.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnverifiedReason {
    /// No model has completed a review of this head.
    NotReviewed,
    /// No reviewer has seen the finding's file.
    NotShown,
    /// No reviewer gave a verdict on the finding.
    NoVerdict,
    /// The content of the file does not support a reviewer's verdict on the finding.
    NoEvidence,
}

impl UnverifiedReason {
    /// Returns the reason as text for users, as the end of a sentence.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotReviewed => "no model has finished a review of this head",
            Self::NotShown => "no reviewer has checked the file of the finding",
            Self::NoVerdict => "the model gave no verdict on the finding",
            Self::NoEvidence => "the file does not confirm the model's verdict",
        }
    }
}

/// The lines around a finding when the finding was last seen.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SurroundingLines {
    /// Lines above the finding, the nearest last, without indentation.
    pub before: Vec<String>,
    /// Lines below the finding, the nearest first, without indentation.
    pub after: Vec<String>,
    /// Number of times that the finding's lines occurred in the file.
    pub copies: u32,
    /// Snapshot of the change from the last time that a reviewer saw the finding. Code that this snapshot
    /// lacks is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "seen")]
    pub change_snapshot: Option<ChangeSnapshot>,
}

/// A stored snapshot of a change: hashes of statements, and the text near a finding.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ChangeSnapshot {
    /// Hashes of the statements near the finding in its file, and of the statements that the change added.
    pub marks: StatementHashes,
    /// True if `marks` contains the hashes of all statements that the change added.
    pub is_whole: bool,
    /// Text of the finding's lines and of the lines near the finding.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub near: String,
}

impl SurroundingLines {
    /// Stores the surroundings of the lines from `start` to `end` of a file.
    pub(super) fn new(
        page: &ComparedFile,
        start: u32,
        end: u32,
        snippet: &str,
        change_snapshot: Option<ChangeSnapshot>,
    ) -> Self {
        let lines: Vec<&str> = page.text.lines().collect();
        let first = line_index(start).min(lines.len());
        let last = (line_index(end) + 1).clamp(first, lines.len());
        let kept = |lines: &[&str]| lines.iter().map(|line| line_key(line)).collect();
        let copies = page.find_places(&SearchTokens::from_text(snippet)).len();
        Self {
            before: kept(lines.get(first.saturating_sub(MAX_SURROUNDING_LINES)..first).unwrap_or_default()),
            after: kept(lines.get(last..(last + MAX_SURROUNDING_LINES).min(lines.len())).unwrap_or_default()),
            copies: u32::try_from(copies).unwrap_or(u32::MAX),
            change_snapshot,
        }
    }
}

/// Converts a line number (from 1) to an index (from 0).
pub(super) fn line_index(line: u32) -> usize {
    usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX)
}
