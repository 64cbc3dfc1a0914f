//! Comments in an issue or in the conversation of a pull request.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::json;
use truing_core::id::{CommentId, Topic};
use truing_core::port::{AuthorAccount, ConversationReply, ForgeError, TextWriter};

use super::bodies::GitHubCommentItem;
use super::{ForgeRequest, GitHubClient, foreign_object_error, to_actor, wire};
use crate::forge_server::ForgeServer as _;
use crate::github::account_id;
use crate::github::auth::GitHubAccountKind;
use crate::github::id::GitHubCommentId;
use crate::http::unavailable_error;

impl GitHubClient {
    /// Lists all comments of a conversation, oldest first.
    pub(in crate::github) async fn list_conversation(
        &self,
        purpose: &str,
        number: u64,
    ) -> Result<Vec<GitHubCommentItem>, ForgeError> {
        let url = self.list_url(purpose, &["issues", &number.to_string(), "comments"], &[])?;
        let mut comments = Vec::new();
        self.github.read_pages(self.scope(), purpose, url, |comment| comments.push(comment)).await?;
        Ok(comments)
    }

    pub(in crate::github) async fn list_replies(
        &self,
        number: u64,
        after_comment: Option<&CommentId>,
    ) -> Result<Vec<ConversationReply>, ForgeError> {
        let request = self.repository_purpose(&format!("reading the answers in {number}"));
        let after_comment = match after_comment
            .map(|after_comment| GitHubCommentId::parse(&request, after_comment))
            .transpose()?
        {
            // Later comments have greater numbers.
            Some(GitHubCommentId::Issue(id)) => id,
            Some(GitHubCommentId::Review(_)) => {
                let message = "the comment is on the diff, not in the conversation".to_owned();
                return Err(ForgeError::Rejected { request, message });
            }
            None => 0,
        };
        let accounts = self.accounts().await?;
        let mut comments = self.list_conversation(&request, number).await?;
        comments.retain(|comment| comment.id > after_comment);
        let node_ids: Vec<String> = comments.iter().filter_map(|comment| comment.node_id.clone()).collect();
        let texts = self.github.comment_texts(self.scope(), &request, &node_ids).await;
        // The conversation exists. A comment was deleted after the list was read.
        if matches!(texts, Err(ForgeError::NotFound { .. })) {
            return Err(unavailable_error(&request, "a comment was just deleted"));
        }
        let mut texts = texts?;
        let mut known = HashMap::new();
        let mut replies = Vec::new();
        for comment in comments {
            let text = comment.node_id.as_ref().and_then(|id| texts.remove(id));
            let body = text.as_ref().map(|text| text.body.as_str()).or(comment.body.as_deref());
            let author = comment.user.as_ref().map(|user| to_actor(&accounts, user));
            let is_ours = author.as_ref().is_some_and(|author| author.is_own_account);
            let (topic, body) = self.read_topic(number, is_ours, body);
            let person = comment.user.filter(|user| !is_ours && user.kind == "User");
            let trusted = match person {
                Some(user) => self.is_trusted(&mut known, user).await?,
                None => false,
            };
            let at = wire::parse_instant(&request, &comment.created_at)?;
            replies.push(ConversationReply {
                id: GitHubCommentId::Issue(comment.id).to_comment_id(),
                author,
                is_author_trusted: trusted,
                created: at,
                body,
                text_writer: text.map_or(TextWriter::Unknown, |text| text.writer),
                topic,
            });
        }
        Ok(replies)
    }

    /// Returns true if this person may write to the repository. Each person is looked up once.
    pub(in crate::github) async fn is_trusted(
        &self,
        trust_cache: &mut HashMap<u64, bool>,
        user: wire::GitHubUser,
    ) -> Result<bool, ForgeError> {
        if let Some(trusted) = trust_cache.get(&user.id) {
            return Ok(*trusted);
        }
        let author =
            AuthorAccount { id: account_id(user.id), login: user.login.unwrap_or_default(), is_person: true };
        let trusted = self.github.may_write(&self.repo, &author).await?;
        trust_cache.insert(user.id, trusted);
        Ok(trusted)
    }

    /// Creates a comment, unless our newest comment already has this topic and text.
    pub(in crate::github) async fn create_comment_if_new(
        &self,
        number: u64,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        match self.newest_comment_if_matching(number, topic, body).await? {
            Some(comment) => Ok(comment),
            None => self.create_comment(number, topic, body).await,
        }
    }

    pub(in crate::github) async fn create_comment(
        &self,
        number: u64,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        let what = self.repository_purpose(&format!("commenting in {number}"));
        let url = self.url(&what, &["issues", &number.to_string(), "comments"])?;
        let new = json!({ "body": self.add_topic_marker(number, topic, body) });
        let made: wire::CreatedItem =
            self.github.send(self.scope(), &ForgeRequest::create(what, url, new)).await?.json()?;
        Ok(GitHubCommentId::Issue(made.id).to_comment_id())
    }

    pub(in crate::github) async fn remove_comment(
        &self,
        number: u64,
        comment: &CommentId,
    ) -> Result<(), ForgeError> {
        let what = self.repository_purpose(&format!("deleting comment {comment} in {number}"));
        let id = match self.own_comment_number(&what, number, comment).await {
            Ok(id) => id,
            Err(ForgeError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let url = self.url(&what, &["issues", "comments", &id])?;
        match self.send_set(what, Method::DELETE, url, None).await {
            // A comment that does not exist counts as deleted: an earlier try, whose response was lost, may
            // have deleted it.
            Ok(()) | Err(ForgeError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns the number of a comment of ours in this conversation. The comment's marker must name the
    /// conversation.
    pub(super) async fn own_comment_number(
        &self,
        purpose: &str,
        number: u64,
        comment: &CommentId,
    ) -> Result<String, ForgeError> {
        let GitHubCommentId::Issue(id) = GitHubCommentId::parse(purpose, comment)? else {
            return Err(foreign_object_error(purpose));
        };
        let accounts = self.accounts().await?;
        let url = self.url(purpose, &["issues", "comments", &id.to_string()])?;
        let read: GitHubCommentItem =
            self.github.send(self.scope(), &ForgeRequest::get(purpose, url)).await?.json()?;
        // A comment of a former account of ours is not accepted: our account changes only its own texts.
        let whose = read.user.as_ref().and_then(|user| accounts.account_kind(user));
        let (topic, _) =
            self.read_topic(number, whose == Some(GitHubAccountKind::Current), read.body.as_deref());
        if topic.is_some() { Ok(id.to_string()) } else { Err(foreign_object_error(purpose)) }
    }
}
