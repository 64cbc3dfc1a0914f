//! Truing: bounded review loops around pull requests. This crate contains the command line and connects the
//! parts that the commands use; `main.rs` only calls this library. The comment at the top of each module
//! states the module's purpose.

// The futures of a review are nested deeper than the compiler's default limit.
#![recursion_limit = "256"]

pub mod cli;
#[cfg(feature = "demo")]
pub mod demo;
pub mod wiring;
