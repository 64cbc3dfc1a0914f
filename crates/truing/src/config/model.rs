//! Which model reviews, and where it is.

use super::problem::ConfigError;
#[cfg(feature = "aws")]
use super::problem::Origin;
use super::secret::Secret;
use super::{Typed, layer};

/// Section `model`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelConfig {
    /// Who serves it.
    pub provider: ProviderKind,
    /// Where the Messages API is, without a slash at the end; of [`ProviderKind::Aws`] none, where that is the
    /// region's own.
    pub base_url: Option<String>,
    /// The key that opens it.
    pub api_key: Secret,
    /// The region of AWS.
    pub region: Option<String>,
    /// The workspace on AWS.
    pub workspace_id: Option<String>,
    /// The model's id.
    pub name: String,
}

/// Who serves models.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProviderKind {
    /// Whoever speaks the Messages API.
    Anthropic,
    /// The Messages API on AWS.
    #[cfg(feature = "aws")]
    Aws,
}

pub(super) fn of(settings: &Typed<'_>) -> Result<ModelConfig, ConfigError> {
    let provider = settings.word(layer::PROVIDER, |word| match word {
        "anthropic" => Some(ProviderKind::Anthropic),
        #[cfg(feature = "aws")]
        "aws" => Some(ProviderKind::Aws),
        _ => None,
    })?;
    let is_elsewhere = match provider {
        ProviderKind::Anthropic => false,
        // What others say of it, they say of another provider.
        #[cfg(feature = "aws")]
        ProviderKind::Aws => {
            matches!(settings.setting(layer::BASE_URL)?.origin, Origin::Default | Origin::Foreign(_))
        }
    };
    Ok(ModelConfig {
        provider,
        base_url: if is_elsewhere { None } else { Some(settings.url(layer::BASE_URL)?) },
        api_key: settings.secret("model.api_key")?.ok_or_else(|| super::bug("model.api_key"))?,
        region: settings.name_if_any("model.region")?,
        workspace_id: settings.name_if_any("model.workspace_id")?,
        name: settings.name("model.name")?,
    })
}
