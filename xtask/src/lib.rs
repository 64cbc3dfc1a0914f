//! What `cargo xtask` shares with the crate of the measurements (`bench`): facts of the workspace, tools, output.

pub mod say;
pub mod tools;
pub mod workspace;
