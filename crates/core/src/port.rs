//! The ports: interfaces through which the loops use storage, forges and other external services. The methods
//! of a port return boxed futures. A port can therefore be passed as a trait object, and each method is
//! compiled only in the crate that implements the port.
//!
//! Implementations: `store` ([`SlotStore`], [`RunStore`], [`OperatorStore`], [`SweepStore`], [`Ledger`],
//! [`EffectLog`], [`SharedStateStore`]), `forge` ([`ForgeRead`], [`ForgeWrite`]), `reader`
//! ([`RepositoryReader`]). The binary (crate `truing`) supplies the wall clock and new ids; tests supply
//! their own.

#![warn(missing_docs)]

mod combined_ports;
mod effects;
mod forge;
mod forge_error;
mod gate;
mod ledger;
mod operations;
mod pull;
mod read;
mod reader;
mod repository;
mod runs;
mod shared_state;
mod store_error;
mod sweep_store;
mod text_writer;

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::Serialize;

pub use self::combined_ports::{ForgePull, RecordStore};
pub use self::effects::{
    EffectEntry, EffectEntryChange, EffectEntryState, EffectLog, EffectOutcome, EffectOwner, ForgeWrite,
};
pub use self::forge::{
    AuthorAccount, BranchProtection, ForgeKind, ForgeRepository, OpenPull, PullComment, PullListItem,
};
pub use self::gate::{GateHalt, HaltReason, WriteGate, WritePermit, read_only_gate};
pub use self::ledger::Ledger;
pub use self::operations::{
    AuditEntry, MAX_STORED_NAME_CHARS, MAX_STORED_TEXT_CHARS, NewNotice, NoticeKind, OperatorAction,
    OperatorStore, PendingNotice,
};
pub use self::pull::{
    AppliedLabel, AuditMark, CheckState, CommitCheck, ConversationComment, HeadRepository, LineComment,
    LineDraft, MergeSummary, PostedReview, PrState, PullDetails, PullHead, PullRequest, PullReviewDecision,
    ReviewDraft, ReviewEvent, ReviewThread,
};
pub use self::read::ForgeRead;
pub use self::reader::{
    ChangedFile, DetectedTool, DetectedTools, ExternalToolRun, PinnedVersion, ReadReport, ReadRequest,
    ReaderError, ReplacementCheckRequest, ReplacementProposal, RepositoryReader, ToolDetectionRequest,
    ToolFindings, ToolOutput, ToolOutputRequest,
};
pub use self::repository::{
    Actor, BranchPull, ConversationReply, OwnIssue, PullActivity, PullCommit, PullDraft, PullRequestComment,
    PullReview, PullState, RepositoryDetails, ReviewState, WriteAccess,
};
pub use self::runs::{
    ComputedReview, HistoryEvent, PullRevision, RunReference, RunStart, RunStore, SkippedHead,
    SlotDescription,
};
pub use self::shared_state::{SharedStateStore, StateSnapshot, StateUpdate, update_state};
pub use self::store_error::{StoreCheckError, StoreError};
pub use self::sweep_store::{
    CommentKind, KnownRepository, RequestOrigin, ReviewProgress, SweepStore, UserRequest, UserRequestOutcome,
};
pub use self::text_writer::TextWriter;

use crate::finding::CodeLocation;
use crate::id::{SlotKey, SlotVersion, TimeSpan, UnixMillis};
use crate::publish::CommentSubject;
use crate::slot::{LoopKind, Slot, SlotLimits};
use crate::worker_group::WorkerGroup;

/// Source of the current wall-clock time.
pub trait Clock: Send + Sync {
    /// Returns the current wall-clock time.
    fn now(&self) -> UnixMillis;
}

// ---------------------------------------------------------------------------------------------- slots

/// Stores the slots, which together are the work queue, and coordinates the processes that lease them.
#[async_trait]
pub trait SlotStore: Send + Sync {
    /// Returns the time of the store's own clock. The clock never runs backwards, and is at most one minute
    /// ahead of the wall clock.
    async fn now(&self) -> Result<UnixMillis, StoreError>;

    /// Returns up to `limit` slots that are due at `now` ([`Slot::wake_time`]). The list begins with the
    /// oldest slot of each repository ([`SlotKey::repository_prefix`]), followed by the second oldest slot of
    /// each repository, and so on. A repository with many due slots therefore cannot displace other
    /// repositories from the list. Slots with the same rank within their repositories are sorted by age,
    /// oldest first.
    async fn due_slots(&self, now: UnixMillis, limit: usize) -> Result<Vec<Slot>, StoreError>;

    /// Returns the earliest due time of any slot, from the time `from` on; `None` if there is none.
    async fn next_due(&self, from: UnixMillis) -> Result<Option<UnixMillis>, StoreError>;

    /// Loads the slots of these keys, in the order of `keys`. For a key without a row, the list contains
    /// [`Slot::new`].
    async fn load_slots(&self, keys: &[SlotKey]) -> Result<Vec<Slot>, StoreError>;

    /// Returns the leased slots whose holders are known to have exited. The list is empty if the caller is
    /// not the only server that uses this store. With several servers, a lease of a holder that exited ends
    /// only when it expires.
    async fn orphaned_slots(&self) -> Result<Vec<Slot>, StoreError>;

    /// Writes each slot whose row still has the given version; version 0 means that no row exists. All writes
    /// are one durable transaction. If a slot has no state that must be kept, its row is deleted. Returns for
    /// each slot, in the order of `changes`, the new version (0 for a deleted row) or a conflict. After a
    /// conflict the caller must load the slot and decide again.
    async fn commit_slots(
        &self,
        changes: &[(SlotVersion, Slot)],
    ) -> Result<Vec<Result<SlotVersion, VersionConflict>>, StoreError>;

    /// Writes slots with new leases, with the same checks as [`Self::commit_slots`]. A lease is refused while
    /// the global kill switch or the switch of the slot's repository is on. The switches are read in the same
    /// transaction. If slots and records are in separate stores, the switches of repositories are read
    /// immediately before the transaction.
    async fn grant_leases(
        &self,
        leases: &[(SlotVersion, Slot)],
    ) -> Result<Vec<Result<SlotVersion, LeaseRefusal>>, StoreError>;

    /// Applies events to slots in the given order ([`Slot::apply_event`]), at the store's time. Also stores
    /// the description of each key, and appends a line to its history. In a file store, all these writes are
    /// one durable transaction. On database servers, slots are written before names and history, so names and
    /// history may be missing after an error. The call may be repeated without harm. The kill switch is read
    /// before any slot is marked. `halt_policy` determines whether slots are marked while the switch is on.
    async fn mark_slots(
        &self,
        marks: &[SlotMark],
        limits: &SlotLimits,
        halt_policy: HaltPolicy,
    ) -> Result<MarkOutcome, StoreError>;

    /// Sets the counter for slot versions to a value above `version`. The caller calls this method after the
    /// store of the records refused a token as too small. The refusal shows that this store lost its latest
    /// versions.
    async fn raise_version(&self, version: SlotVersion) -> Result<(), StoreError>;

    /// Checks that the opened store's file is still at its path. The check is cheap enough for every polling
    /// round.
    ///
    /// # Errors
    /// If the store was deleted or replaced.
    fn check_store_file(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Tries the operations that webhooks and reviews need, including a durable write. Changes no state. The
    /// error names the first operation that failed.
    async fn check_operations(&self) -> Result<(), StoreCheckError>;

    /// Waits until another process may have made a slot due. For a store that only one process uses, the
    /// returned future never completes.
    async fn wait_for_change(&self) {
        std::future::pending::<()>().await;
    }

    /// Acquires or renews the exclusive right to the tasks that only one process may perform. The right lasts
    /// for `duration`. A `duration` of zero releases the right. Returns true if this process holds the right.
    async fn lease_exclusive_tasks(&self, duration: TimeSpan) -> Result<bool, StoreError> {
        let _ = duration;
        Ok(true)
    }

    /// Announces that this process leases slots, and returns all processes that made this announcement. Each
    /// polling round calls this method. If `is_leasing` is false, the announcement is withdrawn.
    async fn announce_worker(&self, is_leasing: bool) -> Result<WorkerGroup, StoreError> {
        let _ = is_leasing;
        Ok(WorkerGroup::default())
    }
}

/// Determines whether events mark slots while a kill switch applies to these slots. While the switch is on,
/// no leases are granted, so a marked slot stays due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HaltPolicy {
    /// The slots are not marked.
    Refuse,
    /// The slots are marked despite the switch.
    Mark,
}

/// An event that concerns one slot, as a forge reported it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotMark {
    /// Key of the marked slot.
    pub key: SlotKey,
    /// Description of the slot for display.
    pub description: SlotDescription,
    /// Loop that may have work because of the event.
    pub loop_kind: LoopKind,
}

/// The result of marking a batch of slots.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MarkOutcome {
    /// All marks are durably stored.
    AllStored,
    /// These slots were not marked, because a kill switch applies to them. All other marks are durably
    /// stored.
    BlockedByKillSwitch(BTreeSet<SlotKey>),
}

/// The slot's row has a newer version than expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the slot was changed meanwhile")]
pub struct VersionConflict;

/// The reason why a lease was not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LeaseRefusal {
    /// The slot's row has a newer version than expected.
    #[error(transparent)]
    VersionConflict(#[from] VersionConflict),
    /// The global kill switch, or the switch of the slot's repository, is on.
    #[error("the kill switch is on")]
    BlockedByKillSwitch,
}

// ---------------------------------------------------------------------------------------------- forge

/// A comment to be posted on lines that were validated against the diff.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct InlineDraft {
    /// Lines to which the comment is attached.
    #[serde(rename = "place")]
    pub location: CodeLocation,
    /// Subject of the comment, which the marker in the comment encodes.
    pub item: CommentSubject,
    /// Text without the marker.
    pub body: String,
}

/// The kind of failure for which a forge gave no usable response.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnavailableCause {
    /// There was no connection: the network or the address is wrong, or TLS failed.
    NotConnected,
    /// The forge accepted the connection, and did not respond in time.
    TimedOut,
    /// Status 5xx, a response that cannot be read, or a connection that broke during the response.
    InvalidAnswer,
}

/// Failure of a forge request. `Display` names the request and the failure, for display.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ForgeError {
    /// Status 401: the token is wrong or expired.
    #[error("{request}: the forge does not accept the token (401)")]
    Unauthorized {
        /// Description of the failed request.
        request: String,
    },
    /// Status 403: the token lacks a permission. Status 451: the resource is blocked for every token.
    #[error("{request}: the token has no permission for this request (403): {message}")]
    Forbidden {
        /// Description of the failed request.
        request: String,
        /// Message of the forge, truncated and reduced to visible text.
        message: String,
    },
    /// Status 404 or 410: the resource does not exist, or is hidden from this token.
    #[error("{request}: not found, or hidden from this token (404)")]
    NotFound {
        /// Description of the failed request.
        request: String,
    },
    /// A redirect to another address of the same forge: the resource was renamed or moved. The client does
    /// not follow the redirect. The caller can find the new address by the repository's id.
    #[error("{request}: the resource has another address now (was the repository renamed or transferred?)")]
    Moved {
        /// Description of the failed request.
        request: String,
    },
    /// Status 422 or 400: the forge refused the content, and nothing was changed.
    #[error("{request}: refused: {message}")]
    Rejected {
        /// Description of the failed request.
        request: String,
        /// Message of the forge, truncated and reduced to visible text.
        message: String,
    },
    /// Status 409: the resource has a newer version, or its state does not allow the request. Nothing was
    /// changed. The content may still be valid, so the caller must read the resource again and decide again.
    #[error("{request}: the resource was changed meanwhile (409): {message}")]
    Stale {
        /// Description of the failed request.
        request: String,
        /// Message of the forge, truncated and reduced to visible text.
        message: String,
    },
    /// A primary or secondary rate limit: nothing was changed.
    #[error("{request}: rate limited for {} s", wait.0.saturating_add(999) / 1000)]
    RateLimited {
        /// Description of the failed request.
        request: String,
        /// Time to wait before a retry.
        wait: TimeSpan,
    },
    /// Status 5xx, no response, or a response that cannot be read. The forge may have performed the request.
    #[error("{request}: {message}")]
    Unavailable {
        /// Description of the failed request.
        request: String,
        /// Description of the observed failure.
        message: String,
        /// The kind of the failure.
        cause: UnavailableCause,
    },
    /// The request was not sent, because the write gate has refused it.
    #[error(transparent)]
    Halted(#[from] GateHalt),
}
