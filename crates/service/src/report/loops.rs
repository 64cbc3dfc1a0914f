//! Provides the names and the steps of loops, the maximum numbers of runs in a report, and UTC days.

use truing_core::converge;
use truing_core::id::UnixMillis;
use truing_core::outcome;
use truing_core::run::LoopStep as _;
use truing_core::slot::LoopKind;
use truing_core::sync::record::SyncStep;
use truing_loops::text::format_instant;

/// A day, in milliseconds.
pub const DAY_MILLIS: i64 = 86_400_000;

/// Maximum number of runs of a loop that are read one by one. The maximum limits the memory use of a report.
const MAX_RUNS: usize = 20_000;

/// Largest number of converge runs that are read one by one. The limit is lower because each record contains
/// all findings of its run.
const MAX_REPORTED_CONVERGE_RUNS: usize = 2000;

/// Returns the name of a loop for people.
pub fn loop_title(loop_kind: LoopKind) -> &'static str {
    match loop_kind {
        LoopKind::Review => "Reviews",
        LoopKind::Sync => "Sync jobs",
        LoopKind::Converge => "Converge runs",
    }
}

/// Returns the largest number of runs of a loop that a report reads.
pub fn max_report_runs(loop_kind: LoopKind) -> usize {
    match loop_kind {
        LoopKind::Review | LoopKind::Sync => MAX_RUNS,
        LoopKind::Converge => MAX_REPORTED_CONVERGE_RUNS,
    }
}

/// Returns the names of a loop's steps, in order.
pub fn loop_steps(loop_kind: LoopKind) -> Vec<&'static str> {
    match loop_kind {
        LoopKind::Review => outcome::ReviewStep::ALL.iter().map(|step| step.as_str()).collect(),
        LoopKind::Sync => SyncStep::ALL.iter().map(|step| step.as_str()).collect(),
        LoopKind::Converge => converge::ConvergeStep::ALL.iter().map(|step| step.as_str()).collect(),
    }
}

/// Returns the UTC day of an instant, in days since 1970.
pub fn utc_day(instant: UnixMillis) -> i64 {
    instant.0.div_euclid(DAY_MILLIS)
}

/// Formats a UTC day, given in days since 1970, as a date.
pub fn format_day(day: i64) -> String {
    format_instant(UnixMillis(day.saturating_mul(DAY_MILLIS))).chars().take(10).collect()
}
