//! Records the writes that the forge rejected for our login, by repository, and the time of each rejection.
//! Only effects that a review does not require are recorded.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use truing_core::id::{TimeSpan, UnixMillis};

/// Maximum number of recorded refusals. When this number is reached, all refusals are dropped.
const MAX_REFUSALS: usize = 1024;
/// Time after a refusal at which the write is tried again. The retry shows if the login now has the
/// permission, because GitHub does not always report a new permission.
const RETRY_INTERVAL: TimeSpan = TimeSpan::minutes(24 * 60);

/// A kind of write that a review does not require.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::github) enum OptionalWrite {
    /// Resolving and reopening threads.
    ThreadResolution,
    /// Creating check runs, which only an App can do.
    Checks,
    /// Setting a commit status, which any login can do.
    Statuses,
}

impl OptionalWrite {
    /// Returns the reason why this write was not made, as text for the summary.
    pub(in crate::github) const fn omission_reason(self) -> &'static str {
        match self {
            Self::ThreadResolution => {
                "Threads of fixed findings stay open, because Truing lacks the permission to resolve \
                threads. GitHub requires the permission `contents: write` to resolve a thread; reviews \
                need this permission only for this purpose."
            }
            Self::Checks | Self::Statuses => {
                "The commit shows no status, because Truing lacks the permission to set a status. GitHub \
                    requires the permission `statuses: write`, or, for a GitHub App, `checks: write`."
            }
        }
    }
}

/// The writes that the forge is known to reject, each with the time of the rejection.
#[derive(Default, Debug)]
pub(in crate::github) struct KnownRefusals {
    refusal_times: Mutex<HashMap<(String, OptionalWrite), UnixMillis>>,
}

impl KnownRefusals {
    /// Records that the forge allowed or rejected the write.
    pub(in crate::github) fn record_permission(
        &self,
        repository: &str,
        write: OptionalWrite,
        is_allowed: bool,
        now: UnixMillis,
    ) {
        let key = (repository.to_owned(), write);
        if is_allowed {
            self.lock_refusals().remove(&key);
        } else {
            self.lock_and_clear_if_full().entry(key).or_insert(now);
        }
    }

    /// Records that the forge has rejected the write.
    pub(in crate::github) fn record_refusal(&self, repository: &str, write: OptionalWrite, now: UnixMillis) {
        self.lock_and_clear_if_full().insert((repository.to_owned(), write), now);
    }

    /// Returns true if the write is known to be rejected.
    pub(in crate::github) fn is_refused(&self, repository: &str, write: OptionalWrite) -> bool {
        self.lock_refusals().contains_key(&(repository.to_owned(), write))
    }

    /// Returns true unless the forge rejected the write within the last 24 hours.
    pub(in crate::github) fn may_try(&self, repository: &str, write: OptionalWrite, now: UnixMillis) -> bool {
        let since = self.lock_refusals().get(&(repository.to_owned(), write)).copied();
        since.is_none_or(|since| since + RETRY_INTERVAL <= now)
    }

    fn lock_and_clear_if_full(&self) -> MutexGuard<'_, HashMap<(String, OptionalWrite), UnixMillis>> {
        let mut since = self.lock_refusals();
        if since.len() >= MAX_REFUSALS {
            since.clear();
        }
        since
    }

    fn lock_refusals(&self) -> MutexGuard<'_, HashMap<(String, OptionalWrite), UnixMillis>> {
        self.refusal_times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::OptionalWrite::{Statuses, ThreadResolution};
    use super::*;

    #[test]
    fn a_refusal_lasts_a_day_or_until_the_forge_says_otherwise() {
        let refusals = KnownRefusals::default();
        assert!(
            refusals.may_try("1", ThreadResolution, UnixMillis(0))
                && !refusals.is_refused("1", ThreadResolution)
        );
        refusals.record_refusal("1", ThreadResolution, UnixMillis(0));
        refusals.record_permission("1", ThreadResolution, false, UnixMillis(5));
        let day = UnixMillis(0) + RETRY_INTERVAL;
        assert!(!refusals.may_try("1", ThreadResolution, UnixMillis(day.0 - 1)));
        assert!(
            refusals.may_try("2", ThreadResolution, UnixMillis(0))
                && refusals.may_try("1", Statuses, UnixMillis(0))
        );
        assert!(
            refusals.may_try("1", ThreadResolution, day) && refusals.is_refused("1", ThreadResolution),
            "tried once, and still said"
        );
        refusals.record_refusal("1", ThreadResolution, day);
        assert!(!refusals.may_try("1", ThreadResolution, day));
        refusals.record_permission("1", ThreadResolution, true, day);
        assert!(refusals.may_try("1", ThreadResolution, day) && !refusals.is_refused("1", ThreadResolution));
    }
}
