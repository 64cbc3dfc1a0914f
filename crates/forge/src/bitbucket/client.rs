//! The client for one repository at a Bitbucket and one of its pull requests. This module implements
//! [`ForgeRead`]; the module `effects` implements `ForgeWrite`. The modules `comments` and `lines` handle
//! Truing's comments, and `reviewing` handles its reviews. `pull_queries` reads pull requests, and
//! `pull_edits` changes them.
//!
//! A text is trusted only if its marker verifies and one of our accounts wrote it.

mod comments;
mod effects;
mod lines;
mod pull_edits;
mod pull_queries;
mod reviewing;

use std::sync::Arc;

use async_trait::async_trait;
use truing_core::effect::Effect;
use truing_core::id::{CommentId, PrId, Sha, TimeSpan, Topic};
use truing_core::port::{
    Actor, AppliedLabel, BranchPull, CommitCheck, ConversationComment, ConversationReply, ForgeError,
    ForgeRead, MergeSummary, OwnIssue, PullActivity, PullDetails, PullRequest, PullReview, RepositoryDetails,
    ReviewThread, WritePermit,
};
use truing_core::publish::{CommentProducer, CommentSubject, ObservedComment, PublishLimits};

use super::address::{rejected_error, split_repository_name};
use super::calls::{BitbucketApi, BitbucketPullRequest};
use super::login::BitbucketAccounts;
use crate::marker::MarkerKeys;

/// A repository at a Bitbucket and one of its pull requests, for one producer.
#[derive(Clone, Debug)]
pub struct BitbucketClient<C> {
    api: C,
    /// Id that Truing's markers contain. The number is 0 if the client is for a repository without a pull
    /// request.
    id: PrId,
    /// Current name of the repository.
    repo: String,
    producer: CommentProducer,
}

impl<C: BitbucketApi> BitbucketClient<C> {
    pub(super) fn new(calls: &C, id: &PrId, repo: &str, producer: CommentProducer) -> Self {
        Self { api: calls.clone(), id: id.clone(), repo: repo.to_owned(), producer }
    }

    /// Returns a copy of the client that makes its write calls under this permit.
    pub(super) fn with_permit(&self, permit: &Arc<WritePermit>) -> Self {
        Self { api: self.api.with_permit(permit), ..self.clone() }
    }

    /// Returns the beginning of an error message: the name of the pull request, and the operation.
    fn describe_pull_operation(&self, operation: &str) -> String {
        format!("{}#{}: {operation}", self.repo, self.id.number)
    }

    /// Returns the beginning of an error message: the name of the repository, and the operation.
    fn describe_repository_operation(&self, operation: &str) -> String {
        format!("{}: {operation}", self.repo)
    }

    /// Returns the client if it is for a pull request. Returns an error if the client is for a repository
    /// without a pull request.
    fn require_pull(&self) -> Result<&Self, ForgeError> {
        if self.id.number != 0 {
            return Ok(self);
        }
        Err(rejected_error(
            &self.describe_repository_operation("reading a pull request"),
            "no pull request is specified",
        ))
    }

    /// Returns the id for the marker of a text in pull request `number`. In markers of pull request
    /// descriptions, the number is 0.
    fn marker_pull_id(&self, number: u64) -> PrId {
        PrId { number, ..self.id.clone() }
    }

    fn marker_keys(&self) -> &MarkerKeys {
        &self.api.options().marker_keys
    }

    async fn accounts(&self) -> Result<BitbucketAccounts<'_>, ForgeError> {
        let own = self.api.own_account().await?;
        Ok(BitbucketAccounts::new(
            own,
            &self.api.options().previous_accounts,
            self.api.forge_capability().has_unique_account_names,
        ))
    }

    /// Reads a pull request and checks by its id that the name still belongs to this repository. Another
    /// repository may reuse the name, but not the id.
    async fn read_pull(&self, purpose: &str, number: u64) -> Result<BitbucketPullRequest, ForgeError> {
        split_repository_name(purpose, &self.repo)?;
        let pull = self.api.pull(purpose, &self.repo, number).await?;
        match &pull.base.repository {
            Some((id, _)) if *id != self.id.repository => {
                let request =
                    format!("{purpose} (the name {} now belongs to a different repository)", self.repo);
                Err(ForgeError::NotFound { request })
            }
            Some(_) | None => Ok(pull),
        }
    }

    /// Returns the error for an effect that this forge does not support. No call is made.
    fn unsupported_effect_error(&self, effect: &Effect) -> ForgeError {
        let (row, intended) = (self.api.forge_capability(), effect.intent());
        let reason = intended.kind.unsupported_reason_at(row.kind).unwrap_or("this effect is not supported");
        rejected_error(
            &self.describe_repository_operation(&intended.description),
            &format!("{}: {reason}", row.name),
        )
    }
}

#[async_trait]
impl<C: BitbucketApi> ForgeRead for BitbucketClient<C> {
    async fn pull_request(&self) -> Result<PullRequest, ForgeError> {
        self.require_pull()?.read_pull_request().await
    }

    async fn pull_details(&self) -> Result<PullDetails, ForgeError> {
        self.require_pull()?.read_pull_details().await
    }

    async fn merge_state(&self) -> Result<MergeSummary, ForgeError> {
        self.require_pull()?.read_merge_summary().await
    }

    async fn checks(&self, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError> {
        let what = self.describe_pull_operation(&format!("reading the checks of {}", commit.short_sha()));
        self.api.checks(&what, &self.repo, commit).await
    }

    async fn labels(&self) -> Result<Vec<AppliedLabel>, ForgeError> {
        self.require_pull().map(|_| Vec::new())
    }

    async fn reviews(&self) -> Result<Vec<PullReview>, ForgeError> {
        let what = self.require_pull()?.describe_pull_operation("reading the reviews");
        let notes = self.api.list_comments(&what, &self.repo, self.id.number).await?;
        let pull = self.read_pull(&what, self.id.number).await?;
        Ok(self.collect_reviews(&self.accounts().await?, &pull, &notes))
    }

    async fn threads(&self) -> Result<Vec<ReviewThread>, ForgeError> {
        self.require_pull()?.list_threads().await
    }

    async fn producer_comments(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
    ) -> Result<Vec<ObservedComment>, ForgeError> {
        self.require_pull()?.list_own_comments(recorded_comments).await
    }

    async fn comment_subject(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
        comment: &CommentId,
    ) -> Result<Option<CommentSubject>, ForgeError> {
        self.require_pull()?.find_comment_subject(recorded_comments, comment).await
    }

    async fn comment_topic(&self, comment: &CommentId) -> Result<Option<Topic>, ForgeError> {
        let threads = self.require_pull()?.list_threads().await?;
        let mut began = threads.iter().filter_map(|thread| thread.comments.first());
        Ok(began.find(|first| first.id == *comment).and_then(|first| first.topic.clone()))
    }

    async fn matching_comments(&self, text: &str) -> Result<Vec<ConversationComment>, ForgeError> {
        self.require_pull()?.find_comments_with_text(text).await
    }

    async fn eye_reactions(&self, _: &CommentId) -> Result<Vec<Actor>, ForgeError> {
        // Cloud has no API call for reactions, and Data Center has no API call that reads reactions.
        self.require_pull().map(|_| Vec::new())
    }

    async fn repository(&self) -> Result<RepositoryDetails, ForgeError> {
        let what = self.describe_repository_operation("reading the repository");
        self.api.load_repository(&what, &self.id.repository, &self.repo).await
    }

    async fn pulls_from_branch(&self, branch: &str) -> Result<Vec<BranchPull>, ForgeError> {
        self.list_pulls(branch).await
    }

    async fn activity(&self, number: u64) -> Result<PullActivity, ForgeError> {
        self.read_activity(number).await
    }

    async fn issues(&self, _: &str) -> Result<Vec<OwnIssue>, ForgeError> {
        // Neither forge has issues: Cloud removed its issues in August 2026.
        Ok(Vec::new())
    }

    async fn replies(
        &self,
        number: u64,
        after_comment: Option<&CommentId>,
    ) -> Result<Vec<ConversationReply>, ForgeError> {
        self.list_replies(number, after_comment).await
    }

    fn publish_limits(&self) -> PublishLimits {
        self.api.forge_capability().publish_limits(self.settle_delay())
    }
}

impl<C: BitbucketApi> BitbucketClient<C> {
    /// Returns the maximum time until the forge shows a created object. This time is needed if the response
    /// to the create request was lost.
    fn settle_delay(&self) -> TimeSpan {
        self.api.options().settle_delay
    }
}
