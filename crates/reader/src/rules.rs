//! Implements each kind of rule, except syntax rules, which have a module of their own.

pub(crate) mod companion;
mod overrides;
pub(crate) mod scanner;
pub(crate) mod size;
pub(crate) mod text;
