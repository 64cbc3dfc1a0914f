//! Truing: bounded review loops around pull requests. This crate contains the command line and the wiring of
//! its commands; `main.rs` only starts it. The head of each module states its purpose.

// The futures of a review are nested deeper than the compiler's default limit.
#![recursion_limit = "256"]

pub mod cli;
#[cfg(feature = "demo")]
pub mod demo;
pub mod wiring;
