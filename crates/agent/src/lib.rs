//! The runtimes of models: turns within limits of money, turns and time, with tools that are allowed one by
//! one, in this process or through the `claude` program. The crate also has the prompts from Truing and
//! from repositories, the fixers' tools, the MCP servers and clients, and the sandbox. The sandbox runs
//! tools' programs and a repository's own setup and checks.

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
