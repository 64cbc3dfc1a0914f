//! The budgets of runs that call models: the configured limits, the prices, and the check before a run
//! begins.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use globset::GlobSet;
use opentelemetry::KeyValue;
use truing_config::value;
use truing_config::{BudgetConfig, Config};
use truing_core::id::{RunId, SlotKey, UnixMillis};
use truing_core::ledger::{self, BudgetCaps, BudgetDecision, BudgetLevel, BudgetScope, RunBudget};
use truing_core::money::MicroUsd;
use truing_core::port::{Ledger, StoreError};
use truing_model::price::{MAX_LITELLM_BYTES, ModelPrice, ModelPrices, PriceError};

use crate::telemetry;

/// Limits for all repositories.
#[derive(Clone, Debug)]
pub struct BudgetLimits {
    /// Limits that are not specific to a repository or a team.
    caps: BudgetCaps,
    max_sync_cost: MicroUsd,
    max_converge_cost: MicroUsd,
    /// Limits by `owner/name` in lower case.
    repository_limits: BTreeMap<String, MicroUsd>,
    teams: Vec<TeamBudget>,
}

#[derive(Clone, Debug)]
struct TeamBudget {
    name: String,
    repository_limits: GlobSet,
    monthly_limit: MicroUsd,
}

impl BudgetLimits {
    /// Reads the limits from the configuration.
    ///
    /// # Errors
    /// If a pattern is not a glob. A validated configuration has no such pattern.
    pub fn new(config: &Config) -> Result<Self, globset::Error> {
        let mut teams = Vec::new();
        for (name, team) in &config.teams {
            if let Some(month) = team.monthly_limit {
                teams.push(TeamBudget {
                    name: name.clone(),
                    repository_limits: value::compile_repository_globs(&team.repositories)?,
                    monthly_limit: month,
                });
            }
        }
        let lower = |(name, limit): (&String, &MicroUsd)| (name.to_lowercase(), *limit);
        let BudgetConfig {
            review,
            pull_approval_threshold: pull_ask,
            pull,
            repo_day,
            converge,
            converge_day,
            sync,
            sync_day,
            month,
            prices: _,
        } = config.budget;
        Ok(Self {
            caps: BudgetCaps {
                review,
                pull_ask,
                pull,
                repo_day,
                converge_day,
                sync_day,
                teams: Vec::new(),
                month,
            },
            max_sync_cost: sync,
            max_converge_cost: converge,
            repository_limits: config.repository_day_limits.iter().map(lower).collect(),
            teams,
        })
    }

    /// Returns the limits of the repository `name` (`owner/name`). Without a name, only the general limits
    /// apply.
    pub fn caps(&self, name: Option<&str>) -> BudgetCaps {
        let own = name.and_then(|name| self.repository_limits.get(&name.to_lowercase())).copied();
        let is_of = |team: &&TeamBudget| name.is_some_and(|name| team.repository_limits.is_match(name));
        let teams =
            self.teams.iter().filter(is_of).map(|team| (team.name.clone(), team.monthly_limit)).collect();
        BudgetCaps { repo_day: own.unwrap_or(self.caps.repo_day), teams, ..self.caps.clone() }
    }

    /// Returns the pull request's budget level with its initial limit, if people can be asked to raise the
    /// level. Returns `None` if people are not asked.
    pub fn raisable_level(&self, key: &SlotKey, name: &str) -> Option<BudgetLevel> {
        self.caps(Some(name)).raisable_pull_level(key.as_str())
    }

    /// Returns the budget of a sync run for this repository that begins at `now`, and the run's maximum cost.
    pub fn sync_budget(&self, run: RunId, name: &str, now: UnixMillis) -> (RunBudget, MicroUsd) {
        (RunBudget::for_sync(run, self.max_sync_cost, name, &self.caps(Some(name)), now), self.max_sync_cost)
    }

    /// Returns the budget of a converge run, and the run's maximum total cost. `key` names the pull request
    /// or the local repository.
    pub fn converge_budget(
        &self,
        run: RunId,
        key: &SlotKey,
        name: Option<&str>,
        now: UnixMillis,
    ) -> (RunBudget, MicroUsd) {
        let scope = budget_scope(key, "");
        (
            RunBudget::for_converge(run, self.max_converge_cost, &scope, &self.caps(name), now),
            self.max_converge_cost,
        )
    }

    /// Returns the maximum cost of a converge run.
    pub fn max_converge_cost(&self) -> MicroUsd {
        self.max_converge_cost
    }

    /// Returns the budget of a review of this commit that begins at `now`. `key` is the key of the pull
    /// request; for a local run, it is the key under which the repository is recorded.
    pub fn review_budget(
        &self,
        run: RunId,
        key: &SlotKey,
        head: &str,
        name: Option<&str>,
        now: UnixMillis,
    ) -> RunBudget {
        RunBudget::for_review(run, &budget_scope(key, head), &self.caps(name), now)
    }
}

fn budget_scope(key: &SlotKey, head: &str) -> BudgetScope {
    let all = key.as_str();
    // The key of a pull request contains its repository as `{forge}/{repository id}`. A key without a pull
    // request's number is the key of a repository.
    let repository = match all.strip_prefix("pr/") {
        Some(_) => key.repository_prefix().trim_start_matches("pr/").trim_end_matches('/'),
        None => all,
    };
    BudgetScope { key: all.to_owned(), head: head.to_owned(), repository: repository.to_owned() }
}

/// Returns the `owner/name` at the end of a remote's URL, which determines the team of a local run. Returns
/// `None` if the URL does not end with an owner and a name.
pub fn repository_name_from_url(url: &str) -> Option<String> {
    let path = url.trim_end_matches('/').trim_end_matches(".git");
    let path =
        path.rsplit_once("://").map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let mut parts = path.rsplit(['/', ':']);
    let (name, owner) = (parts.next()?, parts.next()?);
    (!name.is_empty() && !owner.is_empty()).then(|| format!("{owner}/{name}"))
}

/// Decides if a run on this budget may begin. Each request to a model costs at least `min_cost`. If the run
/// may not begin, the exhausted level is logged.
///
/// # Errors
/// [`StoreError`] if the ledger cannot be read. The run must then not spend any money.
#[truing_core::boxed_future]
pub async fn check_budget(
    store: &dyn Ledger,
    budget: &RunBudget,
    min_cost: MicroUsd,
    now: UnixMillis,
) -> Result<BudgetDecision, StoreError> {
    let room = ledger::decide_budget(&store.budget_usage(&budget.levels).await?, min_cost, now);
    match &room {
        BudgetDecision::Allowed { .. } => {}
        BudgetDecision::Deferred { level, .. } | BudgetDecision::RulesOnly { level } => {
            log_budget_event("BudgetExhausted", &budget.run, level);
        }
    }
    Ok(room)
}

/// Logs that a run ended early because too little money is left in this budget level.
pub fn log_exceeded(run: &RunId, level: &BudgetLevel) {
    log_budget_event("budget.exceeded", run, level);
}

fn log_budget_event(event: &'static str, run: &RunId, level: &BudgetLevel) {
    let BudgetLevel { kind, key, period, limit } = level;
    let level = kind.as_str();
    let about = [("level", level), ("key", key), ("period", period)];
    let about = about.map(|(name, value)| KeyValue::new(name, value.to_owned()));
    telemetry::record_event(event, about.into());
    tracing::warn!(event, review_id = %run, level, key, period, "{event}: the limit of {limit} is used up");
}

// ---------------------------------------------------------------------------------------------- prices

/// The source of a model's price.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceSource {
    /// The table that is part of Truing.
    BuiltIn,
    /// The file that `budget.prices` names.
    File,
    /// A section `[price.NAME]` of the configuration.
    Configuration,
}

/// The effective prices, each with its source.
#[derive(Clone, Debug, Default)]
pub struct EffectivePrices {
    /// The prices of models.
    pub prices: ModelPrices,
    /// The source of each model's price.
    pub sources: BTreeMap<String, PriceSource>,
}

/// The reason why prices cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PriceFileError {
    /// The file cannot be read.
    #[error("the prices in {} cannot be read: {reason}", path.display())]
    Unreadable {
        path: PathBuf,
        /// Message of the system or the parser.
        reason: String,
    },
    /// The content of the file is invalid.
    #[error(transparent)]
    Invalid(#[from] PriceError),
}

impl EffectivePrices {
    /// Merges the built-in table, the file that the configuration names, and the configuration's own prices.
    /// If the model or its fallback is called at Amazon Bedrock, the built-in Bedrock table follows the first
    /// table. A later source overrides an earlier source.
    ///
    /// # Errors
    /// [`PriceFileError`]
    pub fn new(config: &Config) -> Result<Self, PriceFileError> {
        let mut all = Self::default();
        all.add_prices(ModelPrices::builtin()?, PriceSource::BuiltIn);
        let fallback = config.model.fallback.as_ref().and_then(|name| config.models.get(name));
        if std::iter::once(&config.model).chain(fallback).any(|model| model.provider.is_bedrock()) {
            all.add_prices(ModelPrices::bedrock()?, PriceSource::BuiltIn);
        }
        if let Some(path) = &config.budget.prices {
            let imported = ModelPrices::from_litellm(&read_price_file(path)?, &path.display().to_string())?;
            all.add_prices(imported.prices, PriceSource::File);
        }
        let mut declared = ModelPrices::default();
        for (model, price) in &config.prices {
            declared.set(model, ModelPrice::from(*price));
        }
        all.add_prices(declared, PriceSource::Configuration);
        Ok(all)
    }

    fn add_prices(&mut self, prices: ModelPrices, source: PriceSource) {
        self.sources.extend(prices.list_prices().map(|(model, _)| (model.to_owned(), source)));
        self.prices.extend(prices);
    }
}

fn read_price_file(path: &Path) -> Result<String, PriceFileError> {
    let unreadable = |reason: String| PriceFileError::Unreadable { path: path.to_owned(), reason };
    let file = truing_config::open_regular_file(path).map_err(|error| unreadable(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(MAX_LITELLM_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_LITELLM_BYTES {
        return Err(unreadable(format!("it is longer than {MAX_LITELLM_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| unreadable("it is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use truing_config::environment::Environment;
    use truing_config::layer::SourceFile;

    use super::*;

    fn parse_config(text: &str) -> Config {
        let file = SourceFile { name: "truing.toml".into(), folder: "/".into(), text: text.into() };
        Config::resolve(&Environment::new([("HOME", "/home/me")], "/"), Some(&file), &[]).unwrap()
    }

    const TEAMS: &str = r#"
        [budget]
        review_usd = 1
        [team.web]
        repos = ["acme/*"]
        month_usd = 200.0
        [team.all]
        repos = ["*/*"]
        month_usd = 500
        [team.free]
        repos = ["acme/*"]
        [repo."Acme/shop.js"]
        day_usd = 12.5
    "#;

    #[test]
    fn a_repository_has_the_limits_of_its_teams_and_its_own() {
        let budgets = BudgetLimits::new(&parse_config(TEAMS)).unwrap();
        let of = |name: Option<&str>| {
            let caps = budgets.caps(name);
            let teams: Vec<String> = caps.teams.iter().map(|(name, sum)| format!("{name} {sum}")).collect();
            format!("{} {} {}", caps.review, caps.repo_day, teams.join(", "))
        };
        assert_eq!(of(Some("acme/Shop.js")), "$1.00 $12.50 all $500.00, web $200.00");
        assert_eq!(of(Some("ada/tool")), "$1.00 $5.00 all $500.00");
        assert_eq!(of(None), "$1.00 $5.00 ");
    }

    #[test]
    fn levels_are_named_by_ids_that_outlast_names() {
        let budgets = BudgetLimits::new(&parse_config(TEAMS)).unwrap();
        let keys = |key: &str| -> Vec<String> {
            let budget = budgets.review_budget(
                RunId::new("r"),
                &SlotKey::new(key),
                "abc",
                Some("ada/tool"),
                UnixMillis(0),
            );
            budget.levels.into_iter().map(|level| level.key).collect()
        };
        assert_eq!(keys("pr/github/1296269/7"), ["pr/github/1296269/7@abc", "github/1296269", "all"]);
        let local = "local/https://example.org/ada/tool2";
        assert_eq!(keys(local), [format!("{local}@abc"), local.to_owned(), "all".to_owned()]);
    }

    #[test]
    fn all_of_a_pull_request_is_bounded_only_where_the_operator_says_so() {
        let kinds = |text: &str, key: &str| -> Vec<&str> {
            let budgets = BudgetLimits::new(&parse_config(text)).unwrap();
            let (run, key, at) = (|| RunId::new("r"), SlotKey::new(key), UnixMillis(0));
            let purses = [
                budgets.review_budget(run(), &key, "abc", None, at),
                budgets.converge_budget(run(), &key, None, at).0,
                budgets.sync_budget(run(), "ada/tool", at).0,
            ];
            purses.iter().flat_map(|budget| &budget.levels).map(|level| level.kind.as_str()).collect()
        };
        let pull = "pr/github/1/7";
        assert_eq!(kinds("", pull), ["review", "repo_day", "run", "run"]);
        let none = "[budget]\npr_usd = 0\nmonth_usd = 0\nconverge_day_usd = 0\nsync_day_usd = 0\n";
        assert_eq!(kinds(none, pull), kinds("", pull));
        let all = none.replace(" 0", " 1");
        let sync = ["run", "sync_day", "month"];
        let expected = ["review", "repo_day", "pr", "month", "run", "pr", "converge_day", "month"];
        assert_eq!(kinds(&all, pull), [&expected[..], &sync].concat());
        let local = ["review", "repo_day", "month", "run", "converge_day", "month"];
        assert_eq!(kinds(&all, "local/x"), [&local[..], &sync].concat());
    }

    #[test]
    fn a_remote_tells_owner_and_name() {
        for (url, name) in [
            ("https://github.com/acme/shop.git", Some("acme/shop")),
            ("https://me@github.com:443/acme/shop/", Some("acme/shop")),
            ("ssh://git@host/team/acme/shop", Some("acme/shop")),
            ("git@github.com:acme/shop.git", Some("acme/shop")),
            ("https://example.org/shop", None),
            ("shop", None),
            ("", None),
        ] {
            assert_eq!(repository_name_from_url(url).as_deref(), name, "{url}");
        }
    }

    #[test]
    fn what_is_declared_counts_over_the_file_and_that_over_the_table() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("prices.json");
        let one = r#"{"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}"#;
        std::fs::write(&file, format!(r#"{{"claude-opus-5": {one}, "mine": {one}, "theirs": {one}}}"#))
            .unwrap();
        let text = format!("[budget]\nprices = {file:?}\n[price.mine]\ninput = 0\noutput = 0.0\n");
        let priced = EffectivePrices::new(&parse_config(&text)).unwrap();
        let of = |model: &str| {
            (priced.sources[model], priced.prices.find_price(model).unwrap().max_cost(1_000_000, 0).0)
        };
        assert_eq!(of("claude-opus-5"), (PriceSource::File, 1_000_000));
        assert_eq!(of("theirs"), (PriceSource::File, 1_000_000));
        assert_eq!(of("mine"), (PriceSource::Configuration, 0));
        assert_eq!(of("claude-opus-4-5"), (PriceSource::BuiltIn, 10_000_000));

        std::fs::write(&file, r#"{"bad": {"input_cost_per_token": -1, "output_cost_per_token": 0}}"#)
            .unwrap();
        let error = EffectivePrices::new(&parse_config(&text)).unwrap_err().to_string();
        assert!(error.contains("prices.json") && error.contains("entry `bad`"), "{error}");
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(EffectivePrices::new(&parse_config(&text)), Err(PriceFileError::Unreadable { .. })));
    }
}
