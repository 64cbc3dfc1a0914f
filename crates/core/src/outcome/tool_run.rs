//! A tool's part of a review.

use serde::{Deserialize, Serialize};
use truing_diff::RepoPath;

/// A tool's part of a review.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ToolRun {
    /// Its name.
    pub name: String,
    /// Findings on changed lines.
    pub findings: u32,
    /// The number of findings elsewhere, which the review does not show.
    pub elsewhere: u64,
    /// The reason, for people, for which not all of its findings are known; none: they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    /// The reason, for people, for which earlier findings that it no longer reports stay open; none: they are resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keeps_open: Option<String>,
    /// The reason, for people, for which it did not look though the repository uses it; none: it looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Changed files that could not be passed to it, since their names are not UTF-8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlinted: Vec<RepoPath>,
    /// Files that configure it and that the change touches: it looked with those of the base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub base_configuration: Vec<RepoPath>,
}
