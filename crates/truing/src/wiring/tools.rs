//! Creates the runners of linters; the environment determines where linters are found on this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use truing_agent::installed::MachinePaths;
use truing_agent::verify::Verifier;
use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::secret::SecretSource;
use truing_config::tool::ToolSelection;
use truing_config::value::ConfigValue;
use truing_core::port::ToolOutput;
use truing_loops::tools::{LinterRunner, LinterSources, ProgramFetcher, ToolCache, resolve_links};
use truing_reader::output::known;

use crate::cli::error::CliError;

/// Returns the runner that runs linters on the user's own files.
pub(crate) fn local_runner(config: &Config, environment: &Environment) -> LinterRunner {
    let active = environment.get("VIRTUAL_ENV").map(PathBuf::from).filter(|folder| folder.is_absolute());
    LinterRunner {
        is_foreign_code: false,
        python_environment: active,
        ..service_runner(config, environment, None)
    }
}

/// Returns the sources of linter findings for the user's own files: the given outputs of linters, and the
/// linters of this machine.
pub(crate) fn local_linters(
    config: &Config,
    environment: &Environment,
    outputs: Vec<ToolOutput>,
) -> LinterSources {
    LinterSources {
        supplied_outputs: outputs,
        runner: Some(LinterRunner { cache: linter_cache(config), ..local_runner(config, environment) }),
    }
}

/// Returns the cache of the linters' findings, or none if the configuration names no folder for this machine.
fn linter_cache(config: &Config) -> Option<ToolCache> {
    config.store.local_data_folder().ok().map(|folder| ToolCache::new(folder.join("tools")))
}

/// Returns the runner that runs linters on code that other people wrote. `verifier` sets up the project's
/// dependencies.
fn service_runner(config: &Config, environment: &Environment, verifier: Option<Verifier>) -> LinterRunner {
    // A linter may print a credential that the linter has found, so the credentials are registered, to be
    // removed from the linter's output.
    super::conceal::register_secrets(config, environment);
    let home = environment.get("HOME").map(Path::new);
    LinterRunner {
        machine_paths: MachinePaths::new(environment.get("PATH"), home)
            .with_rustup(environment.get("RUSTUP_HOME")),
        sandbox_level: truing_loops::machine::sandbox_level(),
        folders_by_variable: package_cache_folders(environment),
        python_environment: None,
        is_foreign_code: true,
        verifier,
        program_fetcher: ProgramFetcher::new(environment.clone()),
        cache: None,
        hidden_paths: concealed_paths(config),
    }
}

/// Returns the sources of linter findings for a service. The configuration decides whether linters run.
/// Outputs that other programs supply are not included.
///
/// # Errors
/// Returns the same errors as [`new_verifier`](super::verify::new_verifier).
pub(crate) fn service_linters(config: &Config, environment: &Environment) -> Result<LinterSources, CliError> {
    let verify = &config.verify;
    let runner = || super::verify::new_verifier(verify, environment);
    let verifier = match config.review.linters {
        ToolSelection::Auto | ToolSelection::Suggested if !verify.setup_commands.is_empty() => {
            Some(runner()?)
        }
        // The operator has not enabled linters, but a repository's own file may enable them. If the verifier
        // cannot be created, linters run without the setup of the project's dependencies.
        ToolSelection::Off if !verify.setup_commands.is_empty() => runner().ok(),
        ToolSelection::Auto | ToolSelection::Suggested | ToolSelection::Off => None,
    };
    let running =
        LinterRunner { cache: linter_cache(config), ..service_runner(config, environment, verifier) };
    Ok(LinterSources { supplied_outputs: Vec::new(), runner: Some(running) })
}

/// Returns the paths that linters must not read: the files and folders that the configuration names, and the
/// folder of the records.
fn concealed_paths(config: &Config) -> Vec<PathBuf> {
    let mut concealed: Vec<PathBuf> =
        config.store.local_data_folder().ok().map(Path::to_owned).into_iter().collect();
    for (_, setting) in config.settings() {
        if let ConfigValue::Path(path) = &setting.value {
            concealed.push(path.clone());
        }
        concealed.extend(
            setting.value.secret_sources().into_iter().filter_map(SecretSource::file).map(Path::to_owned),
        );
    }
    // Symbolic links are resolved, because these paths are later compared with resolved paths.
    concealed.iter().map(|file| resolve_links(file)).collect()
}

/// Returns the package cache folders that environment variables name, keyed by the variable's name.
fn package_cache_folders(environment: &Environment) -> BTreeMap<String, PathBuf> {
    let fetched = known::known_tools().iter().flat_map(|tool| &tool.fetched);
    let named = fetched.filter_map(|fetched| {
        let folder = PathBuf::from(environment.get(&fetched.variable)?);
        folder.is_absolute().then(|| (fetched.variable.clone(), folder))
    });
    named.collect()
}
