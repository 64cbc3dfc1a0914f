use proptest::prelude::*;
use truing_core::ledger::TokenUsage;
use truing_core::money::MicroUsd;
use truing_core::price::{DeclaredPrice, TokenRate};

use super::{ModelPrice, ModelPrices, PriceError, TokenRates};

fn builtin(model: &str) -> ModelPrice {
    ModelPrices::builtin().unwrap().find_price(model).unwrap().clone()
}

/// Ten thousand tokens of each kind.
const EACH: TokenUsage = TokenUsage {
    input: 10_000,
    output: 10_000,
    cache_read: 10_000,
    cache_write_5m: 10_000,
    cache_write_1h: 10_000,
};

#[test]
fn every_listed_model_costs_what_its_provider_lists() {
    for (model, cents_of_a_hundredth) in [
        ("claude-fable-5-2", 742_000),
        ("claude-mythos-5-2", 742_000),
        ("claude-fable-5-1", 927_500),
        ("claude-mythos-5-1", 927_500),
        ("claude-fable-5", 935_000),
        ("claude-opus-5-5", 372_000),
        ("claude-opus-5", 467_500),
        ("claude-opus-4-8", 467_500),
        ("claude-opus-4-5", 467_500),
        ("claude-sonnet-5-5", 186_000),
        ("claude-sonnet-5", 187_000),
        ("claude-sonnet-4-6", 280_500),
        ("claude-sonnet-4-5", 280_500),
        ("claude-haiku-5-5", 9_350),
        ("claude-haiku-4-5", 93_500),
    ] {
        assert_eq!(builtin(model).cost(&EACH), MicroUsd(cents_of_a_hundredth), "{model}");
    }
    assert_eq!(ModelPrices::builtin().unwrap().list_prices().count(), 15);
    assert_eq!(ModelPrices::builtin_date().unwrap(), "2026-11-20");
}

#[test]
fn a_model_that_nobody_knows_has_no_price() {
    let prices = ModelPrices::builtin().unwrap();
    for model in ["claude-opus-99", "anthropic.claude-opus-5-5", "CLAUDE-OPUS-5-5", ""] {
        assert_eq!(prices.find_price(model), None, "{model}");
    }
}

#[test]
fn one_region_alone_costs_at_bedrock_what_a_geography_does() {
    let prices = ModelPrices::bedrock().unwrap();
    let alone: Vec<_> = prices.list_prices().filter(|(id, _)| id.starts_with("anthropic.")).collect();
    assert!(!alone.is_empty());
    for (id, price) in alone {
        let of =
            |geography: &str| prices.find_price(&format!("{geography}.{id}")).map(|price| price.cost(&EACH));
        assert_eq!(Some(price.cost(&EACH)), of("us"), "{id}");
        assert!(Some(price.cost(&EACH)) > of("global"), "{id}");
    }
}

#[test]
fn the_switch_to_the_dearer_tier_is_exact_and_for_the_whole_request() {
    let price = builtin("claude-haiku-5-5");
    let usage = |input, cache_read, cache_write_5m| TokenUsage {
        input,
        output: 1000,
        cache_read,
        cache_write_5m,
        cache_write_1h: 0,
    };
    assert_eq!(price.cost(&usage(100_000, 0, 0)), MicroUsd(10_000 + 500));
    assert_eq!(price.cost(&usage(100_001, 0, 0)), MicroUsd(50_001 + 2_500)); // 50,000.5, rounded up
    // Tokens that are read from or written to a cache count towards the length of the prompt.
    assert_eq!(price.cost(&usage(0, 100_000, 0)), MicroUsd(1_000 + 500));
    assert_eq!(price.cost(&usage(1, 60_000, 40_000)), MicroUsd(3_000 + 25_000 + 2_500 + 1)); // and 0.5
}

#[test]
fn a_reservation_is_at_the_dearest_rate_that_the_prompt_can_have() {
    let price = builtin("claude-haiku-5-5");
    assert_eq!(price.max_cost(100_000, 1000), MicroUsd(20_000 + 500));
    assert_eq!(price.max_cost(100_001, 1000), MicroUsd(100_001 + 2_500));
    assert_eq!(builtin("claude-sonnet-5-5").max_cost(1_000_000, 0), MicroUsd(4_000_000));
}

#[test]
fn money_that_is_left_says_how_long_an_answer_may_be() {
    let price = builtin("claude-sonnet-5-5"); // 4 and 10 micro-dollars a token
    assert_eq!(price.max_output_tokens(1000, MicroUsd(3_999)), None);
    assert_eq!(price.max_output_tokens(1000, MicroUsd(4_000)), Some(0));
    assert_eq!(price.max_output_tokens(1000, MicroUsd(4_019)), Some(1));
    assert_eq!(ModelPrice::free().max_output_tokens(u64::MAX, MicroUsd(0)), Some(u64::MAX));
}

#[test]
fn a_cheaper_tier_for_long_prompts_does_not_make_the_bound_too_small() {
    let rates = |usd: f64| {
        let rate = TokenRate::from_usd_per_million(usd).unwrap();
        TokenRates { input: rate, output: rate, cache_read: rate, cache_write_5m: rate, cache_write_1h: rate }
    };
    let price = ModelPrice::from_rates(rates(10.0)).with_tier(1000, rates(1.0));
    assert_eq!(price.max_cost(2000, 0), MicroUsd(10_000));
    assert_eq!(price.max_output_tokens(2000, MicroUsd(10_010)), Some(1));
}

#[test]
fn numbers_are_read_as_they_are_written_and_never_rounded_down() {
    for (usd, picos) in
        [(0.1, 100_000), (0.3, 300_000), (3.75, 3_750_000), (0.000_000_1, 1), (0.0, 0), (-0.0, 0)]
    {
        assert_eq!(TokenRate::from_usd_per_million(usd).unwrap().pico_usd_per_token(), picos, "{usd}");
    }
    for (usd, picos) in [(3e-6, 3_000_000), (1.25e-7, 125_000), (3.6e-8, 36_000), (1e-300, 1), (1.5e-12, 2)] {
        assert_eq!(TokenRate::from_usd_per_token(usd).unwrap().pico_usd_per_token(), picos, "{usd}");
    }
    for usd in [-0.5, f64::NAN, f64::INFINITY, 1e5 + 1.0, 1e300] {
        assert!(TokenRate::from_usd_per_million(usd).is_err(), "{usd}");
    }
}

#[test]
fn rates_are_shown_in_dollars_per_million() {
    for (usd, text) in [(0.125, "0.125"), (4.0, "4.00"), (0.01, "0.01"), (12.5, "12.50")] {
        assert_eq!(TokenRate::from_usd_per_million(usd).unwrap().to_string(), text);
    }
}

#[test]
fn what_is_declared_must_be_said_even_if_it_is_nothing() {
    let declared: DeclaredPrice = toml::from_str("input = 0\noutput = 0.0").unwrap();
    assert_eq!(ModelPrice::from(declared), ModelPrice::free());
    for text in ["", "input = 0", "output = 1", "input = -1\noutput = 1", "input = 1\noutput = 1\nread = 0"] {
        assert!(toml::from_str::<DeclaredPrice>(text).is_err(), "{text}");
    }
}

#[test]
fn what_a_cache_costs_is_what_the_prompt_costs_unless_it_is_said() {
    let declared: DeclaredPrice = toml::from_str("input = 2\noutput = 8\ncache_write_5m = 2.5").unwrap();
    let usage = |cache_read, cache_write_5m, cache_write_1h| TokenUsage {
        cache_read,
        cache_write_5m,
        cache_write_1h,
        ..TokenUsage::default()
    };
    let price = ModelPrice::from(declared);
    assert_eq!(price.cost(&usage(1000, 0, 0)), MicroUsd(2000));
    assert_eq!(price.cost(&usage(0, 1000, 0)), MicroUsd(2500));
    assert_eq!(price.cost(&usage(0, 0, 1000)), MicroUsd(2500));
}

// ------------------------------------------------------------------------------------- LiteLLM's format

const LITELLM: &str = r#"{
  "sample_spec": {"input_cost_per_token": "a number", "mode": "one of: chat, embedding"},
  "plain": {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "mode": "chat", "litellm_provider": "x"},
  "tiered": {"input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
    "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06,
    "cache_read_input_token_cost": 3e-07,
    "input_cost_per_token_above_200k_tokens": 6e-06, "output_cost_per_token_above_200k_tokens": 2.25e-05,
    "cache_creation_input_token_cost_above_200k_tokens": 7.5e-06,
    "cache_creation_input_token_cost_above_1hr_above_200k_tokens": 1.2e-05,
    "cache_read_input_token_cost_above_200k_tokens": 6e-07, "mode": "chat"},
  "thinks": {"input_cost_per_token": 0, "output_cost_per_token": 1e-06, "output_cost_per_reasoning_token": 4e-06},
  "embeds": {"input_cost_per_token": 1e-07, "output_cost_per_token": 0, "mode": "embedding"},
  "by second": {"input_cost_per_second": 0.1, "input_cost_per_token": 0, "output_cost_per_token": 0, "mode": "chat"},
  "unpriced": {"mode": "chat", "max_tokens": 8192}
}"#;

#[test]
fn litellms_prices_are_taken_over_with_their_tiers() {
    let imported = ModelPrices::from_litellm(LITELLM, "file").unwrap();
    assert_eq!(imported.skipped_model_count, 3);
    assert_eq!(
        imported.prices.list_prices().map(|(model, _)| model).collect::<Vec<_>>(),
        ["plain", "thinks", "tiered"]
    );
    let cost = |model: &str, usage: &TokenUsage| imported.prices.find_price(model).unwrap().cost(usage);
    assert_eq!(cost("plain", &EACH), MicroUsd(10_000 * 4 + 20_000));
    assert_eq!(cost("thinks", &EACH), MicroUsd(40_000));
    assert_eq!(cost("tiered", &EACH), MicroUsd(280_500));
    let long = TokenUsage { cache_read: 200_001, ..EACH };
    assert_eq!(cost("tiered", &long), MicroUsd(60_000 + 225_000 + 75_000 + 120_000 + 120_001)); // 0.6 rounded up
}

#[test]
fn a_bad_entry_is_named() {
    for (text, part) in [
        (
            r#"{"a": {"input_cost_per_token": -1e-6, "output_cost_per_token": 0}}"#,
            "entry `a`: `input_cost_per_token`: -0.000001 is less than zero",
        ),
        (
            r#"{"a": {"input_cost_per_token": "3", "output_cost_per_token": 0}}"#,
            "entry `a`: `input_cost_per_token` is \"3\", not a number",
        ),
        (
            r#"{"a": {"input_cost_per_token": 3, "output_cost_per_token": 0}}"#,
            "entry `a`: `input_cost_per_token`: 3 is more than",
        ),
        (
            r#"{"a": {"input_cost_per_token": 0, "output_cost_per_token": 0, "input_cost_per_token_above_xk_tokens": 1}}"#,
            "entry `a`: `input_cost_per_token_above_xk_tokens` does not contain a valid number",
        ),
        (r#"{"a": []}"#, "entry `a`: the entry is not an object"),
        (r#"{"a": {"mode": 3}}"#, "entry `a`: `mode` is 3"),
        ("[]", "file cannot be read: invalid type: sequence"),
        ("{", "EOF while parsing an object at line 1 column 1"),
        ("{}", "no model in this file is priced"),
        ("", "EOF while parsing"),
    ] {
        let error = ModelPrices::from_litellm(text, "file").unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        assert!(matches!(error, PriceError::File { .. } | PriceError::Entry { .. }));
    }
}

// ------------------------------------------------------------------------------------- properties

fn rates() -> impl Strategy<Value = TokenRates> {
    let rate = || (0..20_000_000_u64).prop_map(|n| TokenRate::from_usd_per_million(n as f64 / 1e6).unwrap());
    (rate(), rate(), rate(), rate(), rate()).prop_map(
        |(input, output, cache_read, cache_write_5m, cache_write_1h)| TokenRates {
            input,
            output,
            cache_read,
            cache_write_5m,
            cache_write_1h,
        },
    )
}

fn price() -> impl Strategy<Value = ModelPrice> {
    (rates(), proptest::collection::vec((1..2000_u64, rates()), 0..3)).prop_map(|(first, tiers)| {
        tiers
            .into_iter()
            .fold(ModelPrice::from_rates(first), |price, (above, rates)| price.with_tier(above, rates))
    })
}

proptest! {
    #[test]
    fn no_answer_costs_more_than_the_bound(
        price in price(),
        (input, read, short, long) in (0..1000_u64, 0..1000_u64, 0..1000_u64, 0..1000_u64),
        output in 0..1000_u64,
        (more_input, more_output) in (0..1000_u64, 0..1000_u64),
    ) {
        let usage = TokenUsage { input, output, cache_read: read, cache_write_5m: short, cache_write_1h: long };
        let prompt = input + read + short + long;
        prop_assert!(price.cost(&usage) <= price.max_cost(prompt + more_input, output + more_output));
    }

    #[test]
    fn an_answer_within_the_money_costs_no_more_and_a_longer_one_would(
        price in price(), input in 0..3000_u64, money in 0..100_000_u64,
    ) {
        match price.max_output_tokens(input, MicroUsd(money)) {
            None => prop_assert!(price.max_cost(input, 0) > MicroUsd(money)),
            Some(u64::MAX) => {}
            Some(output) => {
                prop_assert!(price.max_cost(input, output) <= MicroUsd(money));
                prop_assert!(price.max_cost(input, output + 1) > MicroUsd(money));
            }
        }
    }
}

#[test]
fn absurd_counts_cost_absurdly_much_and_nothing_overflows() {
    let usage = TokenUsage { input: u64::MAX, output: u64::MAX, ..TokenUsage::default() };
    assert_eq!(builtin("claude-opus-5").cost(&usage), MicroUsd(u64::MAX));
}
