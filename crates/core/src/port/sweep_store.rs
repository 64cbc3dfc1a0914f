//! The port to the stored state of the sweep: the known repositories, and the time up to which their comments
//! were read. Also stores users' requests by comment, check button or label, and whether each request is
//! served.

use async_trait::async_trait;

use super::{HistoryEvent, OperatorAction, PullRevision, StoreError, VersionConflict};
use crate::dismissal::Dismissal;
use crate::id::{AccountId, PrId, Sha, SlotKey, SlotVersion, UnixMillis};
use crate::ledger::BudgetLevel;
use crate::slot::Slot;

/// A repository that a forge has listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownRepository {
    /// `NAME` of the repository's forge in `[forge.NAME]`.
    pub forge: String,
    /// Forge's id of the repository.
    pub id: String,
    /// Full name `owner/name` as last seen. Another repository may have this name now; only the id identifies
    /// the repository.
    pub name: String,
    /// Time up to which comments were read. Comments whose last change is earlier are not read again.
    pub cursor: UnixMillis,
    /// Time since which the forge no longer lists the repository; `None` if the repository is listed.
    pub missing_since: Option<UnixMillis>,
    /// True after the onboarding of the repository is complete ([`SweepStore::finish_onboarding`]).
    pub onboarded: bool,
}

/// Kind of a comment: in the conversation or on the diff. A forge may number the comments of the two kinds
/// separately.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CommentKind {
    /// A comment in the conversation of the pull request.
    Conversation,
    /// A comment on a line or a file of the diff, or a reply to such a comment.
    Diff,
}

impl CommentKind {
    /// Both kinds of comments.
    pub const ALL: [Self; 2] = [Self::Conversation, Self::Diff];

    /// Returns the word used in the store and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Diff => "diff",
        }
    }
}

/// A stored request of a user. It stays stored until it is served.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UserRequest {
    /// Pull request that the request concerns.
    pub pr: PrId,
    /// Comment, button or label by which the user made the request.
    pub origin: RequestOrigin,
    /// Time at which Truing noticed the request.
    pub noticed_at: UnixMillis,
}

/// The comment, button or label by which a user makes a request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum RequestOrigin {
    /// A comment that looked like a command. The comment's text is read from the forge when the request is
    /// served.
    Comment {
        /// Kind of the comment: in the conversation or on the diff.
        kind: CommentKind,
        /// Forge's number of the comment, among those of its kind.
        id: u64,
    },
    /// The *Re-run* button of Truing's check, which requests a review. The forge does not record who pressed
    /// the button, so the account is stored here. Several presses before the request is served count as one
    /// request.
    Check {
        /// Account that pressed the button.
        account: AccountId,
        /// Login of the account when the button was pressed.
        login: String,
    },
    /// A label that requests a converge run. The account that set the label is read from the forge when the
    /// request is served. Setting the label several times before the request is served counts as one request.
    Label {
        /// Name of the label.
        name: String,
    },
}

/// The changes that a served request causes. The store makes the changes and marks the request as served,
/// exactly once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserRequestOutcome {
    /// Version of the slot when it was read, and the new slot to be stored.
    pub slot: (SlotVersion, Slot),
    /// Events for the slot's history, which `truing why` prints.
    pub events: Vec<HistoryEvent>,
    /// Entry for the audit log.
    pub act: OperatorAction,
    /// Dismissal to be stored. It replaces an earlier dismissal of the same finding.
    pub dismissal: Option<Dismissal>,
    /// Budget level whose limit is raised once more by its configured amount.
    pub raised_level: Option<BudgetLevel>,
}

/// The progress of the reviews of a pull request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReviewProgress {
    /// Revision of the newest run, regardless of its outcome; `None` if there was no run.
    pub last_attempted: Option<PullRevision>,
    /// Revision of the newest run after which no further review was needed
    /// ([`is_review_settled`](crate::review_settlement::is_review_settled)).
    pub last_settled: Option<PullRevision>,
    /// True if the pull request was skipped without a review. In this case, a new head leads to a review, but
    /// a new base commit does not.
    pub is_skipped: bool,
}

impl ReviewProgress {
    /// Returns true if an operator dropped the pull request before any run had read its head. The drop then
    /// applies to the head that the sweep sees first.
    pub fn is_dropped_without_head(&self) -> bool {
        self.is_skipped && self.last_settled.as_ref().is_some_and(|settled| settled.head.is_null())
    }
}

/// A store for the sweep's data and for users' requests. Writes need no fencing token, because no run makes
/// them.
#[async_trait]
pub trait SweepStore: Send + Sync {
    /// Returns every known repository of a forge: the stored repositories, and the repositories whose pull
    /// requests have a stored description. If a repository is known only from a description, its cursor is
    /// the store's current time.
    async fn repositories(&self, forge: &str) -> Result<Vec<KnownRepository>, StoreError>;

    /// Stores the repositories. The stored cursor of a known repository is kept, and unchanged repositories
    /// are not written.
    async fn store_repositories(&self, repositories: &[KnownRepository]) -> Result<(), StoreError>;

    /// Marks the onboarding of a repository as complete.
    async fn finish_onboarding(&self, repository: &KnownRepository) -> Result<(), StoreError>;

    /// Returns the progress of the reviews of each key, in the order of `keys`.
    async fn last_reviews(&self, keys: &[SlotKey]) -> Result<Vec<ReviewProgress>, StoreError>;

    /// Returns the stored slots of the repository's pull requests.
    async fn repository_slots(&self, forge: &str, repository: &str) -> Result<Vec<Slot>, StoreError>;

    /// Returns the repository's pull requests that were reviewed at this head, according to the runs that are
    /// still stored.
    async fn pulls_reviewed_at(
        &self,
        forge: &str,
        repository: &str,
        head: &Sha,
    ) -> Result<Vec<PrId>, StoreError>;

    /// Stores the requests in a repository, and the time `read_until` up to which its comments were read.
    /// Also stores the repository, as [`Self::store_repositories`] does. All writes are one durable
    /// transaction. A request whose comment is already stored is not changed, whether it is served or not.
    async fn store_requests(
        &self,
        requests: &[UserRequest],
        repository: &KnownRepository,
        read_until: Option<UnixMillis>,
    ) -> Result<(), StoreError>;

    /// Returns the requests at a forge that are not served yet. The list begins with the oldest comment of
    /// each repository, followed by the second oldest comment of each repository, and so on. The requests by
    /// button and label in a repository come after the repository's comments.
    async fn unserved_requests(&self, forge: &str, limit: usize) -> Result<Vec<UserRequest>, StoreError>;

    /// Marks a request as served, and makes the changes in `outcome`. If the call is repeated, the changes
    /// are not made again. Returns a conflict if the slot's row has changed since it was read.
    async fn mark_request_served(
        &self,
        request: &UserRequest,
        outcome: Option<&UserRequestOutcome>,
    ) -> Result<Result<(), VersionConflict>, StoreError>;
}
