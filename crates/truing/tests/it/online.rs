//! What needs the network, and is left out of the usual run: `cargo xtask test --online`.

mod examples;
mod history;
mod recorded;
mod rules;
mod verify;

use crate::support::readme;
