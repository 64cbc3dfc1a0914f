//! Effective values.

use super::problem::{ConfigError, ConfigProblem, ValueOrigin};
use super::value::ConfigValue;

/// An effective value and who set it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EffectiveSetting {
    /// The value.
    pub value: ConfigValue,
    /// Who set it.
    pub origin: ValueOrigin,
    /// Who added to it.
    pub added: Option<ValueOrigin>,
}

/// The table of keys and this file disagree.
pub(super) fn bug(path: &str) -> ConfigError {
    ConfigProblem::Table { key: path.to_owned() }.into()
}
