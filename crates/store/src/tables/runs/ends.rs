//! The columns that a run gets from its record when it ends.

use truing_core::run::{RunDetail, RunRecord};

/// The columns about the end of a run. With these columns, runs can be counted without reading their records.
pub(super) struct RunEndColumns<'a> {
    pub(super) ended_at: Option<i64>,
    pub(super) kind: Option<&'static str>,
    pub(super) reason: Option<&'a str>,
    pub(super) cost_micro_usd: u64,
}

impl<'a> RunEndColumns<'a> {
    pub(super) fn from_record<D: RunDetail>(record: &'a RunRecord<D>) -> Self {
        let end = record.run_outcome();
        Self {
            ended_at: end.map(|_| record.ended_at.0),
            kind: end.map(D::outcome_word),
            reason: record.reason(),
            cost_micro_usd: record.cost().0,
        }
    }
}
