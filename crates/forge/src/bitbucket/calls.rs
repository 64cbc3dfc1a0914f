//! The calls that both Bitbuckets have, each with its own addresses and bodies, and the forms in which their answers are
//! understood. What is decided by them is in [`super::client`].

use std::sync::Arc;

use async_trait::async_trait;
use truing_core::converge::readiness::MergeableState as Mergeable;
use truing_core::finding::CodeLocation;
use truing_core::id::{AccountId, Sha, UnixMillis};
use truing_core::port::{
    AuthorAccount, CommitCheck, ForgeError, Permit, PullDraft, PullState, RepositoryDetails, ReviewState,
};
use truing_core::publish::DesiredStatus;

use super::login::OwnAccount;
use super::options::BitbucketOptions;
use crate::capability::ForgeCapability;

/// An account as an answer names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BitbucketUser {
    /// The id that lasts through renames: a UUID with braces at Cloud, a number at Data Center.
    pub(super) id: AccountId,
    /// The name now.
    pub(super) login: String,
    /// The name in addresses (Data Center); empty where there is none.
    pub(super) slug: String,
    /// A person's, not a service's or an app's.
    pub(super) is_person: bool,
}

impl BitbucketUser {
    pub(super) fn author(&self) -> AuthorAccount {
        AuthorAccount { id: self.id.clone(), login: self.login.clone(), is_person: self.is_person }
    }
}

/// One end of a pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PullRequestEnd {
    /// Its newest commit; [`Sha::none`] if that is gone.
    pub(super) commit: Sha,
    /// Its branch, without `refs/heads/`.
    pub(super) branch: String,
    /// Id and name of its repository; none if that is gone.
    pub(super) repository: Option<(String, String)>,
}

/// Somebody who reviews or has reviewed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BitbucketReviewer {
    pub(super) user: BitbucketUser,
    /// True: they are asked for a review. Otherwise they took part without.
    pub(super) is_asked: bool,
    /// Their verdict; none: they have not decided.
    pub(super) state: Option<ReviewState>,
    /// The commit of that, where it is told.
    pub(super) commit: Option<Sha>,
    /// The time of that, where it is told.
    pub(super) at: Option<UnixMillis>,
}

/// A pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BitbucketPullRequest {
    pub(super) number: u64,
    /// Its version, which a change must name (Data Center).
    pub(super) version: u64,
    pub(super) url: String,
    pub(super) title: String,
    /// Its description, with our marker.
    pub(super) text: String,
    pub(super) state: PullState,
    pub(super) created: UnixMillis,
    pub(super) author: Option<BitbucketUser>,
    pub(super) head: PullRequestEnd,
    pub(super) base: PullRequestEnd,
    /// True where it passes all merge checks, as far as the forge says so with it.
    pub(super) is_mergeable: Option<bool>,
    /// At Cloud empty in lists, which do not tell them.
    pub(super) reviewers: Vec<BitbucketReviewer>,
}

/// The lines that a comment is on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct CommentLines {
    pub(super) path: String,
    /// The last line; none on a whole file, and where the lines are gone.
    pub(super) line: Option<u32>,
    /// The commit that it was made on, where it is told.
    pub(super) commit: Option<Sha>,
    /// True where its lines have changed since.
    pub(super) is_outdated: bool,
}

/// The state of the thread that a comment began.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ThreadResolution {
    /// It is open.
    Open,
    /// It is resolved, by this account if that is told.
    By(Option<BitbucketUser>),
}

/// A comment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BitbucketComment {
    pub(super) id: u64,
    /// Its version, which a change must name (Data Center).
    pub(super) version: u64,
    /// The comment that it answers.
    pub(super) parent: Option<u64>,
    /// The comment that began its thread: itself, if it answers none.
    pub(super) first: u64,
    pub(super) author: Option<BitbucketUser>,
    pub(super) created: UnixMillis,
    pub(super) updated: UnixMillis,
    /// Its text, with our marker.
    pub(super) text: String,
    pub(super) url: String,
    /// Its lines; none in the conversation. An answer has those of the first.
    pub(super) on: Option<CommentLines>,
    pub(super) settled: ThreadResolution,
    /// True where it was deleted, and is listed because of its answers.
    pub(super) is_deleted: bool,
}

impl BitbucketComment {
    /// Did it begin a thread on the diff?
    pub(super) fn begins_thread(&self) -> bool {
        self.on.is_some() && self.parent.is_none()
    }
}

/// The place of a new comment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DiffPlace<'a> {
    /// On lines of this commit.
    Lines(&'a Sha, &'a CodeLocation),
    /// On the file of the place, as a whole.
    File(&'a Sha, &'a CodeLocation),
}

/// A comment to be made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewBitbucketComment<'a> {
    /// The whole text.
    pub(super) text: &'a str,
    /// The comment that it answers.
    pub(super) parent: Option<u64>,
    /// Its place on the diff; none: in the conversation.
    pub(super) on: Option<DiffPlace<'a>>,
}

/// A change of a pull request; what is none stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PullRequestEdit<'a> {
    pub(super) title: Option<&'a str>,
    /// The whole description.
    pub(super) text: Option<&'a str>,
    pub(super) draft: Option<bool>,
}

/// A commit of a pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BitbucketCommit {
    pub(super) sha: Sha,
    pub(super) user: Option<BitbucketUser>,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) committed: UnixMillis,
}

/// What merging would be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MergePreview {
    /// None: not known.
    pub(super) conflicts: Option<bool>,
    pub(super) state: Mergeable,
}

/// The calls of one server with one login. `what` begins every error; `repo` is the repository's name now.
#[async_trait]
pub trait BitbucketApi: Clone + Send + Sync + std::fmt::Debug {
    /// The options that it was made with.
    fn options(&self) -> &BitbucketOptions;

    /// The limits of the forge, as narrow as its version, where that is known.
    fn row(&self) -> &'static ForgeCapability;

    /// The same; it makes calls that write by this permit.
    #[must_use]
    fn with_permit(&self, permit: &Arc<Permit>) -> Self;

    /// Our own account. Asked for once.
    async fn own(&self) -> Result<OwnAccount, ForgeError>;

    /// A pull request, with full hashes of both ends.
    async fn pull(&self, what: &str, repo: &str, number: u64) -> Result<BitbucketPullRequest, ForgeError>;

    /// The pull requests of a branch of the repository, in any state, newest first.
    async fn pulls_of(
        &self,
        what: &str,
        repo: &str,
        branch: &str,
    ) -> Result<Vec<BitbucketPullRequest>, ForgeError>;

    /// All comments of a pull request, oldest first.
    async fn notes(&self, what: &str, repo: &str, number: u64) -> Result<Vec<BitbucketComment>, ForgeError>;

    /// One comment; [`ForgeError::NotFound`] if it is gone.
    async fn note(&self, what: &str, repo: &str, of: (u64, u64)) -> Result<BitbucketComment, ForgeError>;

    /// The same with the first comment of its thread: read by itself, an answer to an answer does not name it.
    async fn in_thread(
        &self,
        what: &str,
        repo: &str,
        (number, id): (u64, u64),
    ) -> Result<BitbucketComment, ForgeError> {
        let note = self.note(what, repo, (number, id)).await?;
        if note.is_deleted || (note.parent.is_none() && note.on.is_none()) {
            return Ok(note);
        }
        let notes = self.notes(what, repo, number).await?;
        Ok(notes.into_iter().find(|note| note.id == id).unwrap_or(note))
    }

    /// Makes a comment.
    async fn create_note(
        &self,
        what: &str,
        repo: &str,
        number: u64,
        new: NewBitbucketComment<'_>,
    ) -> Result<BitbucketComment, ForgeError>;

    /// Gives a comment another text.
    async fn edit_note(&self, what: &str, repo: &str, of: (u64, u64), text: &str) -> Result<(), ForgeError>;

    /// Deletes a comment. One that is gone is no error.
    async fn delete_note(&self, what: &str, repo: &str, of: (u64, u64)) -> Result<(), ForgeError>;

    /// Resolves the thread that a comment began, or opens it again.
    async fn settle_thread(
        &self,
        what: &str,
        repo: &str,
        of: (u64, u64),
        resolved: bool,
    ) -> Result<(), ForgeError>;

    /// Changes a pull request as it was read. [`ForgeError::Stale`] if it is another by now, where the forge tells.
    async fn change_pull(
        &self,
        what: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
        change: PullRequestEdit<'_>,
    ) -> Result<(), ForgeError>;

    /// Opens a pull request with this whole description. [`ForgeError::Stale`] or [`ForgeError::Rejected`] if there is one.
    async fn create_pull(
        &self,
        what: &str,
        repo: &str,
        draft: &PullDraft,
        text: &str,
    ) -> Result<BitbucketPullRequest, ForgeError>;

    /// Declines a pull request as it was read.
    async fn decline(&self, what: &str, repo: &str, pull: &BitbucketPullRequest) -> Result<(), ForgeError>;

    /// Asks somebody for a review, beside those who are asked already.
    async fn ask(
        &self,
        what: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
        login: &str,
    ) -> Result<(), ForgeError>;

    /// Says that a pull request needs changes, of this commit.
    async fn want_changes(&self, what: &str, repo: &str, number: u64, commit: &Sha)
    -> Result<(), ForgeError>;

    /// Takes back that a pull request needs changes, of this commit. It approves nothing. If it is so already, that is no error.
    async fn withdraw_changes(
        &self,
        what: &str,
        repo: &str,
        number: u64,
        commit: &Sha,
    ) -> Result<(), ForgeError>;

    /// The commits of a pull request, oldest first.
    async fn commits(&self, what: &str, repo: &str, number: u64) -> Result<Vec<BitbucketCommit>, ForgeError>;

    /// What merging would be.
    async fn merging(
        &self,
        what: &str,
        repo: &str,
        pull: &BitbucketPullRequest,
    ) -> Result<MergePreview, ForgeError>;

    /// The statuses of a commit, the newest of each key.
    async fn checks(&self, what: &str, repo: &str, commit: &Sha) -> Result<Vec<CommitCheck>, ForgeError>;

    /// Gives a commit our report and our build status, for this pull request.
    async fn set_status(
        &self,
        what: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<(), ForgeError>;

    /// Has the commit this build status of ours? It is set after the report.
    async fn has_status(
        &self,
        what: &str,
        repo: &str,
        number: u64,
        status: &DesiredStatus,
    ) -> Result<bool, ForgeError>;

    /// The repository with this id now, which was called `repo` last.
    async fn look(&self, what: &str, id: &str, repo: &str) -> Result<RepositoryDetails, ForgeError>;

    /// May this account write to the repository?
    async fn permits(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError>;
}
