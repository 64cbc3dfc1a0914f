//! What each kind of rule looks at, except rules of syntax, which have a module of their own.

pub(crate) mod companion;
mod overrides;
pub(crate) mod scanner;
pub(crate) mod size;
pub(crate) mod text;
