//! Reviews that no slot belongs to and that are recorded at their end alone: who stops one can tell what it has cost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use truing_core::id::{RunId, Sha, SlotKey, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::outcome::ReviewRuntime;
use truing_core::port::PullRevision;

/// Those that ask a model and have not come to their end. Cheap to copy.
#[derive(Clone, Default, Debug)]
pub struct AttemptRegistry(Arc<Mutex<OpenAttempts>>);

#[derive(Default, Debug)]
struct OpenAttempts {
    open: Vec<ReviewAttempt>,
    told: MicroUsd,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewAttempt {
    /// The review.
    pub run: RunId,
    /// What it is recorded by.
    pub key: SlotKey,
    /// What it is filed under.
    pub revision: PullRevision,
    /// When it began.
    pub began: UnixMillis,
    /// Who asks the model.
    pub runtime: ReviewRuntime,
}

impl ReviewAttempt {
    /// Had it failed before anybody knew which commit it would be of?
    pub fn is_early(&self) -> bool {
        self.revision.head.is_none()
    }
}

impl AttemptRegistry {
    /// A review by a model is asked for, of which the key alone is known yet: should it fail before [`Self::begins`], that is
    /// what it is recorded by.
    pub fn asked(&self, (run, key): (RunId, SlotKey), began: UnixMillis, runtime: ReviewRuntime) {
        let revision = PullRevision { head: Sha::none(), base: Sha::none() };
        self.begins(ReviewAttempt { run, key, revision, began, runtime });
    }

    /// What was asked for is somebody else's to record.
    pub fn handed_over(&self) {
        self.inner().open.retain(|attempt| !attempt.is_early());
    }

    /// It may ask a model from now on.
    pub fn begins(&self, attempt: ReviewAttempt) {
        if !attempt.is_early() {
            self.handed_over();
        }
        self.inner().open.push(attempt);
    }

    /// It has come to its end, and tells its cost itself.
    pub fn ends(&self, run: &RunId) {
        self.inner().open.retain(|attempt| attempt.run != *run);
    }

    /// One that is recorded already was stopped, and has cost this.
    pub fn stopped(&self, cost: MicroUsd) {
        let mut inner = self.inner();
        inner.told = MicroUsd(inner.told.0.saturating_add(cost.0));
    }

    /// Takes those that have not ended, and what stopped ones have told.
    pub fn take(&self) -> (Vec<ReviewAttempt>, MicroUsd) {
        let OpenAttempts { open, told } = std::mem::take(&mut *self.inner());
        (open, told)
    }

    fn inner(&self) -> MutexGuard<'_, OpenAttempts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
