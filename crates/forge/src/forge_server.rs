//! The port of a server of a forge, beyond one repository. It is here and not in `core`, as it names lists
//! that are kept between calls, rows of the capability table and addresses of git. All of it reads; what
//! writes is an effect of a client.

use async_trait::async_trait;
use truing_core::id::{PrId, UnixMillis};
use truing_core::port::{
    AuthorAccount, BranchProtection, CommentKind, ForgeError, ForgeKind, ForgeRead, ForgeRepository,
    ForgeWrite, OpenPull, PullComment, PullListItem,
};
use truing_core::publish::Producer;
use truing_git::Remote;

use crate::capability::ForgeCapability;
use crate::http::RateQuota;
use crate::listing::{CachedListing, RepositoryListing};
use crate::remote::{RemoteError, RemotePurpose};

/// One server of a forge with one login. Cheap to clone; clones share connections and what was learnt.
#[async_trait]
pub trait ForgeServer: Clone + Send + Sync {
    /// A repository of it, and one pull request of that.
    type Client: ForgeRead + ForgeWrite;

    /// The kind of forge.
    fn kind(&self) -> ForgeKind;

    /// The limits of the forge.
    fn capability(&self) -> &'static ForgeCapability;

    /// The same, for one review: each of its calls names that, in the header `X-Review-Id`. An id that cannot
    /// stand in a header is not named.
    #[must_use]
    fn for_review(&self, id: &str) -> Self;

    /// A repository and one pull request of it, for this producer; the number 0 is the repository alone.
    /// `repo` is `owner/name` as it is now; `id` is what markers are made for.
    fn client(&self, id: &PrId, repo: &str, producer: Producer) -> Self::Client;

    /// Where git finds a repository (`id`, which is called `repo` now), and what it logs in with. For a push
    /// [`ForgeError::Forbidden`] says that the login may not.
    async fn remote(&self, id: &str, repo: &str, purpose: RemotePurpose) -> Result<Remote, RemoteError>;

    /// The repository that is called `repo` (`owner/name`) now; [`ForgeError::Moved`] if it has another name
    /// by now.
    async fn repository(&self, repo: &str) -> Result<ForgeRepository, ForgeError>;

    /// The repository with this id, whatever it is called now; [`ForgeError::NotFound`] if it is gone, or
    /// hidden from this login.
    async fn repository_by_id(&self, id: &str) -> Result<ForgeRepository, ForgeError>;

    /// The repositories that we may see. At most `calls` calls, which is lowered. On an error, what could be
    /// listed is new and the rest old.
    async fn repositories(&self, last: &mut RepositoryListing, calls: &mut u64) -> Result<(), ForgeError>;

    /// The open pull requests of a repository, newest activity first.
    async fn open_pulls(
        &self,
        repo: &str,
        last: &mut CachedListing<OpenPull>,
        calls: &mut u64,
    ) -> Result<(), ForgeError>;

    /// The open pull requests of a branch of the repository itself: one to each base at most.
    async fn open_pulls_of(&self, repo: &str, branch: &str) -> Result<Vec<OpenPull>, ForgeError>;

    /// The open pull requests of a repository for people, newest activity first, so many at most; and whether
    /// those are all.
    async fn pull_lines(&self, repo: &str, most: usize) -> Result<(Vec<PullListItem>, bool), ForgeError>;

    /// The comments on a repository's pull requests, or on the one with this number, that were written or
    /// changed since then, in two lists; those of one pull request and one kind oldest change first. A forge
    /// that lists those of a whole repository alone gives those of its other pull requests, too.
    async fn comments_since(
        &self,
        of: (&str, Option<u64>),
        since: UnixMillis,
        last: &mut [CachedListing<PullComment>; 2],
        calls: &mut u64,
    ) -> Result<(), ForgeError>;

    /// A comment as it is now, which was seen on this pull request; none if it is on no pull request.
    /// [`ForgeError::NotFound`] if it was deleted, or is not visible yet.
    async fn comment(
        &self,
        id: &PrId,
        repo: &str,
        comment: (CommentKind, u64),
    ) -> Result<Option<PullComment>, ForgeError>;

    /// May this account write to the repository? Asked of the forge, for the account with this id: a name can
    /// come to mean another.
    async fn may_write(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError>;

    /// Is it our own account?
    async fn is_own(&self, repo: &str, author: &AuthorAccount) -> Result<bool, ForgeError>;

    /// The rules that may refuse a push to a branch.
    async fn protection(&self, repo: &str, branch: &str) -> Result<BranchProtection, ForgeError>;

    /// The rate limit as of the last answer that told; none before one, and where answers tell no limit with
    /// a count and an end.
    fn quota(&self) -> Option<RateQuota> {
        None
    }

    /// The app that we log in as and whose checks can be asked for again, if there is one.
    fn check_app(&self) -> Option<u64> {
        None
    }
}
