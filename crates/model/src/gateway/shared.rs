//! Parts that all sessions of a gateway use: its connections, its circuit, the money.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use truing_core::port::{Clock, Ledger};

use super::circuit::Circuit;
use super::settling::Settling;
use crate::client::Client;
use crate::price::Prices;

/// The parts of a gateway that its sessions share.
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) prices: Prices,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) circuit: Circuit,
    pub(super) settling: Settling,
    pub(super) retries: AtomicU64,
}
