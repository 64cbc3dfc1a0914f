//! The port of a forge's server, beyond one repository. It is here and not in `core` because it uses cached
//! lists, rows of the capability table and git addresses. It only reads; writes are effects of a client.

use async_trait::async_trait;
use truing_core::id::{PrId, UnixMillis};
use truing_core::port::{
    AuthorAccount, BranchProtection, CommentKind, ForgeError, ForgeKind, ForgeRead, ForgeRepository,
    ForgeWrite, OpenPull, PullComment, PullListItem,
};
use truing_core::publish::CommentProducer;
use truing_git::Remote;

use crate::capability::ForgeCapability;
use crate::http::RateQuota;
use crate::listing::{CachedListing, RepositoryListing};
use crate::remote::{RemoteError, RemotePurpose};

/// One server of a forge with one login. Cheap to clone; clones share connections and cached facts.
#[async_trait]
pub trait ForgeServer: Clone + Send + Sync {
    /// Client of one repository and one of its pull requests.
    type Client: ForgeRead + ForgeWrite;

    fn kind(&self) -> ForgeKind;

    /// Returns the capabilities and limits of the forge.
    fn capability(&self) -> &'static ForgeCapability;

    /// Returns a copy for one review, whose id each call carries in the header `X-Review-Id`. An id that a
    /// header cannot contain is left out.
    #[must_use]
    fn for_review(&self, id: &str) -> Self;

    /// Returns the client of a repository and one of its pull requests, for this producer. The number 0
    /// stands for the repository alone. `repo` is the current `owner/name`; markers are made for `id`.
    fn client(&self, id: &PrId, repo: &str, producer: CommentProducer) -> Self::Client;

    /// Returns the git address and credential of a repository with this `id` and the current name `repo`. For
    /// a push, [`ForgeError::Forbidden`] means that the login may not push.
    async fn resolve_remote(
        &self,
        id: &str,
        repo: &str,
        purpose: RemotePurpose,
    ) -> Result<Remote, RemoteError>;

    /// Reads the repository with the current name `repo` (`owner/name`); [`ForgeError::Moved`] if it was
    /// renamed.
    async fn repository(&self, repo: &str) -> Result<ForgeRepository, ForgeError>;

    /// Reads the repository with this id under any name; [`ForgeError::NotFound`] if it is gone or hidden
    /// from this login.
    async fn repository_by_id(&self, id: &str) -> Result<ForgeRepository, ForgeError>;

    /// Updates the list of accessible repositories with at most `calls` calls, and subtracts the calls made.
    /// On an error, the part that could be read is updated and the rest stays.
    async fn refresh_repositories(
        &self,
        last: &mut RepositoryListing,
        calls: &mut u64,
    ) -> Result<(), ForgeError>;

    /// Lists the open pull requests of a repository, newest activity first.
    async fn refresh_open_pulls(
        &self,
        repo: &str,
        last: &mut CachedListing<OpenPull>,
        calls: &mut u64,
    ) -> Result<(), ForgeError>;

    /// Lists the open pull requests from a branch of the repository itself: one for each base at most.
    async fn open_pulls_from_branch(&self, repo: &str, branch: &str) -> Result<Vec<OpenPull>, ForgeError>;

    /// Lists up to `most` open pull requests of a repository for people, newest activity first. The flag is
    /// true if the list is complete.
    async fn list_open_pulls(&self, repo: &str, most: usize)
    -> Result<(Vec<PullListItem>, bool), ForgeError>;

    /// Lists the comments on a repository's pull requests, or on the one with this number, that were written
    /// or changed since then, in two lists. Comments of one pull request and one kind come oldest change
    /// first. A forge that has only lists of a whole repository also returns those of the other pull
    /// requests.
    async fn refresh_comments_since(
        &self,
        of: (&str, Option<u64>),
        since: UnixMillis,
        last: &mut [CachedListing<PullComment>; 2],
        calls: &mut u64,
    ) -> Result<(), ForgeError>;

    /// Reads the current state of a comment that was seen on this pull request; `None` if it is not on a pull
    /// request. [`ForgeError::NotFound`] if it was deleted or is not visible yet.
    async fn comment(
        &self,
        id: &PrId,
        repo: &str,
        kind: CommentKind,
        comment: u64,
    ) -> Result<Option<PullComment>, ForgeError>;

    /// Returns true if this account may write to the repository. The forge is asked for the account with this
    /// id, because a name can pass to another account.
    async fn may_write(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError>;

    /// Returns true if it is our own account.
    async fn is_own_account(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError>;

    /// Reads the rules that may reject a push to a branch.
    async fn protection(&self, repo: &str, branch: &str) -> Result<BranchProtection, ForgeError>;

    /// Returns the rate limit of the last response that contained it. `None` before one, and for forges whose
    /// responses have no limit with a count and an end.
    fn quota(&self) -> Option<RateQuota> {
        None
    }

    /// Returns the id of the App that we log in as and whose checks can be requested again, if there is one.
    fn check_app_id(&self) -> Option<u64> {
        None
    }
}
