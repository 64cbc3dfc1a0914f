//! What runs have cost that never told how they ended: it is in the ledger, and the record of a later run tells it.

use truing_core::id::RunId;
use truing_core::ledger::{BudgetLevel, BudgetLevelKind};
use truing_core::money::MicroUsd;
use truing_core::port::{Ledger, StoreError};
use truing_core::sync::job::{JobState, UnreportedCost};

/// A run begins: until its own record tells what it costs, nobody does.
pub(super) fn begun(job: &mut JobState, run: &RunId) {
    if job.untold.iter().all(|known| known.run != *run) {
        job.untold.push(UnreportedCost { run: run.clone(), told: MicroUsd(0) });
    }
}

/// This run ends, and tells of itself. The answer: what those before it have cost, as far as no record has told it. What
/// was set aside for a call in flight is told once it is settled.
pub(super) async fn carried(
    store: &dyn Ledger,
    job: &mut JobState,
    run: &RunId,
) -> Result<MicroUsd, StoreError> {
    let mut carried = 0_u64;
    let mut left = Vec::new();
    for UnreportedCost { run: other, told } in std::mem::take(&mut job.untold) {
        if other == *run {
            continue;
        }
        let (key, period) = (other.as_str().to_owned(), String::new());
        let level = BudgetLevel { kind: BudgetLevelKind::Run, key, period, limit: MicroUsd(0) };
        let drawn = store.look(&[level]).await?;
        let spent = drawn.iter().map(|drawn| drawn.spent.0).fold(0, u64::saturating_add);
        carried = carried.saturating_add(spent.saturating_sub(told.0));
        if drawn.iter().any(|drawn| drawn.reserved.0 > 0) {
            left.push(UnreportedCost { run: other, told: MicroUsd(spent) });
        }
    }
    job.untold = left;
    Ok(MicroUsd(carried))
}
