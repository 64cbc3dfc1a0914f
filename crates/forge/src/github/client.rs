//! One repository at GitHub and one of its pull requests. This module implements [`ForgeRead`], and `effects`
//! implements `ForgeWrite`. `pull_queries` reads the pull request, `reviewing` posts reviews, `comments`
//! posts other comments, and `pull_edits` changes the pull request. The calls on the repository are in
//! [`super::repository`].
//!
//! A text is trusted only if its marker verifies and one of our accounts wrote it.

mod bodies;
mod comments;
mod effects;
mod pull_edits;
mod pull_queries;
mod reviewing;

use std::sync::Arc;

use async_trait::async_trait;
use truing_core::id::{CommentId, PrId, Sha, Topic};
use truing_core::port::{
    Actor, AppliedLabel, AuthorAccount, BranchPull, CommitCheck, ConversationComment, ConversationReply,
    ForgeError, ForgeRead, MergeSummary, OwnIssue, PrState, PullActivity, PullDetails, PullRequest,
    PullReview, PullRevision, RepositoryDetails, ReviewThread, WritePermit,
};
use truing_core::publish::{CommentProducer, CommentSubject, ObservedComment, PublishLimits};
use url::Url;

use super::auth::{GitHubAccounts, OptionalWrite, TokenScope};
use super::id::GitHubCommentId;
use super::observed_comments::ObservedComments;
use super::session::paged_url;
use super::{GITHUB, GitHub, account_id, wire};
use crate::http::{ForgeRequest, ForgeResponse, unavailable_error};
use crate::marker::{MarkerKeys, MarkerMatch};

/// The client for one repository and one of its pull requests. The client writes comments for one producer.
#[derive(Clone, Debug)]
pub struct GitHubClient {
    pub(super) github: GitHub,
    /// Id of the pull request, which our markers contain. Its number is 0 if the client is for a repository
    /// without a pull request.
    pub(super) id: PrId,
    /// Current `owner/name` of the repository.
    pub(super) repo: String,
    pub(super) producer: CommentProducer,
}

impl GitHubClient {
    pub(super) fn new(github: &GitHub, id: &PrId, repo: &str, producer: CommentProducer) -> Self {
        Self { github: github.clone(), id: id.clone(), repo: repo.to_owned(), producer }
    }

    /// Returns a copy of the client that checks this permit before each write call.
    pub(super) fn with_permit(&self, permit: &Arc<WritePermit>) -> Self {
        Self { github: self.github.with_permit(permit), ..self.clone() }
    }

    /// Returns the name of the pull request in the form `owner/name#7`.
    fn name(&self) -> String {
        format!("{}#{}", self.repo, self.id.number)
    }

    /// Returns the beginning of an error message: the name of the pull request, and the operation.
    pub(super) fn pull_purpose(&self, operation: &str) -> String {
        format!("{}: {operation}", self.name())
    }

    /// Returns the beginning of an error message: the name of the repository, and the operation.
    pub(super) fn repository_purpose(&self, operation: &str) -> String {
        format!("{}: {operation}", self.repo)
    }

    /// Returns the client if it is for a pull request, and an error if it is for a repository alone.
    fn require_pull(&self) -> Result<&Self, ForgeError> {
        if self.id.number != 0 {
            return Ok(self);
        }
        let request = self.repository_purpose("reading a pull request");
        Err(ForgeError::Rejected { request, message: "no pull request is specified".to_owned() })
    }

    /// Returns the scope of the client's calls.
    pub(super) fn scope(&self) -> TokenScope<'_> {
        TokenScope::for_pull(&self.id, &self.repo)
    }

    pub(super) async fn send(&self, call: &ForgeRequest) -> Result<ForgeResponse, ForgeError> {
        self.github.send(self.scope(), call).await
    }

    /// Returns the API address of the repository, followed by the segments in `path_segments`.
    pub(super) fn url(&self, purpose: &str, path_segments: &[&str]) -> Result<Url, ForgeError> {
        self.github.repository_url(purpose, &self.repo, path_segments)
    }

    /// Returns the address of a list with this query and the maximum page size.
    pub(super) fn list_url(
        &self,
        purpose: &str,
        path_segments: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Url, ForgeError> {
        Ok(paged_url(self.url(purpose, path_segments)?, query))
    }

    /// Returns the address of one comment, in the conversation or on the diff.
    pub(super) fn comment_url(&self, purpose: &str, comment: &CommentId) -> Result<Url, ForgeError> {
        match GitHubCommentId::parse(purpose, comment)? {
            GitHubCommentId::Issue(number) => self.url(purpose, &["issues", "comments", &number.to_string()]),
            GitHubCommentId::Review(number) => self.url(purpose, &["pulls", "comments", &number.to_string()]),
        }
    }

    /// Records that the forge reports that the login may make the write in this repository, or may not.
    pub(super) fn record_permission(&self, write: OptionalWrite, is_allowed: bool) {
        let now = self.github.inner.http.now();
        self.github.inner.auth.refusals.record_permission(&self.id.repository, write, is_allowed, now);
    }

    /// Records the write as allowed if `result` is a success, and as rejected if a permission is missing.
    /// Returns `result`.
    pub(super) fn record_write_result<T>(
        &self,
        write: OptionalWrite,
        result: Result<T, ForgeError>,
    ) -> Result<T, ForgeError> {
        match &result {
            Ok(_) => self.github.inner.auth.refusals.record_success(&self.id.repository, write),
            Err(ForgeError::Forbidden { message, .. }) if lacks_permission(message) => {
                let now = self.github.inner.http.now();
                self.github.inner.auth.refusals.record_refusal(&self.id.repository, write, now);
            }
            Err(_) => {}
        }
        result
    }

    /// Returns true if the write is known to be rejected in this repository.
    pub(super) fn is_write_refused(&self, write: OptionalWrite) -> bool {
        self.github.inner.auth.refusals.is_refused(&self.id.repository, write)
    }

    /// Returns true unless the forge rejected the write in this repository within the last 24 hours.
    pub(super) fn may_try_write(&self, write: OptionalWrite) -> bool {
        self.github.inner.auth.refusals.may_try(&self.id.repository, write, self.github.inner.http.now())
    }

    pub(super) fn number(&self) -> String {
        self.id.number.to_string()
    }

    pub(super) fn marker_keys(&self) -> &MarkerKeys {
        &self.github.inner.options.marker_keys
    }

    /// Returns the item that a comment shows, the text without the marker, and true if a known key signed the
    /// marker. Returns `None` if the marker is not for this pull request and this producer.
    pub(super) fn parse_comment_subject(
        &self,
        comment: &wire::GitHubComment,
    ) -> Option<(CommentSubject, String, bool)> {
        match self.marker_keys().find_marker(&self.id, comment.body.as_deref().unwrap_or_default()) {
            MarkerMatch::Verified { producer: whose, item, body } if whose == self.producer => {
                Some((item, body, true))
            }
            MarkerMatch::UnknownKey { producer: whose, item, body, .. } if whose == self.producer => {
                Some((item, body, false))
            }
            MarkerMatch::Verified { .. }
            | MarkerMatch::UnknownKey { .. }
            | MarkerMatch::Forged
            | MarkerMatch::NoMarker => None,
        }
    }

    /// Finds the item that a comment on the diff shows.
    async fn find_comment_item(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
        comment: &CommentId,
    ) -> Result<Option<CommentSubject>, ForgeError> {
        if let Some((item, _)) = recorded_comments.iter().find(|(_, one)| one == comment) {
            return Ok(Some(item.clone()));
        }
        let accounts = self.accounts().await?;
        let what = self.pull_purpose(&format!("reading comment {comment}"));
        let url = self.comment_url(&what, comment)?;
        let read: wire::GitHubComment = self.send(&ForgeRequest::get(what.as_str(), url)).await?.json()?;
        let ours = read.user.as_ref().is_some_and(|user| accounts.account_kind(user).is_some());
        Ok(self.parse_comment_subject(&read).filter(|_| ours).map(|(item, ..)| item))
    }

    /// Finds the topic of the comment of ours that began a thread on the diff.
    async fn find_comment_topic(&self, comment: &CommentId) -> Result<Option<Topic>, ForgeError> {
        let threads = self.list_threads().await?;
        let mut began = threads.iter().filter_map(|thread| thread.comments.first());
        Ok(began.find(|first| first.id == *comment).and_then(|first| first.topic.clone()))
    }

    pub(super) async fn accounts(&self) -> Result<GitHubAccounts<'_>, ForgeError> {
        self.github.accounts(self.scope()).await
    }

    /// Reads the pull request with one call.
    async fn read_pull(&self) -> Result<PullRequest, ForgeError> {
        let request = self.pull_purpose("reading the pull request");
        let url = self.url(&request, &["pulls", &self.number()])?;
        let pull: wire::GitHubPull = self.send(&ForgeRequest::get(request.as_str(), url)).await?.json()?;
        // A name can later belong to another repository; an id cannot.
        let repository =
            pull.base.repo.map_or_else(|| self.id.repository.clone(), |repo| repo.id.to_string());
        if repository != self.id.repository {
            let request = format!("{request} (the name {} now belongs to a different repository)", self.repo);
            return Err(ForgeError::NotFound { request });
        }
        let sha =
            |text: &str| Sha::parse(text).map_err(|error| unavailable_error(&request, &error.to_string()));
        let state = match (pull.state.as_str(), pull.draft) {
            ("open", true) => PrState::Draft,
            ("open", false) => PrState::Open,
            (_, _) => PrState::Closed,
        };
        let author = pull.user.map(|user| AuthorAccount {
            id: account_id(user.id),
            login: user.login.unwrap_or_default(),
            is_person: user.kind == "User",
        });
        Ok(PullRequest {
            revision: PullRevision { head: sha(&pull.head.sha)?, base: sha(&pull.base.sha)? },
            base_branch: pull.base.branch,
            state,
            name: self.name(),
            url: pull.html_url,
            title: pull.title.unwrap_or_default(),
            description: pull.body.unwrap_or_default(),
            author,
            has_unique_logins: true,
            labels: pull.labels.map(|labels| labels.into_iter().map(|label| label.name).collect()),
            branch: pull.head.branch,
            head_repository: None,
        })
    }

    /// Lists our comments on the pull request.
    pub(super) async fn list_observed(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
    ) -> Result<Vec<ObservedComment>, ForgeError> {
        let mut listed =
            ObservedComments::new(self, recorded_comments, self.github.accounts(self.scope()).await?)?;

        let what = self.pull_purpose("listing the comments");
        let url = self.list_url(&what, &["issues", &self.number(), "comments"], &[])?;
        self.github
            .read_pages(self.scope(), &what, url, |comment| {
                listed.add_comment(GitHubCommentId::Issue, comment);
            })
            .await?;
        let what = self.pull_purpose("listing the review comments");
        let url = self.list_url(&what, &["pulls", &self.number(), "comments"], &[])?;
        self.github
            .read_pages(self.scope(), &what, url, |comment| {
                listed.add_comment(GitHubCommentId::Review, comment);
            })
            .await?;

        for comment in listed.missing_comments() {
            let what = self.pull_purpose(&format!("reading comment {}", comment.to_comment_id()));
            let url = self.comment_url(&what, &comment.to_comment_id())?;
            match self.send(&ForgeRequest::get(what.as_str(), url)).await {
                Ok(answer) => listed.add_comment(|_| comment, answer.json()?),
                Err(ForgeError::NotFound { .. }) => {} // A person deleted it.
                Err(error) => return Err(error),
            }
        }
        let threads = if listed.has_threads() { self.thread_states().await? } else { Vec::new() };
        listed.into_observed(&what, threads)
    }
}

/// Returns true if GitHub rejected the call for a missing permission of the login. Other rejections (single
/// sign-on, a blocked address, an archived repository) affect all calls, and are temporary.
fn lacks_permission(message: &str) -> bool {
    let words = [
        "Resource not accessible by",
        "does not have the correct permissions",
        "not granted to this installation",
        "lacks the permission",
    ];
    words.iter().any(|words| message.contains(words))
}

#[async_trait]
impl ForgeRead for GitHubClient {
    async fn pull_request(&self) -> Result<PullRequest, ForgeError> {
        self.require_pull()?.read_pull().await
    }

    async fn pull_details(&self) -> Result<PullDetails, ForgeError> {
        self.require_pull()?.read_pull_details().await
    }

    async fn merge_state(&self) -> Result<MergeSummary, ForgeError> {
        self.require_pull()?.read_merge_state().await
    }

    async fn checks(&self, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError> {
        self.list_checks(commit).await
    }

    async fn labels(&self) -> Result<Vec<AppliedLabel>, ForgeError> {
        self.require_pull()?.list_labels().await
    }

    async fn reviews(&self) -> Result<Vec<PullReview>, ForgeError> {
        self.require_pull()?.list_reviews(&self.pull_purpose("reading the reviews")).await
    }

    async fn threads(&self) -> Result<Vec<ReviewThread>, ForgeError> {
        self.require_pull()?.list_threads().await
    }

    async fn producer_comments(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
    ) -> Result<Vec<ObservedComment>, ForgeError> {
        self.require_pull()?.list_observed(recorded_comments).await
    }

    async fn comment_subject(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
        comment: &CommentId,
    ) -> Result<Option<CommentSubject>, ForgeError> {
        self.require_pull()?.find_comment_item(recorded_comments, comment).await
    }

    async fn comment_topic(&self, comment: &CommentId) -> Result<Option<Topic>, ForgeError> {
        self.require_pull()?.find_comment_topic(comment).await
    }

    async fn matching_comments(&self, text: &str) -> Result<Vec<ConversationComment>, ForgeError> {
        self.require_pull()?
            .find_comments_with_text(&self.pull_purpose("searching for comments with a given text"), text)
            .await
    }

    async fn eye_reactions(&self, comment: &CommentId) -> Result<Vec<Actor>, ForgeError> {
        self.require_pull()?.list_eye_reactions(comment).await
    }

    async fn repository(&self) -> Result<RepositoryDetails, ForgeError> {
        self.read_repository().await
    }

    async fn pulls_from_branch(&self, branch: &str) -> Result<Vec<BranchPull>, ForgeError> {
        self.list_pulls(branch).await
    }

    async fn activity(&self, number: u64) -> Result<PullActivity, ForgeError> {
        self.read_activity(number).await
    }

    async fn issues(&self, label: &str) -> Result<Vec<OwnIssue>, ForgeError> {
        self.list_issues(label).await
    }

    async fn replies(
        &self,
        number: u64,
        after_comment: Option<&CommentId>,
    ) -> Result<Vec<ConversationReply>, ForgeError> {
        self.list_replies(number, after_comment).await
    }

    fn publish_limits(&self) -> PublishLimits {
        GITHUB.publish_limits(self.settle_delay())
    }
}
