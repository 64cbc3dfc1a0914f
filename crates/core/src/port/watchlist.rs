//! What the sweep and the commands of comments remember: repositories, how far their comments were read, and which
//! comments were served.

use std::future::Future;

use super::{Act, Event, Moved, Revision, StoreError};
use crate::dismissal::Dismissal;
use crate::id::{Key, Millis, PrId, Version};
use crate::slot::Slot;

/// A repository that was ever seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repository {
    /// The `NAME` of `[forge.NAME]`.
    pub forge: String,
    /// The forge's own id of it.
    pub id: String,
    /// `owner/name` as last heard. It may be another repository's by now: the id decides.
    pub name: String,
    /// Comments that were last changed before this instant are not commands any more.
    pub cursor: Millis,
    /// Since when the forge does not show it.
    pub gone: Option<Millis>,
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

/// A comment that looked like a command when it was heard of. What it says is asked of the forge when it is served.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Told {
    /// On which pull request.
    pub pr: PrId,
    /// Where on it.
    pub kind: CommentKind,
    /// The forge's number of the comment, among those of its kind.
    pub comment: u64,
    /// When it was heard of.
    pub at: Millis,
}

/// What a served comment changed, written in one transaction with the fact that it is served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Obeyed {
    /// The version that the slot was read at, and the slot to be stored.
    pub slot: (Version, Slot),
    /// For `truing why`.
    pub events: Vec<Event>,
    /// For the audit log.
    pub act: Act,
    /// Replaces what was dismissed of the same finding.
    pub dismissal: Option<Dismissal>,
}

/// Rows of the sweep and of comments. Nothing here is fenced: no run writes them.
pub trait Watchlist: Send + Sync {
    /// Every repository of a forge that was ever seen: remembered, or of a pull request that was described. One
    /// that was only described has its cursor at the store's instant.
    fn repositories(&self, forge: &str) -> impl Future<Output = Result<Vec<Repository>, StoreError>> + Send;

    /// Remembers repositories as they are given, but for the cursor of one that is known. What is known already
    /// writes nothing.
    fn remember(&self, repositories: &[Repository]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// For each key, in order, the revision of its newest run, however that ended; none if there was no run.
    fn newest_runs(
        &self,
        keys: &[Key],
    ) -> impl Future<Output = Result<Vec<Option<Revision>>, StoreError>> + Send;

    /// The slots of a repository's pull requests that have a row.
    fn slots_of(
        &self,
        forge: &str,
        repository: &str,
    ) -> impl Future<Output = Result<Vec<Slot>, StoreError>> + Send;

    /// Remembers comments of a repository that are to be served, the repository as [`Self::remember`] does, and
    /// that its comments were read `until` then; in one durable transaction. A comment that is known, served or
    /// not, stays as it is.
    fn tell(
        &self,
        told: &[Told],
        of: &Repository,
        until: Option<Millis>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Comments of a forge that are still to be served: the oldest of each repository, then the second oldest of
    /// each, and so on.
    fn unserved(
        &self,
        forge: &str,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Told>, StoreError>> + Send;

    /// The comment is served. With `obeyed`: only if the slot's row has not moved on, and everything in one
    /// transaction, so that a comment acts once.
    fn served(
        &self,
        told: &Told,
        obeyed: Option<&Obeyed>,
    ) -> impl Future<Output = Result<Result<(), Moved>, StoreError>> + Send;
}
