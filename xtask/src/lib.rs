//! The parts of `cargo xtask` that the crate of the measurements (`bench`) also uses: facts of the workspace,
//! tools, output.

pub mod say;
pub mod tools;
pub mod workspace;
