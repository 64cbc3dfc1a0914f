//! Measures waits by the wall clock, which may be set back during a wait.

use truing_core::id::{TimeSpan, UnixMillis};

/// A span of waiting. If the clock is set back to a time before the beginning of the wait, the wait ends.
/// Without this rule, a clock that is set back by a day would prolong the wait by a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WallClockWait {
    since: UnixMillis,
    until: UnixMillis,
}

impl WallClockWait {
    /// Makes a wait that begins now.
    pub(super) fn new(now: UnixMillis, span: TimeSpan) -> Self {
        Self { since: now, until: now + span }
    }

    /// Returns true while the wait lasts.
    pub(super) fn is_active(self, now: UnixMillis) -> bool {
        (self.since..self.until).contains(&now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_in_time_and_when_the_clock_is_set_back() {
        let pause = WallClockWait::new(UnixMillis(10), TimeSpan(5));
        let lasts = [9, 10, 14, 15].map(|now| pause.is_active(UnixMillis(now)));
        assert_eq!(lasts, [false, true, true, false]);
    }
}
