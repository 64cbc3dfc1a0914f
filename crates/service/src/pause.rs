//! Waiting by the wall clock, which may be set back in the meantime.

use truing_core::id::{TimeSpan, UnixMillis};

/// A wait. Where the clock is set back to before it began, it is over: nobody waits for a day to pass twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WallClockWait {
    since: UnixMillis,
    until: UnixMillis,
}

impl WallClockWait {
    /// From now on for so long.
    pub(super) fn of(now: UnixMillis, span: TimeSpan) -> Self {
        Self { since: now, until: now + span }
    }

    /// Is it still going on?
    pub(super) fn lasts(self, now: UnixMillis) -> bool {
        (self.since..self.until).contains(&now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_in_time_and_when_the_clock_is_set_back() {
        let pause = WallClockWait::of(UnixMillis(10), TimeSpan(5));
        let lasts = [9, 10, 14, 15].map(|now| pause.lasts(UnixMillis(now)));
        assert_eq!(lasts, [false, true, true, false]);
    }
}
