//! Persistent records of the runs of every loop: their findings, the comments and statuses that they want
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

/// The run that a write belongs to. The write is refused once a run of the same loop with a greater token
/// has begun on the key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunReference {
    /// Id that identifies the run.
    pub id: RunId,
    /// Slot key that the run works on.
    pub key: SlotKey,
    /// Fencing token of the run.
    pub token: FencingToken,
}

/// The head and base of a pull request at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PullRevision {
    /// Newest commit of the pull request.
    pub head: Sha,
    /// Newest commit of the branch that it targets.
    pub base: Sha,
}

/// The state that the store returns when a run begins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunStart {
    /// Revision reviewed last (stage `published`), if any.
    pub reviewed: Option<PullRevision>,
    /// Revision computed last, published or not, to which the recorded findings belong.
    pub last_computed: Option<PullRevision>,
    /// Record of the review of `reviewed`, if it can be read.
    pub last: Option<ReviewRecord>,
    /// True if this run is about `reviewed` again, after a run about another revision.
    pub returns_to_reviewed: bool,
    /// Outcome of the newest run, if it has stage `computed` for this same revision: only publishing is
    /// left.
    pub computed: Option<ReviewRecord>,
    /// Dismissals on this key. Later ones take effect in the next run.
    pub dismissals: Vec<Dismissal>,
}

/// The findings of a run and the state that it wants shown. They are written in one transaction, after which
/// the run is `computed`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ComputedReview {
    /// Producer that owns these rows of desired state.
    pub producer: CommentProducer,
    /// All known findings of the key, which replace the recorded ones.
    pub findings: Vec<Finding>,
    /// All rows of the producer's desired state. A row keeps its known comment by item.
    pub desired: Vec<DesiredComment>,
    /// Status of the head; `None` for local runs.
    pub status: Option<DesiredStatus>,
    /// Record of the run, before publishing.
    pub outcome: ReviewRecord,
}

/// A head that is skipped without a review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SkippedHead {
    /// Id of the run that skips it.
    pub run: RunId,
    /// Slot key of the pull request.
    pub key: SlotKey,
    /// Commits of its head and base.
    pub revision: PullRevision,
}

/// The display name of a key. Decisions use the forge's data instead.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SlotDescription {
    /// Name to display, `owner/name#7`.
    pub name: String,
    /// Address of its web page.
    pub url: String,
    /// Head as last seen. It is displayed and used to ignore events without news; it is never reviewed.
    pub head: Option<Sha>,
}

/// One line of history, for `truing why`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HistoryEvent {
    /// Time of the event.
    pub at: UnixMillis,
    /// Slot key that the event concerns.
    pub key: SlotKey,
    /// Run in which it happened, if any.
    pub run: Option<RunId>,
    /// Description of the event for users, in one line.
    pub what: String,
}

/// A store of runs and the data beside them. A run's write is refused ([`StoreError::Fenced`]) once a run of
/// the same loop with a greater token has begun on its key. An effect is refused once a run of any loop has.
#[async_trait]
pub trait RunStore: Send + Sync {
    // ------------------------------------------------------------------------------------------ every loop

    /// Adds history. It is never refused for a token, because the last events of a fenced run are history
    /// too.
    async fn append_history(&self, events: &[HistoryEvent]) -> Result<(), StoreError>;

    /// Stores the display names of these keys and replaces earlier ones. A description without a head keeps
    /// the earlier head.
    async fn store_descriptions(&self, described: &[(SlotKey, SlotDescription)]) -> Result<(), StoreError>;

    /// Skips heads without a review, for this reason, if no run was about their pull requests; in one
    /// transaction.
    async fn skip_heads(&self, heads: &[SkippedHead], reason: &str) -> Result<(), StoreError>;

    /// Returns the display names of these keys, in order; `None` for a key that was never described.
    async fn descriptions(&self, keys: &[SlotKey]) -> Result<Vec<Option<SlotDescription>>, StoreError>;

    /// Returns a token greater than every one issued or accepted so far, for runs whose key has no slot
    /// (local runs).
    async fn fresh_token(&self) -> Result<FencingToken, StoreError>;

    /// Returns the dismissals on this key, including the withdrawn ones.
    async fn dismissals(&self, key: &SlotKey) -> Result<Vec<Dismissal>, StoreError>;

    /// Stores dismissals, each on its key, in place of earlier ones of the same finding. Writes `action` to
    /// the audit log in the same transaction.
    async fn store_dismissals(
        &self,
        dismissals: &[(SlotKey, Dismissal)],
        action: &OperatorAction,
    ) -> Result<(), StoreError>;

    // ------------------------------------------------------------------------------------------ reviews

    /// Begins a run (stage `prepared`). Refused ([`StoreError::Fenced`]) unless its token is greater than
    /// the key's last one. The same run is accepted again, because its response may have been lost.
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

    /// Writes the computed state in one transaction, after which the run is `computed`. Repeating it changes
    /// nothing.
    async fn store_computed_review(
        &self,
        run: &RunReference,
        computed: &ComputedReview,
    ) -> Result<(), StoreError>;

    /// Takes over the key's newest computed review under a new token, and keeps its run id. Returns that id;
    /// `None` if there is no such review. Refused ([`StoreError::Fenced`]) unless the token is greater than
    /// the key's last one.
    async fn take_over_review(
        &self,
        key: &SlotKey,
        token: FencingToken,
        now: UnixMillis,
    ) -> Result<Option<RunId>, StoreError>;

    /// Rewrites the desired state of a review that was computed earlier. It remains the same run with the
    /// same outcome. Repeating it changes nothing.
    async fn store_restated_review(
        &self,
        run: &RunReference,
        computed: &ComputedReview,
    ) -> Result<(), StoreError>;

    /// Announces that a run could not compute anything: writes this summary's text and the status. Findings,
    /// other rows and the run's stage stay unchanged. Repeating it changes nothing.
    async fn store_announcement(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        summary: &str,
        status: &DesiredStatus,
    ) -> Result<(), StoreError>;

    /// Returns the producer's desired rows and the status that is still to be set; `None` if it is set
    /// already.
    async fn desired_state(
        &self,
        key: &SlotKey,
        producer: CommentProducer,
    ) -> Result<(Vec<DesiredComment>, Option<DesiredStatus>), StoreError>;

    /// Stores the items' comments, which are now known, and ends the open effects on these items.
    async fn store_comments(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        comments: &[(CommentSubject, CommentId)],
    ) -> Result<(), StoreError>;

    /// Forgets the comments on these items, which were deleted, and their effects. An item that is wanted
    /// again gets a new comment.
    async fn remove_comments(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        items: &[CommentSubject],
    ) -> Result<(), StoreError>;

    /// Gives these rows other places, because the forge refuses the earlier ones.
    async fn replace_anchors(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        rows: &[(CommentSubject, AnchorKind)],
    ) -> Result<(), StoreError>;

    /// Marks the status as set at the forge.
    async fn mark_status_set(&self, run: &RunReference, status: &DesiredStatus) -> Result<(), StoreError>;

    /// Marks the run as `published`: its revision counts as reviewed and its outcome is final. Repeating it
    /// changes nothing.
    async fn mark_published(&self, run: &RunReference, outcome: &ReviewRecord) -> Result<(), StoreError>;

    /// Ends a run without publishing (`failed`, `deferred`, nothing to do), with its outcome for `why`.
    async fn end_run(
        &self,
        run: &RunReference,
        outcome: &ReviewOutcome,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Marks an attempt as failed, even if it failed before it began, with its outcome and cost. Earlier
    /// computed state remains for the next run to publish. Refused ([`StoreError::Fenced`]) if a newer run
    /// has begun.
    async fn mark_failed(
        &self,
        run: &RunReference,
        outcome: &ReviewOutcome,
        now: UnixMillis,
    ) -> Result<(), StoreError>;

    /// Marks an attempt as deferred that was asked to stop, if it has a cost that no run has recorded yet.
    /// Does nothing if the attempt has not begun, or if a newer run has.
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

    /// Begins a run and returns the stored state of its job. Refused unless its token is greater than the
    /// last one. The same run is accepted again.
    async fn begin_job(&self, run: &RunReference) -> Result<JobState, StoreError>;

    /// Stores the state of the run's job, durably.
    async fn store_job(&self, run: &RunReference, job: &JobState) -> Result<(), StoreError>;

    /// Ends the run: stores the job's state and the record in one transaction. Repeating it changes nothing.
    async fn end_job(
        &self,
        run: &RunReference,
        job: &JobState,
        record: &record::SyncRecord,
    ) -> Result<(), StoreError>;

    /// Returns a job's newest runs, newest first. Unreadable ones are left out and logged.
    async fn job_records(&self, job: &SlotKey, limit: usize) -> Result<Vec<record::SyncRecord>, StoreError>;

    /// Returns every job that ever ran, with its key.
    async fn jobs(&self) -> Result<Vec<(SlotKey, JobState)>, StoreError>;
}
