//! The steps of a worker during one lease, in the order of `loops/review.rs`.

use truing_core::finding::Finding;
use truing_core::id::{CommentId, SlotKey};
use truing_core::port::{
    ComputedReview, EffectEntry, EffectEntryChange, EffectEntryState, EffectLog as _, EffectOwner,
    PullRevision, RunStore, SlotStore, StoreError,
};
use truing_core::publish::{CommentProducer, CommentSubject, DesiredComment, DesiredStatus, StatusState};
use truing_core::slot::{HoldReason, Slot, SlotCommand, SlotLimits, SlotRefusal, StepOutcome, WaitReason};
use truing_store::Store;

use super::super::{finding, item, outcome, record, row, sha, summary};
use super::{Pull, Work, commit_id};

/// The result of a worker's step.
pub(super) enum WorkerStepResult {
    /// The worker has checked the head and may compute the review of this head.
    Looked(u64),
    Computed,
    Published,
    Ended,
    /// Another worker has the lease now.
    Lost,
    Failed,
}

/// Applies one command to one slot.
pub(super) async fn apply_command(
    store: &Store,
    key: &SlotKey,
    command: SlotCommand,
    limits: &SlotLimits,
) -> Result<Slot, SlotRefusal> {
    loop {
        let now = store.now().await.unwrap();
        let slot = store.load_slots(std::slice::from_ref(key)).await.unwrap().remove(0);
        let decision = slot.apply_command(command, limits, now)?;
        if store.commit_slots(&[(slot.version, decision.slot.clone())]).await.unwrap()[0].is_ok() {
            return Ok(decision.slot);
        }
    }
}

/// Ends the lease with this outcome if the worker still has the lease.
async fn end_lease(
    store: &Store,
    work: &Work,
    outcome: StepOutcome,
    limits: &SlotLimits,
) -> WorkerStepResult {
    match apply_command(store, &work.run.key, SlotCommand::Finish(work.run.token, outcome), limits).await {
        Ok(_) => WorkerStepResult::Ended,
        Err(_) => WorkerStepResult::Lost,
    }
}

/// Returns the result of a write; `None` if the records reject the write because a newer run has begun.
fn accepted_result<T>(answer: Result<T, StoreError>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(StoreError::Fenced { .. }) => None,
        Err(other @ (StoreError::Unavailable(_) | StoreError::Corrupt(_))) => panic!("{other}"),
    }
}

/// Checks whether the head needs a review, and whether a review may be computed in the current storm.
pub(super) async fn check_head(
    store: &Store,
    work: &Work,
    pull: &Pull,
    limits: &SlotLimits,
) -> WorkerStepResult {
    if pull.closed {
        return end_lease(store, work, StepOutcome::Held(HoldReason::Cancelled), limits).await;
    }
    let revision = PullRevision { head: commit_id(work.at, pull.head), base: sha('b') };
    let now = store.now().await.unwrap();
    let Some(begun) = accepted_result(store.begin_run(&work.run, &revision, now).await) else {
        return WorkerStepResult::Lost;
    };
    if begun.unpublished_review.is_none() && begun.last_published.as_ref() == Some(&revision) {
        return end_lease(store, work, StepOutcome::Done, limits).await;
    }
    let slot = store.load_slots(std::slice::from_ref(&work.run.key)).await.unwrap().remove(0);
    match slot.storm {
        Some(storm) if begun.unpublished_review.is_none() && !slot.may_compute_review(now) => {
            end_lease(store, work, StepOutcome::DueAt(storm.end, WaitReason::Storm), limits).await
        }
        Some(_) | None => WorkerStepResult::Looked(pull.head),
    }
}

/// Computes the review. If another run has already computed the review, publishes that review instead, so no
/// second review is paid for.
pub(super) async fn compute(store: &Store, work: &Work, down: bool, limits: &SlotLimits) -> WorkerStepResult {
    let revision = PullRevision { head: commit_id(work.at, work.head), base: sha('b') };
    let now = store.now().await.unwrap();
    let Some(begun) = accepted_result(store.begin_run(&work.run, &revision, now).await) else {
        return WorkerStepResult::Lost;
    };
    if begun.unpublished_review.is_some() {
        return publish(store, work, down, limits).await;
    }
    if apply_command(store, &work.run.key, SlotCommand::CountReview(work.run.token), limits).await.is_err() {
        return WorkerStepResult::Lost;
    }
    let mut outcome = record(&work.run, 'a');
    outcome.detail.head = Some(revision.head);
    outcome.started_at = now;
    outcome.ended_at = now;
    let computed = ComputedReview {
        producer: CommentProducer::Review,
        findings: findings(work.at),
        desired_comments: desired(work.at, work.head),
        status: Some(status(work)),
        record: outcome,
    };
    match accepted_result(store.store_computed_review(&work.run, &computed).await) {
        Some(()) => WorkerStepResult::Computed,
        None => WorkerStepResult::Lost,
    }
}

/// Publishes the review in these steps: records the intent, posts comments, sets the status, and records the
/// publication.
pub(super) async fn publish(store: &Store, work: &Work, down: bool, limits: &SlotLimits) -> WorkerStepResult {
    let run = &work.run;
    let (rows, _) = store.desired_state(&run.key, CommentProducer::Review).await.unwrap();
    let missing: Vec<_> =
        rows.iter().filter(|row| row.comment.is_none()).map(|row| row.subject.clone()).collect();
    let now = store.now().await.unwrap();
    if !missing.is_empty() {
        let writer =
            EffectOwner { key: run.key.clone(), producer: CommentProducer::Review, token: Some(run.token) };
        let topics: Vec<_> = missing.iter().map(CommentSubject::topic).collect();
        let expected = store.entries(&writer, &topics).await.unwrap();
        let entry = || EffectEntry {
            content_digest: String::new(),
            last_event_at: now,
            state: EffectEntryState::Open { lost_responses: 0 },
        };
        let change = |(topic, expected)| EffectEntryChange {
            topic,
            expected_entry: expected,
            new_entry: Some(entry()),
        };
        let changes: Vec<_> = topics.into_iter().zip(expected).map(change).collect();
        if accepted_result(store.compare_and_set_entries(&writer, &changes).await).is_none() {
            return WorkerStepResult::Lost;
        }
        if down {
            return match apply_command(store, &run.key, SlotCommand::Fail(run.token, None), limits).await {
                Ok(_) => WorkerStepResult::Failed,
                Err(_) => WorkerStepResult::Lost,
            };
        }
        let shown: Vec<_> = missing
            .into_iter()
            .map(|item| (item.clone(), CommentId::new(format!("{}-{}", run.token.0, item.as_str()))))
            .collect();
        if accepted_result(store.store_comments(run, CommentProducer::Review, &shown).await).is_none() {
            return WorkerStepResult::Lost;
        }
    }
    if accepted_result(store.mark_status_set(run, &status(work)).await).is_none() {
        return WorkerStepResult::Lost;
    }
    let mut record = record(run, 'a');
    record.detail.head = Some(commit_id(work.at, work.head));
    record.detail.outcome = outcome(record.detail.outcome.kind);
    record.ended_at = now;
    match accepted_result(store.mark_published(run, &record).await) {
        Some(()) => WorkerStepResult::Published,
        None => WorkerStepResult::Lost,
    }
}

/// Compares the reviewed head with the newest head, and ends the lease.
pub(super) async fn finish(store: &Store, work: &Work, pull: &Pull, limits: &SlotLimits) -> WorkerStepResult {
    let then = if pull.closed || pull.head == work.head { StepOutcome::Done } else { StepOutcome::DueAgain };
    end_lease(store, work, then, limits).await
}

fn status(work: &Work) -> DesiredStatus {
    let description = "2 findings".to_owned();
    DesiredStatus {
        sha: commit_id(work.at, work.head),
        state: StatusState::Failure,
        description,
        check: Default::default(),
    }
}

fn findings(at: usize) -> Vec<Finding> {
    (0..at % 4).map(|number| finding(&format!("1:{at:032x}-{number}"))).collect()
}

fn desired(at: usize, head: u64) -> Vec<DesiredComment> {
    let rows = findings(at).into_iter().zip(1..).map(|(found, line)| DesiredComment {
        body: "What is wrong here, why it matters, and what to do about it. ".repeat(6),
        ..row(found.id.as_str(), line)
    });
    let told =
        format!("Reviewed commit {head}. {}", "A line of the summary, as long as they are. ".repeat(20));
    rows.chain([DesiredComment { subject: item("summary"), ..summary(&told) }]).collect()
}
