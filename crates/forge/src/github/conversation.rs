//! A pull request at GitHub, for a loop that audits and fixes it: [`Conversation`]. What is looked at is in `looking`,
//! reviews in `reviewing`, what else is said in `saying`, what changes the pull request itself in `changing`.
//!
//! Whatever is believed of a text has a marker that verifies, in a text by one of our accounts.

mod bodies;
mod changing;
mod looking;
mod reviewing;
mod saying;

use std::sync::Arc;

use truing_core::finding::Place;
use truing_core::id::{CommentId, Millis, PrId, Sha, Span, ThreadId, Topic};
use truing_core::port::{
    Actor, CommitCheck, Conversation, Describing, ForgeError, Hub as _, Merge, Posted, PullNow, PullReview,
    ReviewDraft, ReviewThread, Said, SetLabel, WriteGate,
};
use truing_core::publish::Producer;

use super::id::Id;
use super::{GitHub, GitHubHub, GitHubPull};

/// A pull request, for one producer.
#[derive(Clone, Debug)]
pub struct GitHubConversation {
    hub: GitHubHub,
    pull: GitHubPull,
}

impl GitHub {
    /// A pull request, for a loop that works on it. `repo` is `owner/name` as it is now. The gate is asked right before
    /// each call that writes.
    pub fn conversation(
        &self,
        id: &PrId,
        repo: &str,
        producer: Producer,
        gate: &Arc<dyn WriteGate>,
    ) -> GitHubConversation {
        let hub = self.hub(&id.repository, repo, producer, gate);
        let pull = hub.github.pull(id.clone(), repo);
        GitHubConversation { hub, pull }
    }
}

impl GitHubConversation {
    /// The beginning of an error: what was tried, and where.
    fn what(&self, doing: &str) -> String {
        self.pull.what(doing)
    }

    /// What a comment of ours on the diff, which began a thread, is about.
    ///
    /// # Errors
    /// [`ForgeError`]
    pub async fn about(&self, comment: u64) -> Result<Option<Topic>, ForgeError> {
        let id = Id::Review(comment).text();
        let threads = self.list_threads().await?;
        let first = threads.iter().filter_map(|thread| thread.comments.first()).find(|first| first.id == id);
        Ok(first.and_then(|first| first.topic.clone()))
    }

    fn number(&self) -> u64 {
        self.pull.id.number
    }
}

impl Conversation for GitHubConversation {
    async fn now(&self) -> Result<PullNow, ForgeError> {
        self.look().await
    }

    async fn merge(&self) -> Result<Merge, ForgeError> {
        self.look_at_merge().await
    }

    async fn checks(&self, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError> {
        self.list_checks(commit).await
    }

    async fn labels(&self) -> Result<Vec<SetLabel>, ForgeError> {
        self.list_labels().await
    }

    async fn reviews(&self) -> Result<Vec<PullReview>, ForgeError> {
        self.list_reviews(&self.what("reading its reviews")).await
    }

    async fn threads(&self) -> Result<Vec<ReviewThread>, ForgeError> {
        self.list_threads().await
    }

    async fn said(&self, text: &str) -> Result<Vec<Said>, ForgeError> {
        self.find_said(&self.what("looking for what was said"), text).await
    }

    async fn eyes(&self, comment: &CommentId) -> Result<Vec<Actor>, ForgeError> {
        self.list_eyes(comment).await
    }

    async fn post_review(&self, draft: &ReviewDraft) -> Result<Posted, ForgeError> {
        self.send_review(draft).await
    }

    async fn post_as_comment(&self, draft: &ReviewDraft) -> Result<Posted, ForgeError> {
        self.say_review(draft).await
    }

    async fn reply(&self, first: &CommentId, topic: &Topic, body: &str) -> Result<CommentId, ForgeError> {
        self.answer(first, topic, body).await
    }

    async fn resolve(&self, thread: &ThreadId) -> Result<(), ForgeError> {
        self.pull.set_resolved(thread, true).await
    }

    async fn put_comment(&self, topic: &Topic, body: &str) -> Result<CommentId, ForgeError> {
        self.say_once(topic, body).await
    }

    async fn put_line_comment(
        &self,
        commit: &Sha,
        place: &Place,
        topic: &Topic,
        body: &str,
    ) -> Result<CommentId, ForgeError> {
        self.say_once_on(commit, place, (topic, body)).await
    }

    async fn trigger(&self, text: &str, since: Millis) -> Result<Said, ForgeError> {
        self.say_exactly(text, since).await
    }

    async fn request_review(&self, login: &str) -> Result<(), ForgeError> {
        self.request(login).await
    }

    async fn update_branch(&self, head: &Sha) -> Result<(), ForgeError> {
        self.merge_base_into(head).await
    }

    async fn mark_ready(&self) -> Result<(), ForgeError> {
        self.make_ready().await
    }

    async fn describe(&self, read: &str, body: &str) -> Result<Describing, ForgeError> {
        self.redescribe(read, body).await
    }

    fn settle(&self) -> Span {
        self.hub.settle()
    }

    fn longest_body(&self) -> usize {
        self.hub.longest_body()
    }
}
