//! Releases of upstream packages. `index` lists them, and `archives` downloads and verifies their archives
//! once. `manifest` reads the definitions that a project pins, and `constraint` reads the range of releases
//! that the project admits. `requirements` decides whether a changed requirement of a release affects the
//! project. `range` has the version ranges of each registry, and `user_index` finds the index that this
//! user's package managers use. No part of a release is unpacked to disk, imported, built or run.

pub mod archives;
pub mod constraint;
pub mod index;
pub mod manifest;
mod python_hash_test;
pub mod range;
pub mod requirements;
pub mod user_index;
