//! Configuration of the models and their providers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::TypedSettings;
use super::converge::unknown_model_message;
use super::problem::{ConfigError, ConfigProblem, ValueOrigin};
use super::secret::SecretSource;

/// Section `model` or `model.NAME` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelConfig {
    /// Name of the model's section: `model`, or `model.NAME`.
    pub section: String,
    /// Provider of the model.
    pub provider: ProviderKind,
    /// Address of the provider, without a slash at the end. `None` selects the provider's default address.
    pub base_url: Option<String>,
    /// Source of the API key.
    pub api_key: SecretSource,
    /// Source of a subscription's token. `None` for the models of the sections `[model.NAME]`.
    pub oauth_token: Option<SecretSource>,
    /// Configuration folder of a `claude` that is logged in to a subscription.
    pub claude_config_dir: Option<PathBuf>,
    /// AWS region of the provider.
    pub region: Option<String>,
    /// Workspace id on AWS.
    pub workspace_id: Option<String>,
    /// Version of Azure's Chat Completions API.
    pub api_version: Option<String>,
    /// Reasoning effort in requests to a server of Chat Completions. If it is `None`, requests omit it.
    pub effort: Option<String>,
    /// Id of the model.
    pub name: String,
    /// Model ids at Amazon Bedrock, by model name.
    pub model_ids: BTreeMap<String, String>,
    /// The `NAME` of the section `[model.NAME]` whose model is called if this model is unavailable.
    pub fallback: Option<String>,
}

/// The model for each kind of work, as the `NAME` of an existing section `[model.NAME]`. `None` selects the
/// model of `[model]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ModelNamesByRole {
    /// Model for the review loop.
    pub reviewer: Option<String>,
    /// Model for audits of the converge loop.
    pub auditor: Option<String>,
    /// Model that writes code for sync jobs.
    pub sync_writer: Option<String>,
}

/// The providers of models.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProviderKind {
    /// A server of the Messages API.
    Anthropic,
    /// A server of Chat Completions.
    OpenAi,
    /// The Messages API on AWS.
    #[cfg(feature = "aws")]
    Aws,
    /// Amazon Bedrock's own API.
    #[cfg(feature = "aws")]
    Bedrock,
}

impl ProviderKind {
    /// Returns true for Amazon Bedrock.
    pub fn is_bedrock(self) -> bool {
        match self {
            Self::Anthropic | Self::OpenAi => false,
            #[cfg(feature = "aws")]
            Self::Aws => false,
            #[cfg(feature = "aws")]
            Self::Bedrock => true,
        }
    }

    /// Returns the provider's name in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            #[cfg(feature = "aws")]
            Self::Aws => "aws",
            #[cfg(feature = "aws")]
            Self::Bedrock => "bedrock",
        }
    }
}

/// Environment variable with a bearer token for Amazon Bedrock.
pub const BEDROCK_TOKEN_VARIABLE: &str = "AWS_BEARER_TOKEN_BEDROCK";

/// Environment variable with the API key for OpenAI and for other servers of Chat Completions.
pub const OPENAI_KEY_VARIABLE: &str = "OPENAI_API_KEY";
/// Address of OpenAI's own API.
pub const OPENAI_BASE_URL: &str = "https://api.openai.com/v1";

/// Variable with the secret of the AWS credentials.
pub(super) const AWS_KEY_VARIABLE: &str = "AWS_SECRET_ACCESS_KEY";

/// Key that names the fallback, which is called if the model of `[model]` is unavailable.
const MODEL_FALLBACK_KEY: &str = "model.fallback";

/// Reads the section `model`; `model_names` contains the names of the sections `model.NAME`.
pub(super) fn read_section(
    settings: &TypedSettings<'_>,
    model_names: Option<&BTreeSet<String>>,
) -> Result<ModelConfig, ConfigError> {
    let fallback = read_model_name(settings, MODEL_FALLBACK_KEY, model_names)?;
    Ok(ModelConfig {
        oauth_token: settings.secret("model.oauth_token")?,
        claude_config_dir: settings.path("model.claude_config_dir")?,
        fallback,
        ..read_model(settings, "model")?
    })
}

/// Reads the keys that assign a model to one kind of work. `model_names` contains the existing names.
pub(super) fn read_roles(
    settings: &TypedSettings<'_>,
    model_names: Option<&BTreeSet<String>>,
) -> Result<ModelNamesByRole, ConfigError> {
    Ok(ModelNamesByRole {
        reviewer: read_model_name(settings, "review.model", model_names)?,
        auditor: read_model_name(settings, "converge.auditor", model_names)?,
        sync_writer: read_model_name(settings, "sync.model", model_names)?,
    })
}

/// Returns the name that `key` contains, which must be the name of an existing model. Returns `None` if the
/// key is unset.
pub(super) fn read_model_name(
    settings: &TypedSettings<'_>,
    key: &str,
    model_names: Option<&BTreeSet<String>>,
) -> Result<Option<String>, ConfigError> {
    let name = settings.text_if_any(key)?;
    if let Some(name) = &name
        && !model_names.is_some_and(|models| models.contains(name))
    {
        let origin = settings.setting(key)?.origin.clone();
        let wrong = unknown_model_message(name, model_names.into_iter().flatten());
        return Err(ConfigProblem::BadValue { origin, key: key.to_owned(), requirement: wrong }.into());
    }
    Ok(name)
}

/// Reads the section `model.NAME`.
pub(super) fn read_named_section(
    settings: &TypedSettings<'_>,
    name: &str,
) -> Result<ModelConfig, ConfigError> {
    read_model(settings, &format!("model.{name}"))
}

fn read_model(settings: &TypedSettings<'_>, section: &str) -> Result<ModelConfig, ConfigError> {
    let path = |key: &str| format!("{section}.{key}");
    let needed = |key: &str| {
        let (key, wrong) = (path(key), "must be set".to_owned());
        ConfigProblem::BadValue { origin: ValueOrigin::Default, key, requirement: wrong }
    };
    let provider = settings.choice(&path("provider"), |word| match word {
        "anthropic" => Some(ProviderKind::Anthropic),
        "openai" => Some(ProviderKind::OpenAi),
        #[cfg(feature = "aws")]
        "aws" => Some(ProviderKind::Aws),
        #[cfg(feature = "aws")]
        "bedrock" => Some(ProviderKind::Bedrock),
        _ => None,
    })?;
    Ok(ModelConfig {
        section: section.to_owned(),
        provider,
        base_url: settings.url_if_any(&path("base_url"))?,
        api_key: settings.secret(&path("api_key"))?.ok_or_else(|| needed("api_key"))?,
        oauth_token: None,
        claude_config_dir: None,
        region: settings.text_if_any(&path("region"))?,
        workspace_id: settings.text_if_any(&path("workspace_id"))?,
        api_version: settings.text_if_any(&path("api_version"))?,
        effort: settings.text_if_any(&path("effort"))?,
        name: settings.text_if_any(&path("name"))?.ok_or_else(|| needed("name"))?,
        model_ids: settings.id_table(&path("model_ids"))?,
        fallback: None,
    })
}
