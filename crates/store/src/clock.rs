//! The store's clock, which follows the wall clock. If the wall clock is set back by at most a minute, the
//! store's clock does not run backwards. Instead, the store's clock stops until the wall clock has caught up.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::sql::SqlTransaction;
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::port::Clock;

use super::fault::StoreFault;

/// Maximum time by which the store's clock may be ahead of the wall clock. If the difference is greater
/// because the wall clock was set back, the store's clock is set back as well. Otherwise slots would become
/// due noticeably early.
const MAX_CLOCK_LEAD: TimeSpan = TimeSpan::minutes(1);

/// The present time is stored if it differs from the stored time by at least this much. The present time is
/// stored only as part of another write.
const PERSIST_EVERY: TimeSpan = TimeSpan::seconds(1);

/// The clock of the store.
pub(super) struct StoreClock {
    wall_clock: Arc<dyn Clock>,
    /// The last time that this clock returned, or read from the file.
    last_instant: AtomicI64,
}

impl StoreClock {
    pub(super) fn new(wall_clock: Arc<dyn Clock>) -> Self {
        Self { wall_clock, last_instant: AtomicI64::new(i64::MIN) }
    }

    /// Returns the present time: the wall clock's time, or the last returned time if that is later. The
    /// result is at most [`MAX_CLOCK_LEAD`] ahead of the wall clock.
    pub(super) fn now(&self) -> UnixMillis {
        self.now_not_before(UnixMillis(i64::MIN))
    }

    fn now_not_before(&self, floor: UnixMillis) -> UnixMillis {
        let wall = self.wall_clock.now();
        let next = |last: i64| wall.max(UnixMillis(last)).max(floor).min(wall + MAX_CLOCK_LEAD).0;
        let mut last = self.last_instant.load(Ordering::Acquire);
        loop {
            let now = next(last);
            match self.last_instant.compare_exchange_weak(last, now, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return UnixMillis(now),
                Err(other) => last = other,
            }
        }
    }

    /// Reads the stored time, which another process may have written. Advances the clock to that time.
    pub(super) fn advance_to_stored_time(&self, connection: &SqlTransaction) -> Result<(), StoreFault> {
        self.now_not_before(read_persisted(connection)?);
        Ok(())
    }

    /// Stores the present time if it differs from the stored time by at least `PERSIST_EVERY`.
    pub(super) fn persist(&self, connection: &SqlTransaction) -> Result<(), StoreFault> {
        let now = self.now();
        if (now - read_persisted(connection)?).0.abs() >= PERSIST_EVERY.0 {
            connection.sql("UPDATE store SET now = ?1").execute([now.0])?;
        }
        Ok(())
    }
}

fn read_persisted(connection: &SqlTransaction) -> Result<UnixMillis, StoreFault> {
    Ok(UnixMillis(connection.sql("SELECT now FROM store").single_row((), |row| row.get(0))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct ManualWallClock(AtomicI64);

    impl Clock for ManualWallClock {
        fn now(&self) -> UnixMillis {
            UnixMillis(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn does_not_run_backwards_within_a_minute_and_follows_beyond() {
        let hand = Arc::new(ManualWallClock(AtomicI64::new(1_000_000)));
        let clock = StoreClock::new(hand.clone());
        let cases = [
            // Each row contains the time of the wall clock, and the expected time of the store's clock.
            (1_000_000, 1_000_000),
            (1_005_000, 1_005_000),
            (1_000_000, 1_005_000),
            (945_000, 1_005_000),
            (944_999, 1_004_999),
            (100_000, 160_000),
            (159_999, 160_000),
            (170_000, 170_000),
            (9_000_000, 9_000_000),
        ];
        for (wall, instant) in cases {
            hand.0.store(wall, Ordering::Relaxed);
            assert_eq!(clock.now(), UnixMillis(instant), "wall clock {wall}");
        }
    }
}
