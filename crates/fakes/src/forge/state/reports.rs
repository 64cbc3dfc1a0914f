//! Reports on commits, with annotations. Only Bitbucket has such reports.

use serde_json::Value;

/// A report on a commit.
#[derive(Clone, PartialEq, Debug)]
pub struct CommitReport {
    pub id: u64,
    /// Commit that has the report, 40 digits.
    pub sha: String,
    /// Key of the report in the report's URL.
    pub key: String,
    /// Fields that the API received: `title`, `details`, `result`, …
    pub fields: Value,
    /// Annotations that the API received, oldest first.
    pub annotations: Vec<ReportAnnotation>,
    /// Account that created the report.
    pub creator: String,
    /// Time of creation, in seconds since 1970.
    pub created_at: i64,
    /// Time of the last change, in seconds since 1970.
    pub updated_at: i64,
}

/// An annotation of a report.
#[derive(Clone, PartialEq, Debug)]
pub struct ReportAnnotation {
    pub id: u64,
    /// Fields that the API received.
    pub fields: Value,
    /// Time of creation, in seconds since 1970.
    pub created_at: i64,
}
