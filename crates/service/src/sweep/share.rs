//! The sweep's share of a forge's rate limit: a tenth, and none of it while reviews are short of calls themselves.

use truing_core::id::{Millis, Span};
use truing_forge::Quota;

/// The sweep may use one call in so many, and leaves reviews at least as many as that.
const SHARE: u64 = 10;
/// Two windows that end within this time are the same: forges round.
const SAME_WINDOW: Span = Span::minutes(1);

/// What was used in the current window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Share {
    /// When the window ends; none before the forge told.
    reset: Option<Millis>,
    used: u64,
}

impl Share {
    /// How many calls may be made now. A forge that tells of no limit has none.
    pub(super) fn allowed(&mut self, quota: Option<Quota>, now: Millis) -> u64 {
        let Some(quota) = quota else { return u64::MAX };
        let share = quota.limit / SHARE;
        if quota.reset <= now {
            // What was told is of a window that is over. The first answer tells of the new one.
            if self.reset.is_some() {
                *self = Self::default();
            }
            return share.saturating_sub(self.used);
        }
        match self.reset {
            // What was used before the forge told of its window belongs to that.
            None => self.reset = Some(quota.reset),
            Some(reset) if quota.reset - reset > SAME_WINDOW => {
                *self = Self { reset: Some(quota.reset), used: 0 };
            }
            Some(_) => {}
        }
        share.saturating_sub(self.used).min(quota.remaining.saturating_sub(share))
    }

    /// Counts calls.
    pub(super) fn use_up(&mut self, calls: u64) {
        self.used = self.used.saturating_add(calls);
    }

    /// When calls may be made again that are not allowed now.
    pub(super) fn renewed(self, now: Millis) -> Millis {
        self.reset.filter(|reset| *reset > now).unwrap_or(now + SAME_WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(limit: u64, remaining: u64, reset: i64) -> Option<Quota> {
        Some(Quota { limit, remaining, reset: Millis(reset * 1000) })
    }

    #[test]
    fn a_tenth_of_a_window_and_nothing_when_reviews_are_short() {
        let mut share = Share::default();
        let now = Millis(0);
        assert_eq!(share.allowed(None, now), u64::MAX, "no limit is told");
        share.use_up(3);
        assert_eq!(share.allowed(quota(5_000, 4_997, 3_600), now), 497);
        share.use_up(490);
        assert_eq!(share.allowed(quota(5_000, 4_000, 3_600), now), 7);
        share.use_up(7);
        assert_eq!(share.allowed(quota(5_000, 4_000, 3_600), now), 0);
        assert_eq!(share.allowed(quota(5_000, 4_000, 3_601), now), 0, "the same window");
        assert_eq!(share.renewed(now), Millis(3_600_000));
        assert_eq!(share.allowed(quota(5_000, 4_000, 7_200), Millis(3_600_000)), 500, "the next one");
        assert_eq!(share.allowed(quota(5_000, 503, 7_200), Millis(3_600_000)), 3, "reviews need the rest");
        assert_eq!(share.allowed(quota(5_000, 500, 7_200), Millis(3_600_000)), 0);
        assert_eq!(share.allowed(quota(5_000, 0, 7_200), Millis(7_200_000)), 500, "over by now");
        share.use_up(100);
        assert_eq!(share.allowed(quota(5_000, 0, 7_200), Millis(7_200_000)), 400, "used before it is told");
        assert_eq!(share.allowed(quota(5_000, 4_900, 10_800), Millis(7_200_000)), 400, "and after");
    }
}
