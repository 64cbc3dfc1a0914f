//! The beginning of a time, as flags take it.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use truing_config::value::milliseconds;
use truing_core::id::Millis;

/// The beginning of a time, as people write it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TimeStart {
    /// So many milliseconds ago.
    Ago(i64),
    /// At this instant.
    At(Millis),
}

impl TimeStart {
    /// Parses a length of time, a day or an instant, in UTC.
    ///
    /// # Errors
    /// The text is none of these.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if let Some(ago) = milliseconds(text) {
            let too_long = |_| format!("`{text}` is too long");
            return i64::try_from(ago).map(Self::Ago).map_err(too_long);
        }
        // An instant first: it begins like a day.
        let at = text.parse::<Timestamp>().ok().or_else(|| {
            let day = text.parse::<Date>().ok()?;
            Some(day.to_zoned(TimeZone::UTC).ok()?.timestamp())
        });
        at.map(|at| Self::At(Millis(at.as_millisecond()))).ok_or_else(|| {
            format!(
                "`{text}` is neither a length of time (24h, 7d, 2w) nor a day (2026-09-21) nor an instant"
            )
        })
    }

    /// The instant, seen from `now`.
    pub(super) fn at(self, now: Millis) -> Millis {
        match self {
            Self::Ago(ago) => Millis(now.0.saturating_sub(ago)),
            Self::At(at) => at,
        }
    }
}
