//! Check runs.

use serde_json::Value;

/// A check run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FakeCheckRun {
    /// Its id.
    pub id: u64,
    /// The commit.
    pub sha: String,
    /// Its name.
    pub name: String,
    /// Its id at its maker.
    pub external_id: Option<String>,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// Its result.
    pub conclusion: Option<String>,
    /// Its heading.
    pub title: Option<String>,
    /// Its text.
    pub summary: Option<String>,
    /// The annotations of lines, as they were sent.
    pub annotations: Vec<Value>,
    /// Whose it is: the App's account.
    pub creator: String,
    /// The time at which it was made, seconds since 1970.
    pub created: i64,
    /// Has somebody asked for it again, and its App not updated it since? Its suite is shown as queued until
    /// then.
    pub asked: bool,
}

/// The one of GitHub's buttons that is pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RerunButton {
    /// "Re-run" of one check.
    Run,
    /// "Re-run all checks" of its App on the commit.
    Suite,
}
