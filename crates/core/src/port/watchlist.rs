//! What the sweep and the commands remember: repositories, how far their comments were read, what people asked for in
//! comments and by the buttons of checks, and which of that was served.

use async_trait::async_trait;

use super::{HistoryEvent, OperatorAction, PullRevision, StoreError, VersionConflict};
use crate::dismissal::Dismissal;
use crate::id::{AccountId, PrId, Sha, SlotKey, SlotVersion, UnixMillis};
use crate::ledger::BudgetLevel;
use crate::slot::Slot;

/// A repository that was ever seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KnownRepository {
    /// The `NAME` of `[forge.NAME]`.
    pub forge: String,
    /// The forge's own id of it.
    pub id: String,
    /// `owner/name` as last heard. It may be another repository's by now: the id decides.
    pub name: String,
    /// Comments that were last changed before this instant are not commands any more.
    pub cursor: UnixMillis,
    /// Since when the forge does not show it.
    pub gone: Option<UnixMillis>,
    /// The first contact is over ([`Watchlist::onboard`]).
    pub onboarded: bool,
}

/// Where a comment is. A forge may number the kinds apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CommentKind {
    /// In the conversation.
    Conversation,
    /// On the diff: on a line or a file, or an answer there.
    Diff,
}

impl CommentKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Conversation, Self::Diff];

    /// The word used in the file and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conversation => "conversation",
            Self::Diff => "diff",
        }
    }
}

/// Something that a person asks for, as it was heard of.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct UserRequest {
    /// Of which pull request.
    pub pr: PrId,
    /// How.
    pub origin: RequestOrigin,
    /// When it was heard of.
    pub at: UnixMillis,
}

/// How somebody asks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum RequestOrigin {
    /// By a comment that looked like a command. What it says is asked of the forge when it is served.
    Comment {
        /// Where on the pull request.
        kind: CommentKind,
        /// The forge's number of the comment, among those of its kind.
        id: u64,
    },
    /// By the button of our check, which asks for a review and is no row at the forge. Pressed twice before it is
    /// served, it asks once.
    Check {
        /// The account that pressed it.
        account: AccountId,
        /// What it was called then.
        login: String,
    },
    /// By a label that asks for a run that converges. Who has set it is asked of the forge when it is served. Set again
    /// before that, it asks once.
    Label {
        /// Its name.
        name: String,
    },
}

/// What was served changed this, written in one transaction with the fact that it is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserRequestOutcome {
    /// The version that the slot was read at, and the slot to be stored.
    pub slot: (SlotVersion, Slot),
    /// For `truing why`.
    pub events: Vec<HistoryEvent>,
    /// For the audit log.
    pub act: OperatorAction,
    /// Replaces what was dismissed of the same finding.
    pub dismissal: Option<Dismissal>,
    /// The level of money that is raised, by as much as it allows at first.
    pub allowed: Option<BudgetLevel>,
}

/// The progress of the reviews of a pull request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LastReviews {
    /// The revision of the newest run, however that ended; none if there was no run.
    pub attempted: Option<PullRevision>,
    /// The revision that a run has settled last ([`settles`](crate::settled::settles)).
    pub settled: Option<PullRevision>,
    /// It was left as it is, and not reviewed: its head alone counts: a base that moves on is no reason to review it.
    pub is_left: bool,
}

/// Rows of the sweep and of comments. Nothing here is fenced: no run writes them.
#[async_trait]
pub trait Watchlist: Send + Sync {
    /// Every repository of a forge that was ever seen: remembered, or of a pull request that was described. One
    /// that was only described has its cursor at the store's instant.
    async fn repositories(&self, forge: &str) -> Result<Vec<KnownRepository>, StoreError>;

    /// Remembers repositories as they are given, but for the cursor of one that is known. What is known already
    /// writes nothing.
    async fn remember(&self, repositories: &[KnownRepository]) -> Result<(), StoreError>;

    /// Ends the first contact with a repository.
    async fn onboard(&self, repository: &KnownRepository) -> Result<(), StoreError>;

    /// The progress of the reviews of each key, in order.
    async fn last_reviews(&self, keys: &[SlotKey]) -> Result<Vec<LastReviews>, StoreError>;

    /// The slots of a repository's pull requests that have a row.
    async fn slots_of(&self, forge: &str, repository: &str) -> Result<Vec<Slot>, StoreError>;

    /// The pull requests of a repository that a run was about at this head, as far as runs are remembered.
    async fn reviewed_at(&self, forge: &str, repository: &str, head: &Sha) -> Result<Vec<PrId>, StoreError>;

    /// Remembers what is asked for in a repository, the repository as [`Self::remember`] does, and that its comments
    /// were read `until` then; in one durable transaction. A comment that is known, served or not, stays as it is.
    async fn tell(
        &self,
        told: &[UserRequest],
        of: &KnownRepository,
        until: Option<UnixMillis>,
    ) -> Result<(), StoreError>;

    /// What is still to be served at a forge: the oldest comment of each repository, then the second oldest of
    /// each, and so on; of a repository without comments the buttons.
    async fn unserved(&self, forge: &str, limit: usize) -> Result<Vec<UserRequest>, StoreError>;

    /// It is served. With `obeyed`: only if the slot's row has not moved on, and everything in one transaction, so
    /// that it acts once.
    async fn served(
        &self,
        told: &UserRequest,
        obeyed: Option<&UserRequestOutcome>,
    ) -> Result<Result<(), VersionConflict>, StoreError>;
}
