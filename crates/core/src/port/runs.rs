//! Persistent records of the runs of every loop: findings, desired comments and statuses, and the dismissals
//! by users.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::operations::OperatorAction;
use super::store_error::StoreError;
use crate::converge;
use crate::dismissal::Dismissal;
use crate::finding::{AnchorKind, Finding};
use crate::id::{CommentId, FencingToken, RunId, Sha, SlotKey, UnixMillis};
use crate::outcome::{ReviewOutcome, ReviewRecord};
use crate::publish::{CommentProducer, CommentSubject, DesiredComment, DesiredStatus};

use crate::sync::job::JobState;
use crate::sync::record;

/// The run that makes a write. The store refuses the write if a newer run of the same loop has begun on the
/// same key. Newer runs have greater tokens.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunReference {
    /// Id that identifies the run.
    pub id: RunId,
    /// Key of the slot on which the run works.
    pub key: SlotKey,
    /// Fencing token of the run.
    pub token: FencingToken,
}

/// The head and base of a pull request at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PullRevision {
    /// Newest commit of the pull request.
    pub head: Sha,
    /// Newest commit of the branch that the pull request targets.
    pub base: Sha,
}

/// The state that the store returns when a run begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunStart {
    /// Revision of the last published review (stage `published`); `None` if no review was published.
    pub reviewed: Option<PullRevision>,
    /// Revision that was computed last, published or not. The recorded findings belong to this revision.
    pub last_computed: Option<PullRevision>,
    /// Record of the review of revision `reviewed`; `None` if the record cannot be read.
    pub last_review: Option<ReviewRecord>,
    /// True if this run is on the revision `reviewed` again, and another run since that review was on a
    /// different revision.
    pub returns_to_reviewed: bool,
    /// Outcome of the newest earlier run, if that run has computed the same revision without publishing
    /// (stage `computed`). The new run then only has to publish this outcome.
    pub computed: Option<ReviewRecord>,
    /// Dismissals on this key at the begin of the run. Later dismissals take effect in the next run.
    pub dismissals: Vec<Dismissal>,
}

/// The findings of a run, and the comments and status that the forge should show. One transaction writes all
/// of these and sets the run's stage to `computed`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ComputedReview {
    /// Producer that owns the rows in `desired`.
    pub producer: CommentProducer,
    /// All known findings of the key. They replace the recorded findings.
    pub findings: Vec<Finding>,
    /// All rows of the producer's desired state. A row whose comment is already stored keeps this comment.
    pub desired: Vec<DesiredComment>,
    /// Status of the head; `None` for local runs.
    pub status: Option<DesiredStatus>,
    /// Record of the run, before publishing.
    pub outcome: ReviewRecord,
}

/// A head that is skipped without a review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkippedHead {
    /// Id of the run that skips the head.
    pub run: RunId,
    /// Slot key of the pull request.
    pub key: SlotKey,
    /// Head and base commits of the pull request.
    pub revision: PullRevision,
}

/// The name, address and head of a slot's pull request or job, for display. Decisions use the forge's data
/// instead.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotDescription {
    /// Name to display, `owner/name#7`.
    pub name: String,
    /// Address of the web page at the forge.
    pub url: String,
    /// Head at the time of the last event. It is used for display and to ignore events without a new head,
    /// but never to select the reviewed commit.
    pub head: Option<Sha>,
}

/// One line of history, for `truing why`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// Time of the event.
    pub at: UnixMillis,
    /// Slot key that the event concerns.
    pub key: SlotKey,
    /// Run in which the event happened; `None` if it happened outside a run.
    pub run: Option<RunId>,
    /// Description of the event for users, in one line.
    #[serde(rename = "what")]
    pub description: String,
}

/// A store of runs and their data. Newer runs have greater tokens. A write by a run is refused
/// ([`StoreError::Fenced`]) if a newer run of the same loop has begun on the same key. An effect is refused
/// if a newer run of any loop has begun on the key.
#[async_trait]
pub trait RunStore: Send + Sync {
    // ------------------------------------------------------------------------------------------ every loop

    /// Adds events to the history. Events of a fenced run are accepted, because they belong to the history,
    /// too.
    async fn append_history(&self, events: &[HistoryEvent]) -> Result<(), StoreError>;

    /// Stores the display names of these keys and replaces earlier ones. A description without a head keeps
    /// the earlier head.
    async fn store_descriptions(&self, described: &[(SlotKey, SlotDescription)]) -> Result<(), StoreError>;

    /// Records that these heads are skipped without a review, for the reason `reason`, in one transaction. A
    /// head is omitted if any run has already begun on its pull request.
    async fn skip_heads(&self, heads: &[SkippedHead], reason: &str) -> Result<(), StoreError>;

    /// Returns the display names of these keys, in order; `None` for a key that was never described.
    async fn descriptions(&self, keys: &[SlotKey]) -> Result<Vec<Option<SlotDescription>>, StoreError>;

    /// Returns a token for a run whose key has no slot (a local run). The token is greater than all tokens
    /// that were issued or accepted so far.
    async fn fresh_token(&self) -> Result<FencingToken, StoreError>;

    /// Returns the dismissals on this key, including the withdrawn ones.
    async fn dismissals(&self, key: &SlotKey) -> Result<Vec<Dismissal>, StoreError>;

    /// Stores dismissals, each on its key. A dismissal replaces an earlier dismissal of the same finding.
    /// Writes `action` to the audit log in the same transaction.
    async fn store_dismissals(
        &self,
        dismissals: &[(SlotKey, Dismissal)],
        action: &OperatorAction,
    ) -> Result<(), StoreError>;

    // ------------------------------------------------------------------------------------------ reviews

    /// Begins a run (stage `prepared`). Returns [`StoreError::Fenced`] unless the run's token is greater than
    /// the last token of the key. Repeated calls for the same run are accepted, because the response to the
    /// first call may have been lost.
    async fn begin_run(
        &self,
        run: &RunReference,
        revision: &PullRevision,
        now: UnixMillis,
    ) -> Result<RunStart, StoreError>;

    /// Returns the revision to which the recorded findings belong, if there is one.
    async fn known_revision(&self, key: &SlotKey) -> Result<Option<PullRevision>, StoreError>;

    /// Returns all findings recorded for the key.
    async fn findings(&self, key: &SlotKey) -> Result<Vec<Finding>, StoreError>;

    /// Writes the computed review in one transaction, which also sets the run's stage to `computed`.
    /// Repeating the call changes nothing.
    async fn store_computed_review(
        &self,
        run: &RunReference,
        computed: &ComputedReview,
    ) -> Result<(), StoreError>;

    /// Assigns a new token to the key's newest computed or published review. Returns the review's run id,
    /// which stays the same, or `None` if the key has no such review. Returns [`StoreError::Fenced`] unless
    /// the token is greater than the last token of the key.
    async fn take_over_review(
        &self,
        key: &SlotKey,
        token: FencingToken,
        now: UnixMillis,
    ) -> Result<Option<RunId>, StoreError>;

    /// Replaces the findings, the desired comments, the status and the record of a review that was computed
    /// earlier. The review's run and stage stay the same. Repeating the call changes nothing.
    async fn store_restated_review(
        &self,
        run: &RunReference,
        computed: &ComputedReview,
    ) -> Result<(), StoreError>;

    /// Writes the desired summary and status for a run that could not compute anything. Findings, other
    /// desired rows and the run's stage stay unchanged. Repeating the call changes nothing.
    async fn store_announcement(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        summary: &str,
        status: &DesiredStatus,
    ) -> Result<(), StoreError>;

    /// Returns the producer's desired rows, and the desired status if it is not set at the forge yet.
    async fn desired_state(
        &self,
        key: &SlotKey,
        producer: CommentProducer,
    ) -> Result<(Vec<DesiredComment>, Option<DesiredStatus>), StoreError>;

    /// Stores the ids of the comments that now show these items. Ends the open effects on these items.
    async fn store_comments(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        comments: &[(CommentSubject, CommentId)],
    ) -> Result<(), StoreError>;

    /// Removes the ids of comments that were deleted at the forge, and the effects on the comments' items. If
    /// such an item is to be shown again, a new comment is posted.
    async fn remove_comments(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        items: &[CommentSubject],
    ) -> Result<(), StoreError>;

    /// Changes where the comments of these rows are placed (for example, on the file instead of a line),
    /// because the forge refuses the earlier anchors.
    async fn replace_anchors(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        rows: &[(CommentSubject, AnchorKind)],
    ) -> Result<(), StoreError>;

    /// Marks the status as set at the forge.
    async fn mark_status_set(&self, run: &RunReference, status: &DesiredStatus) -> Result<(), StoreError>;

    /// Marks the run as `published`: its revision then counts as reviewed and its outcome is final. Repeating
    /// the call changes nothing.
    async fn mark_published(&self, run: &RunReference, outcome: &ReviewRecord) -> Result<(), StoreError>;

    /// Ends a run that publishes nothing: the run failed, was deferred or had nothing to do. Stores the
    /// outcome for `truing why`.
    async fn end_run(
        &self,
        run: &RunReference,
        outcome: &ReviewOutcome,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Marks an attempt as failed, and stores its outcome and cost. The attempt may have failed before the
    /// run began. An already computed review is kept, and the next run can publish it. Returns
    /// [`StoreError::Fenced`] if a newer run has begun.
    async fn mark_failed(
        &self,
        run: &RunReference,
        outcome: &ReviewOutcome,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Marks an interrupted run as deferred, if the run has caused a cost that no record contains yet. Does
    /// nothing if the run has not begun, or if a newer run has begun.
    async fn mark_interrupted(&self, run: &RunReference, now: UnixMillis) -> Result<(), StoreError>;

    // ------------------------------------------------------------------------------------------ converge

    /// Returns the key's newest converge run that has determined its commits
    /// ([`converge::record::ConvergeRecord::has_begun`]), if there is one.
    async fn last_converge(
        &self,
        key: &SlotKey,
    ) -> Result<Option<converge::record::ConvergeRecord>, StoreError>;

    /// Stores the current record of a converge run, durably.
    async fn store_converge(
        &self,
        token: FencingToken,
        record: &converge::record::ConvergeRecord,
    ) -> Result<(), StoreError>;

    /// Returns one run by its id.
    async fn converge_run(&self, run: &RunId)
    -> Result<Option<converge::record::ConvergeRecord>, StoreError>;

    // ------------------------------------------------------------------------------------------ sync

    /// Begins a run and returns the stored state of its job. Returns an error unless the run's token is
    /// greater than the job's last token. Repeated calls for the same run are accepted.
    async fn begin_job(&self, run: &RunReference) -> Result<JobState, StoreError>;

    /// Stores the state of the run's job, durably.
    async fn store_job(&self, run: &RunReference, job: &JobState) -> Result<(), StoreError>;

    /// Ends the run: stores the job's state and the record in one transaction. Repeating the call changes
    /// nothing.
    async fn end_job(
        &self,
        run: &RunReference,
        job: &JobState,
        record: &record::SyncRecord,
    ) -> Result<(), StoreError>;

    /// Returns a job's newest runs, newest first. Records that cannot be read are omitted and logged.
    async fn job_records(&self, job: &SlotKey, limit: usize) -> Result<Vec<record::SyncRecord>, StoreError>;

    /// Returns every job that ever ran, with its key.
    async fn jobs(&self) -> Result<Vec<(SlotKey, JobState)>, StoreError>;
}
