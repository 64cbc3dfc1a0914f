//! Creates comments in the conversation and in threads, each only once.

use reqwest::Method;
use serde_json::json;
use truing_core::finding::CodeLocation;
use truing_core::id::{CommentId, Sha, Topic, UnixMillis};
use truing_core::port::{ConversationComment, ForgeError, LineComment};

use super::GitHubClient;
use crate::github::auth::GitHubAccountKind;
use crate::github::body::with_marker;
use crate::github::id::GitHubCommentId;
use crate::github::repository::bodies::GitHubCommentItem;
use crate::github::repository::to_actor;
use crate::github::wire;
use crate::http::ForgeRequest;
use crate::marker::normalize_text;

impl GitHubClient {
    pub(super) async fn reply_to_thread(
        &self,
        first_comment: &CommentId,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        let request = self.pull_purpose(&format!("answering comment {first_comment}"));
        let GitHubCommentId::Review(id) = GitHubCommentId::parse(&request, first_comment)? else {
            let message = "the comment is not the first of a thread".to_owned();
            return Err(ForgeError::Rejected { request, message });
        };
        if let Some(comment) = self.find_thread_reply(&request, id, topic).await? {
            return Ok(comment);
        }
        let tail = ["pulls", &self.number(), "comments", &id.to_string(), "replies"];
        let new = json!({ "body": self.add_topic_marker(self.id.number, topic, body) });
        let url = self.url(&request, &tail)?;
        let made: wire::CreatedItem = self.send(&ForgeRequest::create(request, url, new)).await?.json()?;
        Ok(GitHubCommentId::Review(made.id).to_comment_id())
    }

    /// Returns our answer on this topic in the thread that `first_comment` began.
    pub(super) async fn find_thread_reply(
        &self,
        purpose: &str,
        first_comment: u64,
        topic: &Topic,
    ) -> Result<Option<CommentId>, ForgeError> {
        let there = self.list_line_comments(purpose).await?.into_iter();
        let mut ours = there
            .filter(|(began, _, comment)| *began == first_comment && comment.topic.as_ref() == Some(topic));
        Ok(ours.next().map(|(_, _, comment)| comment.id))
    }

    /// Returns our comment on this topic in the conversation, if the comment has this text.
    pub(super) async fn find_comment_with_body(
        &self,
        topic: &Topic,
        body: &str,
    ) -> Result<Option<CommentId>, ForgeError> {
        let what = self.pull_purpose("searching for a comment by Truing");
        let accounts = self.accounts().await?;
        let is = |comment: &GitHubCommentItem| {
            let is_ours = comment.user.as_ref().is_some_and(|user| accounts.account_kind(user).is_some());
            let (about, text) = self.read_verified_topic(self.id.number, is_ours, comment.body.as_deref());
            about.as_ref() == Some(topic) && text == normalize_text(&with_marker(body, ""))
        };
        let comments = self.list_conversation(&what, self.id.number).await?;
        Ok(comments.into_iter().find(is).map(|comment| GitHubCommentId::Issue(comment.id).to_comment_id()))
    }

    /// Returns our comment on this topic on the diff, if the comment has this text.
    pub(super) async fn find_line_comment_with_body(
        &self,
        topic: &Topic,
        body: &str,
    ) -> Result<Option<CommentId>, ForgeError> {
        let what = self.pull_purpose("searching for a comment by Truing on the diff");
        let is = |comment: &LineComment| {
            comment.topic.as_ref() == Some(topic)
                && comment.line.is_some()
                && comment.body == normalize_text(&with_marker(body, ""))
        };
        let mut there = self.list_line_comments(&what).await?.into_iter().map(|(_, _, comment)| comment);
        Ok(there.find(is).map(|comment| comment.id))
    }

    pub(super) async fn upsert_comment(&self, topic: &Topic, body: &str) -> Result<CommentId, ForgeError> {
        let what = self.pull_purpose("searching for a comment by Truing");
        let accounts = self.accounts().await?;
        for comment in self.list_conversation(&what, self.id.number).await? {
            let whose = comment.user.as_ref().and_then(|user| accounts.account_kind(user));
            let (about, text) =
                self.read_verified_topic(self.id.number, whose.is_some(), comment.body.as_deref());
            if about.as_ref() != Some(topic) {
                continue;
            }
            // A comment of a former account of ours stays unchanged, because no other account can edit it.
            if whose == Some(GitHubAccountKind::Current) && text != normalize_text(&with_marker(body, "")) {
                let what = self.pull_purpose(&format!("rewriting comment {}", comment.id));
                let url = self.url(&what, &["issues", "comments", &comment.id.to_string()])?;
                let new = json!({ "body": self.add_topic_marker(self.id.number, topic, body) });
                self.send_set(what, Method::PATCH, url, Some(new)).await?;
            }
            return Ok(GitHubCommentId::Issue(comment.id).to_comment_id());
        }
        self.create_comment(self.id.number, topic, body).await
    }

    pub(super) async fn upsert_line_comment(
        &self,
        commit: &Sha,
        location: &CodeLocation,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        let what = self.pull_purpose("searching for a comment by Truing on the diff");
        let there = self.list_line_comments(&what).await?.into_iter().map(|(_, _, comment)| comment);
        let Some(comment) =
            there.into_iter().find(|comment| comment.topic.as_ref() == Some(topic) && comment.line.is_some())
        else {
            return self.create_line_comment(&what, commit, location, topic, body).await;
        };
        if comment.body != normalize_text(&with_marker(body, "")) {
            let what = self.pull_purpose(&format!("rewriting comment {}", comment.id));
            let url = self.comment_url(&what, &comment.id)?;
            let new = json!({ "body": self.add_topic_marker(self.id.number, topic, body) });
            self.send_set(what, Method::PATCH, url, Some(new)).await?;
        }
        Ok(comment.id)
    }

    pub(super) async fn find_comments_with_text(
        &self,
        purpose: &str,
        text: &str,
    ) -> Result<Vec<ConversationComment>, ForgeError> {
        let accounts = self.accounts().await?;
        let is = |comment: &GitHubCommentItem| {
            comment.body.as_deref().is_some_and(|body| body.trim() == text.trim())
        };
        let comments = self.list_conversation(purpose, self.id.number).await?.into_iter().filter(is);
        let read = |comment: GitHubCommentItem| {
            Ok(ConversationComment {
                id: GitHubCommentId::Issue(comment.id).to_comment_id(),
                author: comment.user.as_ref().map(|user| to_actor(&accounts, user)),
                created: wire::parse_instant(purpose, &comment.created_at)?,
            })
        };
        comments.map(read).collect()
    }

    /// Returns our newest comment with exactly this text that was made at or after `since`, by the forge's
    /// clock.
    pub(super) async fn find_exact_comment(
        &self,
        text: &str,
        since: UnixMillis,
    ) -> Result<Option<ConversationComment>, ForgeError> {
        // GitHub reports times in whole seconds, so `since` is rounded down to a second.
        let since = UnixMillis(since.0.div_euclid(1000) * 1000);
        let mut comment = self
            .find_comments_with_text(&self.pull_purpose("triggering a reviewer"), text)
            .await?
            .into_iter();
        let ours = |comment: &ConversationComment| {
            comment.author.as_ref().is_some_and(|author| author.is_own_account) && comment.created >= since
        };
        Ok(comment.rfind(ours))
    }

    pub(super) async fn ensure_exact_comment(
        &self,
        text: &str,
        since: UnixMillis,
    ) -> Result<ConversationComment, ForgeError> {
        let what = self.pull_purpose("triggering a reviewer");
        if let Some(existing) = self.find_exact_comment(text, since).await? {
            return Ok(existing);
        }
        let accounts = self.accounts().await?;
        let url = self.url(&what, &["issues", &self.number(), "comments"])?;
        let call = ForgeRequest::create(what.as_str(), url, json!({ "body": text }));
        let made: GitHubCommentItem = self.send(&call).await?.json()?;
        Ok(ConversationComment {
            id: GitHubCommentId::Issue(made.id).to_comment_id(),
            author: made.user.as_ref().map(|user| to_actor(&accounts, user)),
            created: wire::parse_instant(&what, &made.created_at)?,
        })
    }
}
