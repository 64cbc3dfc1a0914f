//! JSON formats that each belong to one tool. They contain more than the shared formats: the ends of
//! locations, fixes, and pages about rules.
//!
//! Each reader is a function with the signature that [`NamedFormat`](crate::output::format::NamedFormat)
//! requires. The unit of columns, and whether ends are exclusive, were determined from the tool's
//! documentation and from its output for lines with non-ASCII characters.

pub(crate) mod cargo;
pub(crate) mod go;
pub(crate) mod python;
pub(crate) mod reading;
pub(crate) mod ruby;
pub(crate) mod script;
pub(crate) mod search;
pub(crate) mod secrets;
pub(crate) mod shell;
pub(crate) mod sql;
