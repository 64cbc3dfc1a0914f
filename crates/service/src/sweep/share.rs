//! Computes the sweep's share of a forge's rate limit. The share is a tenth of the forge's limit. Another
//! tenth is reserved for reviews. The sweep sends no requests while only the reserved calls remain. If the
//! forge does not report the remaining calls, the share is half of the forge's known limit, spread over the
//! hour.

use truing_core::id::{TimeSpan, UnixMillis};
use truing_forge::RateQuota;

/// Divisor of the limit, both for the sweep's share and for the calls that are reserved for reviews.
const SHARE: u64 = 10;
/// Largest difference between two reported ends of the same window. Forges round the reported time.
const WINDOW_END_TOLERANCE: TimeSpan = TimeSpan::minutes(1);
/// Divisor for the share if the forge does not report the remaining calls.
const UNTOLD_SHARE: u64 = 2;
/// The shortest window that the sweep assumes.
const MIN_WINDOW: TimeSpan = TimeSpan::minutes(1);
/// The window of a forge's known limit.
const QUOTA_WINDOW: TimeSpan = TimeSpan::minutes(60);

/// Number of calls that the sweep may make in each window of an assumed length. This quota is used for a
/// forge that has a known limit but does not report the remaining calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct AssumedQuota {
    calls: u64,
    window: TimeSpan,
}

impl AssumedQuota {
    /// Computes the quota for a forge that allows `calls_an_hour` calls an hour, if rounds begin at intervals
    /// of `sweep_interval`. The sweep rounds of one hour use at most half of these calls. Returns `None` if
    /// the forge has no known limit (`calls_an_hour` is 0).
    pub(super) fn from_hourly_rate(calls_an_hour: u64, sweep_interval: TimeSpan) -> Option<Self> {
        let window = sweep_interval.clamp(MIN_WINDOW, QUOTA_WINDOW);
        let windows = QUOTA_WINDOW.0.unsigned_abs().div_ceil(window.0.unsigned_abs());
        (calls_an_hour > 0).then(|| Self { calls: calls_an_hour / UNTOLD_SHARE / windows, window })
    }
}

/// The calls that were used in the current window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CallUsage {
    /// End of the window; `None` until the forge reports a window or an assumed window begins.
    reset_at: Option<UnixMillis>,
    used_calls: u64,
}

impl CallUsage {
    /// Returns the number of calls that may be made now. If the forge reports no limit, the assumed quota
    /// applies. If there is no assumed quota either, the number is unlimited.
    pub(super) fn allowed_calls(
        &mut self,
        quota: Option<RateQuota>,
        untold: Option<AssumedQuota>,
        now: UnixMillis,
    ) -> u64 {
        let quota = match (quota, untold) {
            (Some(quota), _) => quota,
            (None, Some(untold)) => return self.remaining_calls(untold, now),
            (None, None) => return u64::MAX,
        };
        let share = quota.limit / SHARE;
        if quota.reset <= now {
            // The reported window has ended. The first response in the next window will report a new limit.
            if self.reset_at.is_some() {
                *self = Self::default();
            }
            return share.saturating_sub(self.used_calls);
        }
        match self.reset_at {
            // The calls that were counted before the forge's first report belong to the reported window.
            None => self.reset_at = Some(quota.reset),
            Some(reset) if quota.reset - reset > WINDOW_END_TOLERANCE => {
                *self = Self { reset_at: Some(quota.reset), used_calls: 0 };
            }
            Some(_) => {}
        }
        share.saturating_sub(self.used_calls).min(quota.remaining.saturating_sub(share))
    }

    /// Returns the calls that are left in the assumed window.
    fn remaining_calls(&mut self, untold: AssumedQuota, now: UnixMillis) -> u64 {
        // If the remaining time of the window is longer than the window itself, the clock was set back. In
        // that case a new window begins.
        let lasts = self.reset_at.is_some_and(|reset| reset > now && reset - now <= untold.window);
        if !lasts {
            *self = Self { reset_at: Some(now + untold.window), used_calls: 0 };
        }
        untold.calls.saturating_sub(self.used_calls)
    }

    /// Counts calls as used.
    pub(super) fn use_up(&mut self, calls: u64) {
        self.used_calls = self.used_calls.saturating_add(calls);
    }

    /// Returns the time at which calls are allowed again.
    pub(super) fn renewal_time(self, now: UnixMillis) -> UnixMillis {
        self.reset_at.filter(|reset| *reset > now).unwrap_or(now + WINDOW_END_TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(limit: u64, remaining: u64, reset: i64) -> Option<RateQuota> {
        Some(RateQuota { limit, remaining, reset: UnixMillis(reset * 1000) })
    }

    #[test]
    fn a_tenth_of_a_window_and_nothing_when_reviews_are_short() {
        let mut share = CallUsage::default();
        let now = UnixMillis(0);
        assert_eq!(share.allowed_calls(None, None, now), u64::MAX, "no limit is told");
        share.use_up(3);
        assert_eq!(share.allowed_calls(quota(5_000, 4_997, 3_600), None, now), 497);
        share.use_up(490);
        assert_eq!(share.allowed_calls(quota(5_000, 4_000, 3_600), None, now), 7);
        share.use_up(7);
        assert_eq!(share.allowed_calls(quota(5_000, 4_000, 3_600), None, now), 0);
        assert_eq!(share.allowed_calls(quota(5_000, 4_000, 3_601), None, now), 0, "the same window");
        assert_eq!(share.renewal_time(now), UnixMillis(3_600_000));
        assert_eq!(
            share.allowed_calls(quota(5_000, 4_000, 7_200), None, UnixMillis(3_600_000)),
            500,
            "the next one"
        );
        assert_eq!(
            share.allowed_calls(quota(5_000, 503, 7_200), None, UnixMillis(3_600_000)),
            3,
            "reviews need the rest"
        );
        assert_eq!(share.allowed_calls(quota(5_000, 500, 7_200), None, UnixMillis(3_600_000)), 0);
        assert_eq!(
            share.allowed_calls(quota(5_000, 0, 7_200), None, UnixMillis(7_200_000)),
            500,
            "over by now"
        );
        share.use_up(100);
        assert_eq!(
            share.allowed_calls(quota(5_000, 0, 7_200), None, UnixMillis(7_200_000)),
            400,
            "used before it is told"
        );
        assert_eq!(
            share.allowed_calls(quota(5_000, 4_900, 10_800), None, UnixMillis(7_200_000)),
            400,
            "and after"
        );
    }
    #[test]
    fn an_hour_of_rounds_takes_half_of_what_is_not_told() {
        assert_eq!(AssumedQuota::from_hourly_rate(0, TimeSpan::minutes(5)), None);
        let of = |every: TimeSpan| AssumedQuota::from_hourly_rate(1_000, every).unwrap();
        assert_eq!(of(TimeSpan::minutes(5)), AssumedQuota { calls: 41, window: TimeSpan::minutes(5) });
        // An interval below one minute results in a window of one minute. An interval above one hour results
        // in a window of one hour.
        assert_eq!(of(TimeSpan(10)), AssumedQuota { calls: 8, window: TimeSpan::minutes(1) });
        assert_eq!(
            of(TimeSpan::minutes(24 * 60)),
            AssumedQuota { calls: 500, window: TimeSpan::minutes(60) }
        );
        for minutes in 1..=60_u64 {
            let AssumedQuota { calls, .. } = of(TimeSpan::minutes(i64::try_from(minutes).unwrap()));
            let taken = calls * 60_u64.div_ceil(minutes);
            assert!(calls > 0 && taken <= 500, "{minutes} min: {taken}");
        }
    }

    #[test]
    fn what_is_used_up_of_our_own_window_is_there_again_in_the_next() {
        let mut share = CallUsage::default();
        let untold = AssumedQuota::from_hourly_rate(1_000, TimeSpan::minutes(5));
        assert_eq!(share.allowed_calls(None, untold, UnixMillis(0)), 41);
        share.use_up(40);
        assert_eq!(share.allowed_calls(None, untold, UnixMillis(299_999)), 1);
        share.use_up(1);
        assert_eq!(share.allowed_calls(None, untold, UnixMillis(299_999)), 0);
        assert_eq!(share.renewal_time(UnixMillis(299_999)), UnixMillis(300_000));
        assert_eq!(share.allowed_calls(None, untold, UnixMillis(300_000)), 41);
        share.use_up(41);
        assert_eq!(share.allowed_calls(None, untold, UnixMillis(0)), 41, "the clock was set back");
    }
}
