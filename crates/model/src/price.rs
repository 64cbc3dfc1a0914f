//! Prices of models: a table by model id ([`ModelPrices`]). Each price may have tiers by prompt length, and
//! all amounts are integers.
//!
//! The gateway refuses to call a model that has no entry in the table. Every sum is rounded up, because the
//! ledger must never record less than the provider bills.

mod litellm;
mod table;

use std::collections::BTreeMap;

use truing_core::ledger::TokenUsage;
use truing_core::money::MicroUsd;
use truing_core::price::TokenRate;

pub use self::litellm::{LitellmImport, MAX_LITELLM_BYTES};

/// The prices of models, by the model id that requests contain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ModelPrices {
    by_model: BTreeMap<String, ModelPrice>,
}

/// The price of one model.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelPrice {
    /// Rates for prompts that are not longer than the smallest tier's limit.
    base_rates: TokenRates,
    tiers: Vec<PriceTier>,
}

/// The rates of a request whose prompt exceeds a length. They apply to the whole request.
#[derive(Clone, PartialEq, Eq, Debug)]
struct PriceTier {
    /// The tier's rates apply to prompts with more tokens than this. Tokens that were read from or written to
    /// caches count, too.
    token_threshold: u64,
    rates: TokenRates,
}

/// The price of one token, by the kind of token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenRates {
    /// Prompt tokens that are neither read from nor written to a cache.
    pub input: TokenRate,
    /// Response tokens, including thinking.
    pub output: TokenRate,
    /// Tokens read from a cache.
    pub cache_read: TokenRate,
    /// Tokens written to a cache for five minutes.
    pub cache_write_5m: TokenRate,
    /// Tokens written to a cache for an hour.
    pub cache_write_1h: TokenRate,
}

/// The reason why prices cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PriceError {
    /// The file as a whole is invalid.
    #[error("the prices in {source_name} cannot be read: {message}")]
    File {
        /// Name of the file or table.
        source_name: String,
        /// Description and position of the error.
        message: String,
    },
    /// One entry is invalid.
    #[error("the prices in {source_name} cannot be read: entry `{entry}`: {message}")]
    Entry {
        /// Name of the file or table.
        source_name: String,
        /// Id of the model.
        entry: String,
        /// Description of the error.
        message: String,
    },
}

impl ModelPrices {
    /// Returns the built-in prices.
    ///
    /// # Errors
    /// [`PriceError`] if the built-in table is invalid. A test ensures that the table is valid.
    pub fn builtin() -> Result<Self, PriceError> {
        table::parse(include_str!("../data/prices.toml"), "the built-in table").map(|table| table.prices)
    }

    /// Returns the built-in prices of Amazon Bedrock, by Bedrock's own model ids.
    ///
    /// # Errors
    /// The same as for [`Self::builtin`].
    pub fn bedrock() -> Result<Self, PriceError> {
        let table = table::parse(include_str!("../data/prices-bedrock.toml"), "the table of Amazon Bedrock");
        table.map(|table| table.prices)
    }

    /// Returns the date of the built-in table.
    ///
    /// # Errors
    /// The same as for [`Self::builtin`].
    pub fn builtin_date() -> Result<String, PriceError> {
        table::parse(include_str!("../data/prices.toml"), "the built-in table").map(|table| table.date)
    }

    /// Returns the price of this model. Returns `None` if the price is unknown; such a model must not be
    /// used.
    pub fn find_price(&self, model: &str) -> Option<&ModelPrice> {
        self.by_model.get(model)
    }

    /// Sets or replaces a model's price.
    pub fn set(&mut self, model: impl Into<String>, price: ModelPrice) {
        self.by_model.insert(model.into(), price);
    }

    /// Adds all prices of `other`. They replace existing prices of the same models.
    pub fn extend(&mut self, other: Self) {
        self.by_model.extend(other.by_model);
    }

    /// Returns every model with its price, sorted by model id.
    pub fn list_prices(&self) -> impl Iterator<Item = (&str, &ModelPrice)> {
        self.by_model.iter().map(|(model, price)| (model.as_str(), price))
    }
}

impl ModelPrice {
    /// Returns a price with the same rates for prompts of every length.
    pub fn from_rates(rates: TokenRates) -> Self {
        Self { base_rates: rates, tiers: Vec::new() }
    }

    /// Returns a price of zero, for models that users run on their own servers.
    pub fn free() -> Self {
        let free = TokenRate::default();
        Self::from_rates(TokenRates {
            input: free,
            output: free,
            cache_read: free,
            cache_write_5m: free,
            cache_write_1h: free,
        })
    }

    /// Sets the rates for requests whose prompts have more than `token_threshold` tokens. These rates replace
    /// the rates of an existing tier with the same `token_threshold`.
    #[must_use]
    pub fn with_tier(mut self, token_threshold: u64, rates: TokenRates) -> Self {
        self.tiers.retain(|tier| tier.token_threshold != token_threshold);
        self.tiers.push(PriceTier { token_threshold, rates });
        self.tiers.sort_by_key(|tier| tier.token_threshold);
        self
    }

    /// Returns the tiers, each with its rates and the number of tokens that a prompt must exceed. The first
    /// tier contains the base rates and the number 0.
    pub fn tiers(&self) -> impl Iterator<Item = (u64, &TokenRates)> {
        std::iter::once((0, &self.base_rates))
            .chain(self.tiers.iter().map(|tier| (tier.token_threshold, &tier.rates)))
    }

    /// Returns the cost of a response, rounded up.
    pub fn cost(&self, usage: &TokenUsage) -> MicroUsd {
        let prompt = [usage.input, usage.cache_read, usage.cache_write_5m, usage.cache_write_1h]
            .into_iter()
            .fold(0_u64, u64::saturating_add);
        let rates = self.rates(prompt);
        sum_costs(&[
            (usage.input, rates.input),
            (usage.output, rates.output),
            (usage.cache_read, rates.cache_read),
            (usage.cache_write_5m, rates.cache_write_5m),
            (usage.cache_write_1h, rates.cache_write_1h),
        ])
    }

    /// Returns the highest cost of a call with at most `input_tokens` tokens in the prompt and
    /// `output_tokens` in the response. Uses the most expensive tier that the prompt can reach, and this
    /// tier's highest rate for every prompt token.
    pub fn max_cost(&self, input_tokens: u64, output_tokens: u64) -> MicroUsd {
        self.reachable_tiers(input_tokens)
            .map(|(tokens, rates)| {
                sum_costs(&[(tokens, rates.highest_input_rate()), (output_tokens, rates.output)])
            })
            .max()
            .unwrap_or_default()
    }

    /// Returns the maximum number of response tokens that `money` pays for, after a prompt of at most
    /// `input_tokens` tokens ([`Self::max_cost`]). Returns `None` if the money does not pay for the prompt.
    pub fn max_output_tokens(&self, input_tokens: u64, money: MicroUsd) -> Option<u64> {
        self.reachable_tiers(input_tokens)
            .map(|(tokens, rates)| {
                let left = to_picos(money).checked_sub(multiply_rate(tokens, rates.highest_input_rate()))?;
                let output = u128::from(rates.output.pico_usd_per_token());
                Some(left.checked_div(output).map_or(u64::MAX, |n| u64::try_from(n).unwrap_or(u64::MAX)))
            })
            .min()
            .flatten()
    }

    fn rates(&self, prompt_tokens: u64) -> &TokenRates {
        self.tiers
            .iter()
            .rfind(|tier| prompt_tokens > tier.token_threshold)
            .map_or(&self.base_rates, |tier| &tier.rates)
    }

    /// Returns the tiers that a prompt of at most `input` tokens can reach. Each tier's rates are returned
    /// with the maximum number of prompt tokens in this tier, at most `input`.
    fn reachable_tiers(&self, input: u64) -> impl Iterator<Item = (u64, &TokenRates)> {
        let ends = self.tiers.iter().map(|tier| tier.token_threshold).chain([u64::MAX]);
        self.tiers()
            .zip(ends)
            .filter(move |((above, _), _)| *above == 0 || input > *above)
            .map(move |((_, rates), end)| (input.min(end), rates))
    }
}

impl TokenRates {
    /// Returns the highest rate for a prompt token, which may be uncached, read from a cache, or written to a
    /// cache.
    fn highest_input_rate(&self) -> TokenRate {
        self.input.max(self.cache_read).max(self.cache_write_5m).max(self.cache_write_1h)
    }
}

/// Number of pico-dollars in a micro-dollar. The pico-dollar is the unit of [`TokenRate`].
const PICOS_PER_MICRO: u128 = 1_000_000;

fn to_picos(money: MicroUsd) -> u128 {
    u128::from(money.0).saturating_mul(PICOS_PER_MICRO)
}

fn multiply_rate(tokens: u64, rate: TokenRate) -> u128 {
    u128::from(tokens).saturating_mul(u128::from(rate.pico_usd_per_token()))
}

/// Returns the sum of the costs, rounded up to a micro-dollar.
fn sum_costs(priced_tokens: &[(u64, TokenRate)]) -> MicroUsd {
    let picos = priced_tokens
        .iter()
        .fold(0_u128, |sum, (tokens, rate)| sum.saturating_add(multiply_rate(*tokens, *rate)));
    MicroUsd(u64::try_from(picos.div_ceil(PICOS_PER_MICRO)).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
