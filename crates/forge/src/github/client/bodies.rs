//! The fields of GitHub's responses that the client for a pull request reads. Unknown fields are ignored.

use serde::Deserialize;

use crate::github::wire::{GitHubLabel, GitHubUser};

#[derive(Deserialize)]
pub(super) struct GitHubPullDetails {
    pub(super) node_id: String,
    pub(super) html_url: String,
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) state: String,
    #[serde(default)]
    pub(super) draft: bool,
    /// Time of the merge; null if the pull request is not merged.
    pub(super) merged_at: Option<String>,
    /// Author; null when the account is gone.
    pub(super) user: Option<GitHubUser>,
    pub(super) head: GitHubPullRefBody,
    pub(super) base: GitHubPullRefBody,
    #[serde(default)]
    pub(super) labels: Vec<GitHubLabel>,
    #[serde(default)]
    pub(super) requested_reviewers: Vec<GitHubUser>,
    #[serde(default)]
    pub(super) maintainer_can_modify: bool,
}

/// The head or the base of a pull request. The head's repository is null when the fork is gone.
#[derive(Deserialize)]
pub(super) struct GitHubPullRefBody {
    pub(super) sha: String,
    #[serde(rename = "ref")]
    pub(super) branch: String,
    pub(super) repo: Option<PullRefRepository>,
}

#[derive(Deserialize)]
pub(super) struct PullRefRepository {
    pub(super) id: u64,
    pub(super) full_name: String,
}

/// The response to the GraphQL query about merging a pull request.
#[derive(Deserialize)]
pub(super) struct MergeData {
    pub(super) repository: Option<MergeRepository>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MergeRepository {
    pub(super) pull_request: Option<MergePull>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MergePull {
    pub(super) head_ref_oid: String,
    pub(super) mergeable: String,
    pub(super) merge_state_status: String,
    pub(super) review_decision: Option<String>,
}

/// A page of check runs.
#[derive(Deserialize)]
pub(super) struct CheckRuns {
    pub(super) check_runs: Vec<CheckRun>,
}

#[derive(Deserialize)]
pub(super) struct CheckRun {
    pub(super) name: String,
    pub(super) status: String,
    pub(super) conclusion: Option<String>,
    /// App that made the check run; null when the App is gone.
    pub(super) app: Option<GitHubApp>,
}

#[derive(Deserialize)]
pub(super) struct GitHubApp {
    #[serde(default)]
    pub(super) slug: String,
}

#[derive(Deserialize)]
pub(super) struct GitHubCommitStatus {
    pub(super) context: String,
    pub(super) state: String,
}

/// An event of an issue. Only label events are read.
#[derive(Deserialize)]
pub(super) struct IssueEvent {
    pub(super) event: String,
    /// Account that caused the event; null when the account is gone.
    pub(super) actor: Option<GitHubUser>,
    pub(super) label: Option<GitHubLabel>,
}

/// A comment on the diff.
#[derive(Deserialize)]
pub(super) struct LineComment {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) html_url: String,
    pub(super) user: Option<GitHubUser>,
    pub(super) body: Option<String>,
    pub(super) created_at: String,
    pub(super) path: String,
    /// Last line; null if the comment is outdated or on a whole file.
    pub(super) line: Option<u32>,
    pub(super) original_commit_id: Option<String>,
    pub(super) pull_request_review_id: Option<u64>,
    /// Comment that began the thread; null if this comment is not a reply.
    pub(super) in_reply_to_id: Option<u64>,
}

/// A comment of a review, in the list of that review.
#[derive(Deserialize)]
pub(super) struct ReviewComment {
    pub(super) id: u64,
    pub(super) body: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct CommentReaction {
    pub(super) content: String,
    pub(super) user: Option<GitHubUser>,
}
