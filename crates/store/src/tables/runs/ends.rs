//! The columns that a run gets from its record when it ends.

use truing_core::run::{RunDetail, RunRecord};

/// The columns about the end of a run. With these columns, runs can be counted without reading their records.
pub(crate) struct RunEndColumns<'a> {
    pub(crate) ended_at: Option<i64>,
    pub(crate) kind: Option<&'static str>,
    pub(crate) reason: Option<&'a str>,
    pub(crate) cost_micro_usd: u64,
}

impl<'a> RunEndColumns<'a> {
    pub(crate) fn from_record<D: RunDetail>(record: &'a RunRecord<D>) -> Self {
        let end = record.run_outcome();
        Self {
            ended_at: end.map(|_| record.ended_at.0),
            kind: end.map(D::outcome_word),
            reason: record.reason(),
            cost_micro_usd: record.cost().0,
        }
    }
}
