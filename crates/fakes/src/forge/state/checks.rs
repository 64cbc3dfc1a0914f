//! Check runs, as the fake stores them, with annotations and rerun requests.

use serde_json::Value;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FakeCheckRun {
    pub id: u64,
    /// Commit that has the check run.
    pub sha: String,
    pub name: String,
    /// Id that the creator gave to the check run.
    pub external_id: Option<String>,
    /// Status as `queued`, `in_progress` or `completed`.
    pub status: String,
    /// Conclusion of the check run; `None` while the check run is not completed.
    pub conclusion: Option<String>,
    pub title: Option<String>,
    pub summary: Option<String>,
    /// Annotations of lines, with the JSON that the API received.
    pub annotations: Vec<Value>,
    /// Account of the App that created the check run.
    pub creator: String,
    /// Time of creation, in seconds since 1970.
    pub created_at: i64,
    /// True from the request for a rerun until the App updates the check run. During this time, the forge
    /// shows the check suite as queued.
    pub is_rerun_requested: bool,
}

/// The button that a person presses at GitHub.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RerunButton {
    /// "Re-run" of one check.
    Run,
    /// "Re-run all checks" of the App on the commit.
    Suite,
}
