//! What model calls may cost and what they did: levels and reservations (design.md section 5). Pure arithmetic in
//! integer micro-dollars; the store keeps it, the gateway asks it before and after every call.

mod alert;
mod grant;
mod period;
mod room;

use serde::{Deserialize, Serialize};

use crate::id::{RunId, UnixMillis};
use crate::money::MicroUsd;

pub use self::alert::{THRESHOLDS, alert, used_up};
pub use self::grant::{ReservationDecision, grant};
pub use self::period::{day, month, next_midnight};
pub use self::room::{BudgetCaps, BudgetDecision, BudgetScope, room};

/// Tokens of one answer, in disjoint buckets, as the Messages API counts them: `input` excludes what a cache was
/// written with or read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Neither written to a cache nor read from one.
    pub input: u64,
    /// Written by the model, its thinking included.
    pub output: u64,
    /// Read from a cache.
    pub cache_read: u64,
    /// Written to a cache for five minutes.
    pub cache_write_5m: u64,
    /// Written to a cache for an hour.
    pub cache_write_1h: u64,
}

impl TokenUsage {
    /// Tokens of every kind.
    pub fn all(&self) -> u64 {
        let Self { input, output, cache_read, cache_write_5m, cache_write_1h } = *self;
        [output, cache_read, cache_write_5m, cache_write_1h].into_iter().fold(input, u64::saturating_add)
    }

    /// What this has more than an earlier count of the same.
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

    /// Both together.
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

/// A sum of money that may not be exceeded in its period: one line of `truing budget show`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct BudgetLevel {
    /// What it bounds.
    pub kind: BudgetLevelKind,
    /// Its subject: the slot's key with or without head, the repository, the team, the run.
    pub key: String,
    /// The UTC day (`2026-11-20`) or month (`2026-11`) it is for; empty where it has none.
    pub period: String,
    /// At most.
    pub limit: MicroUsd,
}

/// The kinds of levels, the tightest first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetLevelKind {
    /// All attempts at reviewing one head of one pull request.
    Review,
    /// One run of the converge or the sync loop.
    Run,
    /// The same as [`Self::Pull`], up to which nobody is asked: a person with write access raises it.
    #[serde(rename = "pr_ask")]
    PullAsk,
    /// All reviews, audits and converge runs of one pull request, as long as it lives.
    #[serde(rename = "pr")]
    Pull,
    /// All reviews of a repository in a UTC day.
    RepoDay,
    /// All converge runs and audits of a repository in a UTC day.
    ConvergeDay,
    /// All runs of jobs that follow packages for a repository in a UTC day.
    SyncDay,
    /// Everything a team spends in a UTC month.
    TeamMonth,
    /// Everything this installation spends in a UTC month.
    Month,
}

impl BudgetLevelKind {
    /// Every kind, the tightest first.
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

    /// The word used in the file, in `truing budget show` and in metrics.
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

    /// The kind of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl BudgetLevel {
    /// Why it pays for no further request, and what changes that: half a sentence, for people.
    pub fn too_little(&self) -> String {
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
            BudgetLevelKind::Pull => " for all of a pull request",
            BudgetLevelKind::RepoDay | BudgetLevelKind::ConvergeDay | BudgetLevelKind::SyncDay => " a day",
            BudgetLevelKind::TeamMonth | BudgetLevelKind::Month => " a month",
        };
        match self.limit {
            MicroUsd(0) => format!("{key} is {}, which pays for no request: set it higher", self.limit),
            limit => format!("too little for one request is left of {key} ({limit}{per})"),
        }
    }
}

/// What pays for the calls of one run: every level must have enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunBudget {
    /// The run.
    pub run: RunId,
    /// The levels it draws on.
    pub levels: Vec<BudgetLevel>,
}

/// How much one call wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReservationRequest {
    /// Without this much it is not begun.
    pub least: MicroUsd,
    /// It can use no more than this.
    pub most: MicroUsd,
    /// When its owner counts as dead: the reservation is then settled in full, as estimated.
    pub expires: UnixMillis,
}

/// A reservation, unique in the store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReservationId(pub i64);

/// What the ledger answers to a [`ReservationRequest`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReservationOutcome {
    /// Set aside at every level, durably: between `least` and `most`.
    Granted {
        /// To settle it by.
        id: ReservationId,
        /// What the call may cost.
        amount: MicroUsd,
    },
    /// This level has less than `least` left.
    Refused {
        /// The tightest one.
        level: BudgetLevel,
        /// What it has left.
        left: MicroUsd,
    },
}

/// How the cost of a call is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostBasis {
    /// From the usage that the provider counted.
    Metered,
    /// Not: the call was cut short or its owner died.
    Estimated,
}

/// A level with what was drawn on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BudgetUsage {
    /// The level, with the limit that was last asked for.
    pub level: BudgetLevel,
    /// Settled.
    pub spent: MicroUsd,
    /// Set aside for calls in flight.
    pub reserved: MicroUsd,
}

impl BudgetUsage {
    /// What can still be set aside.
    pub fn left(&self) -> MicroUsd {
        MicroUsd(self.unspent().0.saturating_sub(self.reserved.0))
    }

    /// What is not spent; calls in flight may spend some of it.
    pub fn unspent(&self) -> MicroUsd {
        MicroUsd(self.level.limit.0.saturating_sub(self.spent.0))
    }
}
