//! The fields of GitHub's responses that the calls on a repository read. Unknown fields are ignored.

use serde::Deserialize;

use crate::github::wire::{GitHubLabel, GitHubUser};

/// A repository in the response to a request for this repository alone.
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

/// The permissions of the requesting account.
#[derive(Deserialize)]
pub(super) struct RepositoryPermissions {
    pub(super) push: bool,
}

/// A pull request, in a list or alone.
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
    /// Time of the merge; null if the pull request is not merged.
    pub(super) merged_at: Option<String>,
    pub(super) created_at: String,
    /// Author; null when the account is gone.
    pub(super) user: Option<GitHubUser>,
    pub(super) head: crate::github::wire::GitHubPullRef,
    pub(super) base: crate::github::wire::GitHubPullRef,
    pub(super) labels: Vec<GitHubLabel>,
}

#[derive(Deserialize)]
pub(super) struct GitHubCommit {
    pub(super) sha: String,
    pub(super) commit: GitCommit,
    /// Account of the author; null if no account has the e-mail address.
    pub(super) author: Option<CommitAccount>,
}

/// The author and the committer that git recorded in a commit.
#[derive(Deserialize)]
pub(super) struct GitCommit {
    pub(super) author: Option<GitCommitIdentity>,
    pub(super) committer: Option<GitCommitIdentity>,
}

/// The author or committer in a commit.
#[derive(Deserialize)]
pub(super) struct GitCommitIdentity {
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) email: String,
    pub(super) date: Option<String>,
}

/// An account, or the empty object that GitHub can return instead.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum CommitAccount {
    Known(GitHubUser),
    Empty {},
}

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
    pub(in crate::github) node_id: Option<String>,
    pub(in crate::github) user: Option<GitHubUser>,
    pub(in crate::github) body: Option<String>,
    pub(in crate::github) created_at: String,
    /// Commit that the comment was made on, for a comment on a diff.
    pub(in crate::github) original_commit_id: Option<String>,
}

/// An issue, or a pull request as an issue.
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
    /// Present only for pull requests.
    pub(super) pull_request: Option<serde::de::IgnoredAny>,
}
