//! The fields of GitHub's answers that are read here. Unknown fields pass.

use serde::Deserialize;

use crate::github::wire::{GitHubLabel, GitHubUser};

/// The pull request.
#[derive(Deserialize)]
pub(super) struct GitHubPullDetails {
    pub(super) node_id: String,
    pub(super) html_url: String,
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) state: String,
    #[serde(default)]
    pub(super) draft: bool,
    /// Not null: it is merged.
    pub(super) merged_at: Option<String>,
    /// Null when the account is gone.
    pub(super) user: Option<GitHubUser>,
    pub(super) head: GitHubPullTip,
    pub(super) base: GitHubPullTip,
    #[serde(default)]
    pub(super) labels: Vec<GitHubLabel>,
    #[serde(default)]
    pub(super) requested_reviewers: Vec<GitHubUser>,
    #[serde(default)]
    pub(super) maintainer_can_modify: bool,
}

/// One end of it. The head's repository is null when the fork is gone.
#[derive(Deserialize)]
pub(super) struct GitHubPullTip {
    pub(super) sha: String,
    #[serde(rename = "ref")]
    pub(super) branch: String,
    pub(super) repo: Option<TipRepository>,
}

/// A repository.
#[derive(Deserialize)]
pub(super) struct TipRepository {
    pub(super) id: u64,
    pub(super) full_name: String,
}

/// What GraphQL says of a merge.
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
    /// Null when the App is gone.
    pub(super) app: Option<GitHubApp>,
}

#[derive(Deserialize)]
pub(super) struct GitHubApp {
    #[serde(default)]
    pub(super) slug: String,
}

/// A commit status.
#[derive(Deserialize)]
pub(super) struct GitHubCommitStatus {
    pub(super) context: String,
    pub(super) state: String,
}

/// Something that happened; only labels are read.
#[derive(Deserialize)]
pub(super) struct IssueEvent {
    pub(super) event: String,
    /// Null when the account is gone.
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
    /// Null when outdated, or on a whole file.
    pub(super) line: Option<u32>,
    pub(super) original_commit_id: Option<String>,
    pub(super) pull_request_review_id: Option<u64>,
    /// For replies: the comment that began the thread.
    pub(super) in_reply_to_id: Option<u64>,
}

/// A comment of a review, in that review's list.
#[derive(Deserialize)]
pub(super) struct ReviewComment {
    pub(super) id: u64,
    pub(super) body: Option<String>,
}

/// A reaction.
#[derive(Deserialize)]
pub(super) struct CommentReaction {
    pub(super) content: String,
    pub(super) user: Option<GitHubUser>,
}
