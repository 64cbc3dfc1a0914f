//! The modules of `cargo xtask` that the crate `bench` also uses: facts about the workspace, and output.

pub mod say;
pub mod workspace;
