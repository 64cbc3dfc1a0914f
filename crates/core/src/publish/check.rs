//! What a forge with check runs shows beside a commit: more than a status holds.

use serde::{Deserialize, Serialize};

use crate::finding::CodeLocation;

/// Findings that are shown on the commit's lines; the rest is in the summary and the comments.
pub const MAX_ANNOTATIONS: usize = 500;

/// A check run's content.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CheckContent {
    /// Green, red or grey.
    pub conclusion: CheckConclusion,
    /// The text, Markdown.
    pub summary: String,
    /// What is said of lines, worst first, [`MAX_ANNOTATIONS`] at most.
    pub annotations: Vec<CheckAnnotation>,
}

/// What a finished check came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckConclusion {
    /// Reviewed, nothing that blocks.
    Success,
    /// Blocking findings.
    Failure,
    /// Neither: nothing to review, partial, deferred, failed.
    #[default]
    Neutral,
}

/// What is said of some lines of the head.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckAnnotation {
    /// The lines.
    pub place: CodeLocation,
    /// Does it block?
    pub blocks: bool,
    /// One line.
    pub title: String,
    /// Plain text.
    pub message: String,
}
