//! Parses JSON formats that each belong to a single tool. These formats contain details that shared formats
//! lack: ends of locations, fixes, and pages about rules.
//!
//! Each parser is a function with the signature in [`NamedFormat`](crate::output::format::NamedFormat). The
//! tools' documentation and their output for lines with non-ASCII characters show the unit of columns and
//! whether ends are exclusive.

pub(crate) mod cargo;
pub(crate) mod go;
pub(crate) mod javascript;
pub(crate) mod python;
pub(crate) mod reading;
pub(crate) mod ruby;
pub(crate) mod search;
pub(crate) mod secrets;
pub(crate) mod shell;
pub(crate) mod spelling;
pub(crate) mod sql;
