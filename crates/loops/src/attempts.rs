//! Registry of running reviews that hold no slot. Such a review is recorded only at its end. The registry
//! lets a process that stops such a review report the review's cost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use truing_core::id::{RunId, Sha, SlotKey, UnixMillis};
use truing_core::money::MicroUsd;
use truing_core::outcome::ReviewRuntime;
use truing_core::port::PullRevision;

/// The reviews that call a model and have not ended. A clone is cheap.
#[derive(Clone, Default, Debug)]
pub struct AttemptRegistry(Arc<Mutex<OpenAttempts>>);

#[derive(Default, Debug)]
struct OpenAttempts {
    attempts: Vec<ReviewAttempt>,
    stopped_cost: MicroUsd,
}

/// A review that has not ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReviewAttempt {
    pub run: RunId,
    /// The key under which the review is recorded.
    pub key: SlotKey,
    /// The revision under which the review is recorded.
    pub revision: PullRevision,
    /// Time at which the review began.
    pub started_at: UnixMillis,
    /// The runtime that calls the model.
    pub runtime: ReviewRuntime,
}

impl ReviewAttempt {
    /// True if the reviewed commit is not yet known.
    pub fn is_head_unknown(&self) -> bool {
        self.revision.head.is_null()
    }
}

impl AttemptRegistry {
    /// Registers a requested review by a model, before the reviewed commit is known. If the review fails
    /// before [`Self::register_attempt`], it is recorded under `key`.
    pub fn register_request(&self, run: RunId, key: SlotKey, started_at: UnixMillis, runtime: ReviewRuntime) {
        let revision = PullRevision { head: Sha::null(), base: Sha::null() };
        self.register_attempt(ReviewAttempt { run, key, revision, started_at, runtime });
    }

    /// Removes the reviews whose commit is unknown, because another process records such reviews.
    pub fn remove_delegated_review(&self) {
        self.lock_attempts().attempts.retain(|attempt| !attempt.is_head_unknown());
    }

    /// Registers a review that is about to call a model.
    pub fn register_attempt(&self, attempt: ReviewAttempt) {
        if !attempt.is_head_unknown() {
            self.remove_delegated_review();
        }
        self.lock_attempts().attempts.push(attempt);
    }

    /// Removes a review that has ended. Its own record already contains its cost.
    pub fn remove_attempt(&self, run: &RunId) {
        self.lock_attempts().attempts.retain(|attempt| attempt.run != *run);
    }

    /// Adds the cost of a stopped review that is already recorded.
    pub fn add_stopped_cost(&self, cost: MicroUsd) {
        let mut inner = self.lock_attempts();
        inner.stopped_cost = MicroUsd(inner.stopped_cost.0.saturating_add(cost.0));
    }

    /// Removes and returns the reviews that have not ended, and the total cost of the stopped reviews that
    /// are recorded.
    pub fn take_all(&self) -> (Vec<ReviewAttempt>, MicroUsd) {
        let OpenAttempts { attempts: open, stopped_cost } = std::mem::take(&mut *self.lock_attempts());
        (open, stopped_cost)
    }

    fn lock_attempts(&self) -> MutexGuard<'_, OpenAttempts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
