//! Runs of every loop, what they found and want shown, and what people have said of it: what must not be lost (design.md
//! section 3).

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::operations::OperatorAction;
use super::store_error::StoreError;
use crate::converge;
use crate::dismissal::Dismissal;
use crate::finding::{AnchorKind, Finding};
use crate::id::{CommentId, FencingToken, RunId, Sha, SlotKey, UnixMillis};
use crate::outcome::{ReviewOutcome, ReviewRecord};
use crate::publish::{CommentSubject, DesiredComment, DesiredStatus, Producer};

use crate::sync::job::JobState;
use crate::sync::record;

/// The run that a write belongs to. The write is refused once a run of the same loop with a greater token has begun on the
/// key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunRef {
    /// The run.
    pub id: RunId,
    /// Its key.
    pub key: SlotKey,
    /// Its fencing token.
    pub token: FencingToken,
}

/// The head and base of a pull request at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PullRevision {
    /// The newest commit of the pull request.
    pub head: Sha,
    /// The tip of the branch it goes to.
    pub base: Sha,
}

/// The answer of the records when a run begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunStart {
    /// The revision reviewed last (stage `published`), if any.
    pub reviewed: Option<PullRevision>,
    /// The revision computed last, published or not: what the recorded findings are of.
    pub known: Option<PullRevision>,
    /// The record of the review of `reviewed`, if it can be read.
    pub last: Option<ReviewRecord>,
    /// The run is about `reviewed` again, and one between them was about another revision.
    pub is_back: bool,
    /// The newest run's outcome if it has stage `computed` for this very revision: only publishing is left.
    pub computed: Option<ReviewRecord>,
    /// The dismissals on this key. One that comes later is the next run's.
    pub dismissals: Vec<Dismissal>,
}

/// The findings of a run and the state it wants shown; written in one transaction, after which the run is `computed`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ComputedReview {
    /// Whose rows of desired state these are.
    pub producer: Producer,
    /// Every finding known for the key, replacing what was recorded.
    pub findings: Vec<Finding>,
    /// Every row of desired state of the producer; a row's known comment is kept by item.
    pub desired: Vec<DesiredComment>,
    /// The head's status; none for local runs.
    pub status: Option<DesiredStatus>,
    /// The record of the run, before publishing.
    pub outcome: ReviewRecord,
}

/// A head that is left without a review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkippedHead {
    /// The id of the run that leaves it.
    pub run: RunId,
    /// The key of the pull request.
    pub key: SlotKey,
    /// Its head and base.
    pub revision: PullRevision,
}

/// The name of a key. Display only: decisions ask the forge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotDescription {
    /// `owner/name#7`.
    pub name: String,
    /// Its page.
    pub url: String,
    /// The head as last heard: shown, and used to suppress events that bring nothing new; never reviewed.
    pub head: Option<Sha>,
}

/// One line of history, for `truing why`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// The instant.
    pub at: UnixMillis,
    /// The slot's key.
    pub key: SlotKey,
    /// The run, if it happened in one.
    pub run: Option<RunId>,
    /// The event, one line for people.
    pub what: String,
}

/// Runs, and what is remembered beside them. A write of a run is refused ([`StoreError::Fenced`]) once a run of the same
/// loop with a greater token has begun on its key; an effect, once one of any loop has.
#[async_trait]
pub trait RunStore: Send + Sync {
    // ------------------------------------------------------------------------------------------ every loop

    /// Adds history. Never refused for a token: what a fenced-out run still had to say is history too.
    async fn note(&self, events: &[HistoryEvent]) -> Result<(), StoreError>;

    /// Remembers what people call these keys, replacing what was known. A description without a head keeps the
    /// head that was heard before.
    async fn describe(&self, described: &[(SlotKey, SlotDescription)]) -> Result<(), StoreError>;

    /// Leaves heads as they are, where no run was about their pull requests, for this reason; in one transaction.
    async fn leave(&self, heads: &[SkippedHead], reason: &str) -> Result<(), StoreError>;

    /// The names of these keys, in order; none for a key that was never described.
    async fn described(&self, keys: &[SlotKey]) -> Result<Vec<Option<SlotDescription>>, StoreError>;

    /// A token greater than every one given or accepted so far, for runs whose key has no slot (local runs).
    async fn fresh_token(&self) -> Result<FencingToken, StoreError>;

    /// The dismissals on this key, those included that were taken back.
    async fn dismissals(&self, key: &SlotKey) -> Result<Vec<Dismissal>, StoreError>;

    /// Remembers what somebody said of findings, each on its key, in place of what was said of it before. `act`: for the
    /// audit log, written with it.
    async fn dismiss(&self, said: &[(SlotKey, Dismissal)], act: &OperatorAction) -> Result<(), StoreError>;

    // ------------------------------------------------------------------------------------------ reviews

    /// Begins a run (stage `prepared`). Refused ([`StoreError::Fenced`]) unless its token is greater than the
    /// key's last; the same run again (an answer was lost) is accepted.
    async fn begin(
        &self,
        run: &RunRef,
        revision: &PullRevision,
        now: UnixMillis,
    ) -> Result<RunStart, StoreError>;

    /// The revision that the recorded findings are of, if there is one.
    async fn known(&self, key: &SlotKey) -> Result<Option<PullRevision>, StoreError>;

    /// Every finding recorded for the key.
    async fn findings(&self, key: &SlotKey) -> Result<Vec<Finding>, StoreError>;

    /// Writes what was computed, in one transaction; the run is `computed`. Repeating it changes nothing.
    async fn computed(&self, run: &RunRef, computed: &ComputedReview) -> Result<(), StoreError>;

    /// Takes the newest review of the key that has computed something over under a token, as the run that it is. Its id; none: there is no such review. Refused ([`StoreError::Fenced`]) unless the token is greater
    /// than the key's last.
    async fn reopen(
        &self,
        key: &SlotKey,
        token: FencingToken,
        now: UnixMillis,
    ) -> Result<Option<RunId>, StoreError>;

    /// Writes what is to be shown of a review that was computed before, which is the same run still: how it ended stays.
    /// Repeating it changes nothing.
    async fn restated(&self, run: &RunRef, computed: &ComputedReview) -> Result<(), StoreError>;

    /// Lets a run that could not compute anything say so: writes this summary's text and the status, and leaves
    /// findings, other rows and the run's stage as they are. Repeating it changes nothing.
    async fn announce(
        &self,
        run: &RunRef,
        producer: Producer,
        summary: &str,
        status: &DesiredStatus,
    ) -> Result<(), StoreError>;

    /// The producer's desired rows and the status still to be set (none: set already).
    async fn desired(
        &self,
        key: &SlotKey,
        producer: Producer,
    ) -> Result<(Vec<DesiredComment>, Option<DesiredStatus>), StoreError>;

    /// The items' comments are now known: remembers them, and ends the effects on these items that are open.
    async fn shown(
        &self,
        run: &RunRef,
        producer: Producer,
        comments: &[(CommentSubject, CommentId)],
    ) -> Result<(), StoreError>;

    /// The comments on these items are deleted: forgets them, and that they were made. If an item is wanted again, it gets a new
    /// comment.
    async fn deleted(
        &self,
        run: &RunRef,
        producer: Producer,
        items: &[CommentSubject],
    ) -> Result<(), StoreError>;

    /// The forge refuses the places of these rows: they get others.
    async fn lower(
        &self,
        run: &RunRef,
        producer: Producer,
        rows: &[(CommentSubject, AnchorKind)],
    ) -> Result<(), StoreError>;

    /// The status was set at the forge.
    async fn status_set(&self, run: &RunRef, status: &DesiredStatus) -> Result<(), StoreError>;

    /// The run is `published`: its revision counts as reviewed and its outcome is final. Repeating it changes
    /// nothing.
    async fn published(&self, run: &RunRef, outcome: &ReviewRecord) -> Result<(), StoreError>;

    /// The run ended without publishing (`failed`, `deferred`, nothing to do): its outcome, for `why`.
    async fn ended(&self, run: &RunRef, outcome: &ReviewOutcome, now: UnixMillis) -> Result<(), StoreError>;

    /// The attempt has failed, whether or not it came as far as to begin: its outcome, and what it has cost. What was
    /// computed before stays to be published by the next run. Refused ([`StoreError::Fenced`]) if a newer run has begun.
    async fn failed(&self, run: &RunRef, outcome: &ReviewOutcome, now: UnixMillis) -> Result<(), StoreError>;

    /// The attempt was told to stop: if it has cost anything that no run tells yet, it is deferred for that reason. Nothing
    /// happens if it has not begun, or a newer run has.
    async fn interrupted(&self, run: &RunRef, now: UnixMillis) -> Result<(), StoreError>;

    // ------------------------------------------------------------------------------------------ converge

    /// The newest run on this whose commits are known ([`converge::record::ConvergeRecord::has_begun`]), if there was one.
    async fn last_converge(
        &self,
        key: &SlotKey,
    ) -> Result<Option<converge::record::ConvergeRecord>, StoreError>;

    /// Remembers a run as it is, durably.
    async fn keep_converge(
        &self,
        token: FencingToken,
        record: &converge::record::ConvergeRecord,
    ) -> Result<(), StoreError>;

    /// One run, by its id.
    async fn converge_run(&self, run: &RunId)
    -> Result<Option<converge::record::ConvergeRecord>, StoreError>;

    // ------------------------------------------------------------------------------------------ sync

    /// Begins a run, and gives what is remembered of its job. Refused unless its token is greater than the last; the
    /// same run again is accepted.
    async fn begin_job(&self, run: &RunRef) -> Result<JobState, StoreError>;

    /// Remembers this of the run's job, durably.
    async fn keep_job(&self, run: &RunRef, job: &JobState) -> Result<(), StoreError>;

    /// Ends the run: remembers this of its job, with the record, in one transaction. Repeating it changes nothing.
    async fn end_job(
        &self,
        run: &RunRef,
        job: &JobState,
        record: &record::SyncRecord,
    ) -> Result<(), StoreError>;

    /// The newest runs of a job, newest first. Unreadable ones are left out and logged.
    async fn job_records(&self, job: &SlotKey, limit: usize) -> Result<Vec<record::SyncRecord>, StoreError>;

    /// Every job that ever ran, by its key.
    async fn jobs(&self) -> Result<Vec<(SlotKey, JobState)>, StoreError>;
}
