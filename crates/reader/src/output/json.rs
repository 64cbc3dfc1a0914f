//! JSON formats of single tools. They contain more than the shared formats: ends, fixes, and pages about
//! rules.
//!
//! Each reader is a function of the form that [`NamedFormat`](crate::output::format::NamedFormat) holds. The
//! unit of columns, and the inclusion of an end in the place, follow the tool's documentation and its output
//! for lines with letters beyond ASCII.

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
