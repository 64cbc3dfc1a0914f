//! A pull request at GitHub, for a loop that works on it: [`Forge`], [`Conversation`], and its writes, `ForgeWrite`, in
//! `effects`. What is looked at is in `looking`, reviews in `reviewing`, what else is said in `saying`, what changes the
//! pull request itself in `changing`.
//!
//! Whatever is believed of a text has a marker that verifies, in a text by one of our accounts.

mod bodies;
mod changing;
mod effects;
mod looking;
mod reviewing;
mod saying;

use std::sync::Arc;

use truing_core::id::{CommentId, PrId, Sha, Topic};
use truing_core::port::{
    Actor, CommitCheck, Conversation, Forge, ForgeError, Hub as _, Merge, PullNow, PullRequest, PullReview,
    ReviewThread, Said, SetLabel, WriteGate,
};
use truing_core::publish::{Bounds, Item, Observed, Producer};

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

    fn producer(&self) -> Producer {
        self.hub.producer
    }
}

impl Forge for GitHubConversation {
    async fn pull_request(&self) -> Result<PullRequest, ForgeError> {
        self.pull.pull_request().await
    }

    async fn comments(
        &self,
        producer: Producer,
        known: &[(Item, CommentId)],
    ) -> Result<Vec<Observed>, ForgeError> {
        self.pull.comments(producer, known).await
    }

    fn bounds(&self) -> Bounds {
        self.pull.bounds()
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

    fn longest_body(&self) -> usize {
        self.hub.longest_body()
    }
}
