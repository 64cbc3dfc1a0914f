//! Tracks the cost of runs that never reported their end. The ledger contains this cost, and the record of a
//! later run reports it.

use truing_core::id::RunId;
use truing_core::ledger::{BudgetLevel, BudgetLevelKind};
use truing_core::money::MicroUsd;
use truing_core::port::{Ledger, StoreError};
use truing_core::sync::job::{JobState, UnreportedCost};

/// Records that a run has begun. The cost of the run counts as unreported until there is a record of this
/// run.
pub(super) fn add_unreported_run(job: &mut JobState, run: &RunId) {
    if job.untold.iter().all(|known| known.run != *run) {
        job.untold.push(UnreportedCost { run: run.clone(), reported_cost: MicroUsd(0) });
    }
}

/// Ends the tracking of this run, because the run's own record reports its cost. Returns the cost of earlier
/// runs that no record has reported. If an earlier run has calls that are not settled, a later run reports
/// their cost after they are settled.
pub(super) async fn take_unreported_cost(
    store: &dyn Ledger,
    job: &mut JobState,
    run: &RunId,
) -> Result<MicroUsd, StoreError> {
    let mut carried = 0_u64;
    let mut left = Vec::new();
    for UnreportedCost { run: other, reported_cost: told } in std::mem::take(&mut job.untold) {
        if other == *run {
            continue;
        }
        let (key, period) = (other.as_str().to_owned(), String::new());
        let level = BudgetLevel { kind: BudgetLevelKind::Run, key, period, limit: MicroUsd(0) };
        let drawn = store.budget_usage(&[level]).await?;
        let spent = drawn.iter().map(|drawn| drawn.spent.0).fold(0, u64::saturating_add);
        carried = carried.saturating_add(spent.saturating_sub(told.0));
        if drawn.iter().any(|drawn| drawn.reserved.0 > 0) {
            left.push(UnreportedCost { run: other, reported_cost: MicroUsd(spent) });
        }
    }
    job.untold = left;
    Ok(MicroUsd(carried))
}
