//! All durations and counts that the transitions of slots use.

use crate::id::{SlotKey, TimeSpan, UnixMillis};

/// The configured limits of the slot machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotLimits {
    /// Time without pushes that must pass before the leading review.
    pub debounce: TimeSpan,
    /// Maximum time from a storm's first event to the leading review, even if pushes continue.
    pub max_debounce: TimeSpan,
    /// Time without an event after which a storm ends.
    pub storm_quiet_time: TimeSpan,
    /// Maximum duration of a storm.
    pub max_storm_duration: TimeSpan,
    /// Time without a heartbeat after which a lease is lost.
    pub lease_duration: TimeSpan,
    /// Wait after the first failed attempt; the wait doubles after each further failed attempt.
    pub initial_backoff: TimeSpan,
    /// Maximum wait after a failed attempt.
    pub backoff_max: TimeSpan,
    /// Number of failed attempts after which the slot is parked.
    pub max_attempts: u32,
}

impl Default for SlotLimits {
    fn default() -> Self {
        Self {
            debounce: TimeSpan::seconds(15),
            max_debounce: TimeSpan::minutes(2),
            storm_quiet_time: TimeSpan::seconds(60),
            max_storm_duration: TimeSpan::minutes(30),
            lease_duration: TimeSpan::seconds(60),
            initial_backoff: TimeSpan::seconds(30),
            backoff_max: TimeSpan::minutes(30),
            max_attempts: 5,
        }
    }
}

impl SlotLimits {
    /// Returns the time after the last acknowledged heartbeat at which a worker must stop by itself: two
    /// thirds of the lease.
    pub fn self_stop_delay(&self) -> TimeSpan {
        TimeSpan(self.lease_duration.0 / 3 * 2)
    }

    /// Returns the time of the retry after failed attempt number `attempts` (from 1).
    ///
    /// The wait doubles with each attempt, up to `backoff_max`. Jitter shortens the wait by up to a quarter,
    /// so slots that failed together do not retry together. The jitter is derived from a hash of the key and
    /// the attempt's number, so the result is deterministic.
    pub(super) fn retry_at(&self, key: &SlotKey, attempts: u32, now: UnixMillis) -> UnixMillis {
        let doublings = attempts.saturating_sub(1).min(32);
        let wait = self.initial_backoff.0.saturating_mul(1_i64 << doublings).min(self.backoff_max.0).max(0);
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325; // FNV-1a, 64 bits
        for byte in key.as_str().bytes().chain(attempts.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let thousandths = i64::try_from((hash >> 32) % 1000).unwrap_or(0);
        now + TimeSpan(wait - (wait / 4 / 1000 * thousandths).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_differ_between_slots() {
        let limits = SlotLimits::default();
        let wait = |key: &str, attempt| (limits.retry_at(&SlotKey::new(key), attempt, UnixMillis(0))).0;
        for (attempt, full) in [(1, 30_000), (2, 60_000), (3, 120_000), (7, 1_800_000), (u32::MAX, 1_800_000)]
        {
            let got = wait("pr/github/1/1", attempt);
            assert!((full * 3 / 4..=full).contains(&got), "attempt {attempt}: {got}");
        }
        let spread: std::collections::BTreeSet<_> =
            (0..50).map(|n| wait(&format!("pr/github/1/{n}"), 1)).collect();
        assert!(spread.len() > 40, "{spread:?}");
    }
}
