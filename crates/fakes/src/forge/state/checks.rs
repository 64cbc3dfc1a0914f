//! Check runs.

use serde_json::Value;

/// A check run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckRun {
    /// Its id.
    pub id: u64,
    /// The commit.
    pub sha: String,
    /// What it is called.
    pub name: String,
    /// What its maker knows it by.
    pub external_id: Option<String>,
    /// `queued`, `in_progress` or `completed`.
    pub status: String,
    /// What it came to.
    pub conclusion: Option<String>,
    /// Its heading.
    pub title: Option<String>,
    /// Its text.
    pub summary: Option<String>,
    /// What was said of lines, as it was sent.
    pub annotations: Vec<Value>,
    /// Whose it is: the App's account.
    pub creator: String,
    /// When it was made, seconds since 1970.
    pub created: i64,
    /// Has somebody asked for it again, and its App not updated it since? Its suite is shown as queued until then.
    pub asked: bool,
}

/// Which of GitHub's buttons is pressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again {
    /// "Re-run" of one check.
    Run,
    /// "Re-run all checks" of its App on the commit.
    Suite,
}
