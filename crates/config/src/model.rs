//! Which models there are, and where they are.

use std::collections::{BTreeMap, BTreeSet};

use super::TypedSettings;
use super::converge::no_model;
use super::problem::{ConfigError, ConfigProblem, ValueOrigin};
use super::secret::SecretSource;

/// Section `model`, or `model.NAME`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelConfig {
    /// Its section: `model`, or `model.NAME`.
    pub section: String,
    /// Who serves it.
    pub provider: ProviderKind,
    /// The provider's address, without a slash at the end; none for the usual one of a region of AWS.
    pub base_url: Option<String>,
    /// The key that opens it.
    pub api_key: SecretSource,
    /// The region of AWS.
    pub region: Option<String>,
    /// The workspace on AWS.
    pub workspace_id: Option<String>,
    /// Azure's version of Chat Completions.
    pub api_version: Option<String>,
    /// How much the model is to think, by a server of Chat Completions; none: nothing is said of it.
    pub effort: Option<String>,
    /// The model's id.
    pub name: String,
    /// Ids of models at Amazon Bedrock, by name.
    pub model_ids: BTreeMap<String, String>,
    /// The `NAME` of the `[model.NAME]` that is asked where this one is not available.
    pub fallback: Option<String>,
}

/// The `NAME`s of the `[model.NAME]`s that do one kind of work, which are there; none: `[model]` does it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RoleModels {
    /// The model that reviews.
    pub reviewer: Option<String>,
    /// The model that audits.
    pub auditor: Option<String>,
    /// The model that writes code for sync jobs.
    pub porter: Option<String>,
}

/// Who serves models.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProviderKind {
    /// Whoever speaks the Messages API.
    Anthropic,
    /// Whoever speaks Chat Completions.
    OpenAi,
    /// The Messages API on AWS.
    #[cfg(feature = "aws")]
    Aws,
    /// Amazon Bedrock.
    #[cfg(feature = "aws")]
    Bedrock,
}

impl ProviderKind {
    /// Is it Amazon Bedrock?
    pub fn is_bedrock(self) -> bool {
        match self {
            Self::Anthropic | Self::OpenAi => false,
            #[cfg(feature = "aws")]
            Self::Aws => false,
            #[cfg(feature = "aws")]
            Self::Bedrock => true,
        }
    }

    /// Its name in a configuration.
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

/// The variable that holds a bearer token for Amazon Bedrock.
#[cfg(feature = "aws")]
pub const BEDROCK_TOKEN: &str = "AWS_BEARER_TOKEN_BEDROCK";

/// The variable that holds the key of OpenAI's API and of other servers of Chat Completions.
pub const OPENAI_KEY: &str = "OPENAI_API_KEY";

/// The key with who is asked where a model is not available.
const FALLBACK: &str = "model.fallback";

/// Section `model`; `models` are the names of the others.
pub(super) fn of(
    settings: &TypedSettings<'_>,
    models: Option<&BTreeSet<String>>,
) -> Result<ModelConfig, ConfigError> {
    let fallback = known(settings, FALLBACK, models)?;
    Ok(ModelConfig { fallback, ..read(settings, "model")? })
}

/// The keys that name a model for one kind of work; `models` are the names that there are.
pub(super) fn roles(
    settings: &TypedSettings<'_>,
    models: Option<&BTreeSet<String>>,
) -> Result<RoleModels, ConfigError> {
    Ok(RoleModels {
        reviewer: known(settings, "review.model", models)?,
        auditor: known(settings, "converge.auditor", models)?,
        porter: known(settings, "sync.model", models)?,
    })
}

/// The name of a model that there is; none: the key says nothing.
pub(super) fn known(
    settings: &TypedSettings<'_>,
    key: &str,
    models: Option<&BTreeSet<String>>,
) -> Result<Option<String>, ConfigError> {
    let name = settings.name_if_any(key)?;
    if let Some(name) = &name
        && !models.is_some_and(|models| models.contains(name))
    {
        let at = settings.setting(key)?.origin.clone();
        let wrong = no_model(name, models.into_iter().flatten());
        return Err(ConfigProblem::BadValue { at, key: key.to_owned(), wrong }.into());
    }
    Ok(name)
}

/// Section `model.NAME`.
pub(super) fn named(settings: &TypedSettings<'_>, name: &str) -> Result<ModelConfig, ConfigError> {
    read(settings, &format!("model.{name}"))
}

fn read(settings: &TypedSettings<'_>, section: &str) -> Result<ModelConfig, ConfigError> {
    let path = |key: &str| format!("{section}.{key}");
    let needed = |key: &str| {
        let (key, wrong) = (path(key), "has to be said".to_owned());
        ConfigProblem::BadValue { at: ValueOrigin::Default, key, wrong }
    };
    let provider = settings.word(&path("provider"), |word| match word {
        "anthropic" => Some(ProviderKind::Anthropic),
        "openai" => Some(ProviderKind::OpenAi),
        #[cfg(feature = "aws")]
        "aws" => Some(ProviderKind::Aws),
        #[cfg(feature = "aws")]
        "bedrock" => Some(ProviderKind::Bedrock),
        _ => None,
    })?;
    let address = path("base_url");
    let is_default = settings.setting(&address)?.origin == ValueOrigin::Default;
    let has_own_default = match provider {
        ProviderKind::Anthropic => false,
        ProviderKind::OpenAi => true,
        #[cfg(feature = "aws")]
        ProviderKind::Aws | ProviderKind::Bedrock => true,
    };
    let api_key = path("api_key");
    let api_key = match (settings.secret(&api_key)?, provider) {
        // The key of another provider is not for this one.
        (_, ProviderKind::OpenAi) if settings.setting(&api_key)?.origin == ValueOrigin::Default => {
            SecretSource::Env(OPENAI_KEY.to_owned())
        }
        #[cfg(feature = "aws")]
        (_, ProviderKind::Bedrock) if settings.setting(&api_key)?.origin == ValueOrigin::Default => {
            SecretSource::Env(BEDROCK_TOKEN.to_owned())
        }
        (Some(key), _) => key,
        (None, ProviderKind::Anthropic | ProviderKind::OpenAi) => return Err(needed("api_key").into()),
        // Its requests are signed.
        #[cfg(feature = "aws")]
        (None, ProviderKind::Aws | ProviderKind::Bedrock) => {
            SecretSource::Env("AWS_SECRET_ACCESS_KEY".to_owned())
        }
    };
    Ok(ModelConfig {
        section: section.to_owned(),
        provider,
        base_url: if is_default && has_own_default { None } else { Some(settings.url(&address)?) },
        api_key,
        region: settings.name_if_any(&path("region"))?,
        workspace_id: settings.name_if_any(&path("workspace_id"))?,
        api_version: settings.name_if_any(&path("api_version"))?,
        effort: settings.name_if_any(&path("effort"))?,
        name: settings.name_if_any(&path("name"))?.ok_or_else(|| needed("name"))?,
        model_ids: settings.ids(&path("model_ids"))?,
        fallback: None,
    })
}
