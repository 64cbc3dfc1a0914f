//! Budgets and costs of model calls: levels and reservations. Pure arithmetic in integer micro-dollars. The
//! store persists the amounts. The gateway makes a reservation before every model call and settles it after
//! the call.

mod alert;
mod grant;
mod period;
mod run_admission;

use serde::{Deserialize, Serialize};

use crate::id::{RunId, UnixMillis};
use crate::money::MicroUsd;

pub use self::alert::{SPENDING_THRESHOLD_PERCENTS, exhausted_notice, threshold_notice};
pub use self::grant::{ReservationDecision, decide_reservation};
pub use self::period::{next_midnight, utc_day, utc_month};
pub use self::run_admission::{BudgetCaps, BudgetDecision, BudgetScope, decide_budget};

/// Tokens of one answer in disjoint buckets, as in the Messages API. `input` excludes tokens that are written
/// to a cache or read from a cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Input tokens that are not written to a cache and not read from a cache.
    pub input: u64,
    /// Tokens written by the model, including its thinking.
    pub output: u64,
    /// Input tokens read from a cache.
    pub cache_read: u64,
    /// Input tokens written to a cache for five minutes.
    pub cache_write_5m: u64,
    /// Input tokens written to a cache for an hour.
    pub cache_write_1h: u64,
}

impl TokenUsage {
    /// Returns the sum of all buckets.
    pub fn total(&self) -> u64 {
        let Self { input, output, cache_read, cache_write_5m, cache_write_1h } = *self;
        [output, cache_read, cache_write_5m, cache_write_1h].into_iter().fold(input, u64::saturating_add)
    }

    /// Returns the tokens that were counted after `earlier`, an earlier count of the same call.
    #[must_use]
    pub fn minus(&self, earlier: &Self) -> Self {
        Self {
            input: self.input.saturating_sub(earlier.input),
            output: self.output.saturating_sub(earlier.output),
            cache_read: self.cache_read.saturating_sub(earlier.cache_read),
            cache_write_5m: self.cache_write_5m.saturating_sub(earlier.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_sub(earlier.cache_write_1h),
        }
    }

    /// Returns the sum of both counts.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write_5m: self.cache_write_5m.saturating_add(other.cache_write_5m),
            cache_write_1h: self.cache_write_1h.saturating_add(other.cache_write_1h),
        }
    }
}

/// A spending limit for a period: one line of `truing budget show`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct BudgetLevel {
    pub kind: BudgetLevelKind,
    /// Subject of the limit: the slot's key with or without the head, the repository, the team or the run.
    pub key: String,
    /// The UTC day (`2026-11-20`) or month (`2026-11`) of the limit; empty if the limit has no period.
    pub period: String,
    pub limit: MicroUsd,
}

/// Kinds of budget levels, from the narrowest scope to the widest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetLevelKind {
    /// All attempts to review one head of one pull request.
    Review,
    /// One run of the converge or the sync loop.
    Run,
    /// Limit of the spending on a pull request at which Truing asks a person to allow more. The same spending
    /// is counted as for [`Self::Pull`]. A person with write access can raise this limit.
    #[serde(rename = "pr_ask")]
    PullAsk,
    /// All reviews, audits and converge runs of one pull request over its lifetime.
    #[serde(rename = "pr")]
    Pull,
    /// All reviews of a repository in a UTC day.
    RepoDay,
    /// All converge runs and audits of a repository in a UTC day.
    ConvergeDay,
    /// All runs of jobs that follow packages for a repository in a UTC day.
    SyncDay,
    /// All spending of a team in a UTC month.
    TeamMonth,
    /// All spending of this installation in a UTC month.
    Month,
}

impl BudgetLevelKind {
    /// Every kind, from the narrowest scope to the widest.
    pub const ALL: [Self; 9] = [
        Self::Review,
        Self::Run,
        Self::PullAsk,
        Self::Pull,
        Self::RepoDay,
        Self::ConvergeDay,
        Self::SyncDay,
        Self::TeamMonth,
        Self::Month,
    ];

    /// Returns the word that stored records, `truing budget show` and metrics use for the kind.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Review => "review",
            Self::Run => "run",
            Self::PullAsk => "pr_ask",
            Self::Pull => "pr",
            Self::RepoDay => "repo_day",
            Self::ConvergeDay => "converge_day",
            Self::SyncDay => "sync_day",
            Self::TeamMonth => "team_month",
            Self::Month => "month",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl BudgetLevel {
    /// Returns a clause for display that explains which limit is exhausted and how users can raise it.
    pub fn exhausted_text(&self) -> String {
        let key = match self.kind {
            BudgetLevelKind::Review => "`budget.review_usd`".to_owned(),
            BudgetLevelKind::Run => "the run's limit".to_owned(),
            BudgetLevelKind::PullAsk => "`budget.pr_ask_usd`".to_owned(),
            BudgetLevelKind::Pull => "`budget.pr_usd`".to_owned(),
            BudgetLevelKind::RepoDay => "`budget.repo_day_usd`".to_owned(),
            BudgetLevelKind::ConvergeDay => "`budget.converge_day_usd`".to_owned(),
            BudgetLevelKind::SyncDay => "`budget.sync_day_usd`".to_owned(),
            BudgetLevelKind::TeamMonth => format!("`team.{}.month_usd`", self.key),
            BudgetLevelKind::Month => "`budget.month_usd`".to_owned(),
        };
        let per = match self.kind {
            BudgetLevelKind::Review => " for a commit",
            BudgetLevelKind::Run => "",
            BudgetLevelKind::PullAsk => " for a pull request; the comment `/spend` allows more",
            BudgetLevelKind::Pull => " for all runs of a pull request",
            BudgetLevelKind::RepoDay | BudgetLevelKind::ConvergeDay | BudgetLevelKind::SyncDay => " a day",
            BudgetLevelKind::TeamMonth | BudgetLevelKind::Month => " a month",
        };
        match self.limit {
            MicroUsd(0) => {
                format!("{key} is {}, which is too little for any request: increase the limit", self.limit)
            }
            limit => format!("the amount left in {key} ({limit}{per}) is too small for one request"),
        }
    }
}

/// Budget for the calls of one run: every level must have enough money left.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunBudget {
    pub run: RunId,
    /// Levels to which the cost of every call is charged.
    pub levels: Vec<BudgetLevel>,
}

/// Amounts that one call requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReservationRequest {
    /// Minimum amount. If less is left, the call does not begin.
    pub min_amount: MicroUsd,
    /// Maximum amount that the call can use.
    pub max_amount: MicroUsd,
    /// From this time on, the process that made the reservation counts as dead. The reservation is then
    /// settled at its full amount, as an estimated cost.
    pub expires: UnixMillis,
}

/// Id of a reservation, unique in the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReservationId(pub i64);

/// Answer of the ledger to a [`ReservationRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReservationOutcome {
    /// An amount between `min_amount` and `max_amount` is durably reserved at every level.
    Granted {
        /// Id with which the caller settles the reservation.
        id: ReservationId,
        /// Reserved amount, which is the maximum cost of the call.
        amount: MicroUsd,
    },
    /// A level has less than `min_amount` left.
    Refused {
        /// Level with the least money left.
        level: BudgetLevel,
        /// Amount left at that level.
        remaining_amount: MicroUsd,
    },
}

/// Basis of a call's recorded cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostBasis {
    /// Computed from the usage that the provider reported.
    Metered,
    /// Estimated, because the call was interrupted or the calling process died.
    Estimated,
}

/// A level with its current usage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetUsage {
    /// Level, with the limit of the most recent request.
    pub level: BudgetLevel,
    /// Amount spent by settled calls.
    pub spent: MicroUsd,
    /// Reserved amount for calls in progress.
    pub reserved: MicroUsd,
}

impl BudgetUsage {
    /// Amount that can still be reserved.
    pub fn available_amount(&self) -> MicroUsd {
        MicroUsd(self.unspent().0.saturating_sub(self.reserved.0))
    }

    /// Amount not yet spent; calls in progress may spend a part of it.
    pub fn unspent(&self) -> MicroUsd {
        MicroUsd(self.level.limit.0.saturating_sub(self.spent.0))
    }
}
