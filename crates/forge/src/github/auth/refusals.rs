//! The effects that a review goes on without and that the forge refuses to our login, by repository; and when
//! they are tried again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use truing_core::id::{TimeSpan, UnixMillis};

/// KnownRefusals that are kept at once.
const MAX_HELD: usize = 1024;
/// A refusal lasts so long: GitHub does not always show that a token's permissions have changed.
const TRY_AGAIN: TimeSpan = TimeSpan::minutes(24 * 60);

/// A kind of write that a review goes on without.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::github) enum ExtraWrite {
    /// Threads are resolved and reopened.
    Threads,
    /// An App makes check runs.
    Checks,
    /// A commit status is set, by any login.
    Statuses,
}

impl ExtraWrite {
    /// For people who read a summary.
    pub(in crate::github) const fn why(self) -> &'static str {
        match self {
            Self::Threads => {
                "Threads of findings that are fixed stay open: Truing may not resolve them. For that GitHub asks for the \
                 permission `contents: write`, which reviews do not need otherwise."
            }
            Self::Checks | Self::Statuses => {
                "The commit shows no status: Truing may not set one. For that GitHub asks for the permission \
                 `statuses: write`, or `checks: write` of a GitHub App."
            }
        }
    }
}

/// The refusals that are known, each with the time since which it is.
#[derive(Default, Debug)]
pub(in crate::github) struct KnownRefusals {
    since: Mutex<HashMap<(String, ExtraWrite), UnixMillis>>,
}

impl KnownRefusals {
    /// The forge says whether it may be done.
    pub(in crate::github) fn heard(&self, repository: &str, extra: ExtraWrite, may: bool, now: UnixMillis) {
        let key = (repository.to_owned(), extra);
        if may {
            self.since().remove(&key);
        } else {
            self.with_room().entry(key).or_insert(now);
        }
    }

    /// The forge has refused it.
    pub(in crate::github) fn refused(&self, repository: &str, extra: ExtraWrite, now: UnixMillis) {
        self.with_room().insert((repository.to_owned(), extra), now);
    }

    /// Is it known to be refused?
    pub(in crate::github) fn knows(&self, repository: &str, extra: ExtraWrite) -> bool {
        self.since().contains_key(&(repository.to_owned(), extra))
    }

    /// May the forge be asked to do it?
    pub(in crate::github) fn may_try(&self, repository: &str, extra: ExtraWrite, now: UnixMillis) -> bool {
        let since = self.since().get(&(repository.to_owned(), extra)).copied();
        since.is_none_or(|since| since + TRY_AGAIN <= now)
    }

    fn with_room(&self) -> MutexGuard<'_, HashMap<(String, ExtraWrite), UnixMillis>> {
        let mut since = self.since();
        if since.len() >= MAX_HELD {
            since.clear();
        }
        since
    }

    fn since(&self) -> MutexGuard<'_, HashMap<(String, ExtraWrite), UnixMillis>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::ExtraWrite::{Statuses, Threads};
    use super::*;

    #[test]
    fn a_refusal_lasts_a_day_or_until_the_forge_says_otherwise() {
        let refusals = KnownRefusals::default();
        assert!(refusals.may_try("1", Threads, UnixMillis(0)) && !refusals.knows("1", Threads));
        refusals.refused("1", Threads, UnixMillis(0));
        refusals.heard("1", Threads, false, UnixMillis(5));
        let day = UnixMillis(0) + TRY_AGAIN;
        assert!(!refusals.may_try("1", Threads, UnixMillis(day.0 - 1)));
        assert!(
            refusals.may_try("2", Threads, UnixMillis(0)) && refusals.may_try("1", Statuses, UnixMillis(0))
        );
        assert!(
            refusals.may_try("1", Threads, day) && refusals.knows("1", Threads),
            "tried once, and still said"
        );
        refusals.refused("1", Threads, day);
        assert!(!refusals.may_try("1", Threads, day));
        refusals.heard("1", Threads, true, day);
        assert!(refusals.may_try("1", Threads, day) && !refusals.knows("1", Threads));
    }
}
