//! Creates a model agent from a configuration: the model's address, key, prices and budget.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use truing_agent::cli::{ClaudeCli, ClaudeCliError, ServerCli};
use truing_agent::native::RunLimits;
use truing_agent::runtime::AgentRuntime as Conversation;
use truing_agent::sandbox::SandboxError;
use truing_config::environment::Environment;
use truing_config::model::ProviderKind;
use truing_config::problem::{ConfigError, ValueOrigin};
use truing_config::sync::JobConfig;
use truing_config::{Config, ReviewConfig, ReviewModelRuntime, SkillsDir, layer};
use truing_core::port::WriteGate;
#[cfg(feature = "demo")]
use truing_core::secret::SecretString;
use truing_core::switch::RepositoryRef;
use truing_git::search_path::PROGRAM_NOT_FOUND_MESSAGE;
use truing_loops::agent::{ContextSources, GatedModelAgent, ModelAgent};
use truing_loops::budget::BudgetLimits;
use truing_loops::machine::SystemClock;
use truing_loops::run_gate::{RunGate, SwitchReader};
use truing_loops::sync::port::MigrationAgent;
use truing_model::cassette::{Cassette, CassetteMode, CassetteRecording, SecretRedactor};
use truing_model::gateway::{ModelGateway, ProviderTimeouts};
use truing_model::price::ModelPrices;
#[cfg(feature = "demo")]
use truing_model::provider::ProviderCredentials;
use truing_model::provider::{ModelProvider, ProviderError};
use truing_model::wire::WireFormat;
use truing_reader::redact::redact_secrets;
use truing_service::worker::MAX_STEP_TIME;
use truing_store::Store;

use super::provider::{self, PricedProvider};
use super::role::ModelRole;
use super::{child_process_reader, invalid_glob_error, load_prompts};
use crate::cli::error::CliError;

/// Percentage of a step's time limit that the model of a service may use.
const MODEL_TIME_SHARE_PERCENT: u32 = 80;

/// Returns the agent of the configured model. Nothing is sent.
///
/// # Errors
/// Returns exit 2 for an invalid configuration, such as a missing key.
pub fn configured_agent(
    config: &Config,
    environment: &Environment,
    ledger: Store,
    role: ModelRole,
) -> Result<ModelAgent, CliError> {
    agent_with_runtime(config, environment, ledger, role, None)
}

/// Returns the agent of the configured model, as [`configured_agent`] does. With `server_runtime`, the agent
/// uses this runtime, and the configured runtime is not checked.
///
/// # Errors
/// Returns the same errors as [`configured_agent`].
pub(super) fn agent_with_runtime(
    config: &Config,
    environment: &Environment,
    ledger: Store,
    role: ModelRole,
    server_runtime: Option<&Conversation>,
) -> Result<ModelAgent, CliError> {
    let config = &config_for_role(config, role);
    let way = provider_for_role(config, environment, role)?;
    let fallback = fallback_provider(config, environment, role)?;
    super::conceal::register_secrets(config, environment);
    let runtime = match server_runtime {
        Some(runtime) => runtime.clone(),
        None => conversation_runtime(config, environment, role)?,
    };
    let (servers, own_tools) = super::mcp::configured_servers(config, environment, &ledger)?;
    let agent = build_agent(config, ledger, runtime, way, fallback, role)?;
    Ok(ModelAgent { servers, builtin_tool_factories: own_tools, ..agent })
}

/// Checks that requests to the configured model are possible, without sending one.
///
/// # Errors
/// Returns the same errors as [`configured_agent`].
pub fn check_model_ready(
    config: &Config,
    environment: &Environment,
    role: ModelRole,
) -> Result<(), CliError> {
    let config = &config_for_role(config, role);
    provider_for_role(config, environment, role)?;
    fallback_provider(config, environment, role).map(drop)
}

/// Returns the configuration with the model of this role as `[model]`. For the roles `Fixer` and
/// `AvailabilityChecker`, the caller has already set `[model]`.
fn config_for_role(config: &Config, role: ModelRole) -> Config {
    let roles = &config.roles;
    let name = match role {
        ModelRole::Reviewer => &roles.reviewer,
        ModelRole::Auditor => &roles.auditor,
        ModelRole::Porter => &roles.sync_writer,
        ModelRole::Fixer | ModelRole::AvailabilityChecker => return config.clone(),
    };
    config.with_named_model(name.as_ref())
}

/// Returns the provider of the model. Returns an error if environment variables of other programs conflict
/// with the configured provider.
fn provider_for_role(
    config: &Config,
    environment: &Environment,
    role: ModelRole,
) -> Result<PricedProvider, CliError> {
    check_provider_variables(config, environment, role)?;
    provider::priced_provider(config, environment, role)
}

/// Returns the provider of the configured fallback model, with the name that outcome records show. Returns
/// none if no fallback is configured.
fn fallback_provider(
    config: &Config,
    environment: &Environment,
    role: ModelRole,
) -> Result<Option<ConfiguredFallback>, CliError> {
    let named = config.model.fallback.as_ref().and_then(|name| Some((name, config.models.get(name)?)));
    let Some((name, model)) = named else { return Ok(None) };
    let way = provider::priced_provider(&config.with_model(model.clone()), environment, role)?;
    let name = format!("{name}: {}", model.provider.as_str());
    Ok(Some(ConfiguredFallback { name, model_name: model.name.clone(), provider: way }))
}

/// The provider that receives requests while the first provider is unavailable.
struct ConfiguredFallback {
    name: String,
    model_name: String,
    provider: PricedProvider,
}

/// Returns the agent of the configured model; the agent records the conversation to a new file.
///
/// # Errors
/// Returns the same errors as [`configured_agent`], and exit 2 for a file that cannot be created.
pub async fn recording_agent(
    config: &Config,
    environment: &Environment,
    ledger: Store,
    file: &Path,
) -> Result<(ModelAgent, Arc<CassetteRecording>), CliError> {
    let agent = configured_agent(config, environment, ledger, ModelRole::Reviewer)?;
    let config = &config_for_role(config, ModelRole::Reviewer);
    let PricedProvider { provider, mut secrets, .. } =
        provider_for_role(config, environment, ModelRole::Reviewer)?;
    if provider.uses_subscription() {
        let message = "a review that a subscription pays for cannot be recorded: its requests contain parts \
            of the program `claude`, which a replay does not run";
        return Err(CliError::usage("cassette", message).hint("set ANTHROPIC_API_KEY to record the review"));
    }
    secrets.extend(
        fallback_provider(config, environment, ModelRole::Reviewer)?
            .into_iter()
            .flat_map(|other| other.provider.secrets),
    );
    let hide = SecretRedactor { secrets, redact: redact_secrets };
    let recording = CassetteRecording::create(file, hide).await.map_err(|error| {
        CliError::usage("cassette", error.to_string())
            .hint("specify a new folder: Truing never overwrites an existing cassette")
    })?;
    // A replay must send the same requests as the recorded run. A replay has no MCP servers, so the recorded
    // run has none either.
    Ok((
        ModelAgent {
            cassette: CassetteMode::Record(recording.clone()),
            servers: Vec::new(),
            builtin_tool_factories: Vec::new(),
            ..agent
        },
        recording,
    ))
}

/// Returns the agent that replays a recording. The agent has no API key and no prices, and sends no requests.
///
/// # Errors
/// Returns exit 2 for a file that is not a cassette.
pub fn replay_agent(config: &Config, ledger: Store, file: &Path) -> Result<ModelAgent, CliError> {
    let config = &config_for_role(config, ModelRole::Reviewer);
    let hide = SecretRedactor { secrets: Vec::new(), redact: redact_secrets };
    let cassette = Cassette::read(file, hide).map_err(|error| {
        CliError::usage("cassette", error.to_string())
            .hint("record a cassette with `--record FOLDER`, which needs an API key")
    })?;
    let way = provider::replay_provider().map_err(|error| CliError::failure("model", error.to_string()))?;
    let agent = build_agent(config, ledger, Conversation::Native, way, None, ModelRole::Reviewer)?;
    Ok(ModelAgent { cassette: CassetteMode::Play(cassette), ..agent })
}

/// Returns the gateway to a scripted model at this address, and the name of the model. The cost of the
/// model's answers is fictitious.
///
/// # Errors
/// Returns exit 3 if the gateway cannot be created.
#[cfg(feature = "demo")]
pub fn scripted_gateway(address: &str, key: &str, ledger: Store) -> Result<(ModelGateway, String), CliError> {
    let prices = ModelPrices::builtin().map_err(|error| CliError::failure("prices", error.to_string()))?;
    let model = prices.list_prices().next().map(|(model, _)| model.to_owned()).unwrap_or_default();
    let provider = ModelProvider::new(address, ProviderCredentials::XApiKey(SecretString::new(key)));
    let gateway = provider.and_then(|provider| build_gateway(provider, prices, ledger));
    Ok((gateway.map_err(|error| CliError::failure("model", error.to_string()))?, model))
}

fn build_gateway(
    provider: ModelProvider,
    prices: ModelPrices,
    ledger: Store,
) -> Result<ModelGateway, ProviderError> {
    let common = ledger.shared_state();
    let patience = match provider.wire() {
        WireFormat::Chat(_) => ProviderTimeouts::for_chat(),
        WireFormat::Messages => ProviderTimeouts::default(),
        #[cfg(feature = "aws")]
        WireFormat::Bedrock(_) => ProviderTimeouts::default(),
    };
    ModelGateway::new(provider, prices, Arc::new(ledger), Arc::new(SystemClock), common, patience)
}

fn build_agent(
    config: &Config,
    ledger: Store,
    runtime: Conversation,
    priced_provider: PricedProvider,
    fallback: Option<ConfiguredFallback>,
    role: ModelRole,
) -> Result<ModelAgent, CliError> {
    let wrong =
        |error: ProviderError| role.refusal_error("model", format!("[{}]: {error}", config.model.section));
    let to = |priced_provider: PricedProvider| {
        build_gateway(priced_provider.provider, priced_provider.prices, ledger.clone()).map_err(wrong)
    };
    let gateway = match fallback {
        Some(ConfiguredFallback { name, model_name: model, provider: other }) => {
            to(priced_provider)?.with_fallback(name, to(other)?, model)
        }
        None => to(priced_provider)?,
    };
    Ok(ModelAgent {
        runtime,
        gateway,
        ledger: ledger.as_record_store(),
        model: config.model.name.clone(),
        budgets: BudgetLimits::new(config).map_err(invalid_glob_error)?,
        prompts: load_prompts(&config.prompts)?,
        sources: context_sources(&config.review.skills_dir)?
            .with_specialists(config.review.tiers.can_choose_deep()),
        limits: RunLimits { turns: config.review.max_turns, ..RunLimits::default() },
        reader: child_process_reader(&config.rules, &config.sandbox)?,
        servers: Vec::new(),
        builtin_tool_factories: Vec::new(),
        cassette: CassetteMode::Disabled,
    })
}

/// Returns the sources of context for prompts: the skills in the operator's folder.
fn context_sources(folder: &SkillsDir) -> Result<ContextSources, CliError> {
    let SkillsDir { path, is_configured: is_named } = folder;
    match ContextSources::new(path) {
        Ok(sources) => Ok(sources),
        Err(error) if error.kind() == ErrorKind::NotFound && !is_named => Ok(ContextSources::default()),
        Err(error) => Err(CliError::usage(
            "skills_folder",
            format!("review.skills_dir: {} cannot be read: {error}", path.display()),
        )
        .hint(
            "the folder must contain a folder for each skill, with a file `SKILL.md`; fix the folder, or \
                remove the key `review.skills_dir`",
        )),
    }
}

/// Returns the runtime of the model's conversation. If reviews use only rules, other loops still use a model;
/// this process then runs the conversations of these loops.
fn conversation_runtime(
    config: &Config,
    environment: &Environment,
    role: ModelRole,
) -> Result<Conversation, CliError> {
    // A checker's conversation is one request with a one-word answer, so this process sends the request
    // itself.
    if role == ModelRole::AvailabilityChecker {
        return Ok(Conversation::Native);
    }
    match config.review.runtime {
        ReviewModelRuntime::RulesOnly | ReviewModelRuntime::NativeToolLoop => Ok(Conversation::Native),
        ReviewModelRuntime::ClaudeCli => checked_claude(&config.review, environment)
            .map(Conversation::Cli)
            .map_err(|error| claude_error(&error, &config.review.claude_version, role)),
    }
}

/// Finds the program of the runtime `cli`, and checks that it can be used.
fn checked_claude(review: &ReviewConfig, environment: &Environment) -> Result<ClaudeCli, ClaudeCliError> {
    let program = find_program(&review.claude_program, environment)?;
    let sandbox_level = truing_loops::machine::sandbox_level();
    let cli = ClaudeCli::new(&program, &review.claude_version, review.claude_start_timeout, sandbox_level)?;
    let teams = environment.get("CLAUDE_CODE_EXPERIMENTAL_AGENT_TEAMS").and_then(|value| value.to_str());
    Ok(cli.with_teams(teams))
}

/// Returns the program of the runtime `cli` for all conversations of a server, not yet checked. Returns none
/// if another runtime is configured.
pub fn server_cli(config: &Config, environment: &Environment) -> Option<ServerCli> {
    match config.review.runtime {
        ReviewModelRuntime::RulesOnly | ReviewModelRuntime::NativeToolLoop => None,
        ReviewModelRuntime::ClaudeCli => {
            let review = config.review.clone();
            let environment = environment.clone();
            let check_program = move || checked_claude(&review, &environment);
            Some(ServerCli::new(Box::new(check_program), Arc::new(SystemClock)))
        }
    }
}

/// Checks the program of a server. Returns the warning about a program that cannot be used.
pub async fn server_cli_warning(cli: &ServerCli, config: &Config) -> Option<String> {
    let error = cli.check().await.err()?;
    let CliError { message, hints, .. } =
        claude_error(&error, &config.review.claude_version, ModelRole::Reviewer);
    let hints = hints.join("; ");
    Some(format!("{message}: reviews use only the rules until the program can be used. To fix this: {hints}"))
}

/// Checks that the configured runtime of the conversation is available.
///
/// # Errors
/// Returns exit 2 if it is not available, and exit 3 if there is no sandbox for it.
#[cfg(feature = "demo")]
pub fn check_conversation_runtime(config: &Config, environment: &Environment) -> Result<(), CliError> {
    conversation_runtime(config, environment, ModelRole::Reviewer).map(drop)
}

/// Returns the path of a program. A name without a slash is looked up in `PATH`, but never inside the
/// reviewed repository.
fn find_program(name: &str, environment: &Environment) -> Result<PathBuf, ClaudeCliError> {
    if name.contains('/') {
        return Ok(name.into());
    }
    let missing = || ClaudeCliError::Missing {
        program: name.into(),
        reason: std::io::Error::new(ErrorKind::NotFound, PROGRAM_NOT_FOUND_MESSAGE),
    };
    super::programs::search_path(environment).find(Path::new(name)).ok_or_else(missing)
}

fn claude_error(error: &ClaudeCliError, version: &str, role: ModelRole) -> CliError {
    let cli_error = role.refusal_error("claude", format!("the runtime \"cli\": {error}"));
    let install = format!("install Claude Code: npm install --global @anthropic-ai/claude-code@{version}");
    match error {
        ClaudeCliError::Missing { .. } => {
            cli_error.hint(install).hint("or set `review.claude` to the path of the program")
        }
        ClaudeCliError::Version { found_version: found, .. } => cli_error
            .hint(install)
            .hint(format!("or allow the installed version: review.claude_version = \"{found}\"")),
        ClaudeCliError::NoVersion { .. } => cli_error
            .hint(
                "`review.claude` must name the program itself, not a script that starts it: npm installs \
                    the program in the package claude-code-linux-x64",
            )
            .hint(install),
        ClaudeCliError::Sandbox(SandboxError::TooWeak { .. }) => {
            CliError::failure("sandbox_weak", format!("the runtime \"cli\": {error}"))
                .hint(super::sandbox_hint())
                .hint("or use the runtime `native`")
        }
        ClaudeCliError::Sandbox(_) => {
            cli_error.hint("run `truing sandbox check` to see what this machine allows")
        }
    }
}

/// Returns the model of a service, or none if reviews use only rules. A dry run works on a copy of the
/// records, but pays for model calls. Therefore `ledger` is the configured store even in a dry run. With
/// `server_runtime`, the model uses this runtime, and the configured runtime is not checked.
///
/// # Errors
/// Returns the same errors as [`configured_agent`].
pub fn service_agent(
    config: &Config,
    environment: &Environment,
    ledger: Store,
    server_runtime: Option<&Conversation>,
) -> Result<Option<ModelAgent>, CliError> {
    match config.review.runtime {
        ReviewModelRuntime::RulesOnly => Ok(None),
        ReviewModelRuntime::NativeToolLoop | ReviewModelRuntime::ClaudeCli => {
            let role = ModelRole::Reviewer;
            let mut agent = agent_with_runtime(config, environment, ledger, role, server_runtime)?;
            // A step must end within its time limit, so the model may use only a part of the step's time.
            agent.limits.time = MAX_STEP_TIME * MODEL_TIME_SHARE_PERCENT / 100;
            Ok(Some(agent))
        }
    }
}

/// Returns the model for a review that has no slot. Before each request, the kill switches of this repository
/// are checked.
pub fn gated_agent(agent: &ModelAgent, repository: RepositoryRef) -> GatedModelAgent<'_> {
    GatedModelAgent { agent, gate: gate_for_run(agent, repository) }
}

/// Returns the write gate of a run that has no slot. The gate checks the kill switches of this repository.
pub fn gate_for_run(agent: &ModelAgent, repository: RepositoryRef) -> Arc<dyn WriteGate> {
    let switches = SwitchReader::new(agent.ledger.clone(), Arc::new(SystemClock));
    Arc::new(RunGate::for_run(&switches, repository))
}

/// Returns the model that ports code for a job, with the programs and the policy for the model's tools. If
/// the model cannot be configured and the job must ask people before it writes code, returns none. Such a job
/// asks people instead. With `server_runtime`, the model uses this runtime, and the configured runtime is not
/// checked.
///
/// # Errors
/// Returns the same errors as [`configured_agent`] for a job that may write code without asking.
pub fn migration_agent(
    config: &Config,
    environment: &Environment,
    ledger: &Store,
    job: &JobConfig,
    server_runtime: Option<&Conversation>,
) -> Result<Option<MigrationAgent>, CliError> {
    let build = || {
        let verify = &config.verify;
        let role = ModelRole::Porter;
        Ok::<_, CliError>(MigrationAgent {
            agent: agent_with_runtime(config, environment, ledger.clone(), role, server_runtime)?,
            program_folders: verify.program_folders.clone(),
            policy: super::policy::port_policy(config)?,
        })
    };
    match build() {
        Ok(porter) => Ok(Some(porter)),
        Err(error) if job.writes_code => Err(error),
        Err(error) => {
            tracing::info!(why = error.message, "no model is available to port code");
            Ok(None)
        }
    }
}

/// Returns an error if environment variables of other programs select several providers or a provider that
/// this build lacks, or set an invalid model address. Commands that use no model skip this check.
fn check_provider_variables(
    config: &Config,
    environment: &Environment,
    role: ModelRole,
) -> Result<(), CliError> {
    let chosen: Vec<_> = layer::PROVIDER_SWITCH_VARIABLES
        .into_iter()
        .filter(|(variable, _)| layer::is_variable_on(environment, variable))
        .collect();
    match chosen.as_slice() {
        [] => {}
        [_] if cfg!(feature = "aws") => {}
        [(variable, provider)] => {
            let message = format!(
                "{variable} is set, but the provider \"{provider}\" is not included in this build of truing"
            );
            let hint = format!("unset {variable} to use {}.provider = \"anthropic\"", config.model.section);
            return Err(role.refusal_error("provider", message).hint(hint));
        }
        [(one, _), (other, _), ..] => {
            return Err(role
                .refusal_error("provider", format!("{one} and {other} are both set"))
                .hint("unset one of them: a model has one provider"));
        }
    }
    let ours = config.settings().any(|(path, setting)| {
        path == layer::MODEL_BASE_URL_KEY
            && matches!(setting.origin, ValueOrigin::Flag(_) | ValueOrigin::Variable(_))
    });
    let counts = !ours && config.model.provider == ProviderKind::Anthropic;
    match layer::foreign_model_address_problem(environment).filter(|_| counts) {
        Some(problem) => Err(ConfigError::from(problem).into()),
        None => Ok(()),
    }
}
