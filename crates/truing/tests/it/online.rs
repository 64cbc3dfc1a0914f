//! Tests that need the network. They run only with `cargo xtask test --online`.

mod examples;
mod history;
mod recorded;
mod rules;
mod verify;

use crate::support::readme;
