//! The columns of a run that its record fills once it has ended.

use truing_core::run::{Detail, RunRecord};

/// The columns that say how a run ended, so that runs are counted without reading their records.
pub(in crate::sqlite) struct EndColumns<'a> {
    pub(in crate::sqlite) ended: Option<i64>,
    pub(in crate::sqlite) kind: Option<&'static str>,
    pub(in crate::sqlite) reason: Option<&'a str>,
    pub(in crate::sqlite) cost: u64,
}

impl<'a> EndColumns<'a> {
    pub(in crate::sqlite) fn of<D: Detail>(record: &'a RunRecord<D>) -> Self {
        let end = record.end();
        Self {
            ended: end.map(|_| record.ended.0),
            kind: end.map(D::word),
            reason: record.reason(),
            cost: record.cost().0,
        }
    }
}
