//! The gateway against the fake provider over loopback: every fault has one outcome, a known number of requests, and
//! money that agrees with what the provider billed.

mod common;
mod fallback;
mod faults;
#[cfg(feature = "aws")]
mod keys;
mod money;
mod stage;
mod stalls;
