//! Effective values.

use super::problem::{ConfigError, Origin, Problem};
use super::value::Value;

/// An effective value and who set it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The value.
    pub value: Value,
    /// Who set it.
    pub origin: Origin,
    /// Who added to it.
    pub added: Option<Origin>,
}

/// The table of keys and this file disagree.
pub(super) fn bug(path: &str) -> ConfigError {
    Problem::Table { key: path.to_owned() }.into()
}
