//! The ledger port: money is reserved before a model call and settled after it.

use async_trait::async_trait;

use super::StoreError;
use crate::ledger::{
    BudgetLevel, BudgetUsage, CostBasis, ReservationId, ReservationOutcome, ReservationRequest, RunBudget,
};
use crate::money::MicroUsd;

/// A ledger of the budgets that pay for model calls. Each method is one durable transaction over all levels
/// of a budget. Each method first settles expired reservations at their full amount, as estimated costs. Each
/// request contains the limits of its levels; the limit in the latest request applies.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Reserves money for one model call: at most `request.max_amount`, and no more than any level has left.
    /// Refuses if less than `request.min_amount` is left. A budget without levels is an error, because the
    /// cost would have no limit.
    async fn reserve(
        &self,
        budget: &RunBudget,
        request: &ReservationRequest,
    ) -> Result<ReservationOutcome, StoreError>;

    /// Settles a call at this cost and releases the rest of its reservation. Repeating the settlement changes
    /// nothing. A metered cost always takes precedence over an estimated cost, even if it is reported later.
    /// For example, a process may report the cost of its call after its reservation has expired. Returns the
    /// cost that the ledger now records for the call.
    async fn settle_reservation(
        &self,
        reservation: ReservationId,
        cost: MicroUsd,
        basis: CostBasis,
    ) -> Result<MicroUsd, StoreError>;

    /// Returns the usage of these levels, in the order of `levels`.
    async fn budget_usage(&self, levels: &[BudgetLevel]) -> Result<Vec<BudgetUsage>, StoreError>;

    /// For the current day and month, returns the usage of every level that calls were charged to. Levels
    /// without a period are included if calls were charged to them today.
    async fn current_usage(&self) -> Result<Vec<BudgetUsage>, StoreError>;
}
