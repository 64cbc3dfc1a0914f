//! Who works on a run that converges, from the configuration.

use truing_agent::sandbox::{Level, reached};
use truing_agent::verify::Scope;
use truing_core::converge::Code;
use truing_store::Sqlite;

use super::{agent, verify};
use crate::cli::error::CliError;
use crate::config::Config;
use crate::environment::Environment;
use crate::loops::converge::Crew;

/// Who works. `trust`: whose set-ups may be used for what the gate runs.
///
/// # Errors
/// The refusal R3, and exit 3 where a fixer cannot be kept in.
pub fn crew(
    config: &Config,
    environment: &Environment,
    store: &Sqlite,
    trust: Scope,
) -> Result<Crew, CliError> {
    let auditor = agent::native(config, environment, store.clone()).map_err(no_agent)?;
    kept_in(reached())?;
    let checks = &config.verify;
    let verifier = (!checks.check.is_empty()).then(|| verify::verifier(checks, environment));
    Ok(Crew {
        auditor,
        fixer: None,
        verifier: verifier.transpose()?,
        programs: checks.programs.clone(),
        scope: super::scope(&config.rules)?,
        commands: verify::gate(config, environment, trust)?,
    })
}

/// Can a fixer's commands be kept in on a machine that reaches this level?
///
/// # Errors
/// Exit 3, where they cannot.
pub fn kept_in(level: Level) -> Result<(), CliError> {
    if level == Level::Full {
        return Ok(());
    }
    Err(CliError::failed("sandbox_weak", "a fixer's commands cannot be kept in on this machine").hint(
        "allow user namespaces, or run where they are allowed; `truing sandbox check` tells what is stopped",
    ))
}

/// No model can be asked (R3): the first of the two that are missing is named.
fn no_agent(error: CliError) -> CliError {
    let mut refused = CliError::usage(
        Code::NoAgent.as_str(),
        "Required subagent type code-quality-agent not installed. /bugteam needs both code-quality-agent and clean-coder available.",
    )
    .hint(format!("no model can be asked: {}", error.message));
    refused.hints.extend(error.hints);
    refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::error::Exit;

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
