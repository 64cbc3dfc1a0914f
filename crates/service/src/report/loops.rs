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

/// The most runs of a loop that are read one by one: a report stays within memory.
const MOST: usize = 20_000;

/// The same for runs that converge: each record holds all that was found.
const MOST_CONVERGES: usize = 2000;

/// The name of a loop for people.
pub fn title(of: Loop) -> &'static str {
    match of {
        Loop::Review => "Reviews",
        Loop::Sync => "Sync jobs",
        Loop::Converge => "Converge runs",
    }
}

/// The most runs of a loop that a report reads.
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

/// The UTC day of an instant, in days since 1970.
pub fn day(at: Millis) -> i64 {
    at.0.div_euclid(DAY)
}

/// A UTC day, in days since 1970, as people write it.
pub fn date(day: i64) -> String {
    instant(Millis(day.saturating_mul(DAY))).chars().take(10).collect()
}
