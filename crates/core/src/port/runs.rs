//! The port to the stored runs of every loop, with findings, desired comments and statuses, and users'
//! dismissals.

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

/// Identifies the run that makes a write. The store refuses the write if a newer run of the same loop has
/// begun on the same key. A newer run has a greater token.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunReference {
    /// Id that identifies the run.
    pub id: RunId,
    /// Key of the slot on which the run works.
    pub key: SlotKey,
    /// Fencing token of the run.
    pub token: FencingToken,
}

/// The head and base commits of a pull request at one time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PullRevision {
    /// Newest commit of the pull request.
    pub head: Sha,
    /// Newest commit of the branch that the pull request targets.
    pub base: Sha,
}

/// The stored state of the key, returned when a run begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunStart {
    /// Revision of the last published review (stage `published`); `None` if no review was published.
    pub last_published: Option<PullRevision>,
    /// Revision of the last review that was computed, whether it was published or not. The recorded findings
    /// belong to this revision.
    pub last_computed: Option<PullRevision>,
    /// Record of the review of revision `reviewed`; `None` if the record cannot be read.
    pub last_review: Option<ReviewRecord>,
    /// True if this run and the review of `reviewed` have the same revision, but a run between them had a
    /// different revision.
    pub returns_to_reviewed: bool,
    /// Record of the previous run, if that run computed a review of the same revision but did not publish it
    /// (stage `computed`). In this case, the new run only has to publish the review.
    pub unpublished_review: Option<ReviewRecord>,
    /// Dismissals on this key when the run begins. Later dismissals take effect in the next run.
    pub dismissals: Vec<Dismissal>,
}

/// The findings of a run, and the comments and the status that the forge should show. One transaction writes
/// them and sets the run's stage to `computed`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ComputedReview {
    /// Producer of the comments in `desired`.
    pub producer: CommentProducer,
    /// All known findings of the key. This list replaces the recorded findings.
    pub findings: Vec<Finding>,
    /// All desired comments of the producer. If the id of a posted comment is already stored for a row, the
    /// row keeps the id.
    pub desired_comments: Vec<DesiredComment>,
    /// Status of the head; `None` for local runs.
    pub status: Option<DesiredStatus>,
    /// Record of the run, before publishing.
    pub record: ReviewRecord,
}

/// The head of a pull request that is skipped without a review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkippedHead {
    /// Id of the run that skips the head.
    pub run: RunId,
    /// Slot key of the pull request.
    pub key: SlotKey,
    /// Head and base commits of the pull request.
    pub revision: PullRevision,
}

/// The name, address and head of a slot's pull request or job, for display. These data are never used for
/// decisions; decisions use current data from the forge.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotDescription {
    /// Name to display, `owner/name#7`.
    pub name: String,
    /// Address of the web page at the forge.
    pub url: String,
    /// Head at the time of the last event. Used for display, and to ignore events without a new head. Never
    /// used to select the commit to review.
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

/// A store of runs and their data. A newer run has a greater token. A write by a run is refused
/// ([`StoreError::Fenced`]) if a newer run of the same loop has begun on the same key. An effect is refused
/// if a newer run of any loop has begun on the key.
#[async_trait]
pub trait RunStore: Send + Sync {
    // ------------------------------------------------------------------------------------------ every loop

    /// Adds events to the history. Events of a fenced run are also accepted, because these events happened.
    async fn append_history(&self, events: &[HistoryEvent]) -> Result<(), StoreError>;

    /// Stores the descriptions of these keys, which replace earlier descriptions. If a new description has no
    /// head, the stored head is kept.
    async fn store_descriptions(&self, descriptions: &[(SlotKey, SlotDescription)])
    -> Result<(), StoreError>;

    /// Records, in one transaction, that these heads are skipped without a review because of `reason`. A head
    /// is not recorded if any run has already begun on its pull request, unless the newest run is a drop
    /// without a head ([`is_dropped_without_head`](super::ReviewProgress::is_dropped_without_head)).
    async fn skip_heads(&self, heads: &[SkippedHead], reason: &str) -> Result<(), StoreError>;

    /// Returns the descriptions of these keys, in the order of `keys`; `None` for a key without a stored
    /// description.
    async fn descriptions(&self, keys: &[SlotKey]) -> Result<Vec<Option<SlotDescription>>, StoreError>;

    /// Returns a fencing token for a local run, whose key has no slot. The token is greater than all tokens
    /// that the store has issued or accepted.
    async fn fresh_token(&self) -> Result<FencingToken, StoreError>;

    /// Returns the dismissals on this key, including withdrawn dismissals.
    async fn dismissals(&self, key: &SlotKey) -> Result<Vec<Dismissal>, StoreError>;

    /// Stores each dismissal under its key. A dismissal replaces an earlier dismissal of the same finding.
    /// Writes `action` to the audit log in the same transaction.
    async fn store_dismissals(
        &self,
        dismissals: &[(SlotKey, Dismissal)],
        action: &OperatorAction,
    ) -> Result<(), StoreError>;

    // ------------------------------------------------------------------------------------------ reviews

    /// Begins a run (stage `prepared`). Returns [`StoreError::Fenced`] if the run's token is not greater than
    /// the last token of the key. Repeated calls for the same run are accepted, because the response to the
    /// first call may have been lost.
    async fn begin_run(
        &self,
        run: &RunReference,
        revision: &PullRevision,
        now: UnixMillis,
    ) -> Result<RunStart, StoreError>;

    /// Returns the revision to which the recorded findings belong; `None` if no findings are recorded.
    async fn findings_revision(&self, key: &SlotKey) -> Result<Option<PullRevision>, StoreError>;

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
    /// which does not change; `None` if the key has no such review. Returns [`StoreError::Fenced`] if the
    /// token is not greater than the last token of the key.
    async fn take_over_review(
        &self,
        key: &SlotKey,
        token: FencingToken,
        now: UnixMillis,
    ) -> Result<Option<RunId>, StoreError>;

    /// Replaces the findings, the desired comments, the status and the record of a review that was computed
    /// earlier. The review's run and stage stay the same. Repeating the call changes nothing.
    async fn replace_computed_review(
        &self,
        run: &RunReference,
        computed: &ComputedReview,
    ) -> Result<(), StoreError>;

    /// Writes the desired summary and status for a run that could not compute a review. Findings, other
    /// desired rows and the run's stage stay unchanged. Repeating the call changes nothing.
    async fn store_summary_and_status(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        summary: &str,
        status: &DesiredStatus,
    ) -> Result<(), StoreError>;

    /// Returns the producer's desired comments. Also returns the desired status if it is not set at the forge
    /// yet.
    async fn desired_state(
        &self,
        key: &SlotKey,
        producer: CommentProducer,
    ) -> Result<(Vec<DesiredComment>, Option<DesiredStatus>), StoreError>;

    /// Stores the ids of the comments that the forge now shows for these subjects. Ends the open effects on
    /// these subjects.
    async fn store_comments(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        comments: &[(CommentSubject, CommentId)],
    ) -> Result<(), StoreError>;

    /// Removes the stored ids of comments that were deleted at the forge, and the log entries of effects on
    /// their subjects. If a comment on one of these subjects is still desired, a new comment is posted.
    async fn remove_comments(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        subjects: &[CommentSubject],
    ) -> Result<(), StoreError>;

    /// Changes the anchors of these comments, for example from a line to the file, because the forge refuses
    /// the stored anchors.
    async fn replace_anchors(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        anchors: &[(CommentSubject, AnchorKind)],
    ) -> Result<(), StoreError>;

    /// Marks the status as set at the forge.
    async fn mark_status_set(&self, run: &RunReference, status: &DesiredStatus) -> Result<(), StoreError>;

    /// Marks the run as `published`: its revision then counts as reviewed and its outcome is final. Repeating
    /// the call changes nothing.
    async fn mark_published(&self, run: &RunReference, record: &ReviewRecord) -> Result<(), StoreError>;

    /// Ends a run that publishes nothing: the run failed, was deferred or had nothing to do. Stores the
    /// outcome for `truing why`.
    async fn end_run(
        &self,
        run: &RunReference,
        outcome: &ReviewOutcome,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Marks an attempt as failed, and stores its outcome and cost. The attempt may have failed before the
    /// run began. A review that is already computed is kept, and the next run can publish the review. Returns
    /// [`StoreError::Fenced`] if a newer run has begun.
    async fn mark_failed(
        &self,
        run: &RunReference,
        outcome: &ReviewOutcome,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Marks an interrupted run as deferred if it has caused costs that no record contains yet. Does nothing
    /// if the run has not begun, or if a newer run has begun.
    async fn mark_interrupted(&self, run: &RunReference, now: UnixMillis) -> Result<(), StoreError>;

    // ------------------------------------------------------------------------------------------ converge

    /// Returns the key's newest converge run that has determined its commits
    /// ([`converge::record::ConvergeRecord::has_begun`]), if there is one.
    async fn last_converge(
        &self,
        key: &SlotKey,
    ) -> Result<Option<converge::record::ConvergeRecord>, StoreError>;

    /// Durably stores the current record of a converge run.
    async fn store_converge_record(
        &self,
        token: FencingToken,
        record: &converge::record::ConvergeRecord,
    ) -> Result<(), StoreError>;

    /// Returns the record of the converge run with this id.
    async fn converge_run(&self, run: &RunId)
    -> Result<Option<converge::record::ConvergeRecord>, StoreError>;

    // ------------------------------------------------------------------------------------------ sync

    /// Begins a run and returns the stored state of its job. Returns an error if the run's token is not
    /// greater than the job's last token. Repeated calls for the same run are accepted.
    async fn begin_job_run(&self, run: &RunReference) -> Result<JobState, StoreError>;

    /// Durably stores the state of the run's job.
    async fn store_job(&self, run: &RunReference, job: &JobState) -> Result<(), StoreError>;

    /// Ends the run: stores the job's state and the record in one transaction. Repeating the call changes
    /// nothing.
    async fn end_job_run(
        &self,
        run: &RunReference,
        job: &JobState,
        record: &record::SyncRecord,
    ) -> Result<(), StoreError>;

    /// Returns the records of a job's newest runs, newest first. Records that cannot be read are omitted and
    /// logged.
    async fn job_records(&self, job: &SlotKey, limit: usize) -> Result<Vec<record::SyncRecord>, StoreError>;

    /// Returns the key and state of every job that has ever begun a run.
    async fn jobs(&self) -> Result<Vec<(SlotKey, JobState)>, StoreError>;
}
