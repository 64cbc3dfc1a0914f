//! Persistent records of the runs of every loop: findings, the comments and statuses that the runs want
//! shown, and the dismissals of users.

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

/// The run that a write belongs to. The store refuses the write after a run of the same loop with a greater
/// token has begun on the key.
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
    /// Revision that was reviewed last (stage `published`); `None` if no revision was reviewed.
    pub reviewed: Option<PullRevision>,
    /// Revision that was computed last, published or not. The recorded findings belong to this revision.
    pub last_computed: Option<PullRevision>,
    /// Record of the review of revision `reviewed`; `None` if the record cannot be read.
    pub last_review: Option<ReviewRecord>,
    /// True if this run reviews the revision `reviewed` again, after a run on another revision.
    pub returns_to_reviewed: bool,
    /// Outcome of the newest run, if this run has computed the same revision (stage `computed`). The new run
    /// then only has to publish it.
    pub computed: Option<ReviewRecord>,
    /// Dismissals on this key. Dismissals that are stored after the begin of the run take effect in the next
    /// run.
    pub dismissals: Vec<Dismissal>,
}

/// The findings of a run and the state that the run wants shown. One transaction writes all of this, after
/// which the run is `computed`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ComputedReview {
    /// Producer that owns the rows in `desired`.
    pub producer: CommentProducer,
    /// All known findings of the key. They replace the recorded findings.
    pub findings: Vec<Finding>,
    /// All rows of the producer's desired state. If the comment on a row's item is already known, the row
    /// keeps this comment.
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

/// The display name of a key. It is not used for decisions, which use the forge's data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotDescription {
    /// Name to display, `owner/name#7`.
    pub name: String,
    /// Address of the web page at the forge.
    pub url: String,
    /// Head as last seen. This commit is displayed, and used to ignore events that report no new head. It is
    /// never reviewed.
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

/// A store of runs and the data that belong to them. A run's write is refused ([`StoreError::Fenced`]) after
/// a run of the same loop with a greater token has begun on the same key. An effect is refused after a run of
/// any loop with a greater token has begun on the same key.
#[async_trait]
pub trait RunStore: Send + Sync {
    // ------------------------------------------------------------------------------------------ every loop

    /// Adds events to the history. They are never refused because of a token, because the last events of a
    /// fenced run are history, too.
    async fn append_history(&self, events: &[HistoryEvent]) -> Result<(), StoreError>;

    /// Stores the display names of these keys and replaces earlier ones. A description without a head keeps
    /// the earlier head.
    async fn store_descriptions(&self, described: &[(SlotKey, SlotDescription)]) -> Result<(), StoreError>;

    /// Skips heads without a review, for the reason `reason`. A head is not skipped if any run has already
    /// worked on its pull request. All heads are skipped in one transaction.
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

    /// Begins a run (stage `prepared`). The run is refused ([`StoreError::Fenced`]) unless its token is
    /// greater than the last token of the key. The same run is accepted again, because the response to its
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

    /// Writes the computed state in one transaction, after which the run is `computed`. Repeating the call
    /// changes nothing.
    async fn store_computed_review(
        &self,
        run: &RunReference,
        computed: &ComputedReview,
    ) -> Result<(), StoreError>;

    /// Takes over the key's newest computed review under a new token. The review keeps its run id, which is
    /// returned; `None` if the key has no computed review. The call is refused ([`StoreError::Fenced`])
    /// unless the token is greater than the last token of the key.
    async fn take_over_review(
        &self,
        key: &SlotKey,
        token: FencingToken,
        now: UnixMillis,
    ) -> Result<Option<RunId>, StoreError>;

    /// Rewrites the desired state of a review that was computed earlier. The run and its outcome stay the
    /// same. Repeating the call changes nothing.
    async fn store_restated_review(
        &self,
        run: &RunReference,
        computed: &ComputedReview,
    ) -> Result<(), StoreError>;

    /// Announces that a run could not compute anything: writes the text of the summary and the status.
    /// Findings, other rows and the run's stage stay unchanged. Repeating the call changes nothing.
    async fn store_announcement(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        summary: &str,
        status: &DesiredStatus,
    ) -> Result<(), StoreError>;

    /// Returns the producer's desired rows, and the status that is still to be set; `None` if the status is
    /// already set.
    async fn desired_state(
        &self,
        key: &SlotKey,
        producer: CommentProducer,
    ) -> Result<(Vec<DesiredComment>, Option<DesiredStatus>), StoreError>;

    /// Stores the ids of the items' comments, which are now known. Ends the open effects on these items.
    async fn store_comments(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        comments: &[(CommentSubject, CommentId)],
    ) -> Result<(), StoreError>;

    /// Removes the ids of the comments on these items, which were deleted at the forge, and the effects on
    /// these items. If the item is to be shown again, a new comment is posted.
    async fn remove_comments(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        items: &[CommentSubject],
    ) -> Result<(), StoreError>;

    /// Changes the kind of place of these rows, because the forge refuses their earlier places.
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

    /// Ends a run without publishing (`failed`, `deferred`, nothing to do), and stores its outcome for
    /// `truing why`.
    async fn end_run(
        &self,
        run: &RunReference,
        outcome: &ReviewOutcome,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Marks an attempt as failed, and stores its outcome and cost. The attempt may have failed before the
    /// run began. State that was computed earlier is kept, so that the next run can publish it. The call is
    /// refused ([`StoreError::Fenced`]) if a newer run has begun.
    async fn mark_failed(
        &self,
        run: &RunReference,
        outcome: &ReviewOutcome,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Marks an interrupted attempt as deferred, if the attempt has a cost that no run has recorded yet. Does
    /// nothing if the attempt has not begun, or if a newer run has begun.
    async fn mark_interrupted(&self, run: &RunReference, now: UnixMillis) -> Result<(), StoreError>;

    // ------------------------------------------------------------------------------------------ converge

    /// Returns the key's newest run whose commits are known
    /// ([`converge::record::ConvergeRecord::has_begun`]), if there is one.
    async fn last_converge(
        &self,
        key: &SlotKey,
    ) -> Result<Option<converge::record::ConvergeRecord>, StoreError>;

    /// Stores the present state of a run, durably.
    async fn store_converge(
        &self,
        token: FencingToken,
        record: &converge::record::ConvergeRecord,
    ) -> Result<(), StoreError>;

    /// Returns one run by its id.
    async fn converge_run(&self, run: &RunId)
    -> Result<Option<converge::record::ConvergeRecord>, StoreError>;

    // ------------------------------------------------------------------------------------------ sync

    /// Begins a run and returns the stored state of its job. The run is refused unless its token is greater
    /// than the job's last token. The same run is accepted again.
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
