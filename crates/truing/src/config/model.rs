//! Which model reviews, and where it is.

use super::Typed;
use super::problem::ConfigError;
use super::secret::Secret;

/// Section `model`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelConfig {
    /// Where the Messages API is, without a slash at the end.
    pub base_url: String,
    /// The key that opens it.
    pub api_key: Secret,
    /// The model's id.
    pub name: String,
}

pub(super) fn of(settings: &Typed<'_>) -> Result<ModelConfig, ConfigError> {
    Ok(ModelConfig {
        base_url: settings.url("model.base_url")?,
        api_key: settings.secret("model.api_key")?.ok_or_else(|| super::bug("model.api_key"))?,
        name: settings.name("model.name")?,
    })
}
