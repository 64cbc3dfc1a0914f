//! Releases of upstream packages: what an index lists (`index`), their archives, downloaded once and verified
//! (`archives`), what a project pins of them (`manifest`) and which of them it admits (`constraint`). Nothing of a
//! release is unpacked to disk, imported, built or run.

pub mod archives;
pub mod constraint;
pub mod index;
pub mod manifest;
