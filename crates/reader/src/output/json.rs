//! JSON of tools that tells more than any format which several tools share: ends, fixes, and pages about rules.
//!
//! Each reader is a function of the form that [`NamedFormat`](crate::output::format::NamedFormat) holds. It takes the unit of columns,
//! and whether an end is in the place, from the tool's documentation and from what the tool prints for lines with letters
//! beyond ASCII.

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
