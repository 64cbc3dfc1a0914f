//! Check runs of the fake, with their annotations and rerun requests.

use serde_json::Value;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FakeCheckRun {
    pub id: u64,
    /// Commit that has the check run.
    pub sha: String,
    pub name: String,
    /// Id that its creator gave it.
    pub external_id: Option<String>,
    /// Status as `queued`, `in_progress` or `completed`.
    pub status: String,
    /// Conclusion, once the check run is completed.
    pub conclusion: Option<String>,
    pub title: Option<String>,
    pub summary: Option<String>,
    /// Annotations of lines, as they were sent.
    pub annotations: Vec<Value>,
    /// Account of the App that created it.
    pub creator: String,
    /// Time of creation, in seconds since 1970.
    pub created: i64,
    /// True if an account has requested it again and its App has not updated it since. Its suite is shown as
    /// queued until then.
    pub is_rerun_requested: bool,
}

/// The button that is pressed at GitHub.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RerunButton {
    /// "Re-run" of one check.
    Run,
    /// "Re-run all checks" of its App on the commit.
    Suite,
}
