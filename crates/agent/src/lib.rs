//! The runtimes of agents: a model takes turns within limits of cost, turns and time, and uses individually
//! allowed tools. This process or the `claude` program holds the conversation. The crate also has the prompts
//! from Truing and from repositories, the fixers' tools, the MCP servers and clients, and the sandbox. The
//! sandbox runs tools' programs and a repository's own setup and checks.

pub mod cli;
pub mod command;
pub mod fixer;
pub mod installed;
pub mod mcp;
pub mod memory;
pub mod native;
pub mod outgoing_text;
pub mod prompt;
pub mod proxy;
pub mod read_only_program;
pub mod runtime;
pub mod sandbox;
pub mod schema;
pub mod tree;
pub mod verify;
