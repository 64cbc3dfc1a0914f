//! The runtimes: a model's turns inside limits of money, turns and time, with tools that are allowed one by one, in this
//! process or with the `claude` program in between; what models are told, by us and by repositories; the tools of those
//! that mend; tools served to agents of others; the sandbox for the programs that they run, and for a repository's own
//! set-up and checks.

pub mod cli;
pub mod command;
pub mod fixer;
pub mod installed;
pub mod looking;
pub mod mcp;
pub mod memory;
pub mod native;
pub mod outgoing;
pub mod prompt;
pub mod proxy;
pub mod runtime;
pub mod sandbox;
pub mod schema;
pub mod tree;
pub mod verify;
