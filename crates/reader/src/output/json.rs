//! JSON of tools that tells more than any format which several tools share: ends, fixes, and pages about rules.
//!
//! Each reader is a function of the form that [`Named`](crate::output::format::Named) holds. It takes the unit of columns,
//! and whether an end is in the place, from the tool's documentation and from what the tool prints for lines with letters
//! beyond ASCII.

pub mod cargo;
pub mod go;
pub mod python;
pub mod reading;
pub mod ruby;
pub mod script;
pub mod search;
pub mod secrets;
pub mod shell;
pub mod sql;
