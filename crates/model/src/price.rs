//! What models cost: a table by id, with tiers, in integers ([`ModelPrices`]).
//!
//! A model that is not in it has no price, and the gateway refuses it. Every sum is rounded up, so that the ledger
//! never counts less than the provider.

mod litellm;
mod table;

use std::collections::BTreeMap;

use truing_core::ledger::TokenUsage;
use truing_core::money::MicroUsd;
use truing_core::price::TokenRate;

pub use self::litellm::{LitellmImport, MAX_LITELLM_BYTES};

/// The prices of models, by the id that a request names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ModelPrices {
    by_model: BTreeMap<String, ModelPrice>,
}

/// What one model costs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelPrice {
    /// By length of the prompt, ascending; the first is for every length, so there is always one.
    first: TokenRates,
    above: Vec<PriceTier>,
}

/// What a whole request costs whose prompt is longer than this.
#[derive(Clone, PartialEq, Eq, Debug)]
struct PriceTier {
    /// In tokens, what was read from and written to caches included.
    above: u64,
    rates: TokenRates,
}

/// What a token costs, by its kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenRates {
    /// Of the prompt, neither read from a cache nor written to one.
    pub input: TokenRate,
    /// Of the answer, thinking included.
    pub output: TokenRate,
    /// Read from a cache.
    pub cache_read: TokenRate,
    /// Written to a cache for five minutes.
    pub cache_write_5m: TokenRate,
    /// Written to a cache for an hour.
    pub cache_write_1h: TokenRate,
}

/// Why prices cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PriceError {
    /// The file as a whole.
    #[error("the prices in {source_name} cannot be read: {what}")]
    File {
        /// Which.
        source_name: String,
        /// What is wrong, and where.
        what: String,
    },
    /// One entry of it.
    #[error("the prices in {source_name} cannot be read: entry `{entry}`: {what}")]
    Entry {
        /// Which.
        source_name: String,
        /// The model.
        entry: String,
        /// What is wrong.
        what: String,
    },
}

impl ModelPrices {
    /// What this version knows.
    ///
    /// # Errors
    /// Never, as long as the table that is built in can be read, which a test proves.
    pub fn builtin() -> Result<Self, PriceError> {
        table::parse(include_str!("../data/prices.toml"), "the built-in table").map(|table| table.prices)
    }

    /// Prices of Amazon Bedrock that this version knows, by Bedrock's own ids.
    ///
    /// # Errors
    /// As [`Self::builtin`].
    pub fn bedrock() -> Result<Self, PriceError> {
        let table = table::parse(include_str!("../data/prices-bedrock.toml"), "the table of Amazon Bedrock");
        table.map(|table| table.prices)
    }

    /// The day of the built-in table.
    ///
    /// # Errors
    /// As [`Self::builtin`].
    pub fn builtin_date() -> Result<String, PriceError> {
        table::parse(include_str!("../data/prices.toml"), "the built-in table").map(|table| table.dated)
    }

    /// What this model costs; none: nobody knows, and it may not be used.
    pub fn of(&self, model: &str) -> Option<&ModelPrice> {
        self.by_model.get(model)
    }

    /// Sets a model's price, whatever it was.
    pub fn set(&mut self, model: impl Into<String>, price: ModelPrice) {
        self.by_model.insert(model.into(), price);
    }

    /// Takes over all prices of `other`; where both have one, that of `other` counts.
    pub fn extend(&mut self, other: Self) {
        self.by_model.extend(other.by_model);
    }

    /// Every model with its price, by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &ModelPrice)> {
        self.by_model.iter().map(|(model, price)| (model.as_str(), price))
    }
}

impl ModelPrice {
    /// The same for prompts of every length.
    pub fn flat(rates: TokenRates) -> Self {
        Self { first: rates, above: Vec::new() }
    }

    /// Nothing, on purpose: for models of one's own.
    pub fn free() -> Self {
        let free = TokenRate::default();
        Self::flat(TokenRates {
            input: free,
            output: free,
            cache_read: free,
            cache_write_5m: free,
            cache_write_1h: free,
        })
    }

    /// Lets requests whose prompt is longer than this cost these rates. Of two for the same length the last counts.
    #[must_use]
    pub fn with_tier(mut self, above: u64, rates: TokenRates) -> Self {
        self.above.retain(|tier| tier.above != above);
        self.above.push(PriceTier { above, rates });
        self.above.sort_by_key(|tier| tier.above);
        self
    }

    /// What each length of the prompt costs: the number of tokens that it must exceed (0: any), and the rates.
    pub fn tiers(&self) -> impl Iterator<Item = (u64, &TokenRates)> {
        std::iter::once((0, &self.first)).chain(self.above.iter().map(|tier| (tier.above, &tier.rates)))
    }

    /// What an answer cost, rounded up.
    pub fn cost(&self, usage: &TokenUsage) -> MicroUsd {
        let prompt = [usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h]
            .into_iter()
            .fold(0_u64, u64::saturating_add);
        let rates = self.rates(prompt);
        sum(&[
            (usage.input, rates.input),
            (usage.output, rates.output),
            (usage.cache_read, rates.cache_read),
            (usage.cache_write_5m, rates.cache_write_5m),
            (usage.cache_write_1h, rates.cache_write_1h),
        ])
    }

    /// What a call can cost whose prompt has at most `input` tokens and whose answer at most `output`: each token of
    /// the prompt at the dearest rate that there is for it, in the tier where that comes to most.
    pub fn most(&self, input: u64, output: u64) -> MicroUsd {
        self.reachable(input)
            .map(|(tokens, rates)| sum(&[(tokens, rates.dearest_input()), (output, rates.output)]))
            .max()
            .unwrap_or_default()
    }

    /// How many tokens an answer may have so that a call with at most `input` tokens costs at most `money`
    /// ([`Self::most`]); none: not even its prompt is paid for.
    pub fn output_within(&self, input: u64, money: MicroUsd) -> Option<u64> {
        self.reachable(input)
            .map(|(tokens, rates)| {
                let left = picos(money).checked_sub(times(tokens, rates.dearest_input()))?;
                let output = u128::from(rates.output.pico_usd());
                Some(left.checked_div(output).map_or(u64::MAX, |n| u64::try_from(n).unwrap_or(u64::MAX)))
            })
            .min()
            .flatten()
    }

    fn rates(&self, prompt: u64) -> &TokenRates {
        self.above.iter().rfind(|tier| prompt > tier.above).map_or(&self.first, |tier| &tier.rates)
    }

    /// Each tier that a prompt of at most `input` tokens can be in, with the longest one that it can be there.
    fn reachable(&self, input: u64) -> impl Iterator<Item = (u64, &TokenRates)> {
        let ends = self.above.iter().map(|tier| tier.above).chain([u64::MAX]);
        self.tiers()
            .zip(ends)
            .filter(move |((above, _), _)| *above == 0 || input > *above)
            .map(move |((_, rates), end)| (input.min(end), rates))
    }
}

impl TokenRates {
    /// What a token of a prompt can cost at most, whatever a cache does with it.
    fn dearest_input(&self) -> TokenRate {
        self.input.max(self.cache_read).max(self.cache_write_5m).max(self.cache_write_1h)
    }
}

/// Millionths of a micro-dollar: the unit of [`TokenRate`].
const PICOS_PER_MICRO: u128 = 1_000_000;

fn picos(money: MicroUsd) -> u128 {
    u128::from(money.0).saturating_mul(PICOS_PER_MICRO)
}

fn times(tokens: u64, rate: TokenRate) -> u128 {
    u128::from(tokens).saturating_mul(u128::from(rate.pico_usd()))
}

/// The sum, rounded up to a micro-dollar.
fn sum(parts: &[(u64, TokenRate)]) -> MicroUsd {
    let picos = parts.iter().fold(0_u128, |sum, (tokens, rate)| sum.saturating_add(times(*tokens, *rate)));
    MicroUsd(u64::try_from(picos.div_ceil(PICOS_PER_MICRO)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
