//! The modules of `cargo xtask` that the crate `bench` also uses: facts about the workspace, tools, and
//! output.

pub mod say;
pub mod tools;
pub mod workspace;
