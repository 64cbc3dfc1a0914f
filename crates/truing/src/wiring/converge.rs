//! Who works on a run that converges, from the configuration.

use sha2::{Digest as _, Sha256};
use truing_agent::sandbox::Level;
use truing_config::converge::Bugteam;
use truing_config::environment::Environment;
use truing_config::{Config, Runtime};
use truing_core::converge::Code;
use truing_loops::checkout::Rules;
use truing_loops::converge::{Crew, Looks};
use truing_service::converges::{Converging, Unusable};
use truing_store::Sqlite;

use super::{agent, verify};
use crate::cli::error::{CliError, Exit};

/// Who works.
///
/// # Errors
/// The refusal R3, and exit 3 where a fixer cannot be kept in.
pub fn crew(config: &Config, environment: &Environment, store: &Sqlite) -> Result<Crew, CliError> {
    let auditor =
        agent::native(config, environment, store.clone()).map_err(|error| no_agent(AUDITOR, error))?;
    let fixer = fixer(config).map(|(name, config)| {
        agent::native(&config, environment, store.clone()).map_err(|error| no_fixer(&name, error))
    });
    let fixer = fixer.transpose()?;
    let sandbox = truing_loops::machine::sandbox_level();
    kept_in(sandbox)?;
    Ok(Crew { auditor, fixer, sandbox })
}

/// What a head is looked at with besides models. `config`: with what the repository's own file adds.
///
/// # Errors
/// Exit 2 for what cannot be used, exit 3 where the sandbox is too weak.
pub fn looks(config: &Config, environment: &Environment) -> Result<Looks, CliError> {
    let checks = &config.verify;
    let verifier = (!checks.check.is_empty()).then(|| verify::verifier(checks, environment));
    Ok(Looks {
        verifier: verifier.transpose()?,
        programs: checks.programs.clone(),
        scope: super::scope(&config.rules)?,
        commands: verify::gate(config, environment)?,
        name: named(config),
    })
}

/// Another name for another gate, check or rule.
fn named(config: &Config) -> String {
    let Config { converge, verify, rules, .. } = config;
    let all = (&converge.gate, &verify.setup, &verify.check, &rules.packs, &rules.ignore, &rules.dir);
    hex::encode(Sha256::digest(format!("{all:?}")))
}

/// The two workers.
const AUDITOR: &str = "auditor";
const FIXER: &str = "fixer";

/// Could the model that audits be asked? Nothing is sent.
///
/// # Errors
/// The refusal R3.
pub fn is_auditor_ready(config: &Config, environment: &Environment) -> Result<(), CliError> {
    agent::is_ready(config, environment).map_err(|error| no_agent(AUDITOR, error))
}

/// The configuration of the model that fixes, if that is another one, with its name.
pub fn fixer(config: &Config) -> Option<(String, Config)> {
    let name = config.converge.fixer.clone()?;
    let model = config.models.get(&name)?.clone();
    Some((name, config.with_model(model)))
}

/// Could the model that fixes be asked, if that is another one? Nothing is sent.
///
/// # Errors
/// The refusal R3.
pub fn is_fixer_ready(config: &Config, environment: &Environment) -> Result<Option<String>, CliError> {
    let Some((name, config)) = fixer(config) else { return Ok(None) };
    agent::is_ready(&config, environment).map_err(|error| no_fixer(&name, error))?;
    Ok(Some(config.model.name))
}

fn no_fixer(name: &str, mut error: CliError) -> CliError {
    // Its keys are those of a model with a name.
    let named = |text: &str| {
        let text = text.replace("[model]", &format!("[model.{name}]"));
        text.replace("model.api_key", &format!("model.{name}.api_key"))
            .replace("`model.name`", &format!("`model.{name}.name`"))
    };
    error.message = format!("[model.{name}]: {}", named(&error.message));
    error.hints = error.hints.iter().map(|hint| named(hint)).collect();
    no_agent(FIXER, error)
}

/// What a service needs to converge; or why it cannot, in words. It may where the configuration lets it ask a model.
pub fn served(config: &Config, environment: &Environment, store: &Sqlite) -> Result<Converging, String> {
    match config.review.runtime {
        Runtime::Rules => return Err("this server asks no model (`review.runtime` is \"rules\")".to_owned()),
        Runtime::Native | Runtime::Cli => {}
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
pub fn converging(config: Config, environment: &Environment, store: &Sqlite) -> Result<Converging, CliError> {
    if Bugteam::of(environment)?.is_disabled {
        return Err(disabled());
    }
    let crew = crew(&config, environment, store)?;
    // What is wrong with the operator's own is told before anything begins.
    looks(&config, environment)?;
    let rules = Rules::new(config).map_err(super::bad_pattern)?;
    let environment = environment.clone();
    let looks = move |config: &Config| looks(config, &environment).map_err(unusable);
    Ok(Converging { crew, rules, looks: Box::new(looks) })
}

fn unusable(error: CliError) -> Unusable {
    let CliError { exit, code, message, hints, .. } = error;
    Unusable { is_wrong_use: exit == Exit::Usage, code, message, hints }
}

/// Runs are switched off by a variable (R0).
pub(crate) fn disabled() -> CliError {
    CliError::refused(Code::Disabled.as_str(), "converge is disabled via CLAUDE_REVIEWS_DISABLED")
        .hint("take `bugteam` out of that variable, or unset it")
}

/// Can a fixer's commands be kept in on a machine that reaches this level?
///
/// # Errors
/// Exit 3, where they cannot.
pub fn kept_in(level: Level) -> Result<(), CliError> {
    if level == Level::Full {
        return Ok(());
    }
    Err(CliError::failed("sandbox_weak", "the sandbox of this machine is too weak for a fixer's commands").hint(
        "allow user namespaces, or run where they are allowed; `truing sandbox check` tells what is stopped",
    ))
}

/// What is wrong where a model cannot be asked: without it there is no worker. Other mistakes are told as they are.
const OF_MODELS: [&str; 5] = ["model", "model_key", "model_price", "provider", "claude"];

/// A model cannot be asked (R3).
fn no_agent(worker: &str, error: CliError) -> CliError {
    if !OF_MODELS.contains(&error.code) {
        return error;
    }
    let mut refused =
        CliError::usage(Code::NoAgent.as_str(), format!("the {worker} has no model: {}", error.message));
    // Without a model there are reviews, but no loop.
    let hints = error.hints.into_iter().map(|hint| hint.replace(agent::WITHOUT, ""));
    refused.hints.extend(hints);
    refused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_commands_cannot_be_kept_in_nothing_begins_and_what_helps_is_said() {
        assert!(kept_in(Level::Full).is_ok());
        for level in [Level::None, Level::Landlock] {
            let error = kept_in(level).unwrap_err();
            assert_eq!((error.exit, error.code), (Exit::Failed, "sandbox_weak"));
            assert!(error.hints.iter().any(|hint| hint.contains("`truing sandbox check`")), "{error:?}");
        }
    }
}
