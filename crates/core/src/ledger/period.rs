//! UTC days and months, which are the periods of budgets.

use crate::id::UnixMillis;

/// Milliseconds of a day. Leap seconds are not counted, because computer clocks do not count them.
const MILLIS_PER_DAY: i64 = 24 * 60 * 60 * 1000;
/// Days from 1 March of the year 0 to 1970-01-01.
const UNIX_EPOCH_DAYS: i64 = 719_468;
/// Number of days in 400 years. After this period, the calendar repeats.
const DAYS_PER_400_YEARS: i64 = 146_097;

/// Returns the day in UTC, as in `2026-11-20`.
pub fn utc_day(time: UnixMillis) -> String {
    let (year, month, day) = utc_date_parts(time);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Returns the month in UTC, as in `2026-11`.
pub fn utc_month(time: UnixMillis) -> String {
    let (year, month, _) = utc_date_parts(time);
    format!("{year:04}-{month:02}")
}

/// Returns the time at which the next day begins in UTC.
pub fn next_midnight(time: UnixMillis) -> UnixMillis {
    UnixMillis(time.0.div_euclid(MILLIS_PER_DAY).saturating_add(1).saturating_mul(MILLIS_PER_DAY))
}

/// Returns year, month and day of the Gregorian calendar. In the calculation, a year begins in March, so the
/// leap day is the last day of the year.
fn utc_date_parts(time: UnixMillis) -> (i64, i64, i64) {
    let days = time.0.div_euclid(MILLIS_PER_DAY) + UNIX_EPOCH_DAYS;
    let (era, in_era) = (days.div_euclid(DAYS_PER_400_YEARS), days.rem_euclid(DAYS_PER_400_YEARS));
    let year_of_era = (in_era - in_era / 1_460 + in_era / 36_524 - in_era / 146_096) / 365;
    let in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * in_year + 2) / 153;
    let day = in_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_months_are_those_of_the_calendar() {
        for (at, expected) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (951_782_399_999, "2000-02-28"),
            (951_782_400_000, "2000-02-29"),
            (951_868_800_000, "2000-03-01"),
            (1_790_000_000_000, "2026-09-21"),
            (1_795_219_199_999, "2026-11-20"),
            (1_795_219_200_000, "2026-11-21"),
            (4_107_542_400_000, "2100-03-01"),
        ] {
            assert_eq!(utc_day(UnixMillis(at)), expected);
            assert_eq!(utc_month(UnixMillis(at)), expected[..7]);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = utc_day(UnixMillis(0));
        for number in 1..200_000 {
            let (at, next) =
                (UnixMillis(number * MILLIS_PER_DAY), utc_day(UnixMillis(number * MILLIS_PER_DAY)));
            assert!(next > last, "{next} after {last}");
            let first = next.ends_with("-01");
            assert_eq!(first, last[..7] != next[..7], "{next}");
            assert_eq!(next_midnight(UnixMillis(at.0 - 1)), at);
            assert_eq!(next_midnight(at), UnixMillis(at.0 + MILLIS_PER_DAY));
            last = next;
        }
        assert_eq!(last, "2517-07-31");
    }

    #[test]
    fn absurd_instants_are_no_reason_to_panic() {
        for at in [i64::MIN, i64::MAX] {
            assert!(!utc_day(UnixMillis(at)).is_empty());
            next_midnight(UnixMillis(at));
        }
    }
}
