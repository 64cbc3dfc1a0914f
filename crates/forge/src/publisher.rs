//! The publisher: updates a pull request to show the state that the records require.
//!
//! The publisher observes the pull request, plans the steps ([`truing_core::publish::plan_publish`]) and
//! performs each step as an effect ([`EffectExecutor`]). After a crash or a lost response, the next reconcile
//! adopts the comments that became visible and creates the rest; nothing is shown twice.

use truing_core::effect::{Effect, EffectKind};
use truing_core::finding::AnchorKind;
use truing_core::id::{CommentId, Sha, UnixMillis};
use truing_core::port::{
    EffectOutcome, ForgeError, ForgeRead, GateHalt, InlineDraft, RunReference, RunStore, StoreError,
    UnavailableCause,
};
use truing_core::publish::{
    CommentRights, CommentSubject, DesiredComment, ObservedComment, PublishLimits, PublishPlan, PublishStep,
    ThreadState, plan_publish,
};

mod bisect;

use crate::effects::{EffectError, EffectExecutor};
use crate::marker::{disable_markers, normalize_text};
use bisect::Bisection;

/// Maximum number of rounds of a reconcile. After a rejected location, a new round places the row less
/// precisely: on its file instead of its lines, or only in the summary. The first missing permission also
/// requires a new round, because the summary reports this permission. The last round checks the result.
const MAX_ROUNDS: u32 = 6;

/// The result of a reconcile.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReconcileOutcome {
    /// The pull request shows the required state.
    Done,
    /// A comment that was sent may still become visible. The caller must reconcile again after `until`.
    Settling {
        /// Time by which the comment is visible.
        until: UnixMillis,
    },
}

/// The error that stopped a reconcile. Running the reconcile again is always safe.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The store of the records failed or rejected a call.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The forge failed or rejected a request.
    #[error(transparent)]
    Forge(#[from] ForgeError),
    /// The head has changed since the review, so the review's locations may be invalid.
    #[error("the head of the pull request has changed")]
    HeadChanged,
    /// The gate is closed: nothing was written after it closed.
    #[error(transparent)]
    Halted(#[from] GateHalt),
}

/// The reason why a reconcile did not complete.
enum ReconcileStopReason {
    /// A comment that was sent earlier may still become visible.
    Settling { until: UnixMillis },
    /// An error stopped the reconcile.
    Failed(PublishError),
}

impl<E: Into<PublishError>> From<E> for ReconcileStopReason {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// One reconcile of a pull request, for the comments of one producer.
pub struct CommentPublisher<'a> {
    /// Executor of every write. Only comments of the executor's producer are changed.
    pub effects: EffectExecutor<'a>,
    /// Read access to the pull request.
    pub forge: &'a dyn ForgeRead,
    /// Store of the records, which contain the desired state.
    pub records: &'a dyn RunStore,
    /// Run whose fencing token protects every write.
    pub run: &'a RunReference,
    /// Commit that new inline comments are placed on.
    pub head: &'a Sha,
    /// True if new comments may be posted. Otherwise only existing comments are changed.
    pub may_create: bool,
}

/// The result of calls that create comments. If several calls have different results, the variant that is
/// declared last applies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CreationOutcome {
    /// Every comment is known to exist.
    Complete,
    /// The forge rejected a call, so a new plan is needed: the comment got a less precise location, or the
    /// login lacks a permission.
    Replan,
    /// The forge did not name every comment: the missing comments are found by their markers later.
    Partial,
}

/// The comments on code that one round creates.
struct RoundComments {
    /// True if the forge places comments on the current head: the head is then read before and after the
    /// calls.
    checks_head: bool,
    /// Comments that were created but are not yet recorded.
    comments: Vec<(CommentSubject, CommentId)>,
}

impl RoundComments {
    fn new(limits: &PublishLimits, steps: &[PublishStep]) -> Self {
        let on_code = |step: &PublishStep| {
            matches!(step, PublishStep::CreateReview { .. } | PublishStep::CreateFileComment { .. })
        };
        Self {
            checks_head: limits.comments_on_current_head && steps.iter().any(on_code),
            comments: Vec::new(),
        }
    }
}

/// Returns the comment that a step deletes; `None` for other steps.
fn deleted_comment(step: &PublishStep) -> Option<&CommentId> {
    if let PublishStep::Delete { comment, .. } = step { Some(comment) } else { None }
}

/// Moves a row to the summary if the row has no comment.
fn list_in_summary(row: &mut DesiredComment) {
    if let (None, Some((kind, _))) = (&row.comment, &mut row.location) {
        *kind = AnchorKind::Summary;
    }
}

/// Returns true if a fixed finding has an open thread.
fn has_open_fixed_finding(rows: &[DesiredComment], observed: &[ObservedComment]) -> bool {
    let is_open = |item: &CommentSubject| {
        let state = |seen: &ObservedComment| seen.thread.as_ref().map(|thread| thread.state);
        observed.iter().any(|seen| seen.subject == *item && state(seen) == Some(ThreadState::Open))
    };
    rows.iter().any(|row| row.resolved && is_open(&row.subject))
}

/// Adds to the summary the reason why an effect was not performed.
fn add_to_summary(rows: &mut [DesiredComment], reason: &str) {
    if let Some(summary) = rows.iter_mut().find(|row| row.subject == CommentSubject::Summary) {
        summary.body = format!("{}\n\n{reason}", summary.body.trim_end());
    }
}

/// Logs the number of our comments that are signed with a key that is not configured.
fn warn_of_unknown_keys(observed: &[ObservedComment]) {
    let comments = observed.iter().filter(|seen| seen.rights == CommentRights::UnknownKey).count();
    if comments > 0 {
        tracing::warn!(
            comments,
            "Truing leaves comments (including a summary) unchanged, because they are signed with a key \
                that is not configured; list the key in `previous_marker_keys` of this forge"
        );
    }
}

impl CommentPublisher<'_> {
    /// Updates the pull request to the desired state, then sets the status of the head.
    ///
    /// # Errors
    /// [`PublishError`]; completed steps stay, and the next reconcile continues after them.
    #[truing_core::boxed_future]
    pub async fn reconcile(&self) -> Result<ReconcileOutcome, PublishError> {
        match self.reconcile_rounds().await {
            Ok(reconciled) => Ok(reconciled),
            Err(ReconcileStopReason::Settling { until }) => Ok(ReconcileOutcome::Settling { until }),
            Err(ReconcileStopReason::Failed(error)) => Err(error),
        }
    }

    async fn reconcile_rounds(&self) -> Result<ReconcileOutcome, ReconcileStopReason> {
        let producer = self.effects.owner.producer;
        for _ in 0..MAX_ROUNDS {
            let (mut rows, status) = self.records.desired_state(&self.run.key, producer).await?;
            // The texts of the rows are normalised as for posting, because they are compared with texts that
            // the forge returns.
            rows.iter_mut().for_each(|row| row.body = normalize_text(&disable_markers(&row.body)));
            if !self.may_create {
                rows.iter_mut().for_each(list_in_summary);
            }
            let pending = self.effects.pending_comments().await?;
            let known = rows.iter().filter_map(|row| Some((row.subject.clone(), row.comment.clone()?)));
            let observed = self.forge.producer_comments(&known.collect::<Vec<_>>()).await?;
            warn_of_unknown_keys(&observed);
            let why_open = self.effects.denial_reason(EffectKind::Resolve);
            let why_open = why_open.filter(|_| has_open_fixed_finding(&rows, &observed));
            let why_unset = self.effects.denial_reason(EffectKind::Status).filter(|_| status.is_some());
            why_open.into_iter().chain(why_unset).for_each(|reason| add_to_summary(&mut rows, reason));
            let now = self.effects.clock.now();
            let steps = match plan_publish(&rows, &observed, &pending, &self.forge.publish_limits(), now) {
                PublishPlan::Settling { until } => return Ok(ReconcileOutcome::Settling { until }),
                PublishPlan::Steps(steps) if self.may_create => steps,
                PublishPlan::Steps(steps) => {
                    steps.into_iter().filter(|step| !step.creates_comment()).collect()
                }
            };
            let deleted: Vec<CommentId> = steps.iter().filter_map(deleted_comment).cloned().collect();
            let mut placed = RoundComments::new(&self.forge.publish_limits(), &steps);
            if placed.checks_head {
                self.check_head_unchanged().await?;
            }
            let applied = self.apply_steps(&rows, steps, &mut placed).await;
            let kept = if placed.checks_head { self.record_round_comments(placed).await } else { Ok(()) };
            let created = match (applied, kept) {
                (_, Err(ReconcileStopReason::Failed(PublishError::HeadChanged))) => {
                    return Err(PublishError::HeadChanged.into());
                }
                (Err(error), _) | (Ok(_), Err(error)) => return Err(error),
                (Ok(created), Ok(())) => created,
            };
            self.forget_retracted(&rows, &observed, &deleted).await?;
            match created {
                CreationOutcome::Complete => {}
                CreationOutcome::Partial => {
                    let until = self.effects.clock.now() + self.forge.publish_limits().settle_delay;
                    return Ok(ReconcileOutcome::Settling { until });
                }
                CreationOutcome::Replan => continue,
            }
            if let Some(status) = status {
                match self.perform(&Effect::Status(status.clone())).await {
                    Ok(_) => self.records.mark_status_set(self.run, &status).await?,
                    Err(error) if self.is_denied(&error, EffectKind::Status) && why_unset.is_some() => {}
                    Err(error) if self.is_denied(&error, EffectKind::Status) => continue,
                    Err(error) => return Err(error),
                }
            }
            return Ok(ReconcileOutcome::Done);
        }
        let request = "placing comments".into();
        let message = "the forge refused every comment, even the summary".into();
        Err(ForgeError::Rejected { request, message }.into())
    }

    /// If a row was retracted and its comment no longer exists, removes the comment from the records.
    async fn forget_retracted(
        &self,
        rows: &[DesiredComment],
        observed: &[ObservedComment],
        deleted: &[CommentId],
    ) -> Result<(), ReconcileStopReason> {
        let is_left = |item: &CommentSubject| {
            observed.iter().any(|seen| seen.subject == *item && !deleted.contains(&seen.id))
        };
        let gone = rows.iter().filter(|row| row.retraction.is_some() && !is_left(&row.subject));
        let gone: Vec<CommentSubject> = gone.map(|row| row.subject.clone()).collect();
        if gone.is_empty() {
            return Ok(());
        }
        Ok(self.records.remove_comments(self.run, self.effects.owner.producer, &gone).await?)
    }

    async fn apply_steps(
        &self,
        rows: &[DesiredComment],
        steps: Vec<PublishStep>,
        round_comments: &mut RoundComments,
    ) -> Result<CreationOutcome, ReconcileStopReason> {
        let mut created = CreationOutcome::Complete;
        for step in steps {
            created = created.max(self.apply_step(rows, step, round_comments).await?);
        }
        Ok(created)
    }

    async fn apply_step(
        &self,
        rows: &[DesiredComment],
        step: PublishStep,
        round_comments: &mut RoundComments,
    ) -> Result<CreationOutcome, ReconcileStopReason> {
        match step {
            PublishStep::Adopt { subject: item, comment } => self.record_comments(&[(item, comment)]).await?,
            PublishStep::Delete { comment, subject: item } => {
                self.perform_change(&Effect::DeleteDuplicate { item, comment }).await?;
            }
            PublishStep::Update { comment, subject: item, body } => {
                self.perform_change(&Effect::EditComment { item, comment, body }).await?;
            }
            PublishStep::SetResolved { thread, resolved: true } => {
                return self.change_thread_state(&Effect::Resolve { thread }).await;
            }
            PublishStep::SetResolved { thread, resolved: false } => {
                return self.change_thread_state(&Effect::Reopen { thread }).await;
            }
            PublishStep::CreateSummary { body } => {
                return self
                    .create_comments(&Effect::Summary { body }, &[CommentSubject::Summary], None)
                    .await;
            }
            PublishStep::CreateReview { subjects: items } => {
                return self.create_review(rows, items, round_comments).await;
            }
            PublishStep::CreateFileComment { subject: item } => {
                let Some(comment) = self.inline_draft(rows, &item) else {
                    return Ok(CreationOutcome::Complete);
                };
                let effect = Effect::FileFinding { commit: self.head.clone(), comment };
                let items = [item];
                return match self.create_comments(&effect, &items, Some(round_comments)).await {
                    Err(error) if is_rejected(&error) => {
                        self.use_coarser_anchor(&items, AnchorKind::Summary).await
                    }
                    created => created,
                };
            }
        }
        Ok(CreationOutcome::Complete)
    }

    /// Posts inline comments in one call. If the forge rejects the call, each half is posted separately,
    /// until only single comments are rejected. A rejected comment is then placed on its file.
    async fn create_review(
        &self,
        rows: &[DesiredComment],
        items: Vec<CommentSubject>,
        round_comments: &mut RoundComments,
    ) -> Result<CreationOutcome, ReconcileStopReason> {
        let mut bisection = Bisection::new(items);
        let mut outcome = CreationOutcome::Complete;
        while let Some(batch) = bisection.next_batch() {
            let comments: Vec<InlineDraft> =
                batch.items.iter().filter_map(|item| self.inline_draft(rows, item)).collect();
            let effect = Effect::Findings { commit: self.head.clone(), comments };
            let created = self.create_comments(&effect, &batch.items, Some(round_comments)).await;
            let refused = created.as_ref().is_err_and(is_rejected);
            if bisection.record_response(&batch, refused) {
                self.check_head_unchanged().await?;
                continue;
            }
            let created =
                if refused { self.use_coarser_anchor(&batch.items, AnchorKind::File).await } else { created };
            outcome = outcome.max(created?);
        }
        Ok(outcome)
    }

    /// Returns the comment for the item's row; `None` if the row has no location.
    fn inline_draft(&self, rows: &[DesiredComment], item: &CommentSubject) -> Option<InlineDraft> {
        let row = rows.iter().find(|row| row.subject == *item)?;
        let (_, place) = row.location.clone()?;
        Some(InlineDraft {
            location: place,
            item: item.clone(),
            body: row.new_body(&self.forge.publish_limits()),
        })
    }

    /// Fails with [`PublishError::HeadChanged`] if the head has changed, because locations on the old head
    /// may be invalid on the new head.
    async fn check_head_unchanged(&self) -> Result<(), ReconcileStopReason> {
        let head = self.forge.pull_request().await?.revision.head;
        if head == *self.head { Ok(()) } else { Err(PublishError::HeadChanged.into()) }
    }

    /// Gives these items a less precise location, unless the head has changed.
    async fn use_coarser_anchor(
        &self,
        items: &[CommentSubject],
        kind: AnchorKind,
    ) -> Result<CreationOutcome, ReconcileStopReason> {
        self.check_head_unchanged().await?;
        let rows: Vec<(CommentSubject, AnchorKind)> = items.iter().map(|item| (item.clone(), kind)).collect();
        self.records.replace_anchors(self.run, self.effects.owner.producer, &rows).await?;
        Ok(CreationOutcome::Replan)
    }

    /// Creates the comments of these items, and records the comments that the response contains. If the forge
    /// places comments on the current head, the comments are recorded later, by `record_round_comments`.
    async fn create_comments(
        &self,
        effect: &Effect,
        items: &[CommentSubject],
        round_comments: Option<&mut RoundComments>,
    ) -> Result<CreationOutcome, ReconcileStopReason> {
        let EffectOutcome::Comments(made) = self.perform(effect).await? else {
            return Ok(CreationOutcome::Partial);
        };
        let all = items.iter().all(|item| made.iter().any(|(shown, _)| shown == item));
        match round_comments.filter(|placed| placed.checks_head) {
            Some(placed) => placed.comments.extend(made),
            None => self.record_comments(&made).await?,
        }
        Ok(if all { CreationOutcome::Complete } else { CreationOutcome::Partial })
    }

    /// Records the comments on code if the head has not changed. If the head has changed, the comments may be
    /// on lines of another commit. The comments are then deleted, and the review of the new head creates them
    /// again.
    async fn record_round_comments(&self, round_comments: RoundComments) -> Result<(), ReconcileStopReason> {
        let moved = match self.check_head_unchanged().await {
            Ok(()) => return self.record_comments(&round_comments.comments).await,
            Err(moved) => moved,
        };
        if matches!(moved, ReconcileStopReason::Failed(PublishError::HeadChanged)) {
            for (item, comment) in round_comments.comments {
                self.perform_change(&Effect::DeleteDuplicate { item, comment }).await?;
            }
        }
        Err(moved)
    }

    async fn record_comments(
        &self,
        comments: &[(CommentSubject, CommentId)],
    ) -> Result<(), ReconcileStopReason> {
        Ok(self.records.store_comments(self.run, self.effects.owner.producer, comments).await?)
    }

    /// Resolves or reopens a thread. If the login may not change a thread, the thread stays unchanged, and
    /// its comment shows the state of the finding.
    async fn change_thread_state(&self, effect: &Effect) -> Result<CreationOutcome, ReconcileStopReason> {
        let was_known = self.effects.denial_reason(effect.kind()).is_some();
        match self.perform_change(effect).await {
            Ok(()) => Ok(CreationOutcome::Complete),
            Err(error) if self.is_denied(&error, effect.kind()) => {
                Ok(if was_known { CreationOutcome::Complete } else { CreationOutcome::Replan })
            }
            Err(error) => Err(error),
        }
    }

    /// Returns true if the forge rejected the effect because our login lacks the permission in this
    /// repository.
    fn is_denied(&self, error: &ReconcileStopReason, kind: EffectKind) -> bool {
        let refused = matches!(
            error,
            ReconcileStopReason::Failed(PublishError::Forge(
                ForgeError::Forbidden { .. } | ForgeError::Rejected { .. }
            ))
        );
        refused && self.effects.denial_reason(kind).is_some()
    }

    /// Changes an existing comment. If a person has deleted the comment, nothing is changed.
    async fn perform_change(&self, effect: &Effect) -> Result<(), ReconcileStopReason> {
        match self.perform(effect).await {
            Err(ReconcileStopReason::Failed(PublishError::Forge(ForgeError::NotFound { .. }))) => Ok(()),
            changed => changed.map(drop),
        }
    }

    async fn perform(&self, effect: &Effect) -> Result<EffectOutcome, ReconcileStopReason> {
        self.effects.perform(effect).await.map_err(|error| {
            ReconcileStopReason::Failed(match error {
                EffectError::Settling { until, .. } => return ReconcileStopReason::Settling { until },
                EffectError::Halted(halt) => halt.into(),
                EffectError::Refused(error) | EffectError::Unanswered { error, .. } => error.into(),
                EffectError::Store(error) => error.into(),
                EffectError::Git(error) => {
                    let (request, message) = ("git".into(), error.to_string());
                    let cause = UnavailableCause::InvalidAnswer;
                    ForgeError::Unavailable { request, message, cause }.into()
                }
            })
        })
    }
}

/// Returns true if the forge rejected the location or the content of a comment.
fn is_rejected(error: &ReconcileStopReason) -> bool {
    matches!(error, ReconcileStopReason::Failed(PublishError::Forge(ForgeError::Rejected { .. })))
}
