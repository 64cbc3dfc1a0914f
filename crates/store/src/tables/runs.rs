//! Runs of every loop, with one row for each run. [`reviews`], [`converges`] and [`jobs`] decide whether a
//! run may write. [`desired`] contains the comments that a review should show. `review_progress` finds the
//! settled revision.

mod converges;
mod desired;
mod ends;
mod jobs;
mod review_progress;
mod reviews;
pub(super) mod row;

use async_trait::async_trait;
use truing_core::converge;
use truing_core::dismissal::Dismissal;
use truing_core::finding::{AnchorKind, Finding};
use truing_core::id::{CommentId, FencingToken, RunId, Sha, SlotKey, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewOutcome, ReviewRecord};
use truing_core::port::{
    ComputedReview, HistoryEvent, OperatorAction, PullRevision, RunReference, RunStart, RunStore,
    SkippedHead, SlotDescription, StoreError,
};
use truing_core::publish::{CommentProducer, CommentSubject, DesiredComment, DesiredStatus};
use truing_core::run::{RunDetail, RunRecord, RunStage};
use truing_core::sync::job::JobState;
use truing_core::sync::record;

pub(super) use self::desired::mark_status_unset;
pub(super) use self::review_progress::review_progress;

use self::row::write_run;

use super::history::sql_limit;
use super::{dismissals, history, operator_tables, slots};
use crate::fault::{from_json, skip_unreadable};
use crate::store::{Store, box_future};

impl Store {
    /// Returns the cost of a run, according to the ledger.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn run_cost(&self, run: &RunId) -> Result<MicroUsd, StoreError> {
        let run = run.clone();
        self.read(move |connection| reviews::run_cost(connection, &run)).await
    }

    /// Records the end of a review without a slot, if the review stopped before it recorded its end. Does
    /// nothing if the review did not fail and has no cost. Returns the cost.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn record_slotless_review_end(
        &self,
        run: &RunId,
        key: &SlotKey,
        revision: &PullRevision,
        started_at: UnixMillis,
        outcome: &ReviewOutcome,
        now: UnixMillis,
    ) -> Result<MicroUsd, StoreError> {
        let (run, key, revision, outcome) = (run.clone(), key.clone(), revision.clone(), outcome.clone());
        self.write(move |connection| {
            reviews::record_slotless_review_end(
                connection,
                &run,
                &key,
                &revision,
                started_at,
                outcome.clone(),
                now,
            )
        })
        .await
    }

    /// Records that the head of a pull request is skipped because of `reason`. This is the head of the key's
    /// newest review. Does nothing if a run has settled that revision.
    ///
    /// If no review has read the head, or the last event announced another head, the present head is unknown.
    /// The drop is then recorded without a head, and applies to the head that the sweep sees first.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn skip_head(
        &self,
        run: &RunId,
        key: &SlotKey,
        announced_head: Option<&Sha>,
        reason: &str,
    ) -> Result<(), StoreError> {
        let run = RunReference { id: run.clone(), key: key.clone(), token: self.fresh_token().await? };
        let (announced_head, reason) = (announced_head.cloned(), reason.to_owned());
        let now = self.0.clock.now();
        self.write(move |connection| {
            reviews::skip_newest_revision(connection, &run, announced_head.as_ref(), &reason, now)
        })
        .await
    }

    /// Returns the records of a loop's runs that were written since the given time, newest first. `slot_key`
    /// limits the result to one key. A returned converge run may not have ended. Unreadable records are left
    /// out and logged.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn records<D: RunDetail>(
        &self,
        slot_key: Option<&SlotKey>,
        since: UnixMillis,
        limit: usize,
    ) -> Result<Vec<RunRecord<D>>, StoreError> {
        let slot_key = slot_key.map(|key| key.as_str().to_owned());
        self.read(move |connection| {
            // The condition on a given key lets the query use the index by key. A server runs this query
            // frequently.
            let key = if slot_key.is_some() { "key = ?2" } else { "?2 = ''" };
            let sql = format!(
                "SELECT record, id FROM run WHERE loop = ?4 AND record IS NOT NULL AND kept >= ?1 AND {key}
                 ORDER BY kept DESC, token DESC, id DESC LIMIT ?3"
            );
            let select = connection.sql(&sql);
            let rows = select.query(
                (since.0, slot_key.as_deref().unwrap_or(""), sql_limit(limit), D::LOOP.as_str()),
                |row| {
                    let (json, id): (String, String) = (row.get(0)?, row.get(1)?);
                    from_json(&json, || format!("the record of run {id}"))
                },
            )?;
            skip_unreadable(rows)
        })
        .await
    }
}

#[async_trait]
impl RunStore for Store {
    async fn skip_heads(&self, heads: &[SkippedHead], reason: &str) -> Result<(), StoreError> {
        let (token, now) = (self.fresh_token().await?, self.0.clock.now());
        let (heads, reason) = (heads.to_vec(), reason.to_owned());
        self.write(move |connection| {
            for SkippedHead { run, key, revision } in &heads {
                let progress = review_progress(connection, key)?;
                if progress.last_attempted.is_none() || progress.is_dropped_without_head() {
                    let run = RunReference { id: run.clone(), key: key.clone(), token };
                    reviews::record_skipped_revision(connection, &run, revision, &reason, now)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn dismissals(&self, key: &SlotKey) -> Result<Vec<Dismissal>, StoreError> {
        let key = key.clone();
        self.read(move |connection| dismissals::dismissals_for(connection, &key)).await
    }

    async fn store_dismissals(
        &self,
        new_dismissals: &[(SlotKey, Dismissal)],
        action: &OperatorAction,
    ) -> Result<(), StoreError> {
        let (new_dismissals, act, now) = (new_dismissals.to_vec(), action.clone(), self.0.clock.now());
        self.write(move |connection| {
            for (key, new_dismissals) in &new_dismissals {
                dismissals::store_dismissal(connection, key, new_dismissals)?;
            }
            operator_tables::audit::append(connection, std::slice::from_ref(&act), now)
        })
        .await
    }

    async fn last_converge(
        &self,
        key: &SlotKey,
    ) -> Result<Option<converge::record::ConvergeRecord>, StoreError> {
        let key = key.clone();
        self.read(move |connection| converges::last_converge(connection, &key)).await
    }

    async fn store_converge_record(
        &self,
        token: FencingToken,
        record: &converge::record::ConvergeRecord,
    ) -> Result<(), StoreError> {
        let record = record.clone();
        self.write(move |connection| converges::store_converge_record(connection, token, &record)).await?;
        self.raise_counter_to_token(token).await
    }

    async fn converge_run(
        &self,
        run: &RunId,
    ) -> Result<Option<converge::record::ConvergeRecord>, StoreError> {
        let run = run.clone();
        self.read(move |connection| converges::converge_by_id(connection, &run)).await
    }

    async fn begin_job_run(&self, run: &RunReference) -> Result<JobState, StoreError> {
        let begun = run.clone();
        let job = self.write(move |connection| jobs::begin_run(connection, &begun)).await?;
        self.raise_counter_to_token(run.token).await?;
        Ok(job)
    }

    async fn store_job(&self, run: &RunReference, job: &JobState) -> Result<(), StoreError> {
        let (run, job) = (run.clone(), job.clone());
        self.write(move |connection| jobs::store_job(connection, &run, &job)).await
    }

    async fn end_job_run(
        &self,
        run: &RunReference,
        job: &JobState,
        record: &record::SyncRecord,
    ) -> Result<(), StoreError> {
        let (run, job, record) = (run.clone(), job.clone(), record.clone());
        self.write(move |connection| {
            jobs::store_job(connection, &run, &job)?;
            write_run(connection, run.token, None, RunStage::EndedUnpublished, &record)
        })
        .await
    }

    async fn jobs(&self) -> Result<Vec<(SlotKey, JobState)>, StoreError> {
        self.read(jobs::all_jobs).await
    }

    async fn begin_run(
        &self,
        run: &RunReference,
        revision: &PullRevision,
        now: UnixMillis,
    ) -> Result<RunStart, StoreError> {
        let (begun, revision) = (run.clone(), revision.clone());
        let begun =
            self.write(move |connection| reviews::begin_run(connection, &begun, &revision, now)).await?;
        self.raise_counter_to_token(run.token).await?;
        Ok(begun)
    }

    async fn findings_revision(&self, key: &SlotKey) -> Result<Option<PullRevision>, StoreError> {
        let key = key.clone();
        self.read(move |connection| reviews::findings_revision(connection, &key)).await
    }

    async fn findings(&self, key: &SlotKey) -> Result<Vec<Finding>, StoreError> {
        let key = key.clone();
        self.read(move |connection| desired::findings(connection, &key)).await
    }

    async fn store_computed_review(
        &self,
        run: &RunReference,
        computed: &ComputedReview,
    ) -> Result<(), StoreError> {
        let (run, computed) = (run.clone(), computed.clone());
        self.write(move |connection| {
            if reviews::store_computed_review(connection, &run, &computed.record)? {
                desired::replace_review_output(connection, &run.key, &computed)?;
            }
            Ok(())
        })
        .await
    }

    async fn take_over_review(
        &self,
        key: &SlotKey,
        token: FencingToken,
        now: UnixMillis,
    ) -> Result<Option<RunId>, StoreError> {
        let key = key.clone();
        let run =
            self.write(move |connection| reviews::take_over_review(connection, &key, token, now)).await?;
        self.raise_counter_to_token(token).await?;
        Ok(run)
    }

    async fn replace_computed_review(
        &self,
        run: &RunReference,
        computed: &ComputedReview,
    ) -> Result<(), StoreError> {
        let (run, computed) = (run.clone(), computed.clone());
        self.write(move |connection| {
            reviews::replace_computed_review(connection, &run, &computed.record)?;
            desired::replace_review_output(connection, &run.key, &computed)
        })
        .await
    }

    async fn store_summary_and_status(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        summary: &str,
        status: &DesiredStatus,
    ) -> Result<(), StoreError> {
        let (run, summary, status) = (run.clone(), summary.to_owned(), status.clone());
        self.write(move |connection| {
            reviews::check_fence(connection, &run)?;
            desired::store_summary_and_status(connection, &run.key, producer, &summary, &status)
        })
        .await
    }

    async fn desired_state(
        &self,
        key: &SlotKey,
        producer: CommentProducer,
    ) -> Result<(Vec<DesiredComment>, Option<DesiredStatus>), StoreError> {
        let key = key.clone();
        self.read(move |connection| {
            Ok((
                desired::comment_rows(connection, &key, producer)?,
                desired::pending_status(connection, &key)?,
            ))
        })
        .await
    }

    async fn store_comments(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        comments: &[(CommentSubject, CommentId)],
    ) -> Result<(), StoreError> {
        let (run, comments) = (run.clone(), comments.to_vec());
        self.write(move |connection| {
            reviews::check_fence(connection, &run)?;
            desired::store_comments(connection, &run.key, producer, &comments)
        })
        .await
    }

    async fn remove_comments(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        subjects: &[CommentSubject],
    ) -> Result<(), StoreError> {
        let (run, items) = (run.clone(), subjects.to_vec());
        self.write(move |connection| {
            reviews::check_fence(connection, &run)?;
            desired::remove_comments(connection, &run.key, producer, &items)
        })
        .await
    }

    async fn replace_anchors(
        &self,
        run: &RunReference,
        producer: CommentProducer,
        anchors: &[(CommentSubject, AnchorKind)],
    ) -> Result<(), StoreError> {
        let (run, rows) = (run.clone(), anchors.to_vec());
        self.write(move |connection| {
            reviews::check_fence(connection, &run)?;
            desired::replace_anchors(connection, &run.key, producer, &rows)
        })
        .await
    }

    async fn mark_status_set(&self, run: &RunReference, status: &DesiredStatus) -> Result<(), StoreError> {
        let (run, status) = (run.clone(), status.clone());
        self.write(move |connection| {
            reviews::check_fence(connection, &run)?;
            desired::mark_status_set(connection, &run.key, &status)
        })
        .await
    }

    async fn mark_published(&self, run: &RunReference, record: &ReviewRecord) -> Result<(), StoreError> {
        let (run, outcome) = (run.clone(), record.clone());
        self.write(move |connection| reviews::mark_published(connection, &run, &outcome)).await
    }

    async fn end_run(
        &self,
        run: &RunReference,
        outcome: &ReviewOutcome,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let (run, outcome) = (run.clone(), outcome.clone());
        self.write(move |connection| reviews::end_run(connection, &run, outcome.clone(), now)).await
    }

    async fn mark_failed(
        &self,
        run: &RunReference,
        outcome: &ReviewOutcome,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let (failed, outcome) = (run.clone(), outcome.clone());
        self.write(move |connection| reviews::mark_failed(connection, &failed, outcome.clone(), now)).await?;
        self.raise_counter_to_token(run.token).await
    }

    async fn mark_interrupted(&self, run: &RunReference, now: UnixMillis) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |connection| reviews::mark_interrupted(connection, &run, now)).await
    }

    async fn append_history(&self, events: &[HistoryEvent]) -> Result<(), StoreError> {
        let events = events.to_vec();
        self.append(move |connection| history::append_events(connection, &events)).await
    }

    async fn store_descriptions(
        &self,
        descriptions: &[(SlotKey, SlotDescription)],
    ) -> Result<(), StoreError> {
        let described = descriptions.to_vec();
        self.append(move |connection| {
            history::store_descriptions(connection, described.iter().map(|(key, new)| (key, new)))
        })
        .await
    }

    async fn descriptions(&self, keys: &[SlotKey]) -> Result<Vec<Option<SlotDescription>>, StoreError> {
        let keys = keys.to_vec();
        self.read(move |connection| history::find_descriptions(connection, &keys)).await
    }

    async fn fresh_token(&self) -> Result<FencingToken, StoreError> {
        match self.valkey_server() {
            Some(valkey) => box_future(|| valkey.next_counter_value()).await.map(FencingToken),
            None => self.write(slots::next_token).await,
        }
    }

    async fn job_records(&self, job: &SlotKey, limit: usize) -> Result<Vec<record::SyncRecord>, StoreError> {
        self.records(Some(job), UnixMillis(0), limit).await
    }
}
