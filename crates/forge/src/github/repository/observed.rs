//! Looks whether a pull request, an issue or a comment of ours is as an effect would make it.

use truing_core::id::{CommentId, Topic};
use truing_core::port::{BranchPull, ForgeError, OwnIssue};

use super::GitHubClient;
use super::bodies::GitHubCommentItem;
use crate::github::body::with_marker;
use crate::github::id::GitHubCommentId;
use crate::marker::normal;

impl GitHubClient {
    /// The open pull request from a branch to a base, whoever opened it.
    pub(in crate::github) async fn opened_pull(
        &self,
        branch: &str,
        base: &str,
    ) -> Result<Option<BranchPull>, ForgeError> {
        let there = self.list_pulls(branch).await?;
        Ok(there.into_iter().find(|pull| pull.is_open() && pull.base == base))
    }

    /// Has our pull request this title and this text?
    pub(in crate::github) async fn says_pull(
        &self,
        number: u64,
        (topic, title, body): (&Topic, &str, &str),
    ) -> Result<bool, ForgeError> {
        let pull = self
            .own_pull(&self.what_of_repository(&format!("reading pull request {number}")), number)
            .await?;
        let (about, text) = self.read(0, true, pull.body.as_deref());
        Ok(pull.title == title && about.as_ref() == Some(topic) && is_same(&text, body))
    }

    /// Is our pull request a draft?
    pub(in crate::github) async fn is_draft(&self, number: u64) -> Result<bool, ForgeError> {
        Ok(self
            .own_pull(&self.what_of_repository(&format!("reading pull request {number}")), number)
            .await?
            .draft)
    }

    /// Is our pull request open?
    pub(in crate::github) async fn is_open_pull(&self, number: u64) -> Result<bool, ForgeError> {
        let pull = self
            .own_pull(&self.what_of_repository(&format!("reading pull request {number}")), number)
            .await?;
        Ok(pull.state == "open")
    }

    /// Has a pull request all these labels? GitHub tells no labels apart that differ in case alone.
    pub(in crate::github) async fn has_labels(
        &self,
        number: u64,
        labels: &[String],
    ) -> Result<bool, ForgeError> {
        let there = self
            .labels_of(&self.what_of_repository(&format!("reading the labels of {number}")), number)
            .await?;
        let has = |label: &String| there.iter().any(|one| one.to_lowercase() == label.to_lowercase());
        Ok(labels.iter().all(has))
    }

    /// The newest open issue of ours on this topic, with this label.
    pub(in crate::github) async fn opened_issue(
        &self,
        topic: &Topic,
        label: &str,
    ) -> Result<Option<OwnIssue>, ForgeError> {
        let there = self.list_issues(label).await?;
        Ok(there.into_iter().find(|issue| issue.open && issue.topic == *topic))
    }

    /// Has our issue this title and this text?
    pub(in crate::github) async fn says_issue(
        &self,
        number: u64,
        (topic, title, body): (&Topic, &str, &str),
    ) -> Result<bool, ForgeError> {
        let issue =
            self.one_issue(&self.what_of_repository(&format!("reading issue {number}")), number).await?;
        Ok(issue.title == title && issue.topic == *topic && is_same(&issue.body, body))
    }

    /// Is our issue open?
    pub(in crate::github) async fn is_open_issue(&self, number: u64) -> Result<bool, ForgeError> {
        Ok(self.one_issue(&self.what_of_repository(&format!("reading issue {number}")), number).await?.open)
    }

    /// Our newest comment in a conversation, if it is on this topic and has this text.
    pub(in crate::github) async fn newest_comment(
        &self,
        number: u64,
        topic: &Topic,
        body: &str,
    ) -> Result<Option<CommentId>, ForgeError> {
        let what = self.what_of_repository(&format!("looking for a comment of ours in {number}"));
        let accounts = self.accounts().await?;
        let comments = self.conversation_of(&what, number).await?.into_iter();
        let read = |comment: GitHubCommentItem| {
            let is_ours = comment.user.as_ref().is_some_and(|user| accounts.whose(user).is_some());
            let (about, text) = self.verified(number, is_ours, comment.body.as_deref());
            about.map(|about| (comment.id, about, text))
        };
        let newest = comments.filter_map(read).next_back();
        let newest = newest.filter(|(_, about, text)| about == topic && is_same(text, body));
        Ok(newest.map(|(id, ..)| GitHubCommentId::Issue(id).text()))
    }

    /// Is a comment of ours gone?
    pub(in crate::github) async fn is_deleted(
        &self,
        number: u64,
        comment: &CommentId,
    ) -> Result<bool, ForgeError> {
        let what = self.what_of_repository(&format!("looking for comment {comment} in {number}"));
        match self.own_comment(&what, number, comment).await {
            Ok(_) => Ok(false),
            Err(ForgeError::NotFound { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Is a text, as it was read, this one, as it is given?
fn is_same(read: &str, given: &str) -> bool {
    normal(read) == normal(&with_marker(given, ""))
}
