//! Represents the price of one token as an integer, and converts prices from configurations and provider
//! responses.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::money::MicroUsd;

/// Maximum price in dollars per million tokens. A higher price is refused as a mistake, for example a price
/// in the wrong unit.
pub const MAX_USD_PER_MILLION: u32 = 100_000;

/// Number of units of a `TokenRate` in one dollar per million tokens.
const RATE_UNITS_PER_USD: u64 = 1_000_000;

/// Price of one token in pico-dollars (millionths of a millionth of a dollar). The same number also expresses
/// the price of a million tokens in micro-dollars. The lowest price in use (0.01 dollars per million tokens)
/// is 10,000 units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct TokenRate(u64);

/// Reason why a number is not a valid price.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidRate {
    /// The number is negative.
    #[error("{0} is less than zero")]
    Negative(String),
    /// The value is infinite or not a number.
    #[error("{0} is not a number")]
    NotFinite(String),
    /// The number exceeds [`MAX_USD_PER_MILLION`].
    #[error(
        "{0} is more than {MAX_USD_PER_MILLION} dollars per million tokens: is the price in another \
        unit?"
    )]
    TooMuch(String),
}

impl TokenRate {
    /// Returns the price of one token in pico-dollars, which is also the price of a million tokens in
    /// micro-dollars.
    pub fn pico_usd_per_token(self) -> u64 {
        self.0
    }

    /// Converts an amount of money per million tokens.
    pub fn from_money_per_million(money: MicroUsd) -> Self {
        Self(money.0)
    }

    /// Converts dollars per million tokens.
    ///
    /// # Errors
    /// [`InvalidRate`] if the number is no valid price.
    pub fn from_usd_per_million(usd: f64) -> Result<Self, InvalidRate> {
        Self::from_scaled(usd, 6)
    }

    /// Converts dollars per token.
    ///
    /// # Errors
    /// [`InvalidRate`] if the number is no valid price.
    pub fn from_usd_per_token(usd: f64) -> Result<Self, InvalidRate> {
        Self::from_scaled(usd, 12)
    }

    /// Multiplies `number` by ten to the power of `digits` and rounds up. The calculation uses the shortest
    /// decimal form of the number, as written in the file. The binary representation of the number therefore
    /// causes no rounding errors.
    fn from_scaled(number: f64, digits: usize) -> Result<Self, InvalidRate> {
        let text = number.to_string();
        if !number.is_finite() {
            return Err(InvalidRate::NotFinite(text));
        }
        if number < 0.0 {
            return Err(InvalidRate::Negative(text));
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        let (kept, rest) = fraction.split_at(fraction.len().min(digits));
        let up = u64::from(rest.bytes().any(|digit| digit != b'0'));
        format!("{}{kept:0<digits$}", whole.trim_start_matches('-'))
            .parse::<u64>()
            .ok()
            .and_then(|picos| picos.checked_add(up))
            .filter(|picos| *picos <= u64::from(MAX_USD_PER_MILLION) * RATE_UNITS_PER_USD)
            .map(Self)
            .ok_or(InvalidRate::TooMuch(text))
    }
}

/// Renders dollars per million tokens.
impl fmt::Display for TokenRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / RATE_UNITS_PER_USD, self.0 % RATE_UNITS_PER_USD);
        let fraction = format!("{fraction:06}");
        let shown = fraction.trim_end_matches('0');
        f.pad(&format!("{whole}.{shown:0<2}"))
    }
}

/// Reads a number of dollars per million tokens.
impl<'de> Deserialize<'de> for TokenRate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RateVisitor;
        impl Visitor<'_> for RateVisitor {
            type Value = TokenRate;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of dollars per million tokens")
            }

            fn visit_f64<E: de::Error>(self, usd: f64) -> Result<TokenRate, E> {
                TokenRate::from_usd_per_million(usd).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, usd: i64) -> Result<TokenRate, E> {
                u64::try_from(usd)
                    .map_err(|_| E::custom(InvalidRate::Negative(usd.to_string())))
                    .and_then(|usd| self.visit_u64(usd))
            }

            fn visit_u64<E: de::Error>(self, usd: u64) -> Result<TokenRate, E> {
                if usd > u64::from(MAX_USD_PER_MILLION) {
                    return Err(E::custom(InvalidRate::TooMuch(usd.to_string())));
                }
                Ok(TokenRate(usd * RATE_UNITS_PER_USD))
            }
        }
        deserializer.deserialize_any(RateVisitor)
    }
}

/// A price in the operator's configuration, in dollars per million tokens. The prices of prompt and answer
/// tokens are required, even if they are 0. A missing cache price defaults to the price of prompt tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredPrice {
    /// Price of prompt tokens.
    pub input: TokenRate,
    /// Price of answer tokens.
    pub output: TokenRate,
    /// Price of tokens read from a cache.
    pub cache_read: Option<TokenRate>,
    /// Price of tokens written to a cache that keeps them for five minutes.
    pub cache_write_5m: Option<TokenRate>,
    /// Price of tokens written to a cache that keeps them for an hour; defaults to the price for five
    /// minutes.
    pub cache_write_1h: Option<TokenRate>,
}
