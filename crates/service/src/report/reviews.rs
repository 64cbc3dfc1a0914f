//! Reviews of one origin: of served pull requests, or local ones. Every form of the report takes their numbers from here.

use serde::Serialize;
use truing_core::money::MicroUsd;
use truing_core::run::RunOutcome;
use truing_core::slot::LoopKind;
use truing_store::RunEndCount;

use super::amount::mean;
use super::figures::RunEndTally;
use super::findings::FindingReport;
use super::run::word;

/// Reviews that ended in that time, and what became of their findings.
#[derive(Clone, Debug)]
pub struct ReviewTotals {
    /// Were they run on somebody's machine, and not by the service?
    pub is_local: bool,
    /// All of them, counted by day, kind and reason.
    pub ended: Vec<RunEndCount>,
    /// The cost of reviews of this origin that no record holds.
    pub unrecorded: MicroUsd,
    /// The outcome of their findings.
    pub findings: FindingReport,
}

/// The same for programs.
#[derive(Serialize)]
pub struct ReviewsAnswer {
    /// Reviews by their end. `success`: the part of `attempts` that ended `reviewed`.
    #[serde(flatten)]
    tally: RunEndTally,
    /// The cost of all of them in micro-dollars, runs without a record included.
    cost_micro_usd: u64,
    /// The part of it that runs without a record have cost.
    unrecorded_micro_usd: u64,
    /// The time that one took, in milliseconds.
    mean_ms: u64,
    /// The outcome of their findings.
    findings: FindingReport,
}

impl ReviewTotals {
    /// Is there nothing to report?
    pub fn is_empty(&self) -> bool {
        self.ended.is_empty() && self.unrecorded == MicroUsd(0)
    }

    /// The ends of the reviews.
    pub fn tally(&self) -> RunEndTally {
        let end = |row: &RunEndCount| {
            RunOutcome::ALL.into_iter().find(|end| word(LoopKind::Review, *end) == row.kind)
        };
        RunEndTally::counted(self.ended.iter().filter_map(|row| Some((end(row)?, row.runs))))
    }

    /// Their cost in micro-dollars, with the part that no record holds.
    pub fn cost(&self) -> u64 {
        self.ended.iter().map(|row| row.cost).fold(self.unrecorded.0, u64::saturating_add)
    }

    /// The mean time of one, in milliseconds.
    pub fn mean_ms(&self) -> u64 {
        mean(self.ended.iter().map(|row| row.ms).sum(), self.ended.iter().map(|row| row.runs).sum())
    }

    /// The same for programs.
    pub fn answer(&self) -> ReviewsAnswer {
        ReviewsAnswer {
            tally: self.tally(),
            cost_micro_usd: self.cost(),
            unrecorded_micro_usd: self.unrecorded.0,
            mean_ms: self.mean_ms(),
            findings: self.findings.clone(),
        }
    }
}
