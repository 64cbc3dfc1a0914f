//! Limits the number of log entries for each kind of refusal in a time span. Otherwise thousands of forged
//! deliveries could fill the disk. The metrics count all refusals.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Largest number of refusals of one kind that are logged within [`SAMPLE_WINDOW`].
const MAX_LOGGED_REFUSALS: u32 = 20;
/// The time span after which the count of logged refusals restarts.
const SAMPLE_WINDOW: Duration = Duration::from_secs(10);

/// The numbers of logged and omitted refusals in the present time span, by kind of refusal.
#[derive(Debug, Default)]
pub(super) struct RefusalSampler(Mutex<BTreeMap<&'static str, RefusalSample>>);

#[derive(Clone, Copy, Debug)]
struct RefusalSample {
    started_at: Instant,
    logged_count: u32,
    omitted_count: u64,
}

impl RefusalSampler {
    /// Returns `Some` if this refusal is to be logged. The value is the number of refusals of this kind that
    /// were omitted since the last log entry.
    pub(super) fn sample_refusal(&self, kind: &'static str, now: Instant) -> Option<u64> {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            kinds.entry(kind).or_insert(RefusalSample { started_at: now, logged_count: 0, omitted_count: 0 });
        if now.duration_since(known.started_at) >= SAMPLE_WINDOW {
            (known.started_at, known.logged_count) = (now, 0);
        }
        if known.logged_count >= MAX_LOGGED_REFUSALS {
            known.omitted_count = known.omitted_count.saturating_add(1);
            return None;
        }
        known.logged_count += 1;
        Some(std::mem::take(&mut known.omitted_count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_of_a_kind_are_told_and_the_next_says_how_many_were_left_out() {
        let (sampled, start) = (RefusalSampler::default(), Instant::now());
        let told = (0..1000).filter(|_| sampled.sample_refusal("unauthorized", start).is_some()).count();
        assert_eq!(told, 20);
        assert_eq!(sampled.sample_refusal("too_large", start), Some(0), "another kind");
        assert_eq!(sampled.sample_refusal("unauthorized", start + Duration::from_secs(9)), None);
        assert_eq!(sampled.sample_refusal("unauthorized", start + SAMPLE_WINDOW), Some(981));
        assert_eq!(sampled.sample_refusal("unauthorized", start + SAMPLE_WINDOW), Some(0));
    }
}
