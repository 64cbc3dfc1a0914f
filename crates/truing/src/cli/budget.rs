//! The command `truing budget`: shows the money spent, the limits, and the prices of models.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use truing_config::{BudgetConfig, Config};
use truing_core::id::SlotKey;
use truing_core::ledger::{BudgetLevelKind, BudgetUsage};
use truing_core::money::MicroUsd;
use truing_core::port::{Ledger as _, RunStore as _, SweepStore as _};
use truing_loops::budget::{EffectivePrices, PriceFileError, PriceSource};
use truing_model::price::{ModelPrices, TokenRates};
use truing_store::Store;

mod spend;

use super::columns::fold_line;
use super::error::{CliError, CommandExit};
use super::period_start::PeriodStart;
use super::target::{open_records_store, store_error};
use super::{CommandContext, runtime};

/// Show what models have cost, the limits, and the prices
#[derive(clap::Args, Debug)]
pub struct BudgetArgs {
    #[command(subcommand)]
    command: BudgetCommand,
}

/// The part to show.
#[derive(clap::Subcommand, Debug)]
enum BudgetCommand {
    /// Show the spent and reserved money of each limit, this month and today (UTC)
    ///
    /// Prints first the totals by kind of limit, then each limit, with the most spent money first. Every
    /// expense counts on several kinds of limits, so the totals cannot be added up. Each limit is printed
    /// with the amount that was configured at its last use.
    Show {
        /// Show the money spent on model calls since `--since`, instead of the limits. Prints one row for
        /// each repository, the highest amount first
        #[arg(long, value_name = "WHAT", value_enum)]
        by: Option<SpendGrouping>,
        /// The start of the period: a length of time before now (24h, 7d, 2w), a day (2026-09-21) or an
        /// instant, in UTC
        #[arg(long, value_name = "D", default_value = "30d", value_parser = PeriodStart::parse,
            requires = "by")]
        since: PeriodStart,
    },
    /// Show the prices of models, in US dollars per million tokens
    Prices {
        /// One model
        model: Option<String>,
    },
}

/// The groups into which the spent money is summed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum SpendGrouping {
    /// Each repository and job
    Repository,
}

/// Maximum number of limits that are listed individually. The limits with the most spent money come first.
const MAX_LISTED_LIMITS: usize = 25;

/// Usage of one budget level in the JSON output.
#[derive(Serialize)]
pub(super) struct BudgetRow {
    level: BudgetLevelKind,
    key: String,
    period: String,
    spent_micro_usd: u64,
    reserved_micro_usd: u64,
    limit_micro_usd: u64,
}

impl From<&BudgetUsage> for BudgetRow {
    fn from(BudgetUsage { level, spent, reserved }: &BudgetUsage) -> Self {
        Self {
            level: level.kind,
            key: level.key.clone(),
            period: level.period.clone(),
            spent_micro_usd: spent.0,
            reserved_micro_usd: reserved.0,
            limit_micro_usd: level.limit.0,
        }
    }
}

pub(crate) fn run(args: &BudgetArgs, context: &CommandContext) -> Result<CommandExit, CliError> {
    match &args.command {
        BudgetCommand::Show { by: None, since: _ } => show_budget(context)?,
        BudgetCommand::Show { by: Some(SpendGrouping::Repository), since } => {
            spend::show_spending(*since, context)?;
        }
        BudgetCommand::Prices { model } => show_prices(model.as_deref(), context)?,
    }
    Ok(CommandExit::Success)
}

fn show_budget(context: &CommandContext) -> Result<(), CliError> {
    let config = context.config(&[])?;
    runtime::start()?.block_on(async {
        let (mut drawn, mut names) = (Vec::new(), BTreeMap::new());
        if let Some(store) = open_records_store(&config, context).await? {
            drawn = store.current_usage().await.map_err(store_error)?;
            names = level_names(&store, &drawn).await?;
        }
        let rows: Vec<BudgetRow> = drawn.iter().map(BudgetRow::from).collect();
        context
            .output
            .print_answer(&rows, || format!("{}\n{}", render_budget(&drawn, &names), render_limits(&config)))
    })
}

/// Looks up the display names of the pull requests and repositories that the levels' keys refer to.
async fn level_names(store: &Store, usages: &[BudgetUsage]) -> Result<BTreeMap<String, String>, CliError> {
    let mut names = BTreeMap::new();
    let of =
        |kind| usages.iter().filter(move |usages| usages.level.kind == kind).map(|usages| &usages.level.key);
    let heads = of(BudgetLevelKind::Review).filter_map(|key| Some((key, key.rsplit_once('@')?)));
    let heads = heads.map(|(key, (pull, head))| (key, pull, Some(head)));
    let pulls =
        of(BudgetLevelKind::PullAsk).chain(of(BudgetLevelKind::Pull)).map(|key| (key, key.as_str(), None));
    let pulls: Vec<(&String, &str, Option<&str>)> = heads.chain(pulls).collect();
    let keys: Vec<SlotKey> = pulls.iter().map(|(_, pull, _)| SlotKey::new(*pull)).collect();
    let described = store.descriptions(&keys).await.map_err(store_error)?;
    for ((key, pull, head), described) in pulls.into_iter().zip(described) {
        let name = described.map_or_else(|| pull.to_owned(), |described| described.name);
        let head = head.map(|head| head.chars().take(10).collect::<String>());
        names.insert(key.clone(), head.map_or_else(|| name.clone(), |head| format!("{name} at {head}")));
    }
    let days = of(BudgetLevelKind::RepoDay).chain(of(BudgetLevelKind::ConvergeDay));
    let forges: BTreeSet<&str> = days.filter_map(|key| Some(key.split_once('/')?.0)).collect();
    for forge in forges {
        for repository in store.repositories(forge).await.map_err(store_error)? {
            names.insert(format!("{forge}/{}", repository.id), repository.name);
        }
    }
    Ok(names)
}

fn render_budget(usages: &[BudgetUsage], names: &BTreeMap<String, String>) -> String {
    if usages.is_empty() {
        return "nothing spent this month\n".to_owned();
    }
    let heads = format!("{:>12}{:>12}{:>6}{:>12}  of\n", "spent", "limit", "part", "in flight");
    let mut text = format!("Totals for each kind of limit\n{heads}");
    for kind in BudgetLevelKind::ALL.into_iter().rev() {
        let of = usages.iter().filter(|usages| usages.level.kind == kind);
        let count = of.clone().count();
        let sum = |amount_of: fn(&BudgetUsage) -> MicroUsd| {
            MicroUsd(of.clone().map(|usages| amount_of(usages).0).fold(0, u64::saturating_add))
        };
        if count > 0 {
            let all =
                [sum(|usages| usages.spent), sum(|usages| usages.level.limit), sum(|usages| usages.reserved)];
            text += &fold_line(&render_amount_columns(all), &format!("{} ({count})", kind.as_str()));
        }
    }
    let mut rows: Vec<&BudgetUsage> = usages.iter().collect();
    rows.sort_by_key(|usages| std::cmp::Reverse((usages.spent, usages.reserved)));
    text += &format!("\nEach limit, the most spent money first\n{heads}");
    for BudgetUsage { level, spent, reserved } in rows.iter().take(MAX_LISTED_LIMITS) {
        let name = names.get(&level.key).unwrap_or(&level.key);
        let words = [level.kind.as_str(), &level.period, name].into_iter().filter(|word| !word.is_empty());
        let words = words.collect::<Vec<_>>().join(" ");
        text += &fold_line(&render_amount_columns([*spent, level.limit, *reserved]), &words);
    }
    if rows.len() > MAX_LISTED_LIMITS {
        text += &format!("and {} more: `--format json` lists all limits\n", rows.len() - MAX_LISTED_LIMITS);
    }
    text
}

/// Formats the limits that are configured for new work.
fn render_limits(config: &Config) -> String {
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
    } = &config.budget;
    let mut text = "Limits for new runs\n".to_owned();
    let mut add = |limit: MicroUsd, description: &str| {
        text += &fold_line(&format!("{:>12}  ", limit.to_string()), description);
    };
    add(*review, "all reviews of one head of a pull request (budget.review_usd)");
    if let Some(ask) = pull_ask {
        add(*ask, "one pull request until `/spend` allows the same amount again (budget.pr_ask_usd)");
    }
    if let Some(pull) = pull {
        add(*pull, "all work on one pull request (budget.pr_usd)");
    }
    add(*repo_day, "reviews of a repository in a day (budget.repo_day_usd)");
    for (name, limit) in &config.repository_day_limits {
        add(*limit, &format!("reviews of {name} in a day (repo.\"{name}\".day_usd)"));
    }
    add(*converge, "one converge run (budget.converge_usd)");
    if let Some(day) = converge_day {
        add(*day, "converge runs of a repository in a day (budget.converge_day_usd)");
    }
    add(*sync, "one run of a sync job (budget.sync_usd)");
    if let Some(day) = sync_day {
        add(*day, "sync jobs of a repository in a day (budget.sync_day_usd)");
    }
    for (name, team) in &config.teams {
        if let Some(month) = team.monthly_limit {
            add(month, &format!("team {name} in a month (team.{name}.month_usd)"));
        }
    }
    if let Some(month) = month {
        add(*month, "everything in a month (budget.month_usd)");
    }
    text
}

/// Formats four columns: the spent money, the limit, the percentage, and the money reserved by requests in
/// flight.
fn render_amount_columns([spent, limit, reserved]: [MicroUsd; 3]) -> String {
    let part = (u128::from(spent.0) * 100).checked_div(u128::from(limit.0));
    let part = part.map_or_else(|| "-".to_owned(), |part| format!("{part} %"));
    let flight = if reserved.0 == 0 { "-".to_owned() } else { reserved.to_string() };
    let (spent, limit) = (spent.to_string(), limit.to_string());
    format!("{spent:>12}{limit:>12}{part:>6}{flight:>12}  ")
}

/// Formats the spent and reserved money of one level as a sentence.
pub(super) fn render_usage(usage: &BudgetUsage) -> String {
    let BudgetUsage { level, spent, reserved } = usage;
    let flight = if reserved.0 == 0 { String::new() } else { format!(", {reserved} in flight") };
    let part = (u128::from(spent.0) * 100).checked_div(u128::from(level.limit.0));
    let part = part.map(|part| format!(" ({part} %)")).unwrap_or_default();
    format!("{spent} of {} spent{part}{flight}", level.limit)
}

/// Price of a model in one tier, as the JSON output shows it.
#[derive(Serialize)]
struct PriceRow<'a> {
    model: &'a str,
    above_prompt_tokens: u64,
    input_micro_usd: u64,
    output_micro_usd: u64,
    cache_read_micro_usd: u64,
    cache_write_5m_micro_usd: u64,
    cache_write_1h_micro_usd: u64,
    priced_by: Option<PriceSource>,
    #[serde(skip)]
    rates: &'a TokenRates,
}

/// An invalid price file is a usage error, because the operator's configuration names the file.
impl From<PriceFileError> for CliError {
    fn from(error: PriceFileError) -> Self {
        Self::usage("bad_prices", error.to_string()).hint(
            "set `budget.prices` to the path of a file in LiteLLM's format; `[price.\"model\"]` declares \
                single prices",
        )
    }
}

fn show_prices(model: Option<&str>, context: &CommandContext) -> Result<(), CliError> {
    let priced = EffectivePrices::new(&context.config(&[])?)?;
    let dated = ModelPrices::builtin_date().map_err(PriceFileError::from)?;
    let wanted = priced.prices.list_prices().filter(|(name, _)| model.is_none_or(|model| model == *name));
    let rows: Vec<PriceRow<'_>> = wanted
        .flat_map(|(model, price)| price.tiers().map(move |(above, rates)| (model, above, rates)))
        .map(|(model, above_prompt_tokens, rates)| PriceRow {
            model,
            above_prompt_tokens,
            input_micro_usd: rates.input.pico_usd_per_token(),
            output_micro_usd: rates.output.pico_usd_per_token(),
            cache_read_micro_usd: rates.cache_read.pico_usd_per_token(),
            cache_write_5m_micro_usd: rates.cache_write_5m.pico_usd_per_token(),
            cache_write_1h_micro_usd: rates.cache_write_1h.pico_usd_per_token(),
            priced_by: priced.sources.get(model).copied(),
            rates,
        })
        .collect();
    if let (Some(model), true) = (model, rows.is_empty()) {
        let hint = format!("declare a price: [price.\"{model}\"] with `input` and `output` (may be 0)");
        return Err(CliError::usage(
            "unknown_model",
            format!("`{model}` has no price, so Truing does not use this model"),
        )
        .hint(hint));
    }
    context.output.print_answer(&rows, || render_prices(&rows, &dated))
}

fn render_prices(rows: &[PriceRow<'_>], price_date: &str) -> String {
    let mut text = format!(
        "US dollars per million tokens; built-in prices are from {price_date}\n\n{:>9}{:>9}{:>8}{:>9}{:>9}\n",
        "input", "output", "cached", "for 5 m", "for 1 h"
    );
    for PriceRow { model, above_prompt_tokens, priced_by, rates, .. } in rows {
        let TokenRates { input, output, cache_read, cache_write_5m, cache_write_1h } = rates;
        let label = format!("{input:>9}{output:>9}{cache_read:>8}{cache_write_5m:>9}{cache_write_1h:>9}  ");
        let tier = match above_prompt_tokens {
            0 => String::new(),
            tokens => format!(" with more than {tokens} tokens"),
        };
        let by = match priced_by {
            Some(PriceSource::File) => " (file)",
            Some(PriceSource::Configuration) => " (configured)",
            Some(PriceSource::BuiltIn) | None => "",
        };
        text += &fold_line(&label, &format!("{model}{tier}{by}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use truing_config::environment::Environment;
    use truing_config::layer::SourceFile;
    use truing_core::ledger::BudgetLevel;

    use super::*;

    fn sample_usage(kind: BudgetLevelKind, key: &str, period: &str, sums: [u64; 3]) -> BudgetUsage {
        let [spent, reserved, limit] = sums.map(MicroUsd);
        BudgetUsage {
            level: BudgetLevel { kind, key: key.into(), period: period.into(), limit },
            spent,
            reserved,
        }
    }

    #[test]
    fn limits_are_shown_before_anything_is_spent() {
        let text = "[budget]\nreview_usd = 1.5\n[repo.\"a/b\"]\nday_usd = 3\n[team.web]\nrepos = \
             [\"a/*\"]\nmonth_usd = 200\n";
        let file = SourceFile { name: "truing.toml".into(), folder: "/".into(), text: text.into() };
        let config = Config::resolve(&Environment::default(), Some(&file), &[]).unwrap();
        insta::assert_snapshot!(render_limits(&config), @r#"
        Limits for new runs
               $1.50  all reviews of one head of a pull request (budget.review_usd)
               $5.00  reviews of a repository in a day (budget.repo_day_usd)
               $3.00  reviews of a/b in a day (repo."a/b".day_usd)
              $10.00  one converge run (budget.converge_usd)
               $5.00  one run of a sync job (budget.sync_usd)
             $200.00  team web in a month (team.web.month_usd)
        "#);
    }

    #[test]
    fn every_level_is_shown_within_eighty_columns() {
        let head = "0123456789abcdef0123456789abcdef01234567";
        let key = format!("pr/github/1296269/7@{head}");
        let all = [
            sample_usage(BudgetLevelKind::TeamMonth, "web", "2026-11", [160_120_000, 400_000, 200_000_000]),
            sample_usage(BudgetLevelKind::RepoDay, "github/1296269", "2026-11-20", [5_000_000, 0, 0]),
            sample_usage(
                BudgetLevelKind::RepoDay,
                "local/home/me/tool",
                "2026-11-20",
                [0, 12_345, 5_000_000],
            ),
            sample_usage(BudgetLevelKind::Review, &key, "", [2_000_000, 0, 2_000_000]),
        ];
        let names = BTreeMap::from([
            ("github/1296269".to_owned(), "acme/shop".to_owned()),
            (key, format!("acme/{}#7 at 0123456789", "shop".repeat(12))),
        ]);
        let text = render_budget(&all, &names);
        insta::assert_snapshot!(text, @r"
        Totals for each kind of limit
               spent       limit  part   in flight  of
             $160.12     $200.00  80 %       $0.40  team_month (1)
               $5.00       $5.00 100 %   $0.012345  repo_day (2)
               $2.00       $2.00 100 %           -  review (1)

        Each limit, the most spent money first
               spent       limit  part   in flight  of
             $160.12     $200.00  80 %       $0.40  team_month 2026-11 web
               $5.00       $0.00     -           -  repo_day 2026-11-20 acme/shop
               $2.00       $2.00 100 %           -  review
                                                    acme/shopshopshopshopshopshopshopshopshopshopshopshop#7
                                                    at 0123456789
               $0.00       $5.00   0 %   $0.012345  repo_day 2026-11-20
                                                    local/home/me/tool
        ");
        // Rows are sorted by the amount of money, not by its text. Rows beyond the limit are only counted.
        let many: Vec<BudgetUsage> = (0..30)
            .map(|number| {
                sample_usage(
                    BudgetLevelKind::RepoDay,
                    &format!("github/{number}"),
                    "2026-11-20",
                    [number * 900_000, 0, 0],
                )
            })
            .collect();
        let text = render_budget(&many, &names);
        let spent: Vec<&str> =
            text.lines().skip(6).map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!((&spent[..2], spent.len()), (&["$26.10", "$25.20"][..], 26));
        assert!(text.ends_with("and 5 more: `--format json` lists all limits\n"), "{text}");
        insta::assert_snapshot!(render_budget(&[], &names), @"nothing spent this month");
        let row = serde_json::to_string(&BudgetRow::from(&all[0])).unwrap();
        assert_eq!(
            row,
            "{\"level\":\"team_month\",\"key\":\"web\",\"period\":\"2026-11\",\"spent_micro_usd\":160120000,\
             \"reserved_micro_usd\":400000,\"limit_micro_usd\":200000000}"
        );
    }
}
