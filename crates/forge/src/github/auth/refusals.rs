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

/// The writes that the forge is known to reject.
#[derive(Default, Debug)]
pub(in crate::github) struct KnownRefusals {
    refusals: Mutex<HashMap<(String, OptionalWrite), KnownRefusal>>,
}

/// A rejection, or a response by which the forge would reject a write.
#[derive(Clone, Copy, Debug)]
struct KnownRefusal {
    since: UnixMillis,
    /// True if a write was rejected. GitHub then still reports for some tokens that the login may make this
    /// write (`viewerCanResolve` is about the user, not about the token).
    is_of_write: bool,
}

impl KnownRefusals {
    /// Records that the forge reports that the login may make the write, or may not. The rejection of a write
    /// is stronger evidence than the report that it is allowed.
    pub(in crate::github) fn record_permission(
        &self,
        repository: &str,
        write: OptionalWrite,
        is_allowed: bool,
        now: UnixMillis,
    ) {
        let key = (repository.to_owned(), write);
        if is_allowed {
            self.lock_refusals().retain(|known, refusal| *known != key || refusal.is_of_write);
        } else {
            self.lock_and_clear_if_full()
                .entry(key)
                .or_insert(KnownRefusal { since: now, is_of_write: false });
        }
    }

    /// Records that the forge has accepted the write, or has given our token the permission for it.
    pub(in crate::github) fn record_success(&self, repository: &str, write: OptionalWrite) {
        self.lock_refusals().remove(&(repository.to_owned(), write));
    }

    /// Records that the forge has rejected the write.
    pub(in crate::github) fn record_refusal(&self, repository: &str, write: OptionalWrite, now: UnixMillis) {
        let refusal = KnownRefusal { since: now, is_of_write: true };
        self.lock_and_clear_if_full().insert((repository.to_owned(), write), refusal);
    }

    /// Returns true if the write is known to be rejected.
    pub(in crate::github) fn is_refused(&self, repository: &str, write: OptionalWrite) -> bool {
        self.lock_refusals().contains_key(&(repository.to_owned(), write))
    }

    /// Returns true unless the forge rejected the write within the last 24 hours.
    pub(in crate::github) fn may_try(&self, repository: &str, write: OptionalWrite, now: UnixMillis) -> bool {
        let refusal = self.lock_refusals().get(&(repository.to_owned(), write)).copied();
        refusal.is_none_or(|refusal| refusal.since + RETRY_INTERVAL <= now)
    }

    fn lock_and_clear_if_full(&self) -> MutexGuard<'_, HashMap<(String, OptionalWrite), KnownRefusal>> {
        let mut refusals = self.lock_refusals();
        if refusals.len() >= MAX_REFUSALS {
            refusals.clear();
        }
        refusals
    }

    fn lock_refusals(&self) -> MutexGuard<'_, HashMap<(String, OptionalWrite), KnownRefusal>> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::OptionalWrite::{Statuses, ThreadResolution};
    use super::*;

    #[test]
    fn a_refusal_lasts_a_day_or_until_a_write_succeeds() {
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
        assert!(!refusals.may_try("1", ThreadResolution, day), "the rejected write is the evidence");
        refusals.record_success("1", ThreadResolution);
        assert!(refusals.may_try("1", ThreadResolution, day) && !refusals.is_refused("1", ThreadResolution));
        refusals.record_permission("1", ThreadResolution, false, day);
        assert!(!refusals.may_try("1", ThreadResolution, day));
        refusals.record_permission("1", ThreadResolution, true, day);
        assert!(refusals.may_try("1", ThreadResolution, day) && !refusals.is_refused("1", ThreadResolution));
    }
}
