//! The result of one external tool as part of a review.

use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

/// The result of one tool in a review.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ToolRunResult {
    pub name: String,
    /// Number of findings on changed lines.
    pub findings: u32,
    /// Number of findings outside the changed lines, which the review does not show.
    #[serde(rename = "elsewhere")]
    pub outside_count: u64,
    /// Reason, for users, why findings of the tool may be missing; `None` if all findings are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "failed")]
    pub failure_reason: Option<String>,
    /// Reason, for users, why earlier findings that the tool no longer reports stay open; `None` if these
    /// findings are resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps_open: Option<String>,
    /// Reason, for users, why the tool did not run although the repository uses it; `None` if the tool ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "skipped")]
    pub skip_reason: Option<String>,
    /// Sentence for users about the version that ran and the version that the repository pins, if they
    /// differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_note: Option<String>,
    /// Changed files that could not be passed to the tool, because their names are not UTF-8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlinted: Vec<RepoPath>,
    /// Configuration files of the tool that the change modifies. The tool ran with the versions of these
    /// files at the base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base_configuration: Vec<RepoPath>,
}
