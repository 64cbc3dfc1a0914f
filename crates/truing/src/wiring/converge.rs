//! Who works on a run that converges, from the configuration.

use sha2::{Digest as _, Sha256};
use truing_agent::sandbox::SandboxLevel;
use truing_config::converge::BugteamVariables;
use truing_config::environment::Environment;
use truing_config::{Config, ConfiguredRuntime, RulesConfig};
use truing_core::converge::ConvergeExitCode;
use truing_loops::checkout::OperatorRules;
use truing_loops::converge::{ConvergeAgents, InspectionTools};
use truing_service::converges::ConvergeSetup;
use truing_service::no_run::SetupError;
use truing_store::Store;

use super::role::ModelRole;
use super::{agent, verify};
use crate::cli::error::{CliError, CommandExit};

/// Who works.
///
/// # Errors
/// The refusal R3, and exit 3 where a fixer cannot be kept in.
pub fn agents(config: &Config, environment: &Environment, store: &Store) -> Result<ConvergeAgents, CliError> {
    let auditor = agent::native(config, environment, store.clone(), ModelRole::Auditor)?;
    let fixer = fixer(config)
        .map(|config| agent::native(&config, environment, store.clone(), ModelRole::Fixer))
        .transpose()?;
    let sandbox = truing_loops::machine::sandbox_level();
    kept_in(sandbox)?;
    Ok(ConvergeAgents { auditor, fixer, sandbox })
}

/// What a head is looked at with besides models. `config`: with what the repository's own file adds.
///
/// # Errors
/// Exit 2 for what cannot be used, exit 3 where the sandbox is too weak.
pub fn looks(config: &Config, environment: &Environment) -> Result<InspectionTools, CliError> {
    let checks = &config.verify;
    let verifier = (!checks.check.is_empty()).then(|| verify::verifier(checks, environment));
    Ok(InspectionTools {
        verifier: verifier.transpose()?,
        programs: checks.programs.clone(),
        policy: super::policy::fixer(config)?,
        scope: super::scope(config, super::lines_key(config, environment)?)?,
        toolbox: super::tools::of_service(config, environment)?,
        project: None,
        commands: verify::gate(config, environment)?,
        name: named(config),
    })
}

/// Another name for another gate, check or rule.
fn named(config: &Config) -> String {
    let Config { converge, verify, rules, review, tools, .. } = config;
    let linters = (review.tools, tools);
    let RulesConfig { ignore, packs, off, severity, dir, time: _ } = rules;
    let all = (&converge.gate, &verify.setup, &verify.check, packs, ignore, dir, linters, off, severity);
    hex::encode(Sha256::digest(format!("{all:?}")))
}

/// Could the model that audits be asked? Nothing is sent.
///
/// # Errors
/// The refusal R3.
pub fn is_auditor_ready(config: &Config, environment: &Environment) -> Result<(), CliError> {
    agent::is_ready(config, environment, ModelRole::Auditor)
}

/// The configuration of the model that fixes, if that is another one than audits.
fn fixer(config: &Config) -> Option<Config> {
    let (fixer, auditor) = (&config.converge.fixer, &config.roles.auditor);
    (fixer != auditor).then(|| config.with_named_model(fixer.as_ref()))
}

/// Could the model that fixes be asked, if that is another one? Nothing is sent.
///
/// # Errors
/// The refusal R3.
pub fn is_fixer_ready(config: &Config, environment: &Environment) -> Result<Option<String>, CliError> {
    let Some(config) = fixer(config) else { return Ok(None) };
    agent::is_ready(&config, environment, ModelRole::Fixer)?;
    Ok(Some(config.model.name))
}

/// What a service needs to converge; or why it cannot, in words. It may where the configuration lets it ask a model.
pub fn served(config: &Config, environment: &Environment, store: &Store) -> Result<ConvergeSetup, String> {
    if !config.converge.is_enabled {
        return Err("this server does not converge (`converge.enabled` is false)".to_owned());
    }
    match config.review.runtime {
        ConfiguredRuntime::Rules => {
            return Err("this server asks no model (`review.runtime` is \"rules\")".to_owned());
        }
        ConfiguredRuntime::Native | ConfiguredRuntime::Cli => {}
    }
    // Reviews go on whatever is wrong with it.
    converging(config.clone(), environment, store).map_err(|error| {
        let told = [error.message].into_iter().chain(error.hints).collect::<Vec<_>>();
        told.join("; ")
    })
}

/// What it takes to converge on pull requests.
///
/// # Errors
/// The refusals R0 and R3, and whatever cannot be used.
pub fn converging(
    config: Config,
    environment: &Environment,
    store: &Store,
) -> Result<ConvergeSetup, CliError> {
    if BugteamVariables::of(environment)?.is_disabled {
        return Err(disabled());
    }
    let agents = agents(&config, environment, store)?;
    // What is wrong with the operator's own is told before anything begins.
    looks(&config, environment)?;
    let lines_key = super::lines_key(&config, environment)?;
    let rules = OperatorRules::new(config, lines_key).map_err(super::bad_pattern)?;
    let environment = environment.clone();
    let looks = move |config: &Config| looks(config, &environment).map_err(unusable);
    Ok(ConvergeSetup { agents, rules, looks: Box::new(looks) })
}

fn unusable(error: CliError) -> SetupError {
    let CliError { exit, code, message, hints, .. } = error;
    SetupError { is_wrong_use: exit == CommandExit::Usage, code, message, hints }
}

/// Runs are switched off by a variable (R0).
pub(crate) fn disabled() -> CliError {
    CliError::refused(ConvergeExitCode::Disabled.as_str(), "converge is disabled via CLAUDE_REVIEWS_DISABLED")
        .hint("take `bugteam` out of that variable, or unset it")
}

/// Can a fixer's commands be kept in on a machine that reaches this level?
///
/// # Errors
/// Exit 3, where they cannot.
pub fn kept_in(level: SandboxLevel) -> Result<(), CliError> {
    if level == SandboxLevel::Full {
        return Ok(());
    }
    Err(CliError::failed("sandbox_weak", "the sandbox of this machine is too weak for a fixer's commands").hint(
        "allow user namespaces, or run where they are allowed; `truing sandbox check` tells what is stopped",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_commands_cannot_be_kept_in_nothing_begins_and_what_helps_is_said() {
        assert!(kept_in(SandboxLevel::Full).is_ok());
        for level in [SandboxLevel::None, SandboxLevel::Landlock] {
            let error = kept_in(level).unwrap_err();
            assert_eq!((error.exit, error.code), (CommandExit::Failed, "sandbox_weak"));
            assert!(error.hints.iter().any(|hint| hint.contains("`truing sandbox check`")), "{error:?}");
        }
    }
}
