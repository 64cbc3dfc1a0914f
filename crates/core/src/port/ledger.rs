//! The ledger port: money is reserved before a model call and settled after it.

use async_trait::async_trait;

use super::StoreError;
use crate::ledger::{
    BudgetLevel, BudgetUsage, CostBasis, ReservationId, ReservationOutcome, ReservationRequest, RunBudget,
};
use crate::money::MicroUsd;

/// A ledger of the money that model calls draw on. Each call is one durable transaction over all levels of a
/// budget. Each call first settles expired reservations at their full amount, as estimated costs. The limit
/// of a level is the one that the latest request gave.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Reserves money for one model call: as much as every level has left, but at most `request.max_amount`.
    /// Refuses if less than `request.min_amount` is left. A budget without levels is an error, because
    /// nothing would limit the cost.
    async fn reserve(
        &self,
        budget: &RunBudget,
        request: &ReservationRequest,
    ) -> Result<ReservationOutcome, StoreError>;

    /// Settles a call at this cost and releases the rest of its reservation. Repeating the settlement changes
    /// nothing. A metered cost always takes precedence over an estimated one, whichever is reported first,
    /// because an owner that was presumed dead may still report its cost. Returns the cost that the ledger
    /// now records for the call.
    async fn settle_reservation(
        &self,
        reservation: ReservationId,
        cost: MicroUsd,
        basis: CostBasis,
    ) -> Result<MicroUsd, StoreError>;

    /// Returns the usage of these levels, in the order of `levels`.
    async fn budget_usage(&self, levels: &[BudgetLevel]) -> Result<Vec<BudgetUsage>, StoreError>;

    /// Returns every level of a current period that calls have drawn on. Levels without a period are returned
    /// if calls have drawn on them today.
    async fn current_usage(&self) -> Result<Vec<BudgetUsage>, StoreError>;
}
