//! Reads releases of upstream packages. `index` lists the releases; `archives` downloads and verifies each
//! archive once. `manifest` reads the definitions that a project pins, and `project_requirement` reads the
//! version range that the project allows. `requirement_changes` decides whether a changed requirement of a
//! release affects the project. `range` parses the version ranges of each registry, and `user_index` finds
//! the index that this user's package managers use. Releases are never unpacked to disk, imported, built or
//! run.

pub mod archives;
pub mod index;
pub mod manifest;
pub mod project_requirement;
mod python_hash_test;
pub mod range;
pub mod requirement_changes;
pub mod user_index;
