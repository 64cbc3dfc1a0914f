//! Loops as reports name them, how much of each is read, and days.

use truing_core::converge;
use truing_core::id::UnixMillis;
use truing_core::outcome;
use truing_core::run::LoopStep as _;
use truing_core::slot::LoopKind;
use truing_core::sync::record::SyncStep;
use truing_loops::text::instant;

/// A day, in milliseconds.
pub const DAY: i64 = 86_400_000;

/// The most runs of a loop that are read one by one: a report stays within memory.
const MOST: usize = 20_000;

/// The same for runs that converge: each record holds all that was found.
const MOST_CONVERGES: usize = 2000;

/// The name of a loop for people.
pub fn title(of: LoopKind) -> &'static str {
    match of {
        LoopKind::Review => "Reviews",
        LoopKind::Sync => "Sync jobs",
        LoopKind::Converge => "Converge runs",
    }
}

/// The most runs of a loop that a report reads.
pub fn most(of: LoopKind) -> usize {
    match of {
        LoopKind::Review | LoopKind::Sync => MOST,
        LoopKind::Converge => MOST_CONVERGES,
    }
}

/// The names of a loop's steps, in order.
pub fn steps(of: LoopKind) -> Vec<&'static str> {
    match of {
        LoopKind::Review => outcome::ReviewStep::ALL.iter().map(|step| step.as_str()).collect(),
        LoopKind::Sync => SyncStep::ALL.iter().map(|step| step.as_str()).collect(),
        LoopKind::Converge => converge::ConvergeStep::ALL.iter().map(|step| step.as_str()).collect(),
    }
}

/// The UTC day of an instant, in days since 1970.
pub fn day(at: UnixMillis) -> i64 {
    at.0.div_euclid(DAY)
}

/// A UTC day, in days since 1970, as people write it.
pub fn date(day: i64) -> String {
    instant(UnixMillis(day.saturating_mul(DAY))).chars().take(10).collect()
}
