//! The limits of the slot machine: every duration and count it depends on.

use crate::id::{Key, Millis, Span};

/// Configured limits; the defaults are those of cli.md.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// How long pushes must pause before the leading review.
    pub debounce: Span,
    /// How long the first event waits for the leading review at the most.
    pub max_wait: Span,
    /// A storm ends after this long without an event.
    pub quiet: Span,
    /// And after this long in any case.
    pub storm_max: Span,
    /// A lease without a heartbeat is lost after this long.
    pub lease: Span,
    /// Wait after the first failed attempt; doubled after each further one.
    pub backoff: Span,
    /// The longest such wait.
    pub backoff_max: Span,
    /// Failed attempts until the slot is parked.
    pub attempts: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            debounce: Span::seconds(15),
            max_wait: Span::minutes(2),
            quiet: Span::seconds(60),
            storm_max: Span::minutes(30),
            lease: Span::seconds(60),
            backoff: Span::seconds(30),
            backoff_max: Span::minutes(30),
            attempts: 5,
        }
    }
}

impl Limits {
    /// How long a worker may go without an acknowledged heartbeat before it must stop by itself: two thirds of
    /// the lease (design.md section 2).
    pub fn self_stop(&self) -> Span {
        Span(self.lease.0 / 3 * 2)
    }

    /// When to try again after the failed attempt number `attempts` (from 1).
    ///
    /// The wait doubles up to `backoff_max`; a quarter of it is jitter, a hash of key and attempt, so that many
    /// slots that failed together do not return together, and a test can tell when.
    pub(super) fn retry_at(&self, key: &Key, attempts: u32, now: Millis) -> Millis {
        let doublings = attempts.saturating_sub(1).min(32);
        let wait = self.backoff.0.saturating_mul(1_i64 << doublings).min(self.backoff_max.0).max(0);
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325; // FNV-1a, 64 bits
        for byte in key.as_str().bytes().chain(attempts.to_le_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let thousandths = i64::try_from((hash >> 32) % 1000).unwrap_or(0);
        now + Span(wait - (wait / 4 / 1000 * thousandths).max(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_differ_between_slots() {
        let limits = Limits::default();
        let wait = |key: &str, attempt| (limits.retry_at(&Key::new(key), attempt, Millis(0))).0;
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
