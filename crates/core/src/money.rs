//! Amounts of money as integer micro-dollars, never floats.

use serde::{Deserialize, Serialize};

/// Millionths of a US dollar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroUsd(pub u64);

/// Number of digits kept after the point.
const FRACTION_DIGITS: usize = 6;

impl MicroUsd {
    /// Parses dollars as people write them: `2`, `0.25`, with at most six digits after the point. Returns
    /// `None` for an invalid text.
    pub fn from_dollars(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_digits(whole) || !is_digits(fraction) || fraction.len() > FRACTION_DIGITS {
            return None;
        }
        format!("{whole}{fraction:0<FRACTION_DIGITS$}").parse().ok().map(Self)
    }

    /// Returns the sum, saturating at the maximum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

/// Renders dollars and cents, and further digits if needed: `$2.00`, `$0.0125`.
impl std::fmt::Display for MicroUsd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (whole, fraction) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let fraction = format!("{fraction:06}");
        let shown = fraction.trim_end_matches('0');
        f.pad(&format!("${whole}.{shown:0<2}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_exactly_or_not_at_all() {
        for (text, micro, shown) in [
            ("2", 2_000_000, "$2.00"),
            ("2.0", 2_000_000, "$2.00"),
            ("0.1", 100_000, "$0.10"),
            ("0.000001", 1, "$0.000001"),
            ("12.3456", 12_345_600, "$12.3456"),
            ("0", 0, "$0.00"),
        ] {
            assert_eq!(MicroUsd::from_dollars(text), Some(MicroUsd(micro)), "{text}");
            assert_eq!(MicroUsd(micro).to_string(), shown);
        }
        for wrong in
            ["", ".", "1.", ".5", "-1", "+1", "1e3", "0.0000001", "1,5", "inf", "99999999999999999999"]
        {
            assert_eq!(MicroUsd::from_dollars(wrong), None, "{wrong}");
        }
    }
}
