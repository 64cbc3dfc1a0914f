//! The fields of GitHub's answers that are read. Unknown fields pass.

use jiff::Timestamp;
use serde::Deserialize;
use truing_core::id::Millis;
use truing_core::port::ForgeError;

use crate::http::unavailable;

/// An account.
#[derive(Deserialize)]
pub(super) struct User {
    pub(super) id: u64,
    /// Its name now.
    pub(super) login: Option<String>,
    /// `User` for a person's.
    #[serde(rename = "type", default)]
    pub(super) kind: String,
}

/// A pull request.
#[derive(Deserialize)]
pub(super) struct Pull {
    pub(super) state: String,
    #[serde(default)]
    pub(super) draft: bool,
    pub(super) html_url: String,
    pub(super) title: Option<String>,
    pub(super) body: Option<String>,
    /// Null when the account is gone.
    pub(super) user: Option<User>,
    pub(super) labels: Option<Vec<Label>>,
    pub(super) head: Tip,
    /// Its commit can lag behind the branch.
    pub(super) base: Tip,
}

/// A label.
#[derive(Deserialize)]
pub(super) struct Label {
    pub(super) name: String,
}

/// One end of a pull request. The head's repository is null when the fork is gone.
#[derive(Deserialize)]
pub(super) struct Tip {
    pub(super) sha: String,
    #[serde(rename = "ref")]
    pub(super) branch: String,
    pub(super) repo: Option<Repository>,
}

/// A repository.
#[derive(Deserialize)]
pub(super) struct Repository {
    pub(super) id: u64,
}

/// A comment of either kind.
#[derive(Deserialize)]
pub(super) struct Comment {
    pub(super) id: u64,
    /// Null when the account is gone.
    pub(super) user: Option<User>,
    pub(super) body: Option<String>,
    pub(super) created_at: String,
    /// For replies: the comment that began the thread.
    pub(super) in_reply_to_id: Option<u64>,
}

/// Something that was just made.
#[derive(Deserialize)]
pub(super) struct Made {
    pub(super) id: u64,
}

/// Reads an instant (RFC 3339).
pub(super) fn instant(what: &str, text: &str) -> Result<Millis, ForgeError> {
    match text.parse::<Timestamp>() {
        Ok(instant) => Ok(Millis(instant.as_millisecond())),
        Err(_) => Err(unavailable(what, "a time is not ISO 8601")),
    }
}
