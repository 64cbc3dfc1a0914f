//! Truing's decisions without I/O: the slot machine, findings and their identity, the publish plan, outcomes,
//! and the ports for external services. This crate uses no tokio, clock, random numbers, environment
//! variables or files.

/// Boxes the future of an `async fn` that other crates call.
///
/// Without this attribute, each crate that awaits an `async fn` recompiles the function's body and everything
/// awaited in it. With this attribute, the function is compiled only in its own crate.
pub use async_recursion::async_recursion as boxed_future;

pub mod agent;
pub mod branch_name;
pub mod breaker;
pub mod code_digest;
pub mod comment_text;
pub mod commit;
pub mod converge;
pub mod dismissal;
pub mod effect;
pub mod excerpt;
pub mod finding;
pub mod given_secrets;
pub mod glob;
pub mod grammar;
pub mod id;
pub mod identity;
pub mod increment;
pub mod instruction;
pub mod json;
pub mod lease_fairness;
pub mod ledger;
pub mod line;
pub mod linter;
pub mod loopback;
pub mod markdown;
pub mod money;
pub mod nesting;
pub mod outcome;
pub mod policy;
pub mod port;
pub mod price;
pub mod publish;
pub mod recheck;
pub mod registry;
pub mod review_settlement;
pub mod run;
pub mod sandbox;
pub mod secret;
pub mod severity;
pub mod slot;
pub mod suppression;
pub mod switch;
pub mod sync;
pub mod template;
pub mod tier;
pub mod verification;
pub mod version;
pub mod worker_group;

/// The ports use `RepoPath`, so this crate exports the type for crates that do not depend on `truing_diff`.
pub use truing_diff::RepoPath;
