//! Truing: bounded review loops around pull requests. This crate holds the command line and what its commands
//! run; `main.rs` only starts it. Each module below opens with what it is for.

// What a review awaits is nested deeper than the compiler follows by itself.
#![recursion_limit = "256"]

pub mod cli;
#[cfg(feature = "demo")]
pub mod demo;
pub mod wiring;
