//! Parses a flag that gives the start of a period.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use truing_config::value::parse_milliseconds;
use truing_core::id::UnixMillis;

/// The start of a period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PeriodStart {
    /// Duration before now, in milliseconds.
    MillisBeforeNow(i64),
    /// Fixed instant in milliseconds since 1970.
    At(UnixMillis),
}

/// Maximum duration in milliseconds. For a longer duration, the start might not be a valid date.
const MAX_DURATION_MS: i64 = 1000 * 366 * 24 * 60 * 60 * 1000;

impl PeriodStart {
    /// Parses a duration, a day or an instant, in UTC.
    ///
    /// # Errors
    /// Returns an error if the text is not a duration, a day or an instant.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(ago) = parse_milliseconds(text) {
            let ago = i64::try_from(ago).ok().filter(|ago| *ago <= MAX_DURATION_MS);
            return ago
                .map(Self::MillisBeforeNow)
                .ok_or_else(|| format!("`{text}` is longer than 1000 years"));
        }
        // A timestamp is tried before a day, because the text of a timestamp begins with a day.
        let at = text.parse::<Timestamp>().ok().or_else(|| {
            let day = text.parse::<Date>().ok()?;
            Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
        });
        at.map(|at| Self::At(UnixMillis(at.as_millisecond()))).ok_or_else(|| {
            format!("`{text}` is not a length of time (24h, 7d, 2w), a day (2026-09-21) or a timestamp")
        })
    }

    /// Returns the instant relative to `now`.
    pub(super) fn to_instant(self, now: UnixMillis) -> UnixMillis {
        match self {
            Self::MillisBeforeNow(ago) => UnixMillis(now.0.saturating_sub(ago)),
            Self::At(at) => at,
        }
    }
}
