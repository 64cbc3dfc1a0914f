//! Parses prices in the format of LiteLLM's `model_prices_and_context_window.json`: an object with one entry
//! per model, and rates in dollars per token.
//!
//! Imports models that return text and are priced per token. Other entries (embeddings, images, prices per
//! second) are skipped and counted. An invalid number causes an error with the name of its entry. If such an
//! entry were skipped, the model would appear to have no known price.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use truing_core::price::{DeclaredPrice, TokenRate};

use super::{ModelPrice, ModelPrices, PriceError, TokenRates};

/// Maximum number of bytes of a file. LiteLLM's own file is about 2 MB long.
pub const MAX_LITELLM_BYTES: u64 = 32 * 1024 * 1024;

/// Name of the entry that documents the format and is not a model.
const SAMPLE_ENTRY_NAME: &str = "sample_spec";

/// The values of `mode` for models that return text, as reviews require.
const TEXT_MODES: &[&str] = &["chat", "completion", "responses"];

/// Fees that do not depend on tokens. A model with one of these fees cannot be priced by its tokens alone.
const NON_TOKEN_FEES: &[&str] = &[
    "input_cost_per_request",
    "input_cost_per_query",
    "input_cost_per_character",
    "output_cost_per_character",
    "input_cost_per_second",
    "output_cost_per_second",
    "tiered_pricing",
];

/// The result of an import.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LitellmImport {
    pub prices: ModelPrices,
    /// Number of models that are not priced by text tokens alone.
    pub skipped_model_count: usize,
}

impl ModelPrices {
    /// Parses a file in LiteLLM's format; `source_name` is the file's name in error messages.
    ///
    /// # Errors
    /// [`PriceError`] if the file is not a JSON object, contains an invalid number, or contains no usable
    /// model.
    pub fn from_litellm(text: &str, source_name: &str) -> Result<LitellmImport, PriceError> {
        let file = |message: String| PriceError::File { source_name: source_name.to_owned(), message };
        let entries: BTreeMap<String, Value> =
            serde_json::from_str(text).map_err(|error| file(error.to_string()))?;
        let mut imported = LitellmImport { prices: Self::default(), skipped_model_count: 0 };
        for (model, value) in entries.iter().filter(|(model, _)| *model != SAMPLE_ENTRY_NAME) {
            let price = read_price(value).map_err(|message| PriceError::Entry {
                source_name: source_name.to_owned(),
                entry: model.clone(),
                message,
            })?;
            match price {
                Some(price) => imported.prices.set(model, price),
                None => imported.skipped_model_count += 1,
            }
        }
        if imported.prices.by_model.is_empty() {
            return Err(file("no model in this file is priced per text token".to_owned()));
        }
        Ok(imported)
    }
}

/// Returns the price of one entry; `None` if the model is not priced by text tokens alone.
fn read_price(value: &Value) -> Result<Option<ModelPrice>, String> {
    let entry = LitellmEntry(value.as_object().ok_or("the entry is not an object")?);
    if !entry.answers_in_text()? || NON_TOKEN_FEES.iter().any(|fee| entry.has_fee(fee)) {
        return Ok(None);
    }
    let (Some(input), Some(output)) = (entry.rate("input_cost_per_token", "")?, entry.output_rate("")?)
    else {
        return Ok(None);
    };
    let first = entry.rates(
        "",
        DeclaredPrice { input, output, cache_read: None, cache_write_5m: None, cache_write_1h: None },
    )?;
    let mut price = ModelPrice::from_rates(TokenRates::from(first));
    for (suffix, above) in entry.tiers()? {
        price = price.with_tier(above, TokenRates::from(entry.rates(&suffix, first)?));
    }
    Ok(Some(price))
}

/// The entry of one model.
struct LitellmEntry<'a>(&'a Map<String, Value>);

impl LitellmEntry<'_> {
    fn answers_in_text(&self) -> Result<bool, String> {
        match self.0.get("mode") {
            None | Some(Value::Null) => Ok(true),
            Some(Value::String(mode)) => Ok(TEXT_MODES.contains(&mode.as_str())),
            Some(other) => Err(format!("`mode` is {other}, not a string")),
        }
    }

    /// Returns true if the entry has a nonzero fee with this name.
    fn has_fee(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|fee| !fee.is_null() && fee.as_f64() != Some(0.0))
    }

    /// Returns the entry's rates for a tier (`""`, or `_above_200k_tokens`). Missing rates are taken from
    /// `fallback`.
    fn rates(&self, tier_suffix: &str, fallback: DeclaredPrice) -> Result<DeclaredPrice, String> {
        Ok(DeclaredPrice {
            input: self.rate("input_cost_per_token", tier_suffix)?.unwrap_or(fallback.input),
            output: self.output_rate(tier_suffix)?.unwrap_or(fallback.output),
            cache_read: self.rate("cache_read_input_token_cost", tier_suffix)?.or(fallback.cache_read),
            cache_write_5m: self
                .rate("cache_creation_input_token_cost", tier_suffix)?
                .or(fallback.cache_write_5m),
            cache_write_1h: self
                .rate("cache_creation_input_token_cost_above_1hr", tier_suffix)?
                .or(fallback.cache_write_1h),
        })
    }

    /// Returns the rate of a response token. Returns the higher of the rates for text and for thinking,
    /// because providers report one token count for both.
    fn output_rate(&self, tier_suffix: &str) -> Result<Option<TokenRate>, String> {
        let text = self.rate("output_cost_per_token", tier_suffix)?;
        Ok(text.max(self.rate("output_cost_per_reasoning_token", tier_suffix)?))
    }

    fn rate(&self, name: &str, tier_suffix: &str) -> Result<Option<TokenRate>, String> {
        let name = format!("{name}{tier_suffix}");
        match self.0.get(&name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let number = value.as_f64().ok_or_else(|| format!("`{name}` is {value}, not a number"))?;
                TokenRate::from_usd_per_token(number).map(Some).map_err(|error| format!("`{name}`: {error}"))
            }
        }
    }

    /// Returns the entry's tiers. The key is the suffix in the names of a tier's fields, and the value is the
    /// number of prompt tokens above which the tier applies.
    fn tiers(&self) -> Result<BTreeMap<String, u64>, String> {
        let mut tiers = BTreeMap::new();
        for name in self.0.keys() {
            let Some(start) = name.rfind("_above_").filter(|_| name.ends_with("k_tokens")) else { continue };
            let suffix = &name[start..];
            let thousands = suffix.trim_start_matches("_above_").trim_end_matches("k_tokens");
            let tokens = thousands.parse::<u64>().ok().and_then(|n| n.checked_mul(1000));
            tiers.insert(
                suffix.to_owned(),
                tokens.ok_or_else(|| format!("`{name}` does not contain a valid number of tokens"))?,
            );
        }
        Ok(tiers)
    }
}
