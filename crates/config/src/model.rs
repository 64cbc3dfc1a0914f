//! Which models there are, and where they are.

use super::Typed;
use super::problem::{ConfigError, Origin, Problem};
use super::secret::Secret;

/// Section `model`, or `model.NAME`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelConfig {
    /// Its section: `model`, or `model.NAME`.
    pub section: String,
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

/// Section `model`.
pub(super) fn of(settings: &Typed<'_>) -> Result<ModelConfig, ConfigError> {
    read(settings, "model")
}

/// Section `model.NAME`.
pub(super) fn named(settings: &Typed<'_>, name: &str) -> Result<ModelConfig, ConfigError> {
    read(settings, &format!("model.{name}"))
}

fn read(settings: &Typed<'_>, section: &str) -> Result<ModelConfig, ConfigError> {
    let path = |key: &str| format!("{section}.{key}");
    let needed = |key: &str| {
        let (key, wrong) = (path(key), "has to be said".to_owned());
        Problem::BadValue { at: Origin::Default, key, wrong }
    };
    let provider = settings.word(&path("provider"), |word| match word {
        "anthropic" => Some(ProviderKind::Anthropic),
        #[cfg(feature = "aws")]
        "aws" => Some(ProviderKind::Aws),
        _ => None,
    })?;
    let address = path("base_url");
    let is_elsewhere = match provider {
        ProviderKind::Anthropic => false,
        // What others say of it, they say of another provider.
        #[cfg(feature = "aws")]
        ProviderKind::Aws => {
            matches!(settings.setting(&address)?.origin, Origin::Default | Origin::Foreign(_))
        }
    };
    let api_key = match (settings.secret(&path("api_key"))?, provider) {
        (Some(key), _) => key,
        (None, ProviderKind::Anthropic) => return Err(needed("api_key").into()),
        // Its requests are signed.
        #[cfg(feature = "aws")]
        (None, ProviderKind::Aws) => Secret::Env("AWS_SECRET_ACCESS_KEY".to_owned()),
    };
    Ok(ModelConfig {
        section: section.to_owned(),
        provider,
        base_url: if is_elsewhere { None } else { Some(settings.url(&address)?) },
        api_key,
        region: settings.name_if_any(&path("region"))?,
        workspace_id: settings.name_if_any(&path("workspace_id"))?,
        name: settings.name_if_any(&path("name"))?.ok_or_else(|| needed("name"))?,
    })
}
