//! Reports how the tier of a review is chosen, and what reviews of each tier have cost.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use truing_config::Config;
use truing_config::environment::Environment;
use truing_core::id::{TimeSpan, UnixMillis};
use truing_core::instruction::PathInstructions;
use truing_core::money::MicroUsd;
use truing_core::outcome::{ReviewDetail, ReviewRecord, ReviewRuntime};
use truing_core::port::SlotStore as _;
use truing_core::tier::{Tier, TierChoice, TierPrice, TierRules, tier_prices};

use super::error::CliError;
use super::target::{open_existing_store, store_error};
use crate::wiring;

/// The prices include the reviews of this number of days.
const PRICE_PERIOD_DAYS: i64 = 30;
/// Maximum number of reviews that the prices include. The newest reviews are included first.
const MAX_PRICED_REVIEWS: usize = 10_000;

/// The answer of `config show --for` as JSON.
#[derive(Serialize)]
pub(super) struct RepositoryTiers {
    repository: String,
    /// Tier of a review if no rule matches.
    tier: Tier,
    /// Maximum tier that the repository's own rules may select if no rule of the operator matches.
    #[serde(rename = "most")]
    max_tier: Tier,
    rules: Vec<TierRuleRow>,
    /// Instructions that a review of this repository's changes may include.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    instructions: Vec<InstructionRow>,
    prices: BTreeMap<Tier, TierPrice>,
}

#[derive(Serialize)]
struct TierRuleRow {
    #[serde(rename = "at")]
    origin: String,
    #[serde(rename = "when")]
    condition: String,
    tier: Tier,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "most")]
    max_tier: Option<Tier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize)]
struct InstructionRow {
    #[serde(rename = "at")]
    origin: String,
    paths: Vec<String>,
}

impl RepositoryTiers {
    /// Returns the tier rules and the instructions of a configuration that may apply to a repository.
    /// `repository` has the form `owner/name`.
    pub(super) async fn load(
        repository: &str,
        config: &Config,
        environment: &Environment,
    ) -> Result<Self, CliError> {
        let rules = TierRules::new(config.review.tiers.clone()).map_err(wiring::invalid_glob_error)?;
        let row = |rule: &truing_core::tier::TierRule| TierRuleRow {
            origin: rule.origin.clone(),
            condition: rule.condition.to_string(),
            tier: rule.tier,
            max_tier: rule.max_tier,
            reason: rule.reason.clone(),
        };
        let instructions = PathInstructions::new(config.review.instructions.clone());
        let instructions = instructions.map_err(wiring::invalid_glob_error)?;
        let instructions = instructions.for_repository(Some(repository));
        Ok(Self {
            repository: repository.to_owned(),
            tier: rules.default_tier(),
            max_tier: rules.max_tier(),
            rules: rules.rules_for_repository(repository).into_iter().map(row).collect(),
            instructions: instructions
                .map(|found| InstructionRow { origin: found.origin.clone(), paths: found.paths.clone() })
                .collect(),
            prices: load_prices(config, environment).await?,
        })
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "{}\n  tier      {} if no rule matches; the repository's own rules may set no tier above {}\n",
            self.repository,
            self.tier.as_str(),
            self.max_tier.as_str()
        );
        for TierRuleRow { origin: at, condition: when, tier, max_tier: most, reason } in &self.rules {
            let _ = write!(text, "  {:<9} {when}  # {at}", tier.as_str());
            if let Some(most) = most {
                let _ = write!(text, ", and the repository's own rules may set at most {}", most.as_str());
            }
            if let Some(reason) = reason {
                let _ = write!(text, ": {reason}");
            }
            text.push('\n');
        }
        if !self.rules.is_empty() {
            text.push_str(
                "The first matching rule decides; the operator's rules precede the repository's.\n",
            );
        }
        for InstructionRow { origin: at, paths } in &self.instructions {
            let _ = writeln!(text, "Instructions for {}  # {at}", paths.join(", "));
        }
        text + &prices_text(&self.prices)
    }
}

/// Returns the lines that `review --explain` prints: the tier, and the reason for the tier.
pub(super) fn explain_tier(choice: &TierChoice, prices: &BTreeMap<Tier, TierPrice>) -> String {
    let because = if choice.because.is_empty() { String::new() } else { format!(" ({})", choice.because) };
    let mut text = format!("tier: {}, by {}{because}\n", choice.tier.as_str(), choice.origin);
    if let Some(asked_for) = choice.asked_for {
        let _ = writeln!(
            text,
            "the repository asks for {}, and the operator allows {}",
            asked_for.as_str(),
            choice.tier.as_str()
        );
    }
    text + &prices_text(prices)
}

/// Returns the instructions that a review's model received, or an empty text.
pub(super) fn instructions_text(record: &ReviewRecord) -> String {
    let memory = record.detail.model_review.as_ref().and_then(|modelled| modelled.memory.as_ref());
    let all = memory.map(|memory| memory.instructions.join(", ")).filter(|all| !all.is_empty());
    all.map(|all| format!("instructions: {all}\n")).unwrap_or_default()
}

fn prices_text(prices: &BTreeMap<Tier, TierPrice>) -> String {
    if prices.is_empty() {
        return format!(
            "No review of the last {PRICE_PERIOD_DAYS} days is recorded, so there is no price.\n"
        );
    }
    let mut text = format!("Price of a review, last {PRICE_PERIOD_DAYS} days, all repositories:\n");
    for (tier, price) in prices {
        let TierPrice { reviews, sum_micro_usd, most_micro_usd } = *price;
        let mean = MicroUsd(sum_micro_usd / reviews.max(1));
        let (tier, most) = (tier.as_str(), MicroUsd(most_micro_usd));
        let _ = writeln!(text, "  {tier:<9} {mean} mean, {most} maximum, {reviews} reviews");
    }
    text
}

/// Returns the prices of reviews by tier, from the reviews recorded in the last `PRICE_PERIOD_DAYS` days.
pub(super) async fn load_prices(
    config: &Config,
    environment: &Environment,
) -> Result<BTreeMap<Tier, TierPrice>, CliError> {
    let Some(store) = open_existing_store(config, environment).await? else { return Ok(BTreeMap::new()) };
    let now = store.now().await.map_err(store_error)?;
    let since = UnixMillis(now.0.saturating_sub(TimeSpan::minutes(PRICE_PERIOD_DAYS * 24 * 60).0));
    let records =
        store.records::<ReviewDetail>(None, since, MAX_PRICED_REVIEWS).await.map_err(store_error)?;
    Ok(tier_prices(records.iter().map(|record| (recorded_tier(record), record.cost()))))
}

/// Returns the tier of a recorded review. Reviews of older versions and of working trees have no recorded
/// tier, so their tier is derived from other fields of the record.
fn recorded_tier(record: &ReviewRecord) -> Tier {
    let detail = &record.detail;
    let is_deep = || detail.model_review.as_ref().is_some_and(|did| !did.specialists.is_empty());
    match &detail.tier {
        Some(choice) => choice.tier,
        None if detail.outcome.runtime == ReviewRuntime::Rules => Tier::Rules,
        None if is_deep() => Tier::Deep,
        None => Tier::Settled,
    }
}
