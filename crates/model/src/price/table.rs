//! The form of a table of prices, and of the prices that an operator declares.

use serde::Deserialize;
use truing_core::price::{DeclaredPrice, Rate};

use super::{Price, PriceError, Prices, Rates};

impl From<DeclaredPrice> for Price {
    fn from(declared: DeclaredPrice) -> Self {
        Self::flat(declared.into())
    }
}

impl From<DeclaredPrice> for Rates {
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

/// A table that was read.
pub(super) struct Table {
    pub(super) dated: String,
    pub(super) prices: Prices,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    dated: String,
    price: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    models: Vec<String>,
    input: Rate,
    output: Rate,
    cache_read: Rate,
    cache_write_5m: Rate,
    cache_write_1h: Rate,
    #[serde(default)]
    above: Vec<Above>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Above {
    prompt_tokens: u64,
    input: Rate,
    output: Rate,
    cache_read: Rate,
    cache_write_5m: Rate,
    cache_write_1h: Rate,
}

/// Reads a table. Every rate of every tier is written in it.
pub(super) fn parse(text: &str, source_name: &str) -> Result<Table, PriceError> {
    let file: File = toml::from_str(text).map_err(|error| PriceError::File {
        source_name: source_name.to_owned(),
        what: error.to_string().trim_end().to_owned(),
    })?;
    let mut prices = Prices::default();
    for entry in &file.price {
        for model in &entry.models {
            if prices.of(model).is_some() {
                return Err(PriceError::Entry {
                    source_name: source_name.to_owned(),
                    entry: model.clone(),
                    what: "it is there twice".to_owned(),
                });
            }
            prices.set(model, entry.price());
        }
    }
    Ok(Table { dated: file.dated, prices })
}

impl Entry {
    fn price(&self) -> Price {
        let first = Rates {
            input: self.input,
            output: self.output,
            cache_read: self.cache_read,
            cache_write_5m: self.cache_write_5m,
            cache_write_1h: self.cache_write_1h,
        };
        self.above.iter().fold(Price::flat(first), |price, tier| {
            let rates = Rates {
                input: tier.input,
                output: tier.output,
                cache_read: tier.cache_read,
                cache_write_5m: tier.cache_write_5m,
                cache_write_1h: tier.cache_write_1h,
            };
            price.with_tier(tier.prompt_tokens, rates)
        })
    }
}
