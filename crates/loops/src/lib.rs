//! The loops (review, converge, sync) and what they share: each reads as a list of steps, and every step is a
//! function of its own.
//!
//! [`review`] is the served review of a pull request, [`pull`] the one that publishes nothing, [`local`] the one of a
//! local repository. All take the same steps from a change to findings with ids ([`reading`]): the local ones from
//! where [`compare`] says that the change begins, those of pull requests from their commits on ([`checkout`], which
//! [`fetch`] brings from where they are).
//! [`agent`] is a model's part in each of them. [`memory`] is what reviews without a slot remember, [`attempts`] which
//! of them have not ended. [`desired`] says what the pull request should show, in the words of [`text`], [`review_writes`] what was
//! written. [`ignores`] warns of patterns that match nothing. [`fix`] applies what a local review suggests. [`converge`] fixes a
//! branch until an audit finds nothing. [`sync`] follows an upstream package. [`verify`] runs a repository's own checks on two of
//! its states. [`run_gate`] is asked before each write.
//!
//! They share [`budget`] (limits of what models cost), [`reader`] (the processes that parse repository bytes),
//! [`slots`] (steps of slots on a store), [`stopped`] (the reasons why a lease's step stops), [`telemetry`] (traces) and [`machine`] (clock, ids, level of the sandbox).

// What a review awaits is nested deeper than the compiler follows by itself.
#![recursion_limit = "256"]

pub mod agent;
pub mod attempts;
pub mod budget;
pub mod checkout;
pub mod compare;
pub mod converge;
pub mod desired;
pub mod earlier;
pub mod fetch;
mod files;
pub mod fix;
pub mod given;
pub mod ignores;
mod instructions;
mod lfs;
pub mod local;
pub mod machine;
pub mod memory;
pub mod pull;
pub mod reader;
pub mod reading;
pub mod review;
pub mod review_writes;
pub mod run_gate;
mod said;
pub mod severities;
pub mod since;
pub mod slots;
pub mod stopped;
pub mod sync;
pub mod telemetry;
pub mod text;
pub mod tools;
pub mod verify;

pub use truing_reader::redact::{redact, redact_line};

/// The programs that make outcomes and their versions, for records.
pub fn versions() -> std::collections::BTreeMap<String, String> {
    [("truing".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into()
}
