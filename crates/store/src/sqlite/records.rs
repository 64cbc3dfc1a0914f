//! The records: who may write is decided in [`runs`], what should be shown is kept by [`desired`].

mod desired;
mod runs;

use truing_core::finding::{AnchorKind, Finding};
use truing_core::id::{CommentId, Key, Millis, RunId, Token};
use truing_core::money::MicroUsd;
use truing_core::outcome::{Outcome, OutcomeRecord};
use truing_core::port::{Begun, Computed, Described, Event, Records, Revision, RunRef, StoreError};
use truing_core::publish::{Desired, DesiredStatus, Item, Producer};

pub use self::runs::Stage;

pub(super) use self::desired::status_again;
pub(super) use self::runs::{fenced, parse_sha};

use super::{Sqlite, history, slots};

impl Sqlite {
    /// What a run has cost, by the ledger.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be read.
    pub async fn paid(&self, run: &RunId) -> Result<MicroUsd, StoreError> {
        let run = run.clone();
        self.read(move |connection| runs::paid(connection, &run)).await
    }

    /// A review that no slot belongs to, of this revision and since then, came to no end, or to none that was recorded. If it
    /// has failed or cost anything it is recorded with this outcome. What it has cost.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be written.
    pub async fn ended_unfinished(
        &self,
        (run, key): (&RunId, &Key),
        (revision, began): (&Revision, Millis),
        outcome: &Outcome,
        now: Millis,
    ) -> Result<MicroUsd, StoreError> {
        let (run, key, revision, outcome) = (run.clone(), key.clone(), revision.clone(), outcome.clone());
        self.write(move |connection| {
            runs::ended_unfinished(connection, (&run, &key), (&revision, began), outcome, now)
        })
        .await
    }
}

impl Records for Sqlite {
    async fn begin(&self, run: &RunRef, revision: &Revision, now: Millis) -> Result<Begun, StoreError> {
        let (run, revision) = (run.clone(), revision.clone());
        self.write(move |connection| runs::begin(connection, &run, &revision, now)).await
    }

    async fn known(&self, key: &Key) -> Result<Option<Revision>, StoreError> {
        let key = key.clone();
        self.read(move |connection| runs::known(connection, &key)).await
    }

    async fn findings(&self, key: &Key) -> Result<Vec<Finding>, StoreError> {
        let key = key.clone();
        self.read(move |connection| desired::findings(connection, &key)).await
    }

    async fn computed(&self, run: &RunRef, computed: &Computed) -> Result<(), StoreError> {
        let (run, computed) = (run.clone(), computed.clone());
        self.write(move |connection| {
            if runs::computed(connection, &run, &computed.outcome)? {
                desired::replace(connection, &run.key, &computed)?;
            }
            Ok(())
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
            runs::fence(connection, &run)?;
            desired::announce(connection, &run.key, producer, &summary, &status)
        })
        .await
    }

    async fn desired(
        &self,
        key: &Key,
        producer: Producer,
    ) -> Result<(Vec<Desired>, Option<DesiredStatus>), StoreError> {
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
        comments: &[(Item, CommentId)],
    ) -> Result<(), StoreError> {
        let (run, comments) = (run.clone(), comments.to_vec());
        self.write(move |connection| {
            runs::fence(connection, &run)?;
            desired::shown(connection, &run.key, producer, &comments)
        })
        .await
    }

    async fn lower(
        &self,
        run: &RunRef,
        producer: Producer,
        rows: &[(Item, AnchorKind)],
    ) -> Result<(), StoreError> {
        let (run, rows) = (run.clone(), rows.to_vec());
        self.write(move |connection| {
            runs::fence(connection, &run)?;
            desired::lower(connection, &run.key, producer, &rows)
        })
        .await
    }

    async fn status_set(&self, run: &RunRef, status: &DesiredStatus) -> Result<(), StoreError> {
        let (run, status) = (run.clone(), status.clone());
        self.write(move |connection| {
            runs::fence(connection, &run)?;
            desired::status_set(connection, &run.key, &status)
        })
        .await
    }

    async fn published(&self, run: &RunRef, outcome: &OutcomeRecord) -> Result<(), StoreError> {
        let (run, outcome) = (run.clone(), outcome.clone());
        self.write(move |connection| runs::published(connection, &run, &outcome)).await
    }

    async fn ended(&self, run: &RunRef, outcome: &Outcome, now: Millis) -> Result<(), StoreError> {
        let (run, outcome) = (run.clone(), outcome.clone());
        self.write(move |connection| runs::ended(connection, &run, outcome, now)).await
    }

    async fn failed(&self, run: &RunRef, outcome: &Outcome, now: Millis) -> Result<(), StoreError> {
        let (run, outcome) = (run.clone(), outcome.clone());
        self.write(move |connection| runs::failed(connection, &run, outcome, now)).await
    }

    async fn interrupted(&self, run: &RunRef, now: Millis) -> Result<(), StoreError> {
        let run = run.clone();
        self.write(move |connection| runs::interrupted(connection, &run, now)).await
    }

    async fn note(&self, events: &[Event]) -> Result<(), StoreError> {
        let events = events.to_vec();
        self.write(move |connection| history::note(connection, &events)).await
    }

    async fn describe(&self, described: &[(Key, Described)]) -> Result<(), StoreError> {
        let described = described.to_vec();
        self.write(move |connection| {
            described.iter().try_for_each(|(key, new)| history::describe(connection, key, new))
        })
        .await
    }

    async fn described(&self, keys: &[Key]) -> Result<Vec<Option<Described>>, StoreError> {
        let keys = keys.to_vec();
        self.read(move |connection| history::described(connection, &keys)).await
    }

    async fn fresh_token(&self) -> Result<Token, StoreError> {
        self.write(slots::next_token).await
    }
}
