//! The fields of a Data Center's responses that are read. Unknown fields are ignored.

use serde::Deserialize;
use serde_json::Value;
use truing_core::id::{Sha, UnixMillis};
use truing_core::port::{PullState, ReviewState};

use super::super::address::account_id;
use super::super::calls::{BitbucketReviewer, BitbucketUser as Account, CommentLines};

/// Prefix of the full name of a branch.
pub(super) const BRANCH_REF_PREFIX: &str = "refs/heads/";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterPage<T> {
    pub(super) values: Vec<T>,
    #[serde(default)]
    is_last_page: bool,
    next_page_start: Option<u64>,
}

impl<T> DataCenterPage<T> {
    /// Returns the index of the first item of the next page; `None` if there is no next page.
    pub(super) fn next_start(&self) -> Option<u64> {
        self.next_page_start.filter(|_| !self.is_last_page)
    }
}

#[derive(Deserialize)]
pub(super) struct ApplicationProperties {
    #[serde(default)]
    pub(super) version: String,
}

#[derive(Deserialize)]
pub(super) struct DataCenterUser {
    id: Option<u64>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    slug: String,
    /// Type of the account: `NORMAL` or `SERVICE`.
    #[serde(rename = "type", default)]
    kind: String,
}

impl DataCenterUser {
    /// Converts the account. Returns `None` if there is no account, for example for a commit's author whose
    /// e-mail address is unknown.
    pub(super) fn into_account(self) -> Option<Account> {
        Some(Account {
            id: account_id(self.id?),
            login: self.name,
            slug: self.slug,
            is_person: self.kind == "NORMAL",
        })
    }
}

#[derive(Deserialize)]
pub(super) struct DataCenterProject {
    key: String,
}

#[derive(Deserialize)]
pub(super) struct DataCenterRepository {
    id: u64,
    slug: String,
    /// Display name of the repository. The filter for the list of repositories is compared with this name.
    #[serde(default)]
    pub(super) name: String,
    project: DataCenterProject,
    #[serde(default)]
    pub(super) archived: bool,
    /// Repository from which this repository was forked; `None` if it is not a fork.
    #[serde(default)]
    pub(super) origin: Option<Value>,
}

impl DataCenterRepository {
    pub(super) fn id(&self) -> String {
        self.id.to_string()
    }

    /// Returns the full name in the form `KEY/slug`.
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.project.key, self.slug)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterBranch {
    #[serde(default)]
    pub(super) display_id: String,
}

/// The head or the base of a pull request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterPullRef {
    pub(super) id: String,
    pub(super) latest_commit: Option<String>,
    pub(super) repository: Option<DataCenterRepository>,
}

/// A reviewer or other participant.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterParticipant {
    pub(super) user: DataCenterUser,
    status: Option<String>,
    last_reviewed_commit: Option<String>,
}

impl DataCenterParticipant {
    pub(super) fn into_reviewer(self, is_requested: bool) -> Option<BitbucketReviewer> {
        let state = match self.status.as_deref() {
            Some("APPROVED") => Some(ReviewState::Approved),
            Some("NEEDS_WORK") => Some(ReviewState::ChangesRequested),
            Some(_) | None => None,
        };
        let commit = self.last_reviewed_commit.and_then(|commit| Sha::parse(&commit).ok());
        Some(BitbucketReviewer {
            user: self.user.into_account()?,
            is_requested,
            state,
            commit,
            verdict_at: None,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterPull {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) version: u64,
    #[serde(default)]
    pub(super) title: String,
    pub(super) description: Option<String>,
    state: String,
    #[serde(default)]
    draft: bool,
    pub(super) created_date: i64,
    pub(super) author: Option<DataCenterParticipant>,
    pub(super) from_ref: DataCenterPullRef,
    pub(super) to_ref: DataCenterPullRef,
    #[serde(default)]
    pub(super) reviewers: Vec<DataCenterParticipant>,
    #[serde(default)]
    pub(super) participants: Vec<DataCenterParticipant>,
}

impl DataCenterPull {
    pub(super) fn pull_state(&self) -> PullState {
        match (self.state.as_str(), self.draft) {
            ("OPEN", true) => PullState::Draft,
            ("OPEN", false) => PullState::Open,
            ("MERGED", _) => PullState::Merged,
            (_, _) => PullState::Closed,
        }
    }
}

/// An activity on a pull request. Activities of unknown types are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterActivity {
    #[serde(default)]
    pub(super) action: String,
    pub(super) comment_action: Option<String>,
    pub(super) comment: Option<DataCenterComment>,
    pub(super) comment_anchor: Option<DataCenterAnchor>,
}

/// The position of a comment. The path is a string, although the API description defines it as an object.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterAnchor {
    path: Option<Value>,
    pub(super) line: Option<u32>,
    to_hash: Option<String>,
    #[serde(default)]
    orphaned: bool,
    pub(super) multiline_marker: Option<Value>,
    pub(super) multiline_span: Option<Value>,
}

impl DataCenterAnchor {
    pub(super) fn to_comment_lines(&self) -> CommentLines {
        CommentLines {
            path: self.path.as_ref().map(path_text).unwrap_or_default(),
            line: self.line.filter(|line| *line > 0),
            commit: self.to_hash.as_deref().and_then(|commit| Sha::parse(commit).ok()),
            is_outdated: self.orphaned,
        }
    }
}

/// Converts a path from a string or an object to text.
pub(super) fn path_text(path: &Value) -> String {
    if let Some(text) = path.as_str() {
        return text.to_owned();
    }
    let text = path.get("toString").and_then(Value::as_str).map(str::to_owned);
    let parts = path.get("components").and_then(Value::as_array);
    let joined = parts.map(|parts| parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("/"));
    text.or(joined).unwrap_or_default()
}

/// A comment with its answers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterComment {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) version: u64,
    #[serde(default)]
    pub(super) text: String,
    pub(super) author: Option<DataCenterUser>,
    #[serde(default)]
    pub(super) created_date: i64,
    pub(super) updated_date: Option<i64>,
    #[serde(default)]
    pub(super) comments: Vec<DataCenterComment>,
    pub(super) parent: Option<DataCenterParentComment>,
    #[serde(default)]
    pub(super) thread_resolved: bool,
    pub(super) thread_resolver: Option<DataCenterUser>,
    /// `PENDING` while only the author can see the comment.
    pub(super) state: Option<String>,
    pub(super) anchor: Option<DataCenterAnchor>,
}

#[derive(Deserialize)]
pub(super) struct DataCenterParentComment {
    pub(super) id: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterCommit {
    pub(super) id: String,
    pub(super) author: Option<DataCenterCommitAuthor>,
    #[serde(default)]
    pub(super) committer_timestamp: i64,
}

/// The author of a commit. The author is an account if the server knows the e-mail address; otherwise the
/// author is only a name and an address.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterCommitAuthor {
    #[serde(default)]
    pub(super) email_address: String,
    #[serde(flatten)]
    pub(super) user: DataCenterUser,
}

impl DataCenterCommitAuthor {
    /// Returns the author's name: the name of the account if the server knows the account, otherwise the name
    /// in git.
    pub(super) fn name(&self) -> String {
        self.user.name.clone()
    }
}

/// The server's prediction of a merge.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterMergeability {
    pub(super) outcome: Option<String>,
    pub(super) can_merge: Option<bool>,
    pub(super) conflicted: Option<bool>,
    #[serde(default)]
    pub(super) vetoes: Vec<Value>,
}

#[derive(Deserialize)]
pub(super) struct BuildStatus {
    pub(super) key: String,
    pub(super) name: Option<String>,
    pub(super) state: String,
    pub(super) description: Option<String>,
    pub(super) url: Option<String>,
}

/// A restriction of a branch.
#[derive(Deserialize)]
pub(super) struct DataCenterRestriction {
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// Converts a time in milliseconds.
pub(super) fn to_unix_millis(millis: i64) -> UnixMillis {
    UnixMillis(millis)
}
