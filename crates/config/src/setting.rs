//! Effective values of configuration keys.

use super::problem::{ConfigError, ConfigProblem, ValueOrigin};
use super::value::ConfigValue;

/// An effective value with its origin.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectiveSetting {
    pub value: ConfigValue,
    /// Origin of the value.
    pub origin: ValueOrigin,
    /// Origin of elements that were added to the value, if any.
    pub addition_origin: Option<ValueOrigin>,
}

/// Creates the error for a key that the table of keys and this code treat differently.
pub(super) fn table_mismatch(path: &str) -> ConfigError {
    ConfigProblem::KeyTableMismatch { key: path.to_owned() }.into()
}
