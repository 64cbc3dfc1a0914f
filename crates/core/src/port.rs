//! The ports: what the loops need from the world. Their futures are boxed, so that each body is compiled once, in the crate
//! that has it, and a port is passed as an object.
//!
//! Implementations: `store` ([`SlotStore`], [`RunStore`], [`OperatorStore`], [`Watchlist`], [`Ledger`],
//! [`EffectLog`], [`SharedStateStore`]), `forge` ([`ForgeRead`], [`ForgeWrite`]),
//! `reader` ([`RepositoryReader`]); wall clock and ids are made at the edge (crate `truing`), and by tests.

#![warn(missing_docs)]

mod common;
mod effects;
mod forge_error;
mod gate;
mod ledger;
mod objects;
mod operations;
mod pull;
mod read;
mod reader;
mod repository;
mod runs;
mod server;
mod store_error;
mod watchlist;

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::Serialize;

pub use self::common::{SharedStateStore, StateSnapshot, StateUpdate, change};
pub use self::effects::{
    EffectEntry, EffectEntryChange, EffectEntryState, EffectLog, EffectOutcome, EffectOwner, ForgeWrite,
};
pub use self::gate::{GateHalt, HaltReason, Permit, WriteGate, read_only};
pub use self::ledger::Ledger;
pub use self::objects::{ForgePull, RecordStore};
pub use self::operations::{
    AuditEntry, MAX_NAME, MAX_TEXT, NewNotice, NoticeKind, OperatorAction, OperatorStore, PendingNotice,
};
pub use self::pull::{
    AppliedLabel, AuditMark, CheckState, CommitCheck, ConversationComment, HeadRepository, LineComment,
    LineDraft, MergeSummary, PostedReview, PrState, PullDetails, PullHead, PullRequest, PullReviewDecision,
    ReviewDraft, ReviewEvent, ReviewThread,
};
pub use self::read::ForgeRead;
pub use self::reader::{
    ChangedFile, ForeignRun, ProofRequest, ReadReport, ReadRequest, ReaderError, ReplacementProposal,
    RepositoryReader, ToolFindings, ToolOutput, ToolRequest, UsedTool, UsedTools, UsedToolsRequest,
};
pub use self::repository::{
    Actor, BranchPull, ConversationReply, OwnIssue, PullActivity, PullCommit, PullDraft, PullRemark,
    PullReview, PullState, RepositoryDetails, ReviewState, WriteAccess,
};
pub use self::runs::{
    ComputedReview, HistoryEvent, PullRevision, RunRef, RunStart, RunStore, SkippedHead, SlotDescription,
};
pub use self::server::{
    AuthorAccount, BranchProtection, ForgeKind, ForgeRepository, OpenPull, PullComment, PullListItem,
};
pub use self::store_error::StoreError;
pub use self::watchlist::{
    CommentKind, KnownRepository, LastReviews, RequestOrigin, UserRequest, UserRequestOutcome, Watchlist,
};

use crate::finding::CodeLocation;
use crate::id::{SlotKey, SlotVersion, TimeSpan, UnixMillis};
use crate::publish::CommentSubject;
use crate::share::WorkerGroup;
use crate::slot::{LoopKind, Slot, SlotLimits};

/// The wall clock.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> UnixMillis;
}

// ---------------------------------------------------------------------------------------------- slots

/// Coordination: the slots, which are the queue (design.md section 2).
#[async_trait]
pub trait SlotStore: Send + Sync {
    /// The store's instant: does not run backwards, and does not lead the wall clock by more than a minute.
    async fn now(&self) -> Result<UnixMillis, StoreError>;

    /// Up to `limit` slots that want a step at `now` ([`Slot::wakes_at`]): the oldest of each repository
    /// ([`SlotKey::repository`]), then the second oldest of each, and so on, so that a busy repository hides no other;
    /// among those of one rank the oldest first.
    async fn due(&self, now: UnixMillis, limit: usize) -> Result<Vec<Slot>, StoreError>;

    /// When the next slot that does so not before `from` will want a step.
    async fn next_due(&self, from: UnixMillis) -> Result<Option<UnixMillis>, StoreError>;

    /// The slots of these keys, in order; a key without a row gives [`Slot::new`].
    async fn load(&self, keys: &[SlotKey]) -> Result<Vec<Slot>, StoreError>;

    /// Leased slots whose holders are known to be dead, if whoever asks serves from the store alone. None while
    /// somebody else may be at work beside a server: those leases end when they expire.
    async fn orphans(&self) -> Result<Vec<Slot>, StoreError>;

    /// Writes slots whose row still has the given version (0: no row), all in one durable transaction. A slot
    /// that has nothing to remember is deleted. The answer, in order: the new version (0: no row any more), or
    /// that the row has moved on and the caller must load and decide again.
    async fn commit(
        &self,
        changes: &[(SlotVersion, Slot)],
    ) -> Result<Vec<Result<SlotVersion, VersionConflict>>, StoreError>;

    /// Writes new leases as [`Self::commit`] does; none while the kill switch is on, and none in a repository while its own is,
    /// which are looked at in the same transaction. Where slots are apart from the records, a repository's is looked at right before.
    async fn grant(
        &self,
        leases: &[(SlotVersion, Slot)],
    ) -> Result<Vec<Result<SlotVersion, LeaseRefusal>>, StoreError>;

    /// Marks slots for events ([`Slot::on_event`], at the store's instant), in the order given, and remembers
    /// with each what people call its key and what history says of it. In a file all of it is one durable transaction. On
    /// servers slots are written first, then names and history: after an error either may be missing. Repeating it is harmless. `halted` says
    /// what becomes of it while the kill switch is on, which is looked at before anything is marked.
    async fn mark(
        &self,
        marks: &[SlotMark],
        limits: &SlotLimits,
        halted: HaltPolicy,
    ) -> Result<MarkOutcome, StoreError>;

    /// Lets the version counter be greater than `version` from now on: after records refused a token, which
    /// means that this store has forgotten some.
    async fn raise(&self, version: SlotVersion) -> Result<(), StoreError>;

    /// Is what was opened still where it was? Costs next to nothing, so that it can be asked at each look.
    ///
    /// # Errors
    /// It was deleted or replaced.
    fn is_in_place(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Writes something small that changes nothing: if that is durable, other writes can be, too.
    async fn try_writing(&self) -> Result<(), StoreError>;

    /// Ends when a slot may have become due by what another process did. Never for a store of one process.
    async fn changed(&self) {
        std::future::pending::<()>().await;
    }

    /// Lends the right to do what one process does at a time, or renews it; for no time: gives it back. True: this process
    /// has it.
    async fn lend_sole(&self, time: TimeSpan) -> Result<bool, StoreError> {
        let _ = time;
        Ok(true)
    }

    /// Who leases: asked at each look, which tells the others of this process if it `leases`, and takes that back if not.
    async fn workers(&self, leases: bool) -> Result<WorkerGroup, StoreError> {
        let _ = leases;
        Ok(WorkerGroup::default())
    }
}

/// The fate of marks while a kill switch is on for them. A slot that is marked then stays due: no lease is granted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HaltPolicy {
    /// None is made.
    Refused,
    /// They are made all the same.
    Marked,
}

/// An event of one slot, as a forge tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotMark {
    /// Whose slot.
    pub key: SlotKey,
    /// What people call it.
    pub described: SlotDescription,
    /// The loop that it may want.
    pub of: LoopKind,
}

/// What became of a batch of marks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MarkOutcome {
    /// All are durable.
    All,
    /// A kill switch is on for these: none of them is marked. The others are durable.
    SwitchedOff(BTreeSet<SlotKey>),
}

/// The slot's row has another version by now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the slot has moved on")]
pub struct VersionConflict;

/// Why a lease was not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeaseRefusal {
    /// The slot's row has another version by now.
    #[error(transparent)]
    Moved(#[from] VersionConflict),
    /// The kill switch is on, or that of its repository.
    #[error("the kill switch is on")]
    SwitchedOff,
}

// ---------------------------------------------------------------------------------------------- forge

/// A comment to be posted: a place that was validated, and its text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct InlineDraft {
    /// The lines.
    pub place: CodeLocation,
    /// What it is about.
    pub item: CommentSubject,
    /// The text, without marker.
    pub body: String,
}

/// Why a forge did not do it. `Display` says what happened to which thing, for people.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ForgeError {
    /// 401: the token is wrong or expired.
    #[error("{what}: the forge does not accept the token (401)")]
    Unauthorized {
        /// The call.
        what: String,
    },
    /// 403: the token may not do this. 451: nobody may.
    #[error("{what}: the token may not do this (403): {message}")]
    Forbidden {
        /// The call.
        what: String,
        /// The forge's words, cut and cleaned.
        message: String,
    },
    /// 404 or 410: gone, or hidden from this token.
    #[error("{what}: not found, or hidden from this token (404)")]
    NotFound {
        /// The call.
        what: String,
    },
    /// A redirect to another address of the same forge: what the name meant is elsewhere by now. Not followed; the
    /// id of the repository tells where.
    #[error("{what}: it is at another address by now (was the repository renamed or transferred?)")]
    Moved {
        /// The call.
        what: String,
    },
    /// 422 or 400: the content is refused, for certain nothing was done.
    #[error("{what}: refused: {message}")]
    Rejected {
        /// The call.
        what: String,
        /// The forge's words, cut and cleaned.
        message: String,
    },
    /// 409: what the call was to change has another version by now, or is in a state that does not allow it. For certain
    /// nothing was done. It says nothing of the content: read it again, and decide again.
    #[error("{what}: it was changed meanwhile (409): {message}")]
    Stale {
        /// The call.
        what: String,
        /// The forge's words, cut and cleaned.
        message: String,
    },
    /// A rate limit, primary or secondary: for certain nothing was done.
    #[error("{what}: rate limited for {} s", wait.0.saturating_add(999) / 1000)]
    RateLimited {
        /// The call.
        what: String,
        /// How long to wait.
        wait: TimeSpan,
    },
    /// 5xx, no answer, an answer that cannot be read: it may have been done.
    #[error("{what}: {message}")]
    Unavailable {
        /// The call.
        what: String,
        /// What was seen instead.
        message: String,
    },
    /// It was not even sent: the gate that is asked before each write refuses it.
    #[error(transparent)]
    Halted(#[from] GateHalt),
}
