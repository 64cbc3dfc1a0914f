//! Creates a model's provider from a configuration: the provider's address, wire format, credentials and
//! prices.

#[cfg(feature = "aws")]
use std::ffi::OsStr;
use std::time::SystemTime;

use truing_config::environment::Environment;
#[cfg(feature = "aws")]
use truing_config::model::BEDROCK_TOKEN_VARIABLE;
use truing_config::model::{ModelConfig, OPENAI_BASE_URL, OPENAI_KEY_VARIABLE, ProviderKind};
use truing_config::secret::SecretSource as Place;
use truing_config::{Config, ReviewModelRuntime};
use truing_core::loopback::is_loopback;
use truing_core::secret::SecretString;
use truing_loops::budget::EffectivePrices;
#[cfg(feature = "aws")]
use truing_model::aws::{AwsKeys, AwsLogin, AwsService, CredentialChain, KeySource, profile_region};
#[cfg(feature = "aws")]
use truing_model::price::ModelPrice;
use truing_model::price::ModelPrices;
use truing_model::provider::{ModelProvider, ProviderCredentials, ProviderError};
use truing_model::subscription::{LOGIN_HINT, SubscriptionLogin};
use truing_model::wire::WireFormat;
#[cfg(feature = "aws")]
use truing_model::wire::bedrock::BedrockWire;
use truing_model::wire::chat::{ChatWire, KeyHeader};

use url::Url;

#[cfg(feature = "aws")]
use super::programs::credential_programs;
use super::role::ModelRole;
use crate::cli::error::CliError;

/// The provider of a model, with the model's prices and the provider's secrets.
pub(super) struct PricedProvider {
    /// Provider that serves the model.
    pub(super) provider: ModelProvider,
    /// Prices of the model at this provider.
    pub(super) prices: ModelPrices,
    /// All secrets that give access to the provider.
    pub(super) secrets: Vec<SecretString>,
}

/// Returns the provider of the model in section `[model]`. Sends no request.
///
/// # Errors
/// Returns exit 2 for an invalid configuration, such as a missing key.
pub(super) fn priced_provider(
    config: &Config,
    environment: &Environment,
    role: ModelRole,
) -> Result<PricedProvider, CliError> {
    let model = &with_profile_region(&config.model, environment);
    let login = provider_credentials(model, environment, role, config.review.runtime)?;
    let prices = EffectivePrices::new(config).map_err(|error| {
        CliError::usage("prices", error.to_string()).hint("see `budget.prices` in `truing config schema`")
    })?;
    let mut prices = prices.prices;
    let wire = wire_format(model, config, &mut prices, role)?;
    if wire.price(&prices, &model.name).is_none() {
        let ModelConfig { section, name, .. } = model;
        let id = Some(wire.price_table_id(name)).filter(|id| *id != name.as_str());
        let by = id.map(|id| format!(" under the id `{id}`")).unwrap_or_default();
        let message = format!("the price of the model `{name}` is unknown{by}, so the model is not used");
        return Err(role.refusal_error("model_price", message).hint(format!(
            "set `{section}.name` to another model, or declare the price of this model, which may be 0: \
                [price.\"{name}\"] input = … output = …"
        )));
    }
    let wrong = |error: ProviderError| role.refusal_error("model", format!("[{}]: {error}", model.section));
    let secrets = login.secrets();
    let provider = ModelProvider::new(&model_address(model, role)?, login).map_err(wrong)?.with_wire(wire);
    Ok(PricedProvider { provider, prices, secrets })
}

/// Returns the provider for replayed recordings. This provider never receives a request.
///
/// # Errors
/// Returns a [`ProviderError`] if the client cannot be created.
pub(super) fn replay_provider() -> Result<PricedProvider, ProviderError> {
    let provider = ModelProvider::new("http://127.0.0.1:9", ProviderCredentials::Unauthenticated)?;
    Ok(PricedProvider { provider, prices: ModelPrices::default(), secrets: Vec::new() })
}

/// Returns the wire format of the provider. With Bedrock, if the operator set no price for Bedrock's id of a
/// model, the operator's price for the model's name applies. An id that the operator configured without a
/// price has the price of the model that it stands for.
#[cfg_attr(not(feature = "aws"), expect(unused_variables, reason = "only Bedrock has names of its own"))]
fn wire_format(
    model: &ModelConfig,
    config: &Config,
    prices: &mut ModelPrices,
    role: ModelRole,
) -> Result<WireFormat, CliError> {
    match model.provider {
        ProviderKind::Anthropic => Ok(WireFormat::Messages),
        ProviderKind::OpenAi => chat_wire(model).map(WireFormat::Chat),
        #[cfg(feature = "aws")]
        ProviderKind::Aws => Ok(WireFormat::Messages),
        #[cfg(feature = "aws")]
        ProviderKind::Bedrock => {
            let ModelConfig { section, name, model_ids, region, .. } = model;
            let bedrock = BedrockWire::new(region.as_deref().unwrap_or_default(), model_ids);
            let bedrock = bedrock.map_err(|error| CliError::failure("model", error.to_string()))?;
            let id = bedrock.model_id(name).map_err(|error| {
                role.refusal_error("model_id", error.to_string()).hint(format!(
                    "set {section}.model_ids = {{ \"{name}\" = \"ID\" }}: `aws bedrock \
                     list-inference-profiles` prints the ids"
                ))
            })?;
            let own_price = config.prices.get(name).copied().map(ModelPrice::from);
            let price = match config.prices.contains_key(id) {
                true => None,
                false => own_price.or_else(|| bedrock.price_of_configured_id(prices, name)),
            };
            if let Some(price) = price {
                prices.set(id, price);
            }
            Ok(WireFormat::Bedrock(bedrock))
        }
    }
}

/// Returns the wire format of a Chat Completions server.
fn chat_wire(model: &ModelConfig) -> Result<ChatWire, CliError> {
    let address = model.base_url.as_deref().unwrap_or(OPENAI_BASE_URL);
    let host = Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    ChatWire::new(&host, model.api_version.clone(), model.effort.clone())
        .map_err(|error| CliError::failure("model", error.to_string()))
}

/// Returns the address of the model.
fn model_address(model: &ModelConfig, role: ModelRole) -> Result<String, CliError> {
    #[cfg(feature = "aws")]
    let region = model.region.as_deref().unwrap_or_default();
    match (&model.base_url, model.provider) {
        (Some(address), _) => Ok(address.clone()),
        (None, ProviderKind::OpenAi) => Ok(OPENAI_BASE_URL.to_owned()),
        (None, ProviderKind::Anthropic) => {
            Err(missing_setting_error(model, "base_url", "https://api.anthropic.com", role))
        }
        #[cfg(feature = "aws")]
        (None, ProviderKind::Aws) => AwsLogin::messages_base_url(region)
            .ok_or_else(|| missing_setting_error(model, "region", REGION_VARIABLE_EXAMPLE, role)),
        #[cfg(feature = "aws")]
        (None, ProviderKind::Bedrock) => BedrockWire::base_url(region)
            .ok_or_else(|| missing_setting_error(model, "region", REGION_VARIABLE_EXAMPLE, role)),
    }
}

/// Example in hints: the environment variable from which other programs read the AWS region.
#[cfg(feature = "aws")]
const REGION_VARIABLE_EXAMPLE: &str = "AWS_REGION=eu-central-1";

fn missing_setting_error(model: &ModelConfig, key: &str, sample: &str, role: ModelRole) -> CliError {
    role.refusal_error("model", format!("[{}]: `{key}` has no value, or an invalid value", model.section))
        .hint(format!(
            "set this key in the configuration, or set the environment variable that other programs use, \
            such as {sample}"
        ))
}

/// Returns the credentials for the provider.
fn provider_credentials(
    model: &ModelConfig,
    environment: &Environment,
    role: ModelRole,
    runtime: ReviewModelRuntime,
) -> Result<ProviderCredentials, CliError> {
    let key = || {
        let key = model.api_key.read(environment).map_err(|error| {
            role.refusal_error("model_key", format!("{}.api_key: {error}", model.section))
                .hint(format!("set the provider's API key{}", role.no_model_hint()))
        })?;
        Ok::<_, CliError>(SecretString::new(key.expose()))
    };
    match model.provider {
        ProviderKind::Anthropic => match subscription_login(model, environment, role, runtime)? {
            Some(login) => Ok(ProviderCredentials::Subscription(login)),
            None => key().map(ProviderCredentials::XApiKey).map_err(|error| match runtime {
                ReviewModelRuntime::ClaudeCli => error.hint(
                    "or use a subscription: set CLAUDE_CODE_OAUTH_TOKEN (`claude setup-token`), or \
                     model.claude_config_dir",
                ),
                ReviewModelRuntime::RulesOnly | ReviewModelRuntime::NativeToolLoop => error,
            }),
        },
        ProviderKind::OpenAi => {
            let chat = chat_wire(model)?;
            let header = match chat.server().key {
                KeyHeader::Bearer => ProviderCredentials::Bearer,
                KeyHeader::ApiKey => ProviderCredentials::AzureApiKey,
            };
            let is_usual = model.api_key == Place::Env(OPENAI_KEY_VARIABLE.to_owned());
            let is_set = has_text(environment, OPENAI_KEY_VARIABLE);
            match (is_usual, chat.is_local(), chat.server().is_openai) {
                (false, _, _) | (true, _, true) => key().map(header),
                (true, true, false) if is_set => key().map(header),
                (true, true, false) => Ok(ProviderCredentials::Unauthenticated),
                // OpenAI's key must not be sent to another server.
                (true, false, false) => Err(role
                    .refusal_error(
                        "model_key",
                        format!("[{}]: `api_key` is not set to a key for this server", model.section),
                    )
                    .hint(
                        "set api_key = { env = \"OTHER_API_KEY\" }; Truing sends `OPENAI_API_KEY` only to \
                            OpenAI and to servers on this machine",
                    )),
            }
        }
        #[cfg(feature = "aws")]
        ProviderKind::Aws => {
            let region = region(model, role)?;
            let workspace_id = model.workspace_id.clone();
            let workspace_id = workspace_id.ok_or_else(|| {
                missing_setting_error(model, "workspace_id", "ANTHROPIC_AWS_WORKSPACE_ID=wrkspc_01", role)
            })?;
            aws_login(model, AwsService::Messages { workspace_id }, region, environment, role)
                .map(ProviderCredentials::Aws)
        }
        #[cfg(feature = "aws")]
        ProviderKind::Bedrock => {
            let region = region(model, role)?;
            if model.api_key == Place::Env(BEDROCK_TOKEN_VARIABLE.to_owned())
                && !has_text(environment, BEDROCK_TOKEN_VARIABLE)
            {
                return aws_login(model, AwsService::Bedrock, region, environment, role)
                    .map(ProviderCredentials::Aws);
            }
            key().map(ProviderCredentials::Bearer)
        }
    }
}

/// Returns true if the variable is set to more than white space. Anything less counts as unset.
fn has_text(environment: &Environment, name: &str) -> bool {
    environment.get(name).is_some_and(|value| value.to_str().is_none_or(|text| !text.trim().is_empty()))
}

/// Default variable of `model.api_key`.
const API_KEY_VARIABLE: &str = "ANTHROPIC_API_KEY";
/// Host of the only API that accepts the token of a subscription.
const SUBSCRIPTION_HOST: &str = "api.anthropic.com";

/// Returns the login of the subscription. Returns `None` if there is none, or if an API key is set: like
/// `claude` itself, Truing then uses the key.
fn subscription_login(
    model: &ModelConfig,
    environment: &Environment,
    role: ModelRole,
    runtime: ReviewModelRuntime,
) -> Result<Option<SubscriptionLogin>, CliError> {
    if has_text(environment, API_KEY_VARIABLE) || model.api_key != Place::Env(API_KEY_VARIABLE.to_owned()) {
        return Ok(None);
    }
    let is_unset = |source: &Place| match source {
        Place::Env(name) => !has_text(environment, name),
        Place::File(_) | Place::PlainText(_) => false,
    };
    let login = match (&model.oauth_token, &model.claude_config_dir) {
        (Some(token), _) if !is_unset(token) => {
            let token = token.read(environment).map_err(|error| {
                role.refusal_error("model_key", format!("{}.oauth_token: {error}", model.section))
                    .hint("create a token with `claude setup-token`")
            })?;
            SubscriptionLogin::Token(SecretString::new(token.expose()))
        }
        (_, Some(folder)) => SubscriptionLogin::ConfigFolder(folder.clone()),
        (_, None) => return Ok(None),
    };
    if let Some(refusal) = subscription_refusal(model, role, runtime) {
        return Err(refusal);
    }
    login.token(SystemTime::now()).map_err(|error| {
        role.refusal_error("model_key", format!("[{}]: {error}", model.section)).hint(LOGIN_HINT)
    })?;
    Ok(Some(login))
}

/// Returns the reason why a subscription may not pay for requests to this model, or `None` if it may.
fn subscription_refusal(
    model: &ModelConfig,
    role: ModelRole,
    runtime: ReviewModelRuntime,
) -> Option<CliError> {
    let refuse =
        |message: &str, hint: &str| Some(role.refusal_error("model_key", message.to_owned()).hint(hint));
    if role == ModelRole::AvailabilityChecker {
        return refuse(
            "the token of a subscription serves only the runtime `cli`, so it is not tested with a request \
             of Truing's own",
            "test it with a review: `truing review --runtime cli`",
        );
    }
    if runtime != ReviewModelRuntime::ClaudeCli {
        return refuse(
            "the token of a subscription serves only the runtime `cli`, because Anthropic sells \
             subscriptions for its program `claude`",
            "set review.runtime = \"cli\" (or RUNTIME_MODE=cli), or set ANTHROPIC_API_KEY",
        );
    }
    let url = model.base_url.as_deref().and_then(|address| Url::parse(address).ok());
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    // `Url` omits the default port.
    let is_subscription_host =
        host == SUBSCRIPTION_HOST && url.as_ref().is_some_and(|url| url.port().is_none());
    if !is_subscription_host && !is_loopback(host) {
        return refuse(
            "the token of a subscription is sent only to https://api.anthropic.com and to servers on this \
             machine",
            "unset ANTHROPIC_BASE_URL and model.base_url, or set the API key of that server",
        );
    }
    if model.fallback.is_some() {
        return refuse(
            "model.fallback cannot be used with a subscription, because its calls cost money",
            "unset model.fallback, or set ANTHROPIC_API_KEY",
        );
    }
    None
}

/// Returns the environment variables by which AWS's programs are configured.
#[cfg(feature = "aws")]
fn aws_variables(environment: &Environment) -> impl Iterator<Item = (String, String)> {
    let owned = |(name, value): (&str, &OsStr)| Some((name.to_owned(), value.to_str()?.to_owned()));
    ["AWS_", "HOME"]
        .into_iter()
        .flat_map(move |begin| environment.variables_with_prefix(begin))
        .filter_map(owned)
}

/// Returns the model's configuration. A provider on AWS without a region gets the region of the AWS profile.
#[cfg_attr(not(feature = "aws"), expect(unused_variables, unused_mut, reason = "only AWS has regions"))]
fn with_profile_region(model: &ModelConfig, environment: &Environment) -> ModelConfig {
    let mut model = model.clone();
    match model.provider {
        ProviderKind::Anthropic | ProviderKind::OpenAi => {}
        #[cfg(feature = "aws")]
        ProviderKind::Aws | ProviderKind::Bedrock => {
            model.region = model.region.or_else(|| profile_region(aws_variables(environment)));
        }
    }
    model
}

#[cfg(feature = "aws")]
fn region(model: &ModelConfig, role: ModelRole) -> Result<String, CliError> {
    let region = model.region.clone().filter(|region| AwsLogin::messages_base_url(region).is_some());
    region.ok_or_else(|| missing_setting_error(model, "region", REGION_VARIABLE_EXAMPLE, role))
}

/// Returns the AWS credentials from the standard variables, or else from the AWS credential chain. The chain
/// is evaluated at the first model call.
#[cfg(feature = "aws")]
fn aws_login(
    model: &ModelConfig,
    service: AwsService,
    region: String,
    environment: &Environment,
    role: ModelRole,
) -> Result<AwsLogin, CliError> {
    let text = |name: &str| environment.get(name).and_then(|value| value.to_str());
    let variable = |name: &'static str| text(name).filter(|value| !value.is_empty());
    let keys = match (variable("AWS_ACCESS_KEY_ID"), variable("AWS_SECRET_ACCESS_KEY")) {
        (Some(key_id), Some(secret_key)) => KeySource::Static(AwsKeys {
            key_id: key_id.to_owned(),
            secret_key: SecretString::new(secret_key),
            session_token: variable("AWS_SESSION_TOKEN").map(SecretString::new),
        }),
        (None, None) => {
            let programs = credential_programs(environment);
            let chain = CredentialChain::new(aws_variables(environment), &region, programs);
            KeySource::Chain(
                chain
                    .map_err(|error| role.refusal_error("model", format!("[{}]: {error}", model.section)))?,
            )
        }
        (key_id, _) => {
            let name = if key_id.is_none() { "AWS_ACCESS_KEY_ID" } else { "AWS_SECRET_ACCESS_KEY" };
            let provider = model.provider.as_str();
            let message = format!("variable {name} is not set, but the provider \"{provider}\" needs it");
            return Err(role.refusal_error("model_key", message).hint(
                "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or set neither: Truing then uses \
                    AWS's own credential chain (profiles, web identity, containers, instances)",
            ));
        }
    };
    Ok(AwsLogin { service, region, keys })
}
