//! Creates the agents and tools of a converge run from the configuration.

use sha2::{Digest as _, Sha256};
use truing_agent::runtime::AgentRuntime;
use truing_agent::sandbox::SandboxLevel;
use truing_config::converge::BugteamVariables;
use truing_config::environment::Environment;
use truing_config::{Config, ReviewModelRuntime};
use truing_core::converge::ConvergeExitCode;
use truing_loops::checkout::OperatorRules;
use truing_loops::converge::{ConvergeAgents, InspectionTools};
use truing_service::converge_runs::ConvergeSetup;
use truing_service::run_failure::SetupError;
use truing_store::Store;

use super::role::ModelRole;
use super::{agent, verify};
use crate::cli::error::{CliError, CommandExit};

/// Returns the agents of a converge run. With `server_runtime`, the agents use this runtime, and the
/// configured runtime is not checked.
///
/// # Errors
/// Returns the refusal R3, and exit 3 if the sandbox cannot confine a fixer.
pub fn converge_agents(
    config: &Config,
    environment: &Environment,
    store: &Store,
    server_runtime: Option<&AgentRuntime>,
) -> Result<ConvergeAgents, CliError> {
    let new_agent = |config: &Config, role| {
        agent::agent_with_runtime(config, environment, store.clone(), role, server_runtime)
    };
    let auditor = new_agent(config, ModelRole::Auditor)?;
    let fixer = fixer_config(config).map(|config| new_agent(&config, ModelRole::Fixer)).transpose()?;
    let sandbox = truing_loops::machine::sandbox_level();
    check_fixer_sandbox(sandbox)?;
    Ok(ConvergeAgents { auditor, fixer, sandbox })
}

/// Returns the tools that inspect a head in addition to the models' audits: checks, rules, linters and gate
/// commands. `config` includes the repository's own file.
///
/// # Errors
/// Returns exit 2 for an invalid configuration, and exit 3 if the sandbox is too weak.
pub fn inspection_tools(config: &Config, environment: &Environment) -> Result<InspectionTools, CliError> {
    let checks = &config.verify;
    let verifier = (!checks.check_commands.is_empty()).then(|| verify::new_verifier(checks, environment));
    Ok(InspectionTools {
        verifier: verifier.transpose()?,
        program_folders: checks.program_folders.clone(),
        policy: super::policy::fixer_policy(config)?,
        scope: super::review_scope(config, super::line_digest_key(config, environment)?)?,
        linter_sources: super::tools::service_linters(config, environment)?,
        project_programs_folder: None,
        commands: verify::gate_commands(config, environment)?,
        configuration_id: inspection_digest(config),
        skips_preflight: BugteamVariables::from_environment(environment)?.skips_preflight,
    })
}

/// Returns a digest that identifies the configured gate, checks, rules and linters. The digest depends only
/// on the keys and values that a user can write. So a new version of Truing does not make earlier audits
/// stale.
fn inspection_digest(config: &Config) -> String {
    let mut digest = Sha256::new();
    for (key, setting) in config.settings() {
        if decides_inspection(&key) {
            digest.update(format!("{key} = {}\n", setting.value));
        }
    }
    // The default is left out, so that audits by versions without this key stay valid.
    if config.review.fetches_tools {
        digest.update("review.tool_fetch = true\n");
    }
    hex::encode(digest.finalize())
}

/// Returns true if an audit with another value of the key `key` can have other findings.
fn decides_inspection(key: &str) -> bool {
    const KEYS: [&str; 9] = [
        "converge.gate",
        "review.tools",
        "rules.dir",
        "rules.ignore",
        "rules.off",
        "rules.packs",
        "rules.severity",
        "verify.check",
        "verify.setup",
    ];
    KEYS.contains(&key) || key.starts_with("tool.")
}

/// Checks, without sending a request, that requests to the auditing model are possible.
///
/// # Errors
/// Returns the refusal R3 if no request to the model is possible.
pub fn check_auditor_ready(config: &Config, environment: &Environment) -> Result<(), CliError> {
    agent::check_model_ready(config, environment, ModelRole::Auditor)
}

/// Returns the configuration of the fixing model, if it differs from the auditing model.
fn fixer_config(config: &Config) -> Option<Config> {
    let (fixer, auditor) = (&config.converge.fixer_model, &config.roles.auditor);
    (fixer != auditor).then(|| config.with_named_model(fixer.as_ref()))
}

/// Checks, without sending a request, that requests to the fixing model are possible. Returns none if the
/// auditing model also fixes.
///
/// # Errors
/// Returns the refusal R3 if no request to the model is possible.
pub fn check_fixer_ready(config: &Config, environment: &Environment) -> Result<Option<String>, CliError> {
    let Some(config) = fixer_config(config) else { return Ok(None) };
    agent::check_model_ready(&config, environment, ModelRole::Fixer)?;
    Ok(Some(config.model.name))
}

/// Returns the setup for a service's converge runs, or the reason why the service does not converge. The
/// configuration must enable converge and the use of a model. `server_runtime` is used as in
/// [`converge_agents`].
pub fn service_setup(
    config: &Config,
    environment: &Environment,
    store: &Store,
    server_runtime: Option<&AgentRuntime>,
) -> Result<ConvergeSetup, String> {
    if !config.converge.is_enabled {
        return Err("converge runs are disabled on this server (`converge.enabled` is false)".to_owned());
    }
    match config.review.runtime {
        ReviewModelRuntime::RulesOnly => {
            return Err("this server uses no model (`review.runtime` is \"rules\")".to_owned());
        }
        ReviewModelRuntime::NativeToolLoop | ReviewModelRuntime::ClaudeCli => {}
    }
    // The error is returned as text and does not stop the service: reviews are possible even if converge
    // cannot be set up.
    converge_setup(config.clone(), environment, store, server_runtime).map_err(|error| {
        let messages = [error.message].into_iter().chain(error.hints).collect::<Vec<_>>();
        messages.join("; ")
    })
}

/// Returns the setup for converge runs on pull requests. `server_runtime` is used as in [`converge_agents`].
///
/// # Errors
/// Returns the refusals R0 and R3, and errors of an invalid configuration.
pub fn converge_setup(
    config: Config,
    environment: &Environment,
    store: &Store,
    server_runtime: Option<&AgentRuntime>,
) -> Result<ConvergeSetup, CliError> {
    if BugteamVariables::from_environment(environment)?.is_disabled {
        return Err(disabled_error());
    }
    let agents = converge_agents(&config, environment, store, server_runtime)?;
    // The tools are created here only to report errors of the operator's configuration before any run begins.
    inspection_tools(&config, environment)?;
    let lines_key = super::line_digest_key(&config, environment)?;
    let rules = OperatorRules::new(config, lines_key).map_err(super::invalid_glob_error)?;
    let environment = environment.clone();
    let looks = move |config: &Config| inspection_tools(config, &environment).map_err(setup_error);
    Ok(ConvergeSetup { agents, rules, inspection_factory: Box::new(looks) })
}

fn setup_error(error: CliError) -> SetupError {
    let CliError { exit, code, message, hints, .. } = error;
    SetupError { is_config_error: exit == CommandExit::Usage, code, message, hints }
}

/// Returns the refusal R0, which means that the variable `CLAUDE_REVIEWS_DISABLED` disables converge.
pub(crate) fn disabled_error() -> CliError {
    CliError::refusal(ConvergeExitCode::Disabled.as_str(), "converge is disabled via CLAUDE_REVIEWS_DISABLED")
        .hint("remove `bugteam` from this variable, or unset the variable")
}

/// Checks that a sandbox of this level can confine a fixer's commands.
///
/// # Errors
/// Returns exit 3 if the level is too weak.
pub fn check_fixer_sandbox(level: SandboxLevel) -> Result<(), CliError> {
    if level >= SandboxLevel::MIN_FOR_FOREIGN_CODE {
        return Ok(());
    }
    Err(CliError::failure("sandbox_weak", "the sandbox of this machine is too weak for a fixer's commands")
        .hint(super::sandbox_hint()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use truing_config::layer::SourceFile;

    use super::*;

    fn config(text: &str) -> Config {
        let file = SourceFile {
            name: "truing.toml".to_owned(),
            folder: PathBuf::from("/etc"),
            text: text.to_owned(),
        };
        Config::resolve(&Environment::default(), Some(&file), &[]).unwrap()
    }

    #[test]
    fn an_audit_is_of_the_gate_the_checks_the_rules_and_the_linters_alone() {
        let default = inspection_digest(&config(""));
        for other in [
            "converge.gate = [[\"make\"]]",
            "review.tools = \"auto\"",
            "review.tool_fetch = true",
            "rules.dir = \"/packs\"",
            "rules.ignore = [\"*.lock\"]",
            "rules.off = [\"core/rust-dbg\"]",
            "rules.packs = []",
            "rules.severity = { \"core/rust-dbg\" = \"P2\" }",
            "verify.check = [[\"make\", \"test\"]]",
            "verify.setup = [[\"make\", \"deps\"]]",
            "[tool.ruff]\ncommand = [\"ruff\"]\nformat = \"ruff-json\"",
        ] {
            assert_ne!(inspection_digest(&config(other)), default, "{other}");
        }
        for same in ["", "server.concurrency = 3", "rules.time = \"5s\"", "converge.max_audits = 3"] {
            assert_eq!(inspection_digest(&config(same)), default, "{same}");
        }
        // Another digest makes earlier audits stale: it must come from another default, not from the code.
        assert_eq!(default, "97d4559f3439b30d9d9769117e3bbf8cd5d1f9f8f4ea803de62e86740a599846");
    }

    #[test]
    fn where_commands_cannot_be_kept_in_nothing_begins_and_what_helps_is_said() {
        assert!(check_fixer_sandbox(SandboxLevel::Full).is_ok());
        assert!(check_fixer_sandbox(SandboxLevel::Landlock).is_ok());
        let error = check_fixer_sandbox(SandboxLevel::None).unwrap_err();
        assert_eq!((error.exit, error.code), (CommandExit::Failure, "sandbox_weak"));
        assert!(error.hints.iter().any(|hint| hint.contains("`truing sandbox check`")), "{error:?}");
    }
}
