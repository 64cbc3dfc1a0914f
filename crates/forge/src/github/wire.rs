//! The fields that several kinds of GitHub's responses share. Unknown fields are ignored.

use jiff::Timestamp;
use serde::Deserialize;
use truing_core::id::UnixMillis;
use truing_core::port::ForgeError;

use crate::http::unavailable_error;

#[derive(Deserialize)]
pub(super) struct GitHubUser {
    pub(super) id: u64,
    /// Current login name of the account.
    pub(super) login: Option<String>,
    /// `User` for the account of a person.
    #[serde(rename = "type", default)]
    pub(super) kind: String,
}

#[derive(Deserialize)]
pub(super) struct GitHubPull {
    pub(super) state: String,
    #[serde(default)]
    pub(super) draft: bool,
    pub(super) html_url: String,
    pub(super) title: Option<String>,
    pub(super) body: Option<String>,
    /// Author; null when the account is gone.
    pub(super) user: Option<GitHubUser>,
    pub(super) labels: Option<Vec<GitHubLabel>>,
    pub(super) head: GitHubPullRef,
    /// Base of the pull request. The commit of the base can lag behind the base branch.
    pub(super) base: GitHubPullRef,
}

#[derive(Deserialize)]
pub(super) struct GitHubLabel {
    pub(super) name: String,
}

/// The head or the base of a pull request. The head's repository is null when the fork is gone.
#[derive(Deserialize)]
pub(super) struct GitHubPullRef {
    pub(super) sha: String,
    #[serde(rename = "ref")]
    pub(super) branch: String,
    pub(super) repo: Option<GitHubRepositoryId>,
}

#[derive(Deserialize)]
pub(super) struct GitHubRepositoryId {
    pub(super) id: u64,
}

/// A comment in the conversation or on the diff.
#[derive(Deserialize)]
pub(super) struct GitHubComment {
    pub(super) id: u64,
    /// Author; null when the account is gone.
    pub(super) user: Option<GitHubUser>,
    pub(super) body: Option<String>,
    pub(super) created_at: String,
    /// Comment that began the thread; null if this comment is not a reply.
    pub(super) in_reply_to_id: Option<u64>,
}

/// An object that was just created.
#[derive(Deserialize)]
pub(super) struct CreatedItem {
    pub(super) id: u64,
}

/// Parses an instant (RFC 3339).
pub(super) fn parse_instant(purpose: &str, text: &str) -> Result<UnixMillis, ForgeError> {
    match text.parse::<Timestamp>() {
        Ok(instant) => Ok(UnixMillis(instant.as_millisecond())),
        Err(_) => Err(unavailable_error(purpose, "a time is not ISO 8601")),
    }
}
