//! The parts of a gateway that all its sessions share: connections, circuit breaker, ledger.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use truing_core::port::{Clock, Ledger};

use super::circuit::ProviderCircuit;
use super::settling::PendingCallCount;
use crate::client::ProviderClient;
use crate::price::ModelPrices;
use crate::subscription::ReachedUsageLimit;

/// The parts of a gateway that its sessions share.
pub(super) struct GatewayState {
    pub(super) client: ProviderClient,
    pub(super) prices: ModelPrices,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) circuit: ProviderCircuit,
    pub(super) pending_calls: PendingCallCount,
    pub(super) retry_count: AtomicU64,
    /// The usage limit that the subscription has reached last. No request is sent until it resets.
    pub(super) reached_limit: Mutex<Option<ReachedUsageLimit>>,
}
