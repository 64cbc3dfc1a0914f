//! The content of a check run. On a commit, a check run shows more details than a commit status.

use serde::{Deserialize, Serialize};

use crate::finding::CodeLocation;

/// Maximum number of findings that a check run shows on the lines of the commit. Further findings appear only
/// in the summary and the comments.
pub const MAX_ANNOTATIONS: usize = 500;

/// The content of a check run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CheckContent {
    /// Conclusion, which the forge shows as green, red or grey.
    pub conclusion: CheckConclusion,
    /// Text of the check run in Markdown.
    pub summary: String,
    /// Annotations of lines, with the worst finding first; at most [`MAX_ANNOTATIONS`].
    pub annotations: Vec<CheckAnnotation>,
}

/// The conclusion of a finished check.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckConclusion {
    /// The head was reviewed and has no blocking findings.
    Success,
    /// The head has blocking findings.
    Failure,
    /// Neither success nor failure: there was nothing to review, or the review is partial, deferred or
    /// failed.
    #[default]
    Neutral,
}

/// An annotation that shows one finding on its lines of the head.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CheckAnnotation {
    #[serde(rename = "place")]
    pub location: CodeLocation,
    /// True if the finding is a blocking finding.
    pub blocks: bool,
    /// Title of the finding, in one line.
    pub title: String,
    /// Message as plain text.
    pub message: String,
}
