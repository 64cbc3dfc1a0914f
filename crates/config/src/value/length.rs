//! Lengths of time in the notation of the configuration.

use std::fmt;
use std::time::Duration;

use super::{ConfigValue, ConfigValueError, requirement_error};

/// Units of time with their length in milliseconds, the longest unit first.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Unit that is accepted in input but never displayed. Weeks are displayed as days, because files usually
/// contain days (`7d`, `90d`).
const WEEK: &str = "w";

/// Parses whole numbers with units, the greatest unit first: `15s`, `2m`, `1h30m`, `500ms`.
pub(super) fn parse_duration(
    text: &str,
    min: Duration,
    max: Duration,
) -> Result<ConfigValue, ConfigValueError> {
    let Some(length) = parse_milliseconds(text).map(Duration::from_millis) else {
        return Err(requirement_error(format_args!(
            "be a duration such as 500ms, 15s, 2m, 1h30m, 7d or 2w, not `{text}`"
        )));
    };
    if (min..=max).contains(&length) {
        return Ok(ConfigValue::Duration(length, text.to_owned()));
    }
    let (min, max) = (FormattedDuration(min), FormattedDuration(max));
    Err(requirement_error(format_args!("be from {min} to {max}, not {text}")))
}

/// Parses a length of time in the notation of the configuration. Returns milliseconds, or `None` if the text
/// is invalid.
pub fn parse_milliseconds(text: &str) -> Option<u64> {
    let mut sum = 0_u64;
    let mut rest = text;
    let mut units = UNITS.iter();
    loop {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = rest.get(..end)?;
        // The search continues after the last unit that it found, so repeated and unordered units are
        // refused.
        let (_, length) = units.find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.checked_mul(*length)?)?;
        rest = rest.get(end..)?;
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

/// A length of time that is displayed in the notation of configuration files, such as `1h30m`. A fraction of
/// a millisecond is omitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormattedDuration(pub Duration);

impl fmt::Display for FormattedDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_millis();
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS.into_iter().filter(|(unit, _)| *unit != WEEK) {
            let length = u128::from(length);
            let many = left / length;
            if many > 0 {
                write!(f, "{many}{unit}")?;
                left %= length;
            }
        }
        Ok(())
    }
}
