//! Money: reserved before a model call, settled after it (design.md section 5).

use async_trait::async_trait;

use super::StoreError;
use crate::ledger::{
    BudgetLevel, BudgetUsage, CostBasis, ReservationId, ReservationOutcome, ReservationRequest, RunBudget,
};
use crate::money::MicroUsd;

/// What model calls draw on. Each call is one durable transaction over all levels of a purse, and begins with settling
/// in full, as estimated, what has expired. A level's limit is the one that was asked with last.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Sets money aside for one call, as much as every level has, at most `ask.most`; or refuses. A purse without
    /// levels is an error: nothing would bound it.
    async fn reserve(
        &self,
        purse: &RunBudget,
        ask: &ReservationRequest,
    ) -> Result<ReservationOutcome, StoreError>;

    /// The call is over and cost this much; what else was set aside is free again. Repeating it changes nothing.
    /// What was metered replaces what was estimated, in whatever order they come: an owner that was taken for dead
    /// may still know. The answer: what the ledger holds the call to have cost.
    async fn settle(
        &self,
        reservation: ReservationId,
        cost: MicroUsd,
        known: CostBasis,
    ) -> Result<MicroUsd, StoreError>;

    /// These levels as they are, in order.
    async fn look(&self, levels: &[BudgetLevel]) -> Result<Vec<BudgetUsage>, StoreError>;

    /// Every level of current periods that was drawn on; of those without a period, those that were drawn on today.
    async fn drawn(&self) -> Result<Vec<BudgetUsage>, StoreError>;
}
