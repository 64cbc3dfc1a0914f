//! Consequences of a shut gate: the kill switch holds the run, and a lost lease ends the run without a
//! report.

use truing_core::id::UnixMillis;
use truing_core::port::{HaltReason, RunReference, StoreError};

use super::error::SyncRunError;

impl SyncRunError {
    /// True if the run was stopped only by the kill switch.
    pub(super) fn is_halt(&self) -> bool {
        let Self::Halted(halt) = self else { return false };
        matches!(halt.reason, HaltReason::KillSwitch | HaltReason::NoAnswer)
    }

    /// Returns the time by which the forge must show whether a write was made, if the run waits for that
    /// write.
    pub(super) fn settle_time(&self) -> Option<UnixMillis> {
        if let Self::Settling { until, .. } = self { Some(*until) } else { None }
    }

    /// Returns the store's error, if this is an error of the store. A lost lease counts as
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
