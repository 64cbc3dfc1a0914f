//! The loops (review, converge, sync) and the parts that they share. Each loop is a list of steps, and each
//! step is a separate function.
//!
//! [`review`] is the server's review of a pull request, [`pull`] is a review that publishes nothing, and
//! [`local`] is the review of a local repository. All of these reviews use the same steps ([`reading`]) to
//! turn a change into findings with ids. Local reviews begin in [`compare`], which determines the base of the
//! change. Reviews of pull requests begin with the commits: [`fetch`] fetches the commits and [`checkout`]
//! reads them.
//!
//! [`agent`] performs the model's part of each review. [`finding_storage`] keeps the findings of reviews
//! without a slot, and [`attempts`] lists the reviews that have not ended. [`desired_state`] determines the
//! comments and the status that the pull request should show, with the texts of [`text`]. [`review_writes`]
//! reports the writes. [`ignores`] warns about patterns that match nothing. [`fix`] applies the suggestions
//! of a local review. [`converge`] fixes a branch until an audit finds nothing. [`sync`] follows an upstream
//! package. [`verify`] runs a repository's own checks on two states of the repository. [`run_gate`] is
//! checked before each write.
//!
//! The loops share [`budget`] (limits of model cost), [`reader`] (the processes that parse repository bytes)
//! and [`slots`] (commands that change slots in a store). They also share [`step_stop_reason`] (the reasons
//! why a lease's step stops), [`telemetry`] (traces) and [`machine`] (clock, ids, level of the sandbox).

// The nested future types of a review exceed the compiler's default recursion limit.
#![recursion_limit = "256"]

pub mod agent;
pub mod attempts;
pub mod budget;
pub mod checkout;
mod command_failure;
pub mod compare;
pub mod converge;
pub mod desired_state;
pub mod earlier_reviews;
pub mod fetch;
mod files;
pub mod finding_storage;
pub mod fix;
pub mod head_comparison;
pub mod ignores;
mod instructions;
mod lfs;
pub mod local;
pub mod machine;
pub mod patched_files;
pub mod pull;
pub mod reader;
pub mod reading;
pub mod review;
pub mod review_writes;
pub mod run_gate;
pub mod severities;
pub mod slots;
pub mod step_stop_reason;
pub mod sync;
pub mod telemetry;
pub mod text;
pub mod tools;
pub mod verify;

pub use truing_reader::redact::{redact_line, redact_secrets};

/// Returns the names and versions of the programs that take part in a review, for the records.
pub fn program_versions() -> std::collections::BTreeMap<String, String> {
    [("truing".to_owned(), env!("CARGO_PKG_VERSION").to_owned())].into()
}
