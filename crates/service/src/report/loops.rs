//! Loops as reports name them, how much of each is read, and days.

use truing_core::converge;
use truing_core::id::Millis;
use truing_core::outcome;
use truing_core::run::Step as _;
use truing_core::slot::Loop;
use truing_core::sync::record::Step;
use truing_loops::text::instant;

/// A day, in milliseconds.
pub const DAY: i64 = 86_400_000;

/// Runs of a loop that are read one by one at most: a report stays within memory.
pub const MOST: usize = 20_000;

/// The same of runs that converge: each record holds all that was found.
pub const MOST_CONVERGES: usize = 2000;

/// The name of a loop for people.
pub fn title(of: Loop) -> &'static str {
    match of {
        Loop::Review => "Reviews",
        Loop::Sync => "Jobs that follow packages",
        Loop::Converge => "Branches that converge",
    }
}

/// Runs of a loop that are read at most.
pub fn most(of: Loop) -> usize {
    match of {
        Loop::Review | Loop::Sync => MOST,
        Loop::Converge => MOST_CONVERGES,
    }
}

/// The names of a loop's steps, in order.
pub fn steps(of: Loop) -> Vec<&'static str> {
    match of {
        Loop::Review => outcome::Step::ALL.iter().map(|step| step.as_str()).collect(),
        Loop::Sync => Step::ALL.iter().map(|step| step.as_str()).collect(),
        Loop::Converge => converge::Step::ALL.iter().map(|step| step.as_str()).collect(),
    }
}

/// A UTC day, in days since 1970, as people write it.
pub fn date(day: i64) -> String {
    instant(Millis(day.saturating_mul(DAY))).chars().take(10).collect()
}
