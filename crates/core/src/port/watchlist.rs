//! State of the sweep and of the commands: known repositories, how far their comments were read, requests by
//! comments, check buttons and labels, and the served ones among them.

use async_trait::async_trait;

use super::{HistoryEvent, OperatorAction, PullRevision, StoreError, VersionConflict};
use crate::dismissal::Dismissal;
use crate::id::{AccountId, PrId, Sha, SlotKey, SlotVersion, UnixMillis};
use crate::ledger::BudgetLevel;
use crate::slot::Slot;

/// A repository that was seen at a forge.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownRepository {
    /// `NAME` of its forge in `[forge.NAME]`.
    pub forge: String,
    /// Forge's id of the repository.
    pub id: String,
    /// Full name `owner/name` as last seen. Another repository may have this name now; only the id
    /// identifies it.
    pub name: String,
    /// Comments last changed before this time are no longer read as commands.
    pub cursor: UnixMillis,
    /// Time since which the forge does not show the repository.
    pub missing_since: Option<UnixMillis>,
    /// True after the first contact is over ([`SweepStore::finish_onboarding`]).
    pub onboarded: bool,
}

/// The place of a comment. A forge may number the two kinds separately.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CommentKind {
    /// A comment in the conversation of the pull request.
    Conversation,
    /// A comment on a line or a file of the diff, or a reply there.
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

/// A request of a user, as it was noticed.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UserRequest {
    /// Pull request that it concerns.
    pub pr: PrId,
    /// Means by which the user asked.
    pub origin: RequestOrigin,
    /// Time at which the request was noticed.
    pub at: UnixMillis,
}

/// The means by which a user makes a request.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum RequestOrigin {
    /// A comment that looked like a command. Its text is read from the forge when the request is served.
    Comment {
        /// Place of the comment on the pull request.
        kind: CommentKind,
        /// Forge's number of the comment, among those of its kind.
        id: u64,
    },
    /// The button of our check, which requests a review. The forge keeps no record of the press. Several
    /// presses before the request is served count as one.
    Check {
        /// Account that pressed the button.
        account: AccountId,
        /// Login of the account at that time.
        login: String,
    },
    /// A label that requests a converge run. The account that set it is read from the forge when the request
    /// is served. A label set again before that counts as one request.
    Label {
        /// Name of the label.
        name: String,
    },
}

/// The changes that a served request causes, written in one transaction with the mark that it is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserRequestOutcome {
    /// Version at which the slot was read, and the slot to be stored.
    pub slot: (SlotVersion, Slot),
    /// Events for the output of `truing why`.
    pub events: Vec<HistoryEvent>,
    /// Entry for the audit log.
    pub act: OperatorAction,
    /// Dismissal that replaces an earlier one of the same finding.
    pub dismissal: Option<Dismissal>,
    /// Budget level that is raised, by the amount of its configured limit.
    pub allowed: Option<BudgetLevel>,
}

/// The progress of the reviews of a pull request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReviewProgress {
    /// Revision of the newest run, regardless of its outcome; `None` if there was no run.
    pub last_attempted: Option<PullRevision>,
    /// Revision that a run settled last ([`is_review_settled`](crate::settled::is_review_settled)).
    pub last_settled: Option<PullRevision>,
    /// True if the pull request was skipped without a review. Then only its head counts: a base that moves
    /// on is no reason to review it.
    pub is_skipped: bool,
}

/// A store of the sweep's and the comments' rows. They are not fenced, because no run writes them.
#[async_trait]
pub trait SweepStore: Send + Sync {
    /// Returns every repository of a forge that was ever seen: those remembered, and those of a described
    /// pull request. A repository that was only described has its cursor at the store's current time.
    async fn repositories(&self, forge: &str) -> Result<Vec<KnownRepository>, StoreError>;

    /// Stores the repositories as given, but keeps the cursor of a known repository. Writes nothing for a
    /// repository that is unchanged.
    async fn store_repositories(&self, repositories: &[KnownRepository]) -> Result<(), StoreError>;

    /// Ends the first contact with a repository.
    async fn finish_onboarding(&self, repository: &KnownRepository) -> Result<(), StoreError>;

    /// Returns the progress of the reviews of each key, in the order of `keys`.
    async fn last_reviews(&self, keys: &[SlotKey]) -> Result<Vec<ReviewProgress>, StoreError>;

    /// Returns the stored slots of the repository's pull requests.
    async fn repository_slots(&self, forge: &str, repository: &str) -> Result<Vec<Slot>, StoreError>;

    /// Returns the repository's pull requests that a run reviewed at this head, as far as runs are kept.
    async fn pulls_reviewed_at(
        &self,
        forge: &str,
        repository: &str,
        head: &Sha,
    ) -> Result<Vec<PrId>, StoreError>;

    /// Stores requests in a repository, the repository as [`Self::store_repositories`] does, and the time
    /// `until` which its comments were read; all in one durable transaction. A comment that is known, served
    /// or not, stays unchanged.
    async fn store_requests(
        &self,
        requests: &[UserRequest],
        repository: &KnownRepository,
        until: Option<UnixMillis>,
    ) -> Result<(), StoreError>;

    /// Returns the requests at a forge that are not served yet. The oldest comment of each repository comes
    /// first, then the second oldest of each, and so on; for a repository without comments, its buttons and
    /// labels.
    async fn unserved_requests(&self, forge: &str, limit: usize) -> Result<Vec<UserRequest>, StoreError>;

    /// Marks a request as served. With `obeyed`, this succeeds only if the slot's row has not changed, and
    /// writes everything in one transaction: the request takes effect once.
    async fn mark_request_served(
        &self,
        request: &UserRequest,
        obeyed: Option<&UserRequestOutcome>,
    ) -> Result<Result<(), VersionConflict>, StoreError>;
}
