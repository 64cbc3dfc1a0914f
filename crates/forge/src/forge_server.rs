//! The port to a forge's server, for reading data that is not limited to one pull request. The port uses
//! cached lists, the capability table and git addresses, so it is defined in this crate and not in `core`. It
//! never writes; clients perform all writes as effects.

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

/// One server of a forge with one login. Cloning is cheap; clones share connections and cached data.
#[async_trait]
pub trait ForgeServer: Clone + Send + Sync {
    /// Client of one repository and one of its pull requests.
    type Client: ForgeRead + ForgeWrite;

    fn kind(&self) -> ForgeKind;

    /// Returns the capabilities and limits of the forge.
    fn capability(&self) -> &'static ForgeCapability;

    /// Returns a copy for one review. Each request of the copy contains the review's id in the header
    /// `X-Review-Id`. An id that a header cannot contain is omitted.
    #[must_use]
    fn with_review_id(&self, id: &str) -> Self;

    /// Returns the client of a repository and one of its pull requests, for this producer. If the number in
    /// `id` is 0, the client is for the repository without a pull request. `repo` is the current name
    /// `owner/name`. The client's markers contain `id`.
    fn client(&self, id: &PrId, repo: &str, producer: CommentProducer) -> Self::Client;

    /// Returns the git address and credential of a repository with this `id` and the current name `repo`. If
    /// the remote is for a push, [`ForgeError::Forbidden`] means that the login may not push.
    async fn resolve_remote(
        &self,
        id: &str,
        repo: &str,
        purpose: RemotePurpose,
    ) -> Result<Remote, RemoteError>;

    /// Reads the repository with the current name `repo` (`owner/name`); [`ForgeError::Moved`] if it was
    /// renamed.
    async fn repository(&self, repo: &str) -> Result<ForgeRepository, ForgeError>;

    /// Reads the repository with this id, regardless of its name. Returns [`ForgeError::NotFound`] if it no
    /// longer exists or is hidden from this login.
    async fn repository_by_id(&self, id: &str) -> Result<ForgeRepository, ForgeError>;

    /// Updates the list of accessible repositories with at most `calls_left` calls, and subtracts the number
    /// of calls from `calls_left`. After an error, the pages that were read are updated, and all other pages
    /// stay unchanged.
    async fn refresh_repositories(
        &self,
        listing: &mut RepositoryListing,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError>;

    /// Updates the list of a repository's open pull requests, newest activity first.
    async fn refresh_open_pulls(
        &self,
        repo: &str,
        listing: &mut CachedListing<OpenPull>,
        calls_left: &mut u64,
    ) -> Result<(), ForgeError>;

    /// Lists the open pull requests from a branch of the repository itself: at most one for each base.
    async fn open_pulls_from_branch(&self, repo: &str, branch: &str) -> Result<Vec<OpenPull>, ForgeError>;

    /// Lists up to `max_pulls` open pull requests of a repository for display, newest activity first. The
    /// flag is true if the list is complete.
    async fn list_open_pulls(
        &self,
        repo: &str,
        max_pulls: usize,
    ) -> Result<(Vec<PullListItem>, bool), ForgeError>;

    /// Updates two lists with the comments that were written or changed at or after `since`. If
    /// `repo_and_pull` contains a pull request number, the comments of this pull request are requested;
    /// otherwise, the comments of all pull requests are requested. Comments of the same pull request and kind
    /// are sorted, oldest change first. If a forge can only list the comments of a whole repository, comments
    /// of other pull requests are returned, too.
    async fn refresh_comments_since(
        &self,
        repo_and_pull: (&str, Option<u64>),
        since: UnixMillis,
        listings: &mut [CachedListing<PullComment>; 2],
        calls_left: &mut u64,
    ) -> Result<(), ForgeError>;

    /// Reads the current state of a comment that was seen on this pull request; `None` if the comment is not
    /// on a pull request. [`ForgeError::NotFound`] if the comment was deleted or is not visible yet.
    async fn comment(
        &self,
        id: &PrId,
        repo: &str,
        kind: CommentKind,
        comment_number: u64,
    ) -> Result<Option<PullComment>, ForgeError>;

    /// Returns true if this account may write to the repository. The account is identified by its id, because
    /// another account may get its name later.
    async fn may_write(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError>;

    /// Returns true if this account is Truing's own account.
    async fn is_own_account(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError>;

    /// Reads the rules that may reject a push to a branch.
    async fn branch_protection(&self, repo: &str, branch: &str) -> Result<BranchProtection, ForgeError>;

    /// Returns the rate limit from the latest response that contained one. `None` if no response contained
    /// one yet, or if the forge's responses do not contain the number of remaining calls and the end of the
    /// limit.
    fn quota(&self) -> Option<RateQuota> {
        None
    }

    /// Returns the id of the App with which Truing logs in, if people can request a rerun of its checks;
    /// otherwise `None`.
    fn app_id_for_checks(&self) -> Option<u64> {
        None
    }
}
