//! Tests that need the network and are not part of the usual run: `cargo xtask test --online`.

mod examples;
mod history;
mod recorded;
mod rules;
mod verify;

use crate::support::readme;
