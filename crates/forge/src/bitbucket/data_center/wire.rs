//! The fields of a Data Center's answers that are read. Unknown fields pass.

use serde::Deserialize;
use serde_json::Value;
use truing_core::id::{Sha, UnixMillis};
use truing_core::port::{PullState, ReviewState};

use super::super::address::account;
use super::super::calls::{BitbucketReviewer, BitbucketUser as Account, CommentLines};

/// The beginning of a branch's whole name.
pub(super) const BRANCHES: &str = "refs/heads/";

/// A page of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterPage<T> {
    pub(super) values: Vec<T>,
    #[serde(default)]
    is_last_page: bool,
    next_page_start: Option<u64>,
}

impl<T> DataCenterPage<T> {
    /// The beginning of the next page.
    pub(super) fn next(&self) -> Option<u64> {
        self.next_page_start.filter(|_| !self.is_last_page)
    }
}

#[derive(Deserialize)]
pub(super) struct ApplicationProperties {
    #[serde(default)]
    pub(super) version: String,
}

/// An account.
#[derive(Deserialize)]
pub(super) struct DataCenterUser {
    id: Option<u64>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    slug: String,
    /// `NORMAL` or `SERVICE`.
    #[serde(rename = "type", default)]
    kind: String,
}

impl DataCenterUser {
    /// None: it is nobody's account, such as the author of a commit whose address is not known.
    pub(super) fn user(self) -> Option<Account> {
        Some(Account {
            id: account(self.id?),
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

/// A repository.
#[derive(Deserialize)]
pub(super) struct DataCenterRepository {
    id: u64,
    slug: String,
    /// What people call it; a list is filtered by it.
    #[serde(default)]
    pub(super) name: String,
    project: DataCenterProject,
    #[serde(default)]
    pub(super) archived: bool,
    /// There, if it is a fork.
    #[serde(default)]
    pub(super) origin: Option<Value>,
}

impl DataCenterRepository {
    pub(super) fn id(&self) -> String {
        self.id.to_string()
    }

    /// `KEY/slug`.
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

/// One end of a pull request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterEnd {
    pub(super) id: String,
    pub(super) latest_commit: Option<String>,
    pub(super) repository: Option<DataCenterRepository>,
}

/// Somebody who reviews.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterParticipant {
    pub(super) user: DataCenterUser,
    status: Option<String>,
    last_reviewed_commit: Option<String>,
}

impl DataCenterParticipant {
    pub(super) fn reviewer(self, is_asked: bool) -> Option<BitbucketReviewer> {
        let state = match self.status.as_deref() {
            Some("APPROVED") => Some(ReviewState::Approved),
            Some("NEEDS_WORK") => Some(ReviewState::ChangesRequested),
            Some(_) | None => None,
        };
        let commit = self.last_reviewed_commit.and_then(|commit| Sha::parse(&commit).ok());
        Some(BitbucketReviewer { user: self.user.user()?, is_asked, state, commit, at: None })
    }
}

/// A pull request.
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
    pub(super) from_ref: DataCenterEnd,
    pub(super) to_ref: DataCenterEnd,
    #[serde(default)]
    pub(super) reviewers: Vec<DataCenterParticipant>,
    #[serde(default)]
    pub(super) participants: Vec<DataCenterParticipant>,
}

impl DataCenterPull {
    pub(super) fn stands(&self) -> PullState {
        match (self.state.as_str(), self.draft) {
            ("OPEN", true) => PullState::Draft,
            ("OPEN", false) => PullState::Open,
            ("MERGED", _) => PullState::Merged,
            (_, _) => PullState::Closed,
        }
    }
}

/// Something that was done on a pull request. Kinds that are not known are let pass.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterActivity {
    #[serde(default)]
    pub(super) action: String,
    pub(super) comment_action: Option<String>,
    pub(super) comment: Option<DataCenterComment>,
    pub(super) comment_anchor: Option<DataCenterAnchor>,
}

/// The place of a comment. The path is text; the published description says an object.
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
    pub(super) fn on(&self) -> CommentLines {
        CommentLines {
            path: self.path.as_ref().map(path_text).unwrap_or_default(),
            line: self.line.filter(|line| *line > 0),
            commit: self.to_hash.as_deref().and_then(|commit| Sha::parse(commit).ok()),
            is_outdated: self.orphaned,
        }
    }
}

/// A path in either form.
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
    /// `PENDING`: only its author sees it.
    pub(super) state: Option<String>,
    pub(super) anchor: Option<DataCenterAnchor>,
}

#[derive(Deserialize)]
pub(super) struct DataCenterParentComment {
    pub(super) id: u64,
}

/// A commit.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterCommit {
    pub(super) id: String,
    pub(super) author: Option<DataCenterCommitAuthor>,
    #[serde(default)]
    pub(super) committer_timestamp: i64,
}

/// Somebody in a commit: an account, where the server knows the address.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterCommitAuthor {
    #[serde(default)]
    pub(super) email_address: String,
    #[serde(flatten)]
    pub(super) user: DataCenterUser,
}

impl DataCenterCommitAuthor {
    /// The name that git has, which is the account's where there is one.
    pub(super) fn name(&self) -> String {
        self.user.name.clone()
    }
}

/// What merging would be.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DataCenterMergeability {
    pub(super) outcome: Option<String>,
    pub(super) can_merge: Option<bool>,
    pub(super) conflicted: Option<bool>,
    #[serde(default)]
    pub(super) vetoes: Vec<Value>,
}

/// A build status.
#[derive(Deserialize)]
pub(super) struct BuildStatus {
    pub(super) key: String,
    pub(super) name: Option<String>,
    pub(super) state: String,
    pub(super) description: Option<String>,
    pub(super) url: Option<String>,
}

/// A rule of a branch.
#[derive(Deserialize)]
pub(super) struct DataCenterRestriction {
    #[serde(rename = "type")]
    pub(super) kind: String,
}

/// A time in milliseconds.
pub(super) fn millis(number: i64) -> UnixMillis {
    UnixMillis(number)
}
