//! The fields of GitHub's answers that are read here. Unknown fields pass.

use serde::Deserialize;

use crate::github::wire::{GitHubLabel, GitHubUser};

/// A repository that was asked for by itself.
#[derive(Deserialize)]
pub(super) struct GitHubRepository {
    pub(super) full_name: String,
    pub(super) default_branch: String,
    #[serde(default)]
    pub(super) archived: bool,
    #[serde(default)]
    pub(super) fork: bool,
    #[serde(default)]
    pub(super) has_issues: bool,
    pub(super) permissions: Option<RepositoryPermissions>,
}

/// What the account that asks may do.
#[derive(Deserialize)]
pub(super) struct RepositoryPermissions {
    pub(super) push: bool,
}

/// A pull request, in a list or by itself.
#[derive(Deserialize)]
pub(super) struct GitHubPullItem {
    pub(super) number: u64,
    pub(super) node_id: String,
    pub(super) html_url: String,
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) state: String,
    #[serde(default)]
    pub(super) draft: bool,
    /// Not null: it is merged.
    pub(super) merged_at: Option<String>,
    pub(super) created_at: String,
    /// Null when the account is gone.
    pub(super) user: Option<GitHubUser>,
    pub(super) head: crate::github::wire::GitHubTip,
    pub(super) base: crate::github::wire::GitHubTip,
    pub(super) labels: Vec<GitHubLabel>,
}

/// A commit of a pull request.
#[derive(Deserialize)]
pub(super) struct GitHubCommit {
    pub(super) sha: String,
    pub(super) commit: GitCommit,
    /// Null when the address is nobody's.
    pub(super) author: Option<CommitAccount>,
}

/// What git has of a commit.
#[derive(Deserialize)]
pub(super) struct GitCommit {
    pub(super) author: Option<GitCommitIdentity>,
    pub(super) committer: Option<GitCommitIdentity>,
}

/// Somebody in a commit.
#[derive(Deserialize)]
pub(super) struct GitCommitIdentity {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) email: String,
    pub(super) date: Option<String>,
}

/// An account, or an empty object in place of one.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum CommitAccount {
    Known(GitHubUser),
    Empty {},
}

/// A review.
#[derive(Deserialize)]
pub(in crate::github) struct GitHubReview {
    pub(in crate::github) id: u64,
    pub(in crate::github) user: Option<GitHubUser>,
    pub(in crate::github) state: String,
    pub(in crate::github) commit_id: Option<String>,
    pub(in crate::github) submitted_at: Option<String>,
    pub(in crate::github) body: Option<String>,
}

/// A comment in a conversation or on a diff.
#[derive(Deserialize)]
pub(in crate::github) struct GitHubCommentItem {
    pub(in crate::github) id: u64,
    pub(in crate::github) user: Option<GitHubUser>,
    pub(in crate::github) body: Option<String>,
    pub(in crate::github) created_at: String,
    /// On a diff: the commit that it was made on.
    pub(in crate::github) original_commit_id: Option<String>,
}

/// An issue, or a pull request as one.
#[derive(Deserialize)]
pub(super) struct GitHubIssue {
    pub(super) number: u64,
    pub(super) html_url: String,
    pub(super) title: String,
    pub(super) body: Option<String>,
    pub(super) state: String,
    #[serde(default)]
    pub(super) locked: bool,
    pub(super) created_at: String,
    pub(super) user: Option<GitHubUser>,
    /// Only pull requests have it.
    pub(super) pull_request: Option<serde::de::IgnoredAny>,
}
