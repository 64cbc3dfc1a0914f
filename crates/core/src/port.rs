//! The ports: what the loops need from the world, as traits with native `async fn`, used through generics.
//!
//! Implementations: `store` ([`Slots`], [`Records`], [`Operations`], [`Watchlist`], [`Jobs`],
//! [`Converges`], [`EffectLog`]), `forge` ([`ForgeRead`], [`ForgeWrite`]),
//! `reader` ([`Reader`]); wall clock and ids are made at the edge (crate `truing`), and by tests.

mod converges;
mod effects;
mod forge_error;
mod jobs;
mod ledger;
mod operations;
mod pull;
mod read;
mod reader;
mod repository;
mod server;
mod watchlist;
mod write_gate;

use std::future::Future;

use serde::{Deserialize, Serialize};

pub use self::converges::Converges;
pub use self::effects::{EffectLog, Entry, EntryState, ForgeWrite, Performed, Replacement, Writer};
pub use self::jobs::Jobs;
pub use self::ledger::Ledger;
pub use self::operations::{
    Act, Audited, Gate, MAX_NAME, MAX_TEXT, NewNotice, Notice, NoticeKind, Operations,
};
pub use self::pull::{
    AuditMark, CheckState, CommitCheck, Decision, HeadRepository, LineComment, LineDraft, Merge, Posted,
    PrState, PullHead, PullNow, PullRequest, ReviewDraft, ReviewEvent, ReviewThread, Said, SetLabel,
};
pub use self::read::ForgeRead;
pub use self::reader::{ChangedFile, ReadReport, ReadRequest, Reader, ReaderError};
pub use self::repository::{
    Actor, BranchPull, OwnIssue, PullActivity, PullCommit, PullDraft, PullRemark, PullReview, PullState,
    Reply, RepositoryNow, ReviewState, Writable,
};
pub use self::server::{Author, ForgeKind, OpenPull, Protection, PullComment, PullLine, Seen};
pub use self::watchlist::{CommentKind, Obeyed, Origin, Repository, Told, Watchlist};
pub use self::write_gate::{Asked, Withheld, WriteGate, read_only};

use crate::dismissal::Dismissal;
use crate::finding::{Finding, Place};
use crate::id::{CommentId, Key, Millis, RunId, Sha, Span, Token, Version};
use crate::outcome::{Outcome, OutcomeRecord};
use crate::publish::{Desired, DesiredStatus, Item, Producer};
use crate::slot::{Limits, Loop, Slot};

/// The wall clock.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Millis;
}

/// New unique ids.
pub trait Ids: Send + Sync {
    /// A run that has never been.
    fn run(&self) -> RunId;
}

// ---------------------------------------------------------------------------------------------- slots

/// Coordination: the slots, which are the queue (design.md section 2).
pub trait Slots: Send + Sync {
    /// The store's instant: does not run backwards, and does not lead the wall clock by more than a minute.
    fn now(&self) -> impl Future<Output = Result<Millis, StoreError>> + Send;

    /// Up to `limit` slots that want a step at `now` ([`Slot::wakes_at`]): the oldest of each repository
    /// ([`Key::repository`]), then the second oldest of each, and so on, so that a busy repository hides no other;
    /// among those of one rank the oldest first.
    fn due(&self, now: Millis, limit: usize) -> impl Future<Output = Result<Vec<Slot>, StoreError>> + Send;

    /// When the next slot that does so not before `from` will want a step.
    fn next_due(&self, from: Millis) -> impl Future<Output = Result<Option<Millis>, StoreError>> + Send;

    /// The slots of these keys, in order; a key without a row gives [`Slot::new`].
    fn load(&self, keys: &[Key]) -> impl Future<Output = Result<Vec<Slot>, StoreError>> + Send;

    /// Leased slots whose holders are known to be dead, if whoever asks serves from the store alone. None while
    /// somebody else may be at work beside a server: those leases end when they expire.
    fn orphans(&self) -> impl Future<Output = Result<Vec<Slot>, StoreError>> + Send;

    /// Writes slots whose row still has the given version (0: no row), all in one durable transaction. A slot
    /// that has nothing to remember is deleted. The answer, in order: the new version (0: no row any more), or
    /// that the row has moved on and the caller must load and decide again.
    fn commit(
        &self,
        changes: &[(Version, Slot)],
    ) -> impl Future<Output = Result<Vec<Result<Version, Moved>>, StoreError>> + Send;

    /// Writes new leases as [`Self::commit`] does; none at all while the kill switch is on, which is looked at in the
    /// same transaction.
    fn grant(
        &self,
        leases: &[(Version, Slot)],
    ) -> impl Future<Output = Result<Vec<Result<Version, NotGranted>>, StoreError>> + Send;

    /// Marks slots for events ([`Slot::on_event`], at the store's instant), in the order given, and remembers
    /// with each what people call its key and what history says of it. All of it in one durable transaction:
    /// an error means that nothing was marked, or that it cannot be known. Repeating it is harmless. While the
    /// kill switch is on, which is looked at before anything is marked, nothing is.
    fn mark(
        &self,
        marks: &[Mark],
        limits: &Limits,
    ) -> impl Future<Output = Result<Marked, StoreError>> + Send;

    /// Lets the version counter be greater than `version` from now on: after records refused a token, which
    /// means that this store has forgotten some.
    fn raise(&self, version: Version) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Is what was opened still where it was? Costs next to nothing, so that it can be asked at each look.
    ///
    /// # Errors
    /// It was deleted or replaced.
    fn is_in_place(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Writes something small that changes nothing: if that is durable, other writes can be, too.
    fn try_writing(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// An event of one slot, as a forge tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Whose slot.
    pub key: Key,
    /// What people call it.
    pub described: Described,
    /// The loop that it may want.
    pub of: Loop,
}

/// What became of a batch of marks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Marked {
    /// All are durable.
    All,
    /// The kill switch is on: none is marked.
    SwitchedOff,
}

/// The slot's row has another version by now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the slot has moved on")]
pub struct Moved;

/// Why a lease was not written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotGranted {
    /// The slot's row has another version by now.
    #[error(transparent)]
    Moved(#[from] Moved),
    /// The kill switch is on.
    #[error("the kill switch is on")]
    SwitchedOff,
}

// ---------------------------------------------------------------------------------------------- records

/// Which run a write belongs to. Records refuse it once a run with a greater token has begun on the key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunRef {
    /// The run.
    pub id: RunId,
    /// Its key.
    pub key: Key,
    /// Its fencing token.
    pub token: Token,
}

/// The head and base of a pull request at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Revision {
    /// The newest commit of the pull request.
    pub head: Sha,
    /// The tip of the branch it goes to.
    pub base: Sha,
}

/// What records answer when a run begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Begun {
    /// The revision reviewed last (stage `published`), if any.
    pub reviewed: Option<Revision>,
    /// The revision computed last, published or not: what the recorded findings are of.
    pub known: Option<Revision>,
    /// How that review ended, if it is this very revision's.
    pub outcome: Option<OutcomeRecord>,
    /// The newest run's outcome if it has stage `computed` for this very revision: only publishing is left.
    pub computed: Option<OutcomeRecord>,
    /// What people have dismissed on this key. One that comes later is the next run's.
    pub dismissals: Vec<Dismissal>,
}

/// What a run found and wants shown; written in one transaction, after which the run is `computed`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Computed {
    /// Whose rows of desired state these are.
    pub producer: Producer,
    /// Every finding known for the key, replacing what was recorded.
    pub findings: Vec<Finding>,
    /// Every row of desired state of the producer; a row's known comment is kept by item.
    pub desired: Vec<Desired>,
    /// The head's status; none for local runs.
    pub status: Option<DesiredStatus>,
    /// How the run ended, before publishing.
    pub outcome: OutcomeRecord,
}

/// What people call a key. Display only: decisions ask the forge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Described {
    /// `owner/name#7`.
    pub name: String,
    /// Its page.
    pub url: String,
    /// The head as last heard: shown, and used to suppress events that bring nothing new; never reviewed.
    pub head: Option<Sha>,
}

/// One line of history, for `truing why`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Millis,
    /// The slot's key.
    pub key: Key,
    /// The run, if it happened in one.
    pub run: Option<RunId>,
    /// What happened, one line for people.
    pub what: String,
}

/// What must not be lost (design.md section 3).
pub trait Records: Send + Sync {
    /// Begins a run (stage `prepared`). Refused ([`StoreError::Fenced`]) unless its token is greater than the
    /// key's last; the same run again (an answer was lost) is accepted.
    fn begin(
        &self,
        run: &RunRef,
        revision: &Revision,
        now: Millis,
    ) -> impl Future<Output = Result<Begun, StoreError>> + Send;

    /// The revision that the recorded findings are of, if there is one.
    fn known(&self, key: &Key) -> impl Future<Output = Result<Option<Revision>, StoreError>> + Send;

    /// Every finding recorded for the key.
    fn findings(&self, key: &Key) -> impl Future<Output = Result<Vec<Finding>, StoreError>> + Send;

    /// Writes what was computed, in one transaction; the run is `computed`. Repeating it changes nothing.
    fn computed(
        &self,
        run: &RunRef,
        computed: &Computed,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Lets a run that could not compute anything say so: writes this summary's text and the status, and leaves
    /// findings, other rows and the run's stage as they are. Repeating it changes nothing.
    fn announce(
        &self,
        run: &RunRef,
        producer: Producer,
        summary: &str,
        status: &DesiredStatus,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The producer's desired rows and the status still to be set (none: set already).
    fn desired(
        &self,
        key: &Key,
        producer: Producer,
    ) -> impl Future<Output = Result<(Vec<Desired>, Option<DesiredStatus>), StoreError>> + Send;

    /// The items' comments are now known: remembers them, and ends the effects on these items that are open.
    fn shown(
        &self,
        run: &RunRef,
        producer: Producer,
        comments: &[(Item, CommentId)],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The forge refuses the places of these rows: they get others.
    fn lower(
        &self,
        run: &RunRef,
        producer: Producer,
        rows: &[(Item, crate::finding::AnchorKind)],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The status was set at the forge.
    fn status_set(
        &self,
        run: &RunRef,
        status: &DesiredStatus,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The run is `published`: its revision counts as reviewed and its outcome is final. Repeating it changes
    /// nothing.
    fn published(
        &self,
        run: &RunRef,
        outcome: &OutcomeRecord,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The run ended without publishing (`failed`, `deferred`, nothing to do): its outcome, for `why`.
    fn ended(
        &self,
        run: &RunRef,
        outcome: &Outcome,
        now: Millis,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The attempt has failed, whether or not it came as far as to begin: its outcome, and what it has cost. What was
    /// computed before stays to be published by the next run. Refused ([`StoreError::Fenced`]) if a newer run has begun.
    fn failed(
        &self,
        run: &RunRef,
        outcome: &Outcome,
        now: Millis,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The attempt was told to stop: if it has cost anything that no run tells yet, it is deferred for that reason. Nothing
    /// happens if it has not begun, or a newer run has.
    fn interrupted(&self, run: &RunRef, now: Millis) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Adds history. Never refused for a token: what a fenced-out run still had to say is history too.
    fn note(&self, events: &[Event]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Remembers what people call these keys, replacing what was known. A description without a head keeps the
    /// head that was heard before.
    fn describe(&self, described: &[(Key, Described)])
    -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What people call these keys, in order; none for a key that was never described.
    fn described(
        &self,
        keys: &[Key],
    ) -> impl Future<Output = Result<Vec<Option<Described>>, StoreError>> + Send;

    /// A token greater than every one given or accepted so far, for runs whose key has no slot (local runs).
    fn fresh_token(&self) -> impl Future<Output = Result<Token, StoreError>> + Send;
}

/// Why a store could not do it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// A run with a greater token has begun: this one must stop and write nothing more.
    #[error("a newer run holds {key} (token {last:?}): this run's writes are refused")]
    Fenced {
        /// The key.
        key: Key,
        /// The greatest token that records have accepted.
        last: Token,
    },
    /// The store cannot work: file, disk, lock, version.
    #[error("{0}")]
    Unavailable(String),
    /// What is stored cannot be read.
    #[error("the store holds something unreadable: {0}")]
    Corrupt(String),
}

// ---------------------------------------------------------------------------------------------- forge

/// A comment to be posted: a place that was validated, and its text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct InlineDraft {
    /// The lines.
    pub place: Place,
    /// What it is about.
    pub item: Item,
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
    /// A rate limit, primary or secondary: for certain nothing was done.
    #[error("{what}: rate limited for {} s", wait.0.saturating_add(999) / 1000)]
    RateLimited {
        /// The call.
        what: String,
        /// How long to wait.
        wait: Span,
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
    #[error("{why}; not done: {what}")]
    Withheld {
        /// The call.
        what: String,
        /// Why.
        why: Withheld,
    },
}
