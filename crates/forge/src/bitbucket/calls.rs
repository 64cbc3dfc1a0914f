//! The trait with the calls that Cloud and Data Center implement with different addresses and bodies, and the
//! types for parsed responses. [`super::client`] decides which calls to make.

use std::sync::Arc;

use async_trait::async_trait;
use truing_core::converge::readiness::MergeableState as Mergeable;
use truing_core::finding::CodeLocation;
use truing_core::id::{AccountId, Sha, UnixMillis};
use truing_core::port::{
    AuthorAccount, CommitCheck, ForgeError, PullDraft, PullState, RepositoryDetails, ReviewState, WritePermit,
};
use truing_core::publish::DesiredStatus;

use super::login::OwnAccount;
use super::options::BitbucketOptions;
use crate::capability::ForgeCapability;

/// An account that a response contains.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BitbucketUser {
    /// Id that does not change when the account is renamed: a UUID with braces at Cloud, a number at Data
    /// Center.
    pub(super) id: AccountId,
    /// Current login name of the account.
    pub(super) login: String,
    /// Name of the account in addresses (Data Center only); otherwise empty.
    pub(super) slug: String,
    /// True for the account of a person; false for a service or an app.
    pub(super) is_person: bool,
}

impl BitbucketUser {
    pub(super) fn to_author_account(&self) -> AuthorAccount {
        AuthorAccount { id: self.id.clone(), login: self.login.clone(), is_person: self.is_person }
    }
}

/// The head or the base of a pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PullRequestRef {
    /// Newest commit of the branch; [`Sha::null`] if the branch no longer exists.
    pub(super) commit: Sha,
    /// Branch name without `refs/heads/`.
    pub(super) branch: String,
    /// Id and name of the repository; `None` if the repository no longer exists.
    pub(super) repository: Option<(String, String)>,
}

/// A reviewer of a pull request, or another participant with a verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BitbucketReviewer {
    pub(super) user: BitbucketUser,
    /// True if a review is requested from the account; false if the account took part without a request.
    pub(super) is_requested: bool,
    /// Verdict of the reviewer; `None` if the reviewer has not decided yet.
    pub(super) state: Option<ReviewState>,
    /// Commit to which the verdict applies; `None` if the response does not contain the commit.
    pub(super) commit: Option<Sha>,
    /// Time of the verdict; `None` if the response does not contain the time.
    pub(super) verdict_at: Option<UnixMillis>,
}

/// A pull request at Cloud or Data Center.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BitbucketPullRequest {
    pub(super) number: u64,
    /// Version of the object (Data Center only). A request that changes the object must contain this version.
    pub(super) version: u64,
    pub(super) url: String,
    pub(super) title: String,
    /// Description of the pull request, including our marker.
    pub(super) description: String,
    pub(super) state: PullState,
    pub(super) created_at: UnixMillis,
    pub(super) author: Option<BitbucketUser>,
    pub(super) head: PullRequestRef,
    pub(super) base: PullRequestRef,
    /// True if the pull request passes all merge checks; `None` if the response does not contain this
    /// information.
    pub(super) is_mergeable: Option<bool>,
    /// Reviewers and other participants. Empty for a pull request that was read from a list at Cloud, because
    /// these lists omit participants.
    pub(super) reviewers: Vec<BitbucketReviewer>,
}

/// The lines to which a comment is attached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CommentLines {
    pub(super) path: String,
    /// Last line; `None` for a comment on a whole file, and for lines that no longer exist.
    pub(super) line: Option<u32>,
    /// Commit on which the comment was made; `None` if the response does not contain the commit.
    pub(super) commit: Option<Sha>,
    /// True if the lines have changed since the comment was made.
    pub(super) is_outdated: bool,
}

/// The state of the thread that a comment began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ThreadResolution {
    Open,
    /// The thread is resolved. The value is the account that resolved the thread; `None` if the response does
    /// not name the account.
    ResolvedBy(Option<BitbucketUser>),
}

/// A comment on a pull request, in the conversation or on the diff.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BitbucketComment {
    pub(super) id: u64,
    /// Version of the object (Data Center only). A request that changes the object must contain this version.
    pub(super) version: u64,
    /// Number of the comment to which this comment replies; `None` if it is not a reply.
    pub(super) parent: Option<u64>,
    /// Number of the comment that began the thread. For a comment that is not a reply, this is its own
    /// number.
    pub(super) first_comment: u64,
    pub(super) author: Option<BitbucketUser>,
    pub(super) created_at: UnixMillis,
    pub(super) updated_at: UnixMillis,
    /// Text of the comment, including our marker.
    pub(super) description: String,
    pub(super) url: String,
    /// Lines of the comment; `None` in the conversation. A reply has the lines of its thread's first comment.
    pub(super) location: Option<CommentLines>,
    pub(super) resolution: ThreadResolution,
    /// True if the comment was deleted but is still listed because it has replies.
    pub(super) is_deleted: bool,
}

impl BitbucketComment {
    /// Returns true if the comment began a thread on the diff.
    pub(super) fn begins_thread(&self) -> bool {
        self.location.is_some() && self.parent.is_none()
    }
}

/// The position of a new comment on the diff.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DiffPlace<'a> {
    Lines(&'a Sha, &'a CodeLocation),
    /// The comment is on the whole file of this location, at this commit.
    File(&'a Sha, &'a CodeLocation),
}

/// A comment to be created.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewBitbucketComment<'a> {
    /// Complete text of the comment.
    pub(super) description: &'a str,
    /// Number of the comment to which this comment replies; `None` if it is not a reply.
    pub(super) parent: Option<u64>,
    /// Position on the diff; `None` creates the comment in the conversation.
    pub(super) location: Option<DiffPlace<'a>>,
}

/// A change of a pull request. A field that is `None` is not changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PullRequestEdit<'a> {
    pub(super) title: Option<&'a str>,
    /// New description of the pull request, including our marker.
    pub(super) description: Option<&'a str>,
    pub(super) draft: Option<bool>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BitbucketCommit {
    pub(super) sha: Sha,
    pub(super) user: Option<BitbucketUser>,
    pub(super) author_name: String,
    pub(super) author_email: String,
    pub(super) committed_at: UnixMillis,
}

/// The forge's prediction of whether the pull request can be merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MergePreview {
    /// True if a merge would have conflicts; `None` if this is not known.
    pub(super) has_conflicts: Option<bool>,
    pub(super) state: Mergeable,
}

/// The calls to one server with one login. In each method, `purpose` is the beginning of error messages, and
/// `repo` is the current name of the repository.
#[async_trait]
pub trait BitbucketApi: Clone + Send + Sync + std::fmt::Debug {
    /// Returns the options with which the server object was created.
    fn options(&self) -> &BitbucketOptions;

    /// Returns the capabilities and limits of the forge. If the server's version is known, they are those of
    /// this version.
    fn forge_capability(&self) -> &'static ForgeCapability;

    /// Returns a copy whose write calls require this permit.
    #[must_use]
    fn with_permit(&self, permit: &Arc<WritePermit>) -> Self;

    /// Returns Truing's own account. It is requested from the forge only once.
    async fn own_account(&self) -> Result<OwnAccount, ForgeError>;

    /// Reads a pull request, with the full hashes of its head and base.
    async fn pull(&self, purpose: &str, repo: &str, number: u64) -> Result<BitbucketPullRequest, ForgeError>;

    /// Lists the pull requests from a branch of the repository, in any state, newest first.
    async fn list_pulls_from_branch(
        &self,
        purpose: &str,
        repo: &str,
        branch: &str,
    ) -> Result<Vec<BitbucketPullRequest>, ForgeError>;

    /// Lists all comments of a pull request, oldest first.
    async fn list_comments(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
    ) -> Result<Vec<BitbucketComment>, ForgeError>;

    /// Reads one comment; [`ForgeError::NotFound`] if the comment no longer exists.
    async fn load_comment(
        &self,
        purpose: &str,
        repo: &str,
        pull_and_comment: (u64, u64),
    ) -> Result<BitbucketComment, ForgeError>;

    /// Reads one comment, with the number of its thread's first comment. For a reply to a reply, the forge's
    /// response does not contain this number, so all comments are read.
    async fn load_thread_comment(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        id: u64,
    ) -> Result<BitbucketComment, ForgeError> {
        let note = self.load_comment(purpose, repo, (number, id)).await?;
        if note.is_deleted || (note.parent.is_none() && note.location.is_none()) {
            return Ok(note);
        }
        let notes = self.list_comments(purpose, repo, number).await?;
        Ok(notes.into_iter().find(|note| note.id == id).unwrap_or(note))
    }

    async fn create_comment(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        new_comment: NewBitbucketComment<'_>,
    ) -> Result<BitbucketComment, ForgeError>;

    /// Replaces the text of a comment.
    async fn edit_comment(
        &self,
        purpose: &str,
        repo: &str,
        pull_and_comment: (u64, u64),
        text: &str,
    ) -> Result<(), ForgeError>;

    /// Deletes a comment. Returns no error if the comment no longer exists.
    async fn delete_comment(
        &self,
        purpose: &str,
        repo: &str,
        pull_and_comment: (u64, u64),
    ) -> Result<(), ForgeError>;

    /// Resolves or reopens the thread that a comment began.
    async fn set_thread_resolved(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        first_comment: u64,
        resolved: bool,
    ) -> Result<(), ForgeError>;

    /// Changes a pull request if it still has the version that was read. Returns [`ForgeError::Stale`] if the
    /// forge reports that the pull request has changed since then.
    async fn change_pull(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
        change: PullRequestEdit<'_>,
    ) -> Result<(), ForgeError>;

    /// Opens a pull request with this complete description. Returns [`ForgeError::Stale`] or
    /// [`ForgeError::Rejected`] if the pull request already exists.
    async fn create_pull(
        &self,
        purpose: &str,
        repo: &str,
        draft: &PullDraft,
        description: &str,
    ) -> Result<BitbucketPullRequest, ForgeError>;

    /// Declines a pull request if it still has the version that was read.
    async fn decline(&self, purpose: &str, repo: &str, pull: &BitbucketPullRequest)
    -> Result<(), ForgeError>;

    /// Requests a review from an account. Existing review requests are kept.
    async fn request_reviewer(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
        login: &str,
    ) -> Result<(), ForgeError>;

    /// Submits a request for changes to a pull request, at this commit.
    async fn request_changes(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        commit: &Sha,
    ) -> Result<(), ForgeError>;

    /// Withdraws Truing's request for changes at this commit, without approving the pull request. Returns no
    /// error if the request is already withdrawn.
    async fn withdraw_changes(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        commit: &Sha,
    ) -> Result<(), ForgeError>;

    /// Lists the commits of a pull request, oldest first.
    async fn commits(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
    ) -> Result<Vec<BitbucketCommit>, ForgeError>;

    /// Returns the forge's prediction of whether the pull request can be merged.
    async fn preview_merge(
        &self,
        purpose: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
    ) -> Result<MergePreview, ForgeError>;

    /// Lists the newest status for each key of a commit.
    async fn checks(&self, purpose: &str, repo: &str, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError>;

    /// Sets Truing's report and build status on a commit, for this pull request.
    async fn set_status(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<(), ForgeError>;

    /// Returns true if Truing has set this build status on the commit. The report is set before the status,
    /// so if the status exists, the report exists, too.
    async fn has_status(
        &self,
        purpose: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<bool, ForgeError>;

    /// Reads the repository with this id. `repo` is its last known name.
    async fn load_repository(
        &self,
        purpose: &str,
        id: &str,
        repo: &str,
    ) -> Result<RepositoryDetails, ForgeError>;

    /// Returns true if this account may write to the repository.
    async fn has_write_access(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError>;
}
