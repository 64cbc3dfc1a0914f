//! What a gate that is shut comes to: the kill switch holds the run, and somebody who has taken over ends it unheard.

use truing_core::port::{ForgeError, RunRef, StoreError, Withheld};

use super::run::RunError;

impl RunError {
    /// Is it the kill switch alone?
    pub(super) fn is_halt(&self) -> bool {
        if let Self::Withheld { why, .. } | Self::Forge(ForgeError::Withheld { why, .. }) = self {
            return matches!(why, Withheld::Halted | Withheld::Unread);
        }
        matches!(self, Self::Halted)
    }

    /// The store's error, if it is one. A lost lease counts as [`StoreError::Fenced`].
    ///
    /// # Errors
    /// Another error, as it is.
    pub(super) fn of_store(self, run: &RunRef) -> Result<StoreError, Self> {
        if let Self::Store(error) = self {
            return Ok(error);
        }
        if let Self::Withheld { why: Withheld::Lost { last }, .. }
        | Self::Forge(ForgeError::Withheld { why: Withheld::Lost { last }, .. }) = self
        {
            return Ok(StoreError::Fenced { key: run.key.clone(), last });
        }
        Err(self)
    }
}
