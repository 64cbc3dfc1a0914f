//! What needs the network, and is left out of the usual run: `cargo xtask test --online`.

// Helpers of tests are tests too; clippy exempts test functions only.
#![allow(clippy::unwrap_used)]

mod examples;
mod history;
mod recorded;
mod rules;
mod verify;

use crate::support::readme;
