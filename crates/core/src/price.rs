//! What one token costs, in integers, and how it is read from what people and providers write.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::money::MicroUsd;

/// More than this many dollars per million tokens is a mistake, such as a price per token in the wrong unit.
pub const MAX_USD_PER_MILLION: u32 = 100_000;

/// Of one dollar per million tokens.
const PICOS: u64 = 1_000_000;

/// What a token costs: millionths of a millionth of a dollar, which is micro-dollars per million tokens. The least
/// price in use (0.01 dollars per million) is 10,000 of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Rate(u64);

/// Why a number is no price.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadRate {
    /// Less than nothing.
    #[error("{0} is less than nothing")]
    Negative(String),
    /// Infinite, or no number at all.
    #[error("{0} is not a number")]
    NoNumber(String),
    /// Beyond [`MAX_USD_PER_MILLION`].
    #[error("{0} is more than {MAX_USD_PER_MILLION} dollars per million tokens: is it in another unit?")]
    TooMuch(String),
}

impl Rate {
    /// Micro-dollars per million tokens.
    pub fn pico_usd(self) -> u64 {
        self.0
    }

    /// From money per million tokens.
    pub fn micro_usd_per_million(money: MicroUsd) -> Self {
        Self(money.0)
    }

    /// From dollars per million tokens.
    ///
    /// # Errors
    /// [`BadRate`]
    pub fn per_million(usd: f64) -> Result<Self, BadRate> {
        Self::scaled(usd, 6)
    }

    /// From dollars per token.
    ///
    /// # Errors
    /// [`BadRate`]
    pub fn per_token(usd: f64) -> Result<Self, BadRate> {
        Self::scaled(usd, 12)
    }

    /// `number` times ten to the power of `digits`, rounded up. Taken from the shortest decimal form of the number,
    /// which is what was written in the file, so that no error of binary fractions comes in.
    fn scaled(number: f64, digits: usize) -> Result<Self, BadRate> {
        let text = number.to_string();
        if !number.is_finite() {
            return Err(BadRate::NoNumber(text));
        }
        if number < 0.0 {
            return Err(BadRate::Negative(text));
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let (kept, rest) = fraction.split_at(fraction.len().min(digits));
        let up = u64::from(rest.bytes().any(|digit| digit != b'0'));
        format!("{}{kept:0<digits$}", whole.trim_start_matches('-'))
            .parse::<u64>()
            .ok()
            .and_then(|picos| picos.checked_add(up))
            .filter(|picos| *picos <= u64::from(MAX_USD_PER_MILLION) * PICOS)
            .map(Self)
            .ok_or(BadRate::TooMuch(text))
    }
}

/// In dollars per million tokens.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / PICOS, self.0 % PICOS);
        let fraction = format!("{fraction:06}");
        let shown = fraction.trim_end_matches('0');
        f.pad(&format!("{whole}.{shown:0<2}"))
    }
}

/// From a number of dollars per million tokens.
impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Rate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of dollars per million tokens")
            }

            fn visit_f64<E: de::Error>(self, usd: f64) -> Result<Rate, E> {
                Rate::per_million(usd).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, usd: i64) -> Result<Rate, E> {
                u64::try_from(usd)
                    .map_err(|_| E::custom(BadRate::Negative(usd.to_string())))
                    .and_then(|usd| self.visit_u64(usd))
            }

            fn visit_u64<E: de::Error>(self, usd: u64) -> Result<Rate, E> {
                if usd > u64::from(MAX_USD_PER_MILLION) {
                    return Err(E::custom(BadRate::TooMuch(usd.to_string())));
                }
                Ok(Rate(usd * PICOS))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// A price as an operator declares it, in dollars per million tokens. What a prompt and an answer cost must be said,
/// be it 0; what a cache costs is what the prompt costs unless it is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredPrice {
    /// Of the prompt.
    pub input: Rate,
    /// Of the answer.
    pub output: Rate,
    /// Read from a cache.
    pub cache_read: Option<Rate>,
    /// Written to a cache for five minutes.
    pub cache_write_5m: Option<Rate>,
    /// Written to a cache for an hour; unless it is said, what five minutes cost.
    pub cache_write_1h: Option<Rate>,
}
