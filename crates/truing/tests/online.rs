//! What needs the network, and is left out of the usual run: `cargo xtask test --online`.

// Helpers of tests are tests too; clippy exempts test functions only.
#![allow(clippy::unwrap_used)]

#[path = "online/examples.rs"]
mod examples;
#[path = "online/history.rs"]
mod history;
#[path = "support/readme.rs"]
mod readme;
#[path = "online/recorded.rs"]
mod recorded;
#[path = "online/rules.rs"]
mod rules;
#[path = "online/verify.rs"]
mod verify;
