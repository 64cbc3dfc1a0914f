//! Parses price tables and the prices that an operator declares.

use serde::Deserialize;
use truing_core::price::{DeclaredPrice, TokenRate};

use super::{ModelPrice, ModelPrices, PriceError, TokenRates};

impl From<DeclaredPrice> for ModelPrice {
    fn from(declared: DeclaredPrice) -> Self {
        Self::from_rates(declared.into())
    }
}

impl From<DeclaredPrice> for TokenRates {
    fn from(declared: DeclaredPrice) -> Self {
        let short = declared.cache_write_5m.unwrap_or(declared.input);
        Self {
            input: declared.input,
            output: declared.output,
            cache_read: declared.cache_read.unwrap_or(declared.input),
            cache_write_5m: short,
            cache_write_1h: declared.cache_write_1h.unwrap_or(short),
        }
    }
}

/// A parsed price table, with the date of its prices.
pub(super) struct DatedPrices {
    pub(super) date: String,
    pub(super) prices: ModelPrices,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceFile {
    #[serde(rename = "dated")]
    date: String,
    price: Vec<PriceEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceEntry {
    models: Vec<String>,
    input: TokenRate,
    output: TokenRate,
    cache_read: TokenRate,
    cache_write_5m: TokenRate,
    cache_write_1h: TokenRate,
    #[serde(default)]
    #[serde(rename = "above")]
    tiers: Vec<TierEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TierEntry {
    #[serde(rename = "prompt_tokens")]
    prompt_tokens_above: u64,
    input: TokenRate,
    output: TokenRate,
    cache_read: TokenRate,
    cache_write_5m: TokenRate,
    cache_write_1h: TokenRate,
}

/// Parses a price table. Each entry and each tier must contain every rate.
pub(super) fn parse(text: &str, source_name: &str) -> Result<DatedPrices, PriceError> {
    let file: PriceFile = toml::from_str(text).map_err(|error| PriceError::File {
        source_name: source_name.to_owned(),
        message: error.to_string().trim_end().to_owned(),
    })?;
    let mut prices = ModelPrices::default();
    for entry in &file.price {
        for model in &entry.models {
            if prices.find_price(model).is_some() {
                return Err(PriceError::Entry {
                    source_name: source_name.to_owned(),
                    entry: model.clone(),
                    message: "the model occurs twice".to_owned(),
                });
            }
            prices.set(model, entry.price());
        }
    }
    Ok(DatedPrices { date: file.date, prices })
}

impl PriceEntry {
    fn price(&self) -> ModelPrice {
        let first = TokenRates {
            input: self.input,
            output: self.output,
            cache_read: self.cache_read,
            cache_write_5m: self.cache_write_5m,
            cache_write_1h: self.cache_write_1h,
        };
        self.tiers.iter().fold(ModelPrice::from_rates(first), |price, tier| {
            let rates = TokenRates {
                input: tier.input,
                output: tier.output,
                cache_read: tier.cache_read,
                cache_write_5m: tier.cache_write_5m,
                cache_write_1h: tier.cache_write_1h,
            };
            price.with_tier(tier.prompt_tokens_above, rates)
        })
    }
}
