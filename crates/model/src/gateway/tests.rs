//! Tests the gateway against a fake provider on loopback. Every fault has one outcome, a known number of
//! requests, and a cost that agrees with the provider's bill.

mod common;
mod fallback;
mod faults;
#[cfg(feature = "aws")]
mod keys;
mod money;
mod stage;
mod stalls;
mod subscription;
