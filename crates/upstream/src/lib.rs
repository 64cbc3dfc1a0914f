//! Releases of upstream packages: what an index lists (`index`), their archives, downloaded once and verified
//! (`archives`), what a project pins of them (`manifest`), which of them it admits (`constraint`), and what a changed requirement of a release is to it
//! (`requirements`); `range` is what a range of versions is
//! to each registry, `own` the index that the package managers of this user take. Nothing of a
//! release is unpacked to disk, imported, built or run.

pub mod archives;
pub mod constraint;
mod hash_test;
pub mod index;
pub mod manifest;
pub mod own;
pub mod range;
pub mod requirements;
