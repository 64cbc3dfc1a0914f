//! Computes the totals of the reviews of one origin: reviews by the service, or local reviews. All formats of
//! the report use these numbers.

use serde::Serialize;
use truing_core::money::MicroUsd;
use truing_core::run::RunOutcome;
use truing_core::slot::LoopKind;
use truing_store::RunEndCount;

use super::amount::mean_per_run;
use super::figures::RunEndTally;
use super::findings::FindingReport;
use super::run::outcome_word;

/// Reviews that ended in the reported time, and the outcome of their findings.
#[derive(Clone, Debug)]
pub struct ReviewTotals {
    /// True for local reviews by users, false for reviews by the service.
    pub is_local: bool,
    /// The number, duration and cost of these reviews, for each combination of day, outcome and reason.
    pub end_counts: Vec<RunEndCount>,
    /// The part of the reviews' cost that no record contains, because the reviews have no record or are still
    /// running.
    pub unrecorded_cost: MicroUsd,
    /// The outcome of the reviews' findings.
    pub findings: FindingReport,
}

/// The totals of reviews, as the JSON report contains them.
#[derive(Serialize)]
pub struct ReviewTotalsJson {
    /// Numbers of reviews by outcome. The field `success` is the share of the reviews in `attempts` that
    /// ended as `reviewed`.
    #[serde(flatten)]
    tally: RunEndTally,
    /// The cost of all reviews in micro-dollars, including reviews without a record.
    cost_micro_usd: u64,
    /// The part of the cost that is in no record.
    unrecorded_micro_usd: u64,
    /// Mean duration of a review, in milliseconds.
    mean_ms: u64,
    /// The outcome of the reviews' findings.
    findings: FindingReport,
}

impl ReviewTotals {
    /// Returns true if there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.end_counts.is_empty() && self.unrecorded_cost == MicroUsd(0)
    }

    /// Counts the reviews by outcome.
    pub fn tally(&self) -> RunEndTally {
        let end = |row: &RunEndCount| {
            RunOutcome::ALL.into_iter().find(|end| outcome_word(LoopKind::Review, *end) == row.kind)
        };
        RunEndTally::from_counts(self.end_counts.iter().filter_map(|row| Some((end(row)?, row.runs))))
    }

    /// Returns the cost of the reviews in micro-dollars, including the unrecorded cost.
    pub fn total_cost_micro_usd(&self) -> u64 {
        self.end_counts.iter().map(|row| row.cost_micro_usd).fold(self.unrecorded_cost.0, u64::saturating_add)
    }

    /// Returns the mean duration of a review, in milliseconds.
    pub fn mean_ms(&self) -> u64 {
        mean_per_run(
            self.end_counts.iter().map(|row| row.total_duration_ms).sum(),
            self.end_counts.iter().map(|row| row.runs).sum(),
        )
    }

    /// Returns the totals, as the JSON report contains them.
    pub fn to_json_totals(&self) -> ReviewTotalsJson {
        ReviewTotalsJson {
            tally: self.tally(),
            cost_micro_usd: self.total_cost_micro_usd(),
            unrecorded_micro_usd: self.unrecorded_cost.0,
            mean_ms: self.mean_ms(),
            findings: self.findings.clone(),
        }
    }
}
