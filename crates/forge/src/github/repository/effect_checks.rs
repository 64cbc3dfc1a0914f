//! Checks whether a pull request, an issue or a comment of ours already has the state that an effect would
//! produce.

use truing_core::id::{CommentId, Topic};
use truing_core::port::{BranchPull, ForgeError, OwnIssue};

use super::GitHubClient;
use super::bodies::GitHubCommentItem;
use crate::github::body::with_marker;
use crate::github::id::GitHubCommentId;
use crate::marker::normalize_text;

impl GitHubClient {
    /// Returns the open pull request from a branch to a base, no matter which account opened it.
    pub(in crate::github) async fn find_open_pull(
        &self,
        branch: &str,
        base: &str,
    ) -> Result<Option<BranchPull>, ForgeError> {
        let there = self.list_pulls(branch).await?;
        Ok(there.into_iter().find(|pull| pull.is_open() && pull.base_branch == base))
    }

    /// Returns true if our pull request has this topic, this title and this text.
    pub(in crate::github) async fn pull_has_text(
        &self,
        number: u64,
        topic: &Topic,
        title: &str,
        body: &str,
    ) -> Result<bool, ForgeError> {
        let pull = self
            .read_own_pull(&self.repository_purpose(&format!("reading pull request {number}")), number)
            .await?;
        let (about, text) = self.read_topic(0, true, pull.body.as_deref());
        Ok(pull.title == title && about.as_ref() == Some(topic) && is_same_text(&text, body))
    }

    /// Returns true if our pull request is a draft.
    pub(in crate::github) async fn is_draft(&self, number: u64) -> Result<bool, ForgeError> {
        Ok(self
            .read_own_pull(&self.repository_purpose(&format!("reading pull request {number}")), number)
            .await?
            .draft)
    }

    /// Returns true if our pull request is open.
    pub(in crate::github) async fn is_open_pull(&self, number: u64) -> Result<bool, ForgeError> {
        let pull = self
            .read_own_pull(&self.repository_purpose(&format!("reading pull request {number}")), number)
            .await?;
        Ok(pull.state == "open")
    }

    /// Returns true if a pull request has all these labels. GitHub ignores the case of label names.
    pub(in crate::github) async fn has_labels(
        &self,
        number: u64,
        labels: &[String],
    ) -> Result<bool, ForgeError> {
        let there = self
            .labels_of(
                &self.repository_purpose(&format!("reading the labels of pull request {number}")),
                number,
            )
            .await?;
        let has = |label: &String| there.iter().any(|one| one.to_lowercase() == label.to_lowercase());
        Ok(labels.iter().all(has))
    }

    /// Returns the newest open issue of ours on this topic, with this label.
    pub(in crate::github) async fn find_open_issue(
        &self,
        topic: &Topic,
        label: &str,
    ) -> Result<Option<OwnIssue>, ForgeError> {
        let there = self.list_issues(label).await?;
        Ok(there.into_iter().find(|issue| issue.open && issue.topic == *topic))
    }

    /// Returns true if our issue has this topic, this title and this text.
    pub(in crate::github) async fn issue_has_text(
        &self,
        number: u64,
        topic: &Topic,
        title: &str,
        body: &str,
    ) -> Result<bool, ForgeError> {
        let issue =
            self.read_own_issue(&self.repository_purpose(&format!("reading issue {number}")), number).await?;
        Ok(issue.title == title && issue.topic == *topic && is_same_text(&issue.body, body))
    }

    /// Returns true if our issue is open.
    pub(in crate::github) async fn is_open_issue(&self, number: u64) -> Result<bool, ForgeError> {
        Ok(self
            .read_own_issue(&self.repository_purpose(&format!("reading issue {number}")), number)
            .await?
            .open)
    }

    /// Returns our newest comment in a conversation, if it is on this topic and has this text.
    pub(in crate::github) async fn newest_comment_if_matching(
        &self,
        number: u64,
        topic: &Topic,
        body: &str,
    ) -> Result<Option<CommentId>, ForgeError> {
        let what = self.repository_purpose(&format!("searching for a comment by Truing in #{number}"));
        let accounts = self.accounts().await?;
        let comments = self.list_conversation(&what, number).await?.into_iter();
        let read = |comment: GitHubCommentItem| {
            let is_ours = comment.user.as_ref().is_some_and(|user| accounts.account_kind(user).is_some());
            let (about, text) = self.read_verified_topic(number, is_ours, comment.body.as_deref());
            about.map(|about| (comment.id, about, text))
        };
        let newest = comments.filter_map(read).next_back();
        let newest = newest.filter(|(_, about, text)| about == topic && is_same_text(text, body));
        Ok(newest.map(|(id, ..)| GitHubCommentId::Issue(id).to_comment_id()))
    }

    /// Returns true if a comment of ours is gone.
    pub(in crate::github) async fn is_own_comment_deleted(
        &self,
        number: u64,
        comment: &CommentId,
    ) -> Result<bool, ForgeError> {
        let what = self.repository_purpose(&format!("searching for comment {comment} in #{number}"));
        match self.own_comment_number(&what, number, comment).await {
            Ok(_) => Ok(false),
            Err(ForgeError::NotFound { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Returns true if a text read from GitHub equals a given text after normalisation.
fn is_same_text(posted_text: &str, expected_text: &str) -> bool {
    normalize_text(posted_text) == normalize_text(&with_marker(expected_text, ""))
}
