//! What a gate that is shut comes to: the kill switch holds the run, and somebody who has taken over ends it unheard.

use truing_core::id::UnixMillis;
use truing_core::port::{HaltReason, RunRef, StoreError};

use super::error::SyncRunError;

impl SyncRunError {
    /// Is it the kill switch alone?
    pub(super) fn is_halt(&self) -> bool {
        let Self::Halted(halt) = self else { return false };
        matches!(halt.reason, HaltReason::KillSwitch | HaltReason::NoAnswer)
    }

    /// The time from which the forge must show whether a write was made, if the run waits for that.
    pub(super) fn settles(&self) -> Option<UnixMillis> {
        if let Self::Settling { until, .. } = self { Some(*until) } else { None }
    }

    /// The store's error, if it is one. A lost lease counts as [`StoreError::Fenced`].
    ///
    /// # Errors
    /// Another error, as it is.
    pub(super) fn of_store(self, run: &RunRef) -> Result<StoreError, Self> {
        if let Self::Store(error) = self {
            return Ok(error);
        }
        if let Self::Halted(halt) = &self
            && let Some(last) = halt.lost()
        {
            return Ok(StoreError::Fenced { key: run.key.clone(), last });
        }
        Err(self)
    }
}
