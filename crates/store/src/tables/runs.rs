//! Runs of every loop, with one row for each. [`reviews`], [`converges`] and [`jobs`] decide whether a run
//! may write; [`desired`] keeps the comments that a review should show; [`last`] finds the settled revision.

mod converges;
mod desired;
mod ends;
mod jobs;
mod last;
mod reviews;
pub(super) mod row;

use async_trait::async_trait;
use truing_core::converge;
use truing_core::dismissal::Dismissal;
use truing_core::finding::{AnchorKind, Finding};
use truing_core::id::{CommentId, FencingToken, RunId, SlotKey, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewOutcome, ReviewRecord};
use truing_core::port::{
    ComputedReview, HistoryEvent, OperatorAction, PullRevision, RunRef, RunStart, RunStore, SkippedHead,
    SlotDescription, StoreError,
};
use truing_core::publish::{CommentSubject, DesiredComment, DesiredStatus, Producer};
use truing_core::run::{RunDetail, RunRecord, RunStage};
use truing_core::sync::job::JobState;
use truing_core::sync::record;

pub(super) use self::desired::status_again;
pub(crate) use self::ends::EndColumns;
pub(super) use self::last::last_reviews;

use self::row::put;

use super::history::sql_limit;
use super::{dismissals, history, operations, slots};
use crate::fault::{from_json, readable};
use crate::store::{Store, apart};

impl Store {
    /// Returns the cost of a run, according to the ledger.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    #[truing_core::boxed_future]
    pub async fn paid(&self, run: &RunId) -> Result<MicroUsd, StoreError> {
        let run = run.clone();
        self.read(move |connection| reviews::paid(connection, &run)).await
    }

    /// Records a review without a slot that has no recorded end, if it failed or cost anything; returns the
    /// cost.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn ended_unfinished(
        &self,
        run: &RunId,
        key: &SlotKey,
        revision: &PullRevision,
        began: UnixMillis,
        outcome: &ReviewOutcome,
        now: UnixMillis,
    ) -> Result<MicroUsd, StoreError> {
        let (run, key, revision, outcome) = (run.clone(), key.clone(), revision.clone(), outcome.clone());
        self.write(move |connection| {
            reviews::ended_unfinished(connection, &run, &key, &revision, began, outcome.clone(), now)
        })
        .await
    }

    /// Records that the head of the key's newest review is left as it is, for this reason. Does nothing if a
    /// run has settled it.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be written.
    #[truing_core::boxed_future]
    pub async fn skip_head(&self, run: &RunId, key: &SlotKey, reason: &str) -> Result<(), StoreError> {
        let run = RunRef { id: run.clone(), key: key.clone(), token: self.fresh_token().await? };
        let (reason, now) = (reason.to_owned(), self.0.clock.now());
        self.write(move |connection| reviews::skip(connection, &run, &reason, now)).await
    }

    /// Returns the records of a loop's runs that were written since the given time, newest first, of one key
    /// or of all; a converge run may still be running. Unreadable records are left out and logged.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn records<D: RunDetail>(
        &self,
        of: Option<&SlotKey>,
        since: UnixMillis,
        limit: usize,
    ) -> Result<Vec<RunRecord<D>>, StoreError> {
        let of = of.map(|key| key.as_str().to_owned());
        self.read(move |connection| {
            // The records of one key use that key's index, because a server asks frequently.
            let key = if of.is_some() { "key = ?2" } else { "?2 = ''" };
            let sql = format!(
                "SELECT record, id FROM run WHERE loop = ?4 AND record IS NOT NULL AND kept >= ?1 AND {key}
                 ORDER BY kept DESC, token DESC, id DESC LIMIT ?3"
            );
            let select = connection.sql(&sql);
            let rows = select.query(
                (since.0, of.as_deref().unwrap_or(""), sql_limit(limit), D::LOOP.as_str()),
                |row| {
                    let (json, id): (String, String) = (row.get(0)?, row.get(1)?);
                    from_json(&json, || format!("the record of run {id}"))
                },
            )?;
            readable(rows)
        })
        .await
    }
}

#[async_trait]
impl RunStore for Store {
    async fn leave(&self, heads: &[SkippedHead], reason: &str) -> Result<(), StoreError> {
        let (token, now) = (self.fresh_token().await?, self.0.clock.now());
        let (heads, reason) = (heads.to_vec(), reason.to_owned());
        self.write(move |connection| {
            for SkippedHead { run, key, revision } in &heads {
                if last_reviews(connection, key)?.attempted.is_none() {
                    let run = RunRef { id: run.clone(), key: key.clone(), token };
                    reviews::leave(connection, &run, revision, &reason, now)?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn dismissals(&self, key: &SlotKey) -> Result<Vec<Dismissal>, StoreError> {
        let key = key.clone();
        self.read(move |connection| dismissals::of(connection, &key)).await
    }

    async fn dismiss(&self, said: &[(SlotKey, Dismissal)], act: &OperatorAction) -> Result<(), StoreError> {
        let (said, act, now) = (said.to_vec(), act.clone(), self.0.clock.now());
        self.write(move |connection| {
            for (key, said) in &said {
                dismissals::put(connection, key, said)?;
            }
            operations::audit::append(connection, std::slice::from_ref(&act), now)
        })
        .await
    }

    async fn last_converge(
        &self,
        key: &SlotKey,
    ) -> Result<Option<converge::record::ConvergeRecord>, StoreError> {
        let key = key.clone();
        self.read(move |connection| converges::last(connection, &key)).await
    }

    async fn keep_converge(
        &self,
        token: FencingToken,
        record: &converge::record::ConvergeRecord,
    ) -> Result<(), StoreError> {
        let record = record.clone();
        self.write(move |connection| converges::keep(connection, token, &record)).await?;
        self.accepted(token).await
    }

    async fn converge_run(
        &self,
        run: &RunId,
    ) -> Result<Option<converge::record::ConvergeRecord>, StoreError> {
        let run = run.clone();
        self.read(move |connection| converges::of_id(connection, &run)).await
    }

    async fn begin_job(&self, run: &RunRef) -> Result<JobState, StoreError> {
        let begun = run.clone();
        let job = self.write(move |connection| jobs::begin(connection, &begun)).await?;
        self.accepted(run.token).await?;
        Ok(job)
    }

    async fn keep_job(&self, run: &RunRef, job: &JobState) -> Result<(), StoreError> {
        let (run, job) = (run.clone(), job.clone());
        self.write(move |connection| jobs::keep(connection, &run, &job)).await
    }

    async fn end_job(
        &self,
        run: &RunRef,
        job: &JobState,
        record: &record::SyncRecord,
    ) -> Result<(), StoreError> {
        let (run, job, record) = (run.clone(), job.clone(), record.clone());
        self.write(move |connection| {
            jobs::keep(connection, &run, &job)?;
            put(connection, run.token, None, RunStage::Ended, &record)
        })
        .await
    }

    async fn jobs(&self) -> Result<Vec<(SlotKey, JobState)>, StoreError> {
        self.read(jobs::all).await
    }

    async fn begin(
        &self,
        run: &RunRef,
        revision: &PullRevision,
        now: UnixMillis,
    ) -> Result<RunStart, StoreError> {
        let (begun, revision) = (run.clone(), revision.clone());
        let begun = self.write(move |connection| reviews::begin(connection, &begun, &revision, now)).await?;
        self.accepted(run.token).await?;
        Ok(begun)
    }

    async fn known(&self, key: &SlotKey) -> Result<Option<PullRevision>, StoreError> {
        let key = key.clone();
        self.read(move |connection| reviews::known(connection, &key)).await
    }

    async fn findings(&self, key: &SlotKey) -> Result<Vec<Finding>, StoreError> {
        let key = key.clone();
        self.read(move |connection| desired::findings(connection, &key)).await
    }

    async fn computed(&self, run: &RunRef, computed: &ComputedReview) -> Result<(), StoreError> {
        let (run, computed) = (run.clone(), computed.clone());
        self.write(move |connection| {
            if reviews::computed(connection, &run, &computed.outcome)? {
                desired::replace(connection, &run.key, &computed)?;
            }
            Ok(())
        })
        .await
    }

    async fn reopen(
        &self,
        key: &SlotKey,
        token: FencingToken,
        now: UnixMillis,
    ) -> Result<Option<RunId>, StoreError> {
        let key = key.clone();
        let run = self.write(move |connection| reviews::reopen(connection, &key, token, now)).await?;
        self.accepted(token).await?;
        Ok(run)
    }

    async fn restated(&self, run: &RunRef, computed: &ComputedReview) -> Result<(), StoreError> {
        let (run, computed) = (run.clone(), computed.clone());
        self.write(move |connection| {
            reviews::restated(connection, &run, &computed.outcome)?;
            desired::replace(connection, &run.key, &computed)
        })
        .await
    }

    async fn announce(
        &self,
        run: &RunRef,
        producer: Producer,
        summary: &str,
        status: &DesiredStatus,
    ) -> Result<(), StoreError> {
        let (run, summary, status) = (run.clone(), summary.to_owned(), status.clone());
        self.write(move |connection| {
            reviews::fence(connection, &run)?;
            desired::announce(connection, &run.key, producer, &summary, &status)
        })
        .await
    }

    async fn desired(
        &self,
        key: &SlotKey,
        producer: Producer,
    ) -> Result<(Vec<DesiredComment>, Option<DesiredStatus>), StoreError> {
        let key = key.clone();
        self.read(move |connection| {
            Ok((desired::rows(connection, &key, producer)?, desired::status_due(connection, &key)?))
        })
        .await
    }

    async fn shown(
        &self,
        run: &RunRef,
        producer: Producer,
        comments: &[(CommentSubject, CommentId)],
    ) -> Result<(), StoreError> {
        let (run, comments) = (run.clone(), comments.to_vec());
        self.write(move |connection| {
            reviews::fence(connection, &run)?;
            desired::shown(connection, &run.key, producer, &comments)
        })
        .await
    }

    async fn deleted(
        &self,
        run: &RunRef,
        producer: Producer,
        items: &[CommentSubject],
    ) -> Result<(), StoreError> {
        let (run, items) = (run.clone(), items.to_vec());
        self.write(move |connection| {
            reviews::fence(connection, &run)?;
            desired::deleted(connection, &run.key, producer, &items)
        })
        .await
    }

    async fn lower(
        &self,
        run: &RunRef,
        producer: Producer,
        rows: &[(CommentSubject, AnchorKind)],
    ) -> Result<(), StoreError> {
        let (run, rows) = (run.clone(), rows.to_vec());
        self.write(move |connection| {
            reviews::fence(connection, &run)?;
            desired::lower(connection, &run.key, producer, &rows)
        })
        .await
    }

    async fn status_set(&self, run: &RunRef, status: &DesiredStatus) -> Result<(), StoreError> {
        let (run, status) = (run.clone(), status.clone());
        self.write(move |connection| {
            reviews::fence(connection, &run)?;
            desired::status_set(connection, &run.key, &status)
        })
        .await
    }

    async fn published(&self, run: &RunRef, outcome: &ReviewRecord) -> Result<(), StoreError> {
        let (run, outcome) = (run.clone(), outcome.clone());
        self.write(move |connection| reviews::published(connection, &run, &outcome)).await
    }

    async fn ended(&self, run: &RunRef, outcome: &ReviewOutcome, now: UnixMillis) -> Result<(), StoreError> {
        let (run, outcome) = (run.clone(), outcome.clone());
        self.write(move |connection| reviews::ended(connection, &run, outcome.clone(), now)).await
    }

    async fn failed(&self, run: &RunRef, outcome: &ReviewOutcome, now: UnixMillis) -> Result<(), StoreError> {
        let (failed, outcome) = (run.clone(), outcome.clone());
        self.write(move |connection| reviews::failed(connection, &failed, outcome.clone(), now)).await?;
        self.accepted(run.token).await
    }

    async fn interrupted(&self, run: &RunRef, now: UnixMillis) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |connection| reviews::interrupted(connection, &run, now)).await
    }

    async fn note(&self, events: &[HistoryEvent]) -> Result<(), StoreError> {
        let events = events.to_vec();
        self.append(move |connection| history::note(connection, &events)).await
    }

    async fn describe(&self, described: &[(SlotKey, SlotDescription)]) -> Result<(), StoreError> {
        let described = described.to_vec();
        self.append(move |connection| {
            history::describe(connection, described.iter().map(|(key, new)| (key, new)))
        })
        .await
    }

    async fn described(&self, keys: &[SlotKey]) -> Result<Vec<Option<SlotDescription>>, StoreError> {
        let keys = keys.to_vec();
        self.read(move |connection| history::described(connection, &keys)).await
    }

    async fn fresh_token(&self) -> Result<FencingToken, StoreError> {
        match self.slots() {
            Some(valkey) => apart(|| valkey.next_number()).await.map(FencingToken),
            None => self.write(slots::next_token).await,
        }
    }

    async fn job_records(&self, job: &SlotKey, limit: usize) -> Result<Vec<record::SyncRecord>, StoreError> {
        self.records(Some(job), UnixMillis(0), limit).await
    }
}
