//! Consequences of a closed write gate: the kill switch holds the run, and a lost lease ends the run without
//! a report.

use truing_core::id::UnixMillis;
use truing_core::port::{HaltReason, RunReference, StoreError};

use super::error::SyncRunError;

impl SyncRunError {
    /// True if the kill switch stopped the run, or if the state of the kill switch is unknown.
    pub(super) fn is_halt(&self) -> bool {
        let Self::Halted(halt) = self else { return false };
        matches!(halt.reason, HaltReason::KillSwitch | HaltReason::NoAnswer)
    }

    /// If a write received no response, returns the time by which the forge shows the write if it succeeded.
    pub(super) fn settle_time(&self) -> Option<UnixMillis> {
        if let Self::Settling { until, .. } = self { Some(*until) } else { None }
    }

    /// Returns the store's error if the store caused the failure of the run. A lost lease counts as
    /// [`StoreError::Fenced`].
    ///
    /// # Errors
    /// Any other error, unchanged.
    pub(super) fn into_store_error(self, run: &RunReference) -> Result<StoreError, Self> {
        if let Self::Store(error) = self {
            return Ok(error);
        }
        if let Self::Halted(halt) = &self
            && let Some(last) = halt.superseding_token()
        {
            return Ok(StoreError::Fenced { key: run.key.clone(), greatest_token: last });
        }
        Err(self)
    }
}
