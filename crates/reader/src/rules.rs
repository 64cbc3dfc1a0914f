//! Implements each kind of rule except syntax rules, which are in another module.

pub(crate) mod companion;
mod overrides;
pub(crate) mod scanner;
pub(crate) mod size;
pub(crate) mod text;
