//! Section `budget`: what may be spent.

use std::path::PathBuf;

use truing_core::money::MicroUsd;

use super::TypedSettings;
use super::problem::ConfigError;

/// The sums that may be spent; where one is absent, nothing bounds that sum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetConfig {
    /// All attempts at one head of one pull request.
    pub review: MicroUsd,
    /// The same, until a person allows as much again.
    pub pull_ask: Option<MicroUsd>,
    /// All reviews, audits and converge runs of one pull request.
    pub pull: Option<MicroUsd>,
    /// All reviews of a repository in a day.
    pub repo_day: MicroUsd,
    /// One run of the converge loop.
    pub converge: MicroUsd,
    /// All runs of the converge loop for a repository in a day.
    pub converge_day: Option<MicroUsd>,
    /// One run of a job that follows a package.
    pub sync: MicroUsd,
    /// All runs of such jobs for a repository in a day.
    pub sync_day: Option<MicroUsd>,
    /// Everything in a month.
    pub month: Option<MicroUsd>,
    /// A file of prices in LiteLLM's format.
    pub prices: Option<PathBuf>,
}

pub(super) fn of(of: &TypedSettings<'_>) -> Result<BudgetConfig, ConfigError> {
    let bound = |path| Ok::<_, ConfigError>(Some(of.usd(path)?).filter(|sum| *sum > MicroUsd(0)));
    Ok(BudgetConfig {
        review: of.usd("budget.review_usd")?,
        pull_ask: bound("budget.pr_ask_usd")?,
        pull: bound("budget.pr_usd")?,
        repo_day: of.usd("budget.repo_day_usd")?,
        converge: of.usd("budget.converge_usd")?,
        converge_day: bound("budget.converge_day_usd")?,
        sync: of.usd("budget.sync_usd")?,
        sync_day: bound("budget.sync_day_usd")?,
        month: bound("budget.month_usd")?,
        prices: of.path("budget.prices")?,
    })
}
