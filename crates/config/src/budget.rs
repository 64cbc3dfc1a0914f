//! Section `budget` of the configuration: limits on the cost of models.

use std::path::PathBuf;

use truing_core::money::MicroUsd;

use super::TypedSettings;
use super::problem::ConfigError;

/// The limits on the cost of models. If an optional limit is absent, the cost is not limited.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetConfig {
    /// Limit for all review attempts on one head commit of a pull request.
    pub review: MicroUsd,
    /// Cost of one pull request at which Truing pauses. A user can then allow the same amount again.
    pub pull_approval_threshold: Option<MicroUsd>,
    /// Limit for all reviews, audits and converge runs of one pull request.
    pub pull: Option<MicroUsd>,
    /// Limit for all reviews of a repository in a day.
    pub repo_day: MicroUsd,
    /// Limit for one converge run.
    pub converge: MicroUsd,
    /// Limit for all converge runs of a repository in a day.
    pub converge_day: Option<MicroUsd>,
    /// Limit for one run of a sync job.
    pub sync: MicroUsd,
    /// Limit for all runs of sync jobs for a repository in a day.
    pub sync_day: Option<MicroUsd>,
    /// Limit for the total cost in a month.
    pub month: Option<MicroUsd>,
    /// File of prices in LiteLLM's format.
    pub prices: Option<PathBuf>,
}

pub(super) fn read_section(settings: &TypedSettings<'_>) -> Result<BudgetConfig, ConfigError> {
    let bound = |path| Ok::<_, ConfigError>(Some(settings.usd(path)?).filter(|sum| *sum > MicroUsd(0)));
    Ok(BudgetConfig {
        review: settings.usd("budget.review_usd")?,
        pull_approval_threshold: bound("budget.pr_ask_usd")?,
        pull: bound("budget.pr_usd")?,
        repo_day: settings.usd("budget.repo_day_usd")?,
        converge: settings.usd("budget.converge_usd")?,
        converge_day: bound("budget.converge_day_usd")?,
        sync: settings.usd("budget.sync_usd")?,
        sync_day: bound("budget.sync_day_usd")?,
        month: bound("budget.month_usd")?,
        prices: settings.path("budget.prices")?,
    })
}
