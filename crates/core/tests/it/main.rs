//! Tests the crate's decisions through its public items: rule by rule, in whole runs, and with cases whose
//! author had not seen the code. All tests are in one program, which saves the time to link several programs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a helper of tests may fail them; figures are part of their result"
)]

mod converge;
mod grammar;
mod identity;
mod markdown;
mod policy;
mod policy_files;
mod publish;
mod recheck;
mod slot;
mod sync;
