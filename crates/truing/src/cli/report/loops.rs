//! The loops that are reported, and days.

use truing_core::converge;
use truing_core::id::Millis;
use truing_core::outcome;
use truing_core::run::Step as _;
use truing_core::slot::Loop;
use truing_core::sync::record::Step;

use crate::cli::target::instant;

/// A day, in milliseconds.
pub(super) const DAY: i64 = 86_400_000;

/// Runs of a loop that are read one by one at most: a report stays within memory.
pub(super) const MOST: usize = 20_000;

/// The same of runs that converge: each record holds all that was found.
pub(super) const MOST_CONVERGES: usize = 2000;

/// The loops that there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(in crate::cli) enum LoopFlag {
    /// Reviews, of the service and on this machine
    Review,
    /// Jobs that follow packages
    Sync,
    /// Branches that converge
    Converge,
}

impl LoopFlag {
    /// Its loop.
    pub(super) fn of(self) -> Loop {
        match self {
            Self::Review => Loop::Review,
            Self::Sync => Loop::Sync,
            Self::Converge => Loop::Converge,
        }
    }

    /// Its name in records.
    pub(super) fn as_str(self) -> &'static str {
        self.of().as_str()
    }

    /// Its name for people.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Review => "Reviews",
            Self::Sync => "Jobs that follow packages",
            Self::Converge => "Branches that converge",
        }
    }

    /// Runs of it that are read at most.
    pub(super) fn most(self) -> usize {
        match self {
            Self::Review | Self::Sync => MOST,
            Self::Converge => MOST_CONVERGES,
        }
    }

    /// The names of its steps, in order.
    pub(super) fn steps(self) -> Vec<&'static str> {
        match self {
            Self::Review => outcome::Step::ALL.iter().map(|step| step.as_str()).collect(),
            Self::Sync => Step::ALL.iter().map(|step| step.as_str()).collect(),
            Self::Converge => converge::Step::ALL.iter().map(|step| step.as_str()).collect(),
        }
    }
}

/// A UTC day, in days since 1970, as people write it.
pub(super) fn date(day: i64) -> String {
    instant(Millis(day.saturating_mul(DAY))).chars().take(10).collect()
}
