//! Reports on commits, with their annotations, as both Bitbuckets have them.

use serde_json::Value;

/// A report on a commit.
#[derive(Clone, PartialEq, Debug)]
pub struct CommitReport {
    /// Its number.
    pub id: u64,
    /// The commit, 40 digits.
    pub sha: String,
    /// The key in its address.
    pub key: String,
    /// What was sent: `title`, `details`, `result`, …
    pub fields: Value,
    /// The annotations, as they were sent, oldest first.
    pub annotations: Vec<ReportAnnotation>,
    /// Who made it.
    pub creator: String,
    /// When it was made, seconds since 1970.
    pub created: i64,
    /// When it was last changed, seconds since 1970.
    pub updated: i64,
}

/// An annotation of a report.
#[derive(Clone, PartialEq, Debug)]
pub struct ReportAnnotation {
    /// Its number.
    pub id: u64,
    /// What was sent.
    pub fields: Value,
    /// When it was made, seconds since 1970.
    pub created: i64,
}
