//! Configuration: its sources, their precedence, and the typed result.
//!
//! Precedence, highest first: flag, `TRUING_*` variable, variable of another program, the operator's file,
//! the repository's own file, default. All functions get their inputs as arguments. Only `files`,
//! `regular_file` and `secret` access the file system, and only [`Environment`] reads environment variables.

mod budget;
mod conflict;
pub mod converge;
mod defaults;
pub mod environment;
mod files;
mod forges;
pub mod generate;
pub mod keys;
pub mod layer;
pub mod login;
pub mod mcp;
pub mod model;
pub mod problem;
mod regular_file;
mod review;
mod rules;
pub mod secret;
mod setting;
mod store;
pub mod sync;
pub mod tool;
mod typed;
pub mod value;
mod value_kind;
pub mod verify;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use truing_core::money::MicroUsd;
use truing_core::price::DeclaredPrice;
use truing_core::sandbox::SandboxLevel;

use crate::environment::Environment;
pub use budget::BudgetConfig;
use converge::ConvergeConfig;
pub use files::{
    REPOSITORY_FILE, operator_file_path, read_named_file, read_operator_file, read_repository_file,
};
pub use forges::ForgeConfig;
use keys::{ConfigKey, NamedSection, RepositoryOverride, SECTIONS};
use layer::{FileOwner, KeyFlag, SectionNames, SourceFile};
use mcp::McpConfig;
use model::{ModelConfig, ProviderKind};
use problem::{ConfigError, ConfigProblem, ValueOrigin};
pub use regular_file::open_regular_file;
pub use review::{ReviewConfig, ReviewModelRuntime, SkillsDir};
pub use rules::{DEFAULT_READING_TIME_LIMIT, RulesConfig};
use secret::SecretSource;
pub use setting::EffectiveSetting;
use setting::table_mismatch;
pub use store::{StoreConfig, StoreLocationConfig};
use sync::JobConfig;
use tool::ToolConfig;
pub use tool::ToolSelection;
pub use truing_core::port::ForgeKind;
use typed::TypedSettings;
use value::ConfigValue;
use verify::VerifyConfig;

/// The complete configuration of one command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Location of the store, from section `store`.
    pub store: StoreConfig,
    /// Settings of the server, from section `server`.
    pub server: ServerConfig,
    /// Forges by name, from sections `forge.NAME`.
    pub forges: BTreeMap<String, ForgeConfig>,
    /// Default model, from section `model`.
    pub model: ModelConfig,
    /// Further models by name, from sections `model.NAME`.
    pub models: BTreeMap<String, ModelConfig>,
    /// Names of the models for certain kinds of work.
    pub roles: model::ModelNamesByRole,
    /// Settings of the review loop, from section `review`.
    pub review: ReviewConfig,
    /// MCP servers by name. A model may call the tools of these servers.
    pub mcp: BTreeMap<String, McpConfig>,
    /// Configured linters, in the order of their names.
    pub linters: Vec<ToolConfig>,
    /// Settings of the rules, from section `rules`.
    pub rules: RulesConfig,
    /// Settings of the models' prompts, from section `prompts`.
    pub prompts: PromptsConfig,
    /// Settings of the policy, from section `policy`.
    pub policy: PolicyConfig,
    /// Settings of the sandbox, from section `sandbox`.
    pub sandbox: SandboxConfig,
    /// The repository's own setup and checks, from section `verify`.
    pub verify: VerifyConfig,
    /// Settings of the converge loop, from section `converge`.
    pub converge: ConvergeConfig,
    /// Limits of the models' cost, from section `budget`.
    pub budget: BudgetConfig,
    /// Teams by name, from sections `team.NAME`.
    pub teams: BTreeMap<String, TeamConfig>,
    /// Daily cost limits of individual repositories, by `owner/name`.
    pub repository_day_limits: BTreeMap<String, MicroUsd>,
    /// Prices of models, by name.
    pub prices: BTreeMap<String, DeclaredPrice>,
    /// Sync jobs by name. Each job follows an upstream package.
    pub sync_jobs: BTreeMap<String, JobConfig>,
    /// Recipients of notices, from section `notify`.
    pub notify: NotifyConfig,
    /// Destination of traces, from section `telemetry`.
    pub telemetry: TelemetryConfig,
    /// Retention times of old records, from section `retention`.
    pub retention: RetentionConfig,
    settings: BTreeMap<String, EffectiveSetting>,
    names: SectionNames,
    denied_keys: Vec<String>,
}

/// Section `server` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServerConfig {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Separate address for `/metrics`. If it is `None`, `/metrics` is served on `listen`.
    pub metrics_listen: Option<SocketAddr>,
    /// Maximum number of leases that a process holds at once.
    pub concurrency: usize,
    /// Maximum number of leases of a process for the repositories of one owner. 0 means that this number has
    /// no separate limit.
    pub concurrency_per_owner: usize,
    /// Lifetime of a lease without a heartbeat.
    pub lease_duration: Duration,
    /// Interval of lease renewals; less than two thirds of `lease`.
    pub heartbeat_interval: Duration,
    /// Interval at which the scheduler looks for due slots.
    pub slot_poll_interval: Duration,
    /// Interval at which Truing queries the forges for open pull requests.
    pub forge_poll_interval: Duration,
    /// Maximum number of webhooks per second from one source; 0 means no limit.
    pub max_webhooks_per_second: u32,
    /// Networks of trusted proxies, whose information about a webhook's sender is used.
    pub trusted_proxies: Vec<IpNet>,
}

/// Section `prompts` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PromptsConfig {
    /// Folder with the operator's prompts, which replace Truing's prompts of the same name.
    pub dir: Option<PathBuf>,
}

/// Section `policy` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PolicyConfig {
    /// Folder with the operator's profiles and grammars.
    pub dir: Option<PathBuf>,
}

/// Section `sandbox` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SandboxConfig {
    /// Weakest sandbox level that Truing accepts.
    pub min_level: SandboxLevel,
}

/// Section `team.NAME` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TeamConfig {
    /// Globs of the team's repositories. [`value::compile_repository_globs`] compiles the globs.
    pub repositories: Vec<String>,
    /// Limit of the team's monthly cost; `None` means no limit.
    pub monthly_limit: Option<MicroUsd>,
}

/// Section `notify` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotifyConfig {
    /// URL of a webhook that accepts `{"text": …}`.
    pub webhook: Option<SecretSource>,
    /// URL of a mail server, with sender and recipients.
    pub smtp: Option<SecretSource>,
    /// Password of the mail server's user.
    pub smtp_password: Option<SecretSource>,
}

/// Section `telemetry` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TelemetryConfig {
    /// Base address that traces are sent to, if one is configured.
    pub otlp_endpoint: Option<String>,
    /// Headers that are sent with the traces.
    pub headers: Option<SecretSource>,
    /// True if traces may contain the texts of requests and responses, and contents that tools have read.
    pub capture_content: bool,
}

/// Section `retention` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RetentionConfig {
    /// Retention time of completed runs and of history.
    pub runs: Duration,
    /// Retention time of the audit log and of delivered notices.
    pub audit: Duration,
}

impl Config {
    /// Resolves the configuration that applies to all repositories, from defaults, the operator's file,
    /// variables and flags.
    ///
    /// # Errors
    /// All problems of these sources.
    pub fn resolve(
        environment: &Environment,
        operator: Option<&SourceFile>,
        flags: &[KeyFlag],
    ) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let file = operator
            .map(|file| layer::read_file_layer(file, FileOwner::Operator, &mut problems))
            .unwrap_or_default();
        let variables = layer::read_variable_layer(environment, &mut problems);
        let flags = layer::read_flag_layer(flags, environment, &mut problems);
        let decided = |key: &str| [&variables, &flags].iter().any(|layer| layer.entries.contains_key(key));
        let mut foreign = layer::read_foreign_variable_layer(environment, decided, &mut problems);
        ConfigError::err_if_any(problems)?;
        let provider = [&flags, &variables, &foreign, &file]
            .into_iter()
            .find_map(|layer| Some(&layer.entries.get(layer::MODEL_PROVIDER_KEY)?.value));
        // `ANTHROPIC_BASE_URL` contains the address of the Messages API. If another provider is selected, its
        // code and API keys must not be sent to this address.
        if provider.is_some_and(|provider| *provider != ConfigValue::Choice(ProviderKind::Anthropic.as_str()))
        {
            foreign.entries.remove(layer::MODEL_BASE_URL_KEY);
        }

        let mut settings = BTreeMap::new();
        let mut names = SectionNames::new();
        for layer in [file, foreign, variables, flags] {
            for (named, more) in layer.names {
                names.entry(named).or_default().extend(more);
            }
            for (path, entry) in layer.entries {
                settings.insert(
                    path,
                    EffectiveSetting { value: entry.value, origin: entry.origin, addition_origin: None },
                );
            }
        }
        names
            .entry(NamedSection::Reviewer)
            .or_default()
            .extend(converge::reviewers_without_section(&settings));
        fill_with_defaults(&mut settings, &names, environment)?;
        Self::from_settings(settings, names)
    }

    /// Returns the configuration with the values of one repository's own file. Call this method on the result
    /// of [`Config::resolve`], separately for each repository.
    ///
    /// # Errors
    /// All problems of the file.
    pub fn with_repository(&self, file: &SourceFile) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let layer = layer::read_file_layer(file, FileOwner::Repository, &mut problems);
        ConfigError::err_if_any(problems)?;
        let (mut settings, mut names) = (self.settings.clone(), self.names.clone());
        let allows = settings.get(keys::COMMANDS_PERMISSION_KEY).map(|setting| &setting.value);
        let allows = allows == Some(&ConfigValue::Flag(true));
        let mut not_used = Vec::new();
        let tools = layer.names.get(&NamedSection::Tool).cloned().unwrap_or_default();
        if allows {
            names.entry(NamedSection::Tool).or_default().extend(tools);
            // The environment may be empty here, because only tools' keys still lack defaults, and these
            // defaults do not depend on the environment.
            fill_with_defaults(&mut settings, &names, &Environment::default())?;
        } else {
            let has_keys = |name: &String| {
                let section = format!("tool.{name}.");
                let next = layer.entries.range(section.clone()..).next();
                next.is_some_and(|(path, _)| path.starts_with(&section))
            };
            not_used.extend(tools.iter().filter(|name| !has_keys(name)).map(|name| format!("tool.{name}")));
        }
        for (path, entry) in layer.entries {
            if entry.key.repository == RepositoryOverride::MaySetIfAllowed && !allows {
                not_used.push(path);
                continue;
            }
            let Some(setting) = settings.get_mut(&path) else {
                return Err(table_mismatch(&path));
            };
            match (entry.key.repository, &mut setting.value, entry.value) {
                (RepositoryOverride::MayAdd, ConfigValue::StringList(all), ConfigValue::StringList(more)) => {
                    *all = value::remove_duplicates(all.drain(..).chain(more));
                    setting.addition_origin = Some(entry.origin);
                }
                (
                    RepositoryOverride::MayAdd,
                    ConfigValue::RuleSeverities(all),
                    ConfigValue::RuleSeverities(more),
                ) => {
                    for (rule, severities) in more {
                        all.entry(rule).or_insert(severities);
                    }
                    setting.addition_origin = Some(entry.origin);
                }
                (RepositoryOverride::MayAdd, ConfigValue::Tiers(all), ConfigValue::Tiers(more)) => {
                    all.extend(more);
                    setting.addition_origin = Some(entry.origin);
                }
                (
                    RepositoryOverride::MayAdd,
                    ConfigValue::Instructions(all),
                    ConfigValue::Instructions(more),
                ) => {
                    all.extend(more);
                    setting.addition_origin = Some(entry.origin);
                }
                (RepositoryOverride::MaySet | RepositoryOverride::MaySetIfAllowed, value, own)
                    if setting.origin == ValueOrigin::Default =>
                {
                    *value = own;
                    setting.origin = entry.origin;
                }
                (
                    RepositoryOverride::Forbidden
                    | RepositoryOverride::MaySet
                    | RepositoryOverride::MaySetIfAllowed
                    | RepositoryOverride::MayAdd,
                    ..,
                ) => {}
            }
        }
        not_used.sort();
        Ok(Self { denied_keys: not_used, ..Self::from_settings(settings, names)? })
    }

    /// Returns the paths in the repository's own file that Truing ignored because the operator does not
    /// permit them. They are paths of keys, and of tools without keys.
    pub fn denied_repository_keys(&self) -> &[String] {
        &self.denied_keys
    }

    /// Returns the configuration with an additional forge of this name. All keys of this forge have their
    /// defaults.
    ///
    /// # Errors
    /// A `ConfigError` if the name does not identify a kind of forge.
    pub fn with_forge(&self, name: &str, environment: &Environment) -> Result<Self, ConfigError> {
        let mut names = self.names.clone();
        names.entry(NamedSection::Forge).or_default().insert(name.to_owned());
        let mut settings = self.settings.clone();
        fill_with_defaults(&mut settings, &names, environment)?;
        Self::from_settings(settings, names)
    }

    /// Returns the configuration with the model of this name in place of `[model]`. If `name` is `None`, the
    /// configuration is unchanged.
    #[must_use]
    pub fn with_named_model(&self, name: Option<&String>) -> Self {
        match name.and_then(|name| self.models.get(name)) {
            Some(model) => self.with_model(model.clone()),
            None => self.clone(),
        }
    }

    /// Returns the configuration with this model in place of `[model]`.
    #[must_use]
    pub fn with_model(&self, model: ModelConfig) -> Self {
        Self { model, ..self.clone() }
    }

    /// Returns every effective value with its path, in the order of the table of keys.
    pub fn settings(&self) -> impl Iterator<Item = (String, &EffectiveSetting)> {
        let set = |path: String| self.settings.get(&path).map(|setting| (path, setting));
        key_paths(&self.names).into_iter().filter_map(move |(path, _)| set(path))
    }

    /// Creates the typed configuration. The error of a missing value gets the origin of another key that is
    /// set in the same section.
    fn from_settings(
        settings: BTreeMap<String, EffectiveSetting>,
        names: SectionNames,
    ) -> Result<Self, ConfigError> {
        let set: Vec<(String, ValueOrigin)> = settings
            .iter()
            .filter(|(_, setting)| setting.origin != ValueOrigin::Default)
            .map(|(key, setting)| (key.clone(), setting.origin.clone()))
            .collect();
        Self::read_typed_config(settings, names).map_err(|error| {
            error.with_section_origin(|section| {
                let is_in = |key: &str| key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.'));
                let inside = set.iter().filter(|(key, _)| is_in(key));
                inside.min_by_key(|(_, origin)| origin).cloned()
            })
        })
    }

    fn read_typed_config(
        settings: BTreeMap<String, EffectiveSetting>,
        names: SectionNames,
    ) -> Result<Self, ConfigError> {
        let typed = TypedSettings(&settings);
        let config = Self {
            store: typed.store()?,
            server: ServerConfig {
                listen: typed.address("server.listen")?,
                metrics_listen: typed.address_if_any("server.metrics_listen")?,
                concurrency: typed.number("server.concurrency")?,
                concurrency_per_owner: typed.number("server.concurrency_per_owner")?,
                lease_duration: typed.duration("server.lease")?,
                heartbeat_interval: typed.duration("server.heartbeat")?,
                slot_poll_interval: typed.duration("server.poll")?,
                forge_poll_interval: typed.duration("server.sweep")?,
                max_webhooks_per_second: typed.number("server.rate_limit")?,
                trusted_proxies: typed.networks("server.trusted_proxies")?,
            },
            forges: read_named_sections(&names, NamedSection::Forge, |name| typed.forge(name))?,
            model: model::read_section(&typed, names.get(&NamedSection::Model))?,
            models: read_named_sections(&names, NamedSection::Model, |name| {
                model::read_named_section(&typed, name)
            })?,
            roles: model::read_roles(&typed, names.get(&NamedSection::Model))?,
            review: review::read_section(&typed)?,
            mcp: read_named_sections(&names, NamedSection::Mcp, |name| mcp::read_section(&typed, name))?,
            linters: tool::read_tools(&typed, names.get(&NamedSection::Tool))?,
            rules: rules::read_section(&typed)?,
            prompts: PromptsConfig { dir: typed.path("prompts.dir")? },
            policy: PolicyConfig { dir: typed.path("policy.dir")? },
            sandbox: SandboxConfig { min_level: typed.choice("sandbox.level", SandboxLevel::from_name)? },
            verify: verify::read_section(&typed)?,
            converge: converge::read_section(
                &typed,
                names.get(&NamedSection::Reviewer),
                names.get(&NamedSection::Model),
            )?,
            budget: budget::read_section(&typed)?,
            teams: read_named_sections(&names, NamedSection::Team, |name| {
                Ok(TeamConfig {
                    repositories: typed.list(&format!("team.{name}.repos"))?,
                    monthly_limit: typed.usd_if_any(&format!("team.{name}.month_usd"))?,
                })
            })?,
            repository_day_limits: read_named_sections(&names, NamedSection::Repo, |name| {
                typed.usd_if_any(&format!("repo.{name}.day_usd"))
            })?
            .into_iter()
            .filter_map(|(name, limit)| Some((name, limit?)))
            .collect(),
            prices: read_named_sections(&names, NamedSection::Price, |name| typed.price(name))?,
            sync_jobs: read_named_sections(&names, NamedSection::Sync, |name| {
                sync::read_section(&typed, name)
            })?,
            notify: NotifyConfig {
                webhook: typed.secret("notify.webhook")?,
                smtp: typed.secret("notify.smtp")?,
                smtp_password: typed.secret("notify.smtp_password")?,
            },
            telemetry: TelemetryConfig {
                otlp_endpoint: typed.url_if_any("telemetry.otlp_endpoint")?,
                headers: typed.secret("telemetry.headers")?,
                capture_content: typed.boolean("telemetry.capture_content")?,
            },
            retention: RetentionConfig {
                runs: typed.duration("retention.runs")?,
                audit: typed.duration("retention.audit")?,
            },
            settings: BTreeMap::new(),
            names: SectionNames::new(),
            denied_keys: Vec::new(),
        };
        ConfigError::err_if_any(conflict::find_conflicts(&typed, &config.forges)?)?;
        Ok(Self { settings, names, ..config })
    }
}

/// Reads all sections of one named kind, such as `team.NAME`.
fn read_named_sections<T>(
    names: &SectionNames,
    section: NamedSection,
    read: impl Fn(&str) -> Result<T, ConfigError>,
) -> Result<BTreeMap<String, T>, ConfigError> {
    names.get(&section).into_iter().flatten().map(|name| Ok((name.clone(), read(name)?))).collect()
}

/// Returns the paths of all keys, with names in place of `NAME`. The keys have the order of the table of
/// keys, and then the order of the names.
fn key_paths(names: &SectionNames) -> Vec<(String, &'static ConfigKey)> {
    let mut paths = Vec::new();
    for (section, _) in SECTIONS {
        let keys = || keys::section_keys(section).map(|(_, key)| key);
        if let Some(named) = section.strip_suffix(".NAME").and_then(NamedSection::from_word) {
            let names = names.get(&named).into_iter().flatten();
            paths.extend(names.flat_map(|name| keys().map(|key| (key.path.replace("NAME", name), key))));
        } else {
            paths.extend(keys().map(|key| (key.path.to_owned(), key)));
        }
    }
    paths
}

fn fill_with_defaults(
    settings: &mut BTreeMap<String, EffectiveSetting>,
    names: &SectionNames,
    environment: &Environment,
) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    for (path, key) in key_paths(names) {
        if settings.contains_key(&path) {
            continue;
        }
        if login::is_token_replaced_by_app(&path, settings) {
            settings.insert(
                path,
                EffectiveSetting {
                    value: ConfigValue::Unset,
                    origin: ValueOrigin::Default,
                    addition_origin: None,
                },
            );
            continue;
        }
        let value = match defaults::default_value(&path, key, environment, settings) {
            Ok(value) => value,
            Err(problem) => {
                problems.push(*problem);
                continue;
            }
        };
        match value {
            Some(value) => {
                settings.insert(
                    path,
                    EffectiveSetting { value, origin: ValueOrigin::Default, addition_origin: None },
                );
            }
            None => problems.push(ConfigProblem::KeyTableMismatch { key: path }),
        }
    }
    ConfigError::err_if_any(problems)
}

#[cfg(test)]
mod tests;
