//! Types with which the loops and the service access any kind of forge: a server, and a repository with one
//! of its pull requests. All kinds of forge are known at compile time. Each type is therefore an enum with
//! one variant for each kind, and delegates every call to the variant's value.

use std::sync::Arc;

use async_trait::async_trait;
use truing_core::effect::{Effect, EffectKind};
use truing_core::id::{CommentId, PrId, Sha, TimeSpan, Topic, UnixMillis};
use truing_core::port::{
    Actor, AppliedLabel, AuthorAccount, BranchProtection, BranchPull, CommentKind, CommitCheck,
    ConversationComment, ConversationReply, EffectOutcome, ForgeError, ForgeKind, ForgeRead, ForgeRepository,
    ForgeWrite, MergeSummary, OpenPull, OwnIssue, PullActivity, PullComment, PullDetails, PullListItem,
    PullRequest, PullReview, RepositoryDetails, ReviewThread, SharedStateStore, WritePermit,
};
use truing_core::publish::{CommentProducer, CommentSubject, ObservedComment, PublishLimits};
use truing_git::Remote;

use crate::bitbucket::{
    BitbucketCloud, BitbucketCloudClient, BitbucketDataCenter, BitbucketDataCenterClient,
};
use crate::capability::ForgeCapability;
use crate::forge_server::ForgeServer;
use crate::github::{GitHub, GitHubClient};
use crate::http::RateQuota;
use crate::listing::{CachedListing, RepositoryListing};
use crate::remote::{RemoteError, RemotePurpose};

/// Delegates a call to the value of the variant, for every kind of forge.
macro_rules! each {
    ($of:expr, $it:ident => $call:expr) => {
        match $of {
            Self::GitHub($it) => $call,
            Self::BitbucketCloud($it) => $call,
            Self::BitbucketDataCenter($it) => $call,
        }
    };
}

/// One server of a forge with one login. Cloning is cheap; clones share connections and cached data.
#[derive(Clone, Debug)]
pub enum AnyForgeServer {
    /// GitHub, including GitHub Enterprise Server.
    GitHub(GitHub),
    BitbucketCloud(BitbucketCloud),
    BitbucketDataCenter(BitbucketDataCenter),
}

impl From<GitHub> for AnyForgeServer {
    fn from(github: GitHub) -> Self {
        Self::GitHub(github)
    }
}

impl From<BitbucketCloud> for AnyForgeServer {
    fn from(cloud: BitbucketCloud) -> Self {
        Self::BitbucketCloud(cloud)
    }
}

impl From<BitbucketDataCenter> for AnyForgeServer {
    fn from(data_center: BitbucketDataCenter) -> Self {
        Self::BitbucketDataCenter(data_center)
    }
}

/// A repository of a forge and one of its pull requests, for one producer.
#[derive(Clone, Debug)]
pub enum RepositoryClient {
    GitHub(GitHubClient),
    BitbucketCloud(BitbucketCloudClient),
    BitbucketDataCenter(BitbucketDataCenterClient),
}

impl AnyForgeServer {
    /// Returns a server that shares its rate limits with all processes that use the same login and the same
    /// `shared_state`. Call this function before the first request.
    #[must_use]
    pub fn with_shared_rate_limits(self, shared_state: Option<Arc<dyn SharedStateStore>>) -> Self {
        let Some(shared_state) = shared_state else { return self };
        match self {
            Self::GitHub(github) => Self::GitHub(github.with_shared_limits(shared_state)),
            Self::BitbucketCloud(cloud) => Self::BitbucketCloud(cloud.with_shared_rate_limits(shared_state)),
            Self::BitbucketDataCenter(center) => {
                Self::BitbucketDataCenter(center.with_shared_rate_limits(shared_state))
            }
        }
    }
}

#[async_trait]
impl ForgeServer for AnyForgeServer {
    type Client = RepositoryClient;

    fn kind(&self) -> ForgeKind {
        each!(self, it => it.kind())
    }

    fn capability(&self) -> &'static ForgeCapability {
        each!(self, it => it.capability())
    }

    fn with_review_id(&self, id: &str) -> Self {
        match self {
            Self::GitHub(github) => Self::GitHub(github.with_review_id(id)),
            Self::BitbucketCloud(cloud) => Self::BitbucketCloud(cloud.with_review_id(id)),
            Self::BitbucketDataCenter(center) => Self::BitbucketDataCenter(center.with_review_id(id)),
        }
    }

    fn client(&self, id: &PrId, repo: &str, producer: CommentProducer) -> RepositoryClient {
        match self {
            Self::GitHub(github) => RepositoryClient::GitHub(github.client(id, repo, producer)),
            Self::BitbucketCloud(cloud) => RepositoryClient::BitbucketCloud(cloud.client(id, repo, producer)),
            Self::BitbucketDataCenter(center) => {
                RepositoryClient::BitbucketDataCenter(center.client(id, repo, producer))
            }
        }
    }

    async fn resolve_remote(
        &self,
        id: &str,
        repo: &str,
        purpose: RemotePurpose,
    ) -> Result<Remote, RemoteError> {
        each!(self, it => it.resolve_remote(id, repo, purpose).await)
    }

    async fn repository(&self, repo: &str) -> Result<ForgeRepository, ForgeError> {
        each!(self, it => it.repository(repo).await)
    }

    async fn repository_by_id(&self, id: &str) -> Result<ForgeRepository, ForgeError> {
        each!(self, it => it.repository_by_id(id).await)
    }

    async fn refresh_repositories(
        &self,
        listing: &mut RepositoryListing,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        each!(self, it => it.refresh_repositories(listing, calls_left).await)
    }

    async fn refresh_open_pulls(
        &self,
        repo: &str,
        listing: &mut CachedListing<OpenPull>,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        each!(self, it => it.refresh_open_pulls(repo, listing, calls_left).await)
    }

    async fn open_pulls_from_branch(&self, repo: &str, branch: &str) -> Result<Vec<OpenPull>, ForgeError> {
        each!(self, it => it.open_pulls_from_branch(repo, branch).await)
    }

    async fn list_open_pulls(
        &self,
        repo: &str,
        max_items: usize,
    ) -> Result<(Vec<PullListItem>, bool), ForgeError> {
        each!(self, it => it.list_open_pulls(repo, max_items).await)
    }

    async fn refresh_comments_since(
        &self,
        repo_and_pull: (&str, Option<u64>),
        since: UnixMillis,
        listings: &mut [CachedListing<PullComment>; 2],
        calls_left: &mut u64,
    ) -> Result<(), ForgeError> {
        each!(self, it => it.refresh_comments_since(repo_and_pull, since, listings, calls_left).await)
    }

    async fn comment(
        &self,
        id: &PrId,
        repo: &str,
        kind: CommentKind,
        comment_id: u64,
    ) -> Result<Option<PullComment>, ForgeError> {
        each!(self, it => it.comment(id, repo, kind, comment_id).await)
    }

    async fn may_write(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError> {
        each!(self, it => it.may_write(repo, author).await)
    }

    async fn is_own_account(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError> {
        each!(self, it => it.is_own_account(repo, author).await)
    }

    async fn branch_protection(&self, repo: &str, branch: &str) -> Result<BranchProtection, ForgeError> {
        each!(self, it => it.branch_protection(repo, branch).await)
    }

    fn quota(&self) -> Option<RateQuota> {
        each!(self, it => it.quota())
    }

    fn app_id_for_checks(&self) -> Option<u64> {
        each!(self, it => it.app_id_for_checks())
    }
}

#[async_trait]
impl ForgeRead for RepositoryClient {
    async fn pull_request(&self) -> Result<PullRequest, ForgeError> {
        each!(self, it => it.pull_request().await)
    }

    async fn pull_details(&self) -> Result<PullDetails, ForgeError> {
        each!(self, it => it.pull_details().await)
    }

    async fn merge_state(&self) -> Result<MergeSummary, ForgeError> {
        each!(self, it => it.merge_state().await)
    }

    async fn checks(&self, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError> {
        each!(self, it => it.checks(commit).await)
    }

    async fn labels(&self) -> Result<Vec<AppliedLabel>, ForgeError> {
        each!(self, it => it.labels().await)
    }

    async fn reviews(&self) -> Result<Vec<PullReview>, ForgeError> {
        each!(self, it => it.reviews().await)
    }

    async fn threads(&self) -> Result<Vec<ReviewThread>, ForgeError> {
        each!(self, it => it.threads().await)
    }

    async fn producer_comments(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
    ) -> Result<Vec<ObservedComment>, ForgeError> {
        each!(self, it => it.producer_comments(recorded_comments).await)
    }

    async fn comment_subject(
        &self,
        recorded_comments: &[(CommentSubject, CommentId)],
        comment: &CommentId,
    ) -> Result<Option<CommentSubject>, ForgeError> {
        each!(self, it => it.comment_subject(recorded_comments, comment).await)
    }

    async fn comment_topic(&self, comment: &CommentId) -> Result<Option<Topic>, ForgeError> {
        each!(self, it => it.comment_topic(comment).await)
    }

    async fn matching_comments(&self, text: &str) -> Result<Vec<ConversationComment>, ForgeError> {
        each!(self, it => it.matching_comments(text).await)
    }

    async fn eye_reactions(&self, comment: &CommentId) -> Result<Vec<Actor>, ForgeError> {
        each!(self, it => it.eye_reactions(comment).await)
    }

    async fn repository(&self) -> Result<RepositoryDetails, ForgeError> {
        each!(self, it => it.repository().await)
    }

    async fn pulls_from_branch(&self, branch: &str) -> Result<Vec<BranchPull>, ForgeError> {
        each!(self, it => it.pulls_from_branch(branch).await)
    }

    async fn activity(&self, number: u64) -> Result<PullActivity, ForgeError> {
        each!(self, it => it.activity(number).await)
    }

    async fn issues(&self, label: &str) -> Result<Vec<OwnIssue>, ForgeError> {
        each!(self, it => it.issues(label).await)
    }

    async fn replies(
        &self,
        number: u64,
        after_comment: Option<&CommentId>,
    ) -> Result<Vec<ConversationReply>, ForgeError> {
        each!(self, it => it.replies(number, after_comment).await)
    }

    fn publish_limits(&self) -> PublishLimits {
        each!(self, it => it.publish_limits())
    }
}

#[async_trait]
impl ForgeWrite for RepositoryClient {
    async fn perform(&self, effect: &Effect, permit: &Arc<WritePermit>) -> Result<EffectOutcome, ForgeError> {
        each!(self, it => it.perform(effect, permit).await)
    }

    async fn find_effect(&self, effect: &Effect) -> Result<Option<EffectOutcome>, ForgeError> {
        each!(self, it => it.find_effect(effect).await)
    }

    fn visibility_delay(&self) -> TimeSpan {
        each!(self, it => it.visibility_delay())
    }

    fn unsupported_reason(&self, kind: EffectKind) -> Option<&'static str> {
        each!(self, it => it.unsupported_reason(kind))
    }

    fn denial_reason(&self, kind: EffectKind) -> Option<&'static str> {
        each!(self, it => it.denial_reason(kind))
    }
}
