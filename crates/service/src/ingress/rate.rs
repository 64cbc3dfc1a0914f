//! Limits the deliveries of each source by a token bucket.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time in which an empty bucket becomes full, which determines the size of a bucket. A full bucket allows a
/// burst of deliveries, because forges send in bursts.
const BUCKET_FILL_TIME: Duration = Duration::from_secs(2);
/// Largest number of sources that have their own bucket. All other sources share one bucket.
const MAX_SOURCE_BUCKETS: usize = 16_384;
/// Shortest time between two removals of full buckets, and between two log entries about one limited source.
const MIN_CLEANUP_AND_LOG_INTERVAL: Duration = Duration::from_secs(1);
/// The key of the shared bucket.
const SHARED_BUCKET_KEY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// The buckets of all sources.
#[derive(Debug)]
pub(super) struct RateLimiter {
    /// Minimum time between two deliveries at the rate limit; `None` if the rate is unlimited.
    min_interval: Option<Duration>,
    table: Mutex<BucketTable>,
}

#[derive(Debug, Default)]
struct BucketTable {
    buckets: HashMap<IpAddr, RateBucket>,
    last_cleanup_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct RateBucket {
    /// Time at which the bucket will be full.
    full_at: Instant,
    /// Time of the last log entry about the source.
    last_logged: Option<Instant>,
}

/// The error for a source that has sent too many deliveries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RateLimitExceeded {
    /// Time until one more delivery is allowed.
    pub(super) wait: Duration,
    /// True if the log should report this error. The log reports each source at most once a second.
    pub(super) should_log: bool,
}

impl RateLimiter {
    /// Creates a limiter that allows `per_second` deliveries for each source; 0 means no limit.
    pub(super) fn new(per_second: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second);
        Self { min_interval: interval, table: Mutex::default() }
    }

    /// Takes one delivery out of the source's bucket.
    pub(super) fn take_token(&self, source: IpAddr, now: Instant) -> Result<(), RateLimitExceeded> {
        let Some(interval) = self.min_interval else { return Ok(()) };
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = table.bucket(source_network(source), now);
        let full_at = bucket.full_at.max(now) + interval;
        let wait = full_at.saturating_duration_since(now + BUCKET_FILL_TIME.max(interval));
        if wait.is_zero() {
            bucket.full_at = full_at;
            return Ok(());
        }
        let should_log = bucket
            .last_logged
            .is_none_or(|last_warning| now.duration_since(last_warning) >= MIN_CLEANUP_AND_LOG_INTERVAL);
        if should_log {
            bucket.last_logged = Some(now);
        }
        Err(RateLimitExceeded { wait, should_log })
    }
}

impl BucketTable {
    fn bucket(&mut self, source: IpAddr, now: Instant) -> &mut RateBucket {
        let known = self.buckets.contains_key(&source);
        if !known && self.buckets.len() >= MAX_SOURCE_BUCKETS {
            self.remove_full_buckets(now);
        }
        let key = if known || self.buckets.len() < MAX_SOURCE_BUCKETS { source } else { SHARED_BUCKET_KEY };
        self.buckets.entry(key).or_insert(RateBucket { full_at: now, last_logged: None })
    }

    /// Removes full buckets. If the source sends again, it gets a new full bucket.
    fn remove_full_buckets(&mut self, now: Instant) {
        if self.last_cleanup_at.is_none_or(|swept| now.duration_since(swept) >= MIN_CLEANUP_AND_LOG_INTERVAL)
        {
            self.last_cleanup_at = Some(now);
            self.buckets.retain(|_, bucket| bucket.full_at > now);
        }
    }
}

/// Returns the key of a source. A client with one IPv6 address usually controls the whole /64 network. The
/// network therefore counts as one source.
pub(super) fn source_network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))
    }

    fn count_taken_tokens(rates: &RateLimiter, source: IpAddr, now: Instant, tries: u32) -> usize {
        (0..tries).filter(|_| rates.take_token(source, now).is_ok()).count()
    }

    #[test]
    fn a_source_has_a_burst_and_then_its_rate_and_others_are_not_its_business() {
        let (rates, start) = (RateLimiter::new(10), Instant::now());
        assert_eq!(count_taken_tokens(&rates, source(1), start, 100), 20, "two seconds' worth");
        assert_eq!(count_taken_tokens(&rates, source(2), start, 5), 5);
        let limited = rates.take_token(source(1), start).unwrap_err();
        assert_eq!(limited.wait, Duration::from_millis(100));
        assert_eq!(count_taken_tokens(&rates, source(1), start + limited.wait, 100), 1);
        assert_eq!(count_taken_tokens(&rates, source(1), start + Duration::from_secs(1), 100), 9);
    }

    #[test]
    fn a_limited_source_is_told_of_once_a_second() {
        let (rates, start) = (RateLimiter::new(1), Instant::now());
        assert_eq!(count_taken_tokens(&rates, source(1), start, 2), 2);
        let told = |after: u64| {
            let now = start + Duration::from_millis(after);
            (0..9)
                .filter(|_| rates.take_token(source(1), now).is_err_and(|limited| limited.should_log))
                .count()
        };
        assert_eq!([told(0), told(900), told(1900)], [1, 0, 1]);
    }

    #[test]
    fn no_limit_is_no_limit() {
        assert_eq!(count_taken_tokens(&RateLimiter::new(0), source(1), Instant::now(), 1_000_000), 1_000_000);
    }

    #[test]
    fn a_slow_rate_lets_one_through_at_a_time() {
        let (rates, start) = (RateLimiter::new(1), Instant::now());
        assert_eq!(count_taken_tokens(&rates, source(1), start, 9), 2);
    }

    #[test]
    fn the_table_has_a_bound_and_forgets_whom_it_may() {
        let (rates, start) = (RateLimiter::new(10), Instant::now());
        for number in 0..u32::try_from(MAX_SOURCE_BUCKETS).unwrap() {
            assert_eq!(count_taken_tokens(&rates, source(number), start, 1), 1);
        }
        let more = u32::try_from(MAX_SOURCE_BUCKETS).unwrap();
        assert_eq!(
            count_taken_tokens(&rates, source(more), start, 30)
                + count_taken_tokens(&rates, source(more + 1), start, 30),
            20
        );
        assert_eq!(rates.table.lock().unwrap().buckets.len(), MAX_SOURCE_BUCKETS + 1);
        let later = start + Duration::from_secs(2);
        assert_eq!(count_taken_tokens(&rates, source(more), later, 30), 20, "it has its own now");
        assert_eq!(rates.table.lock().unwrap().buckets.len(), 1);
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let (rates, start) = (RateLimiter::new(10), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(count_taken_tokens(&rates, address("2001:db8::1"), start, 15), 15);
        assert_eq!(count_taken_tokens(&rates, address("2001:db8::2"), start, 15), 5);
        assert_eq!(count_taken_tokens(&rates, address("2001:db8:0:1::2"), start, 15), 15);
    }
}
