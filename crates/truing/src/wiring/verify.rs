//! Creates the verifier of a repository's own checks from the configuration and the user's environment
//! variables.

use std::path::PathBuf;

use truing_agent::sandbox::{SandboxError, SandboxLevel};
use truing_agent::verify::{
    CacheRetention, RegistryAccess, RegistryError, RegistryIndex, SetupCache, Verifier, VerifyError,
    VerifyPlan, hiding_mount,
};
use truing_config::Config;
use truing_config::environment::Environment;
use truing_config::sync::JobConfig;
use truing_config::verify::VerifyConfig;
use truing_core::registry::PackageRegistry;
use truing_loops::converge::gate::GateCommands;
use truing_upstream::user_index::UserEnvironment;

use crate::cli::error::CliError;

/// Folder of cached setups in the user's cache folder.
const SETUP_CACHE_FOLDER: &str = "truing/verify";

/// Returns the verifier that runs the configured setup and checks.
///
/// # Errors
/// Returns exit 2 for an invalid index or a missing cache folder, and exit 3 if the sandbox is too weak.
pub(crate) fn new_verifier(config: &VerifyConfig, environment: &Environment) -> Result<Verifier, CliError> {
    // Without a setup, nothing is downloaded, so an invalid package index in the user's settings is not an
    // error.
    let listed = if config.setup_commands.is_empty() { &[][..] } else { &config.registries };
    verifier_with_registries(config, registry_access(listed, environment)?, environment)
}

/// Returns a verifier whose setup can access these registries.
fn verifier_with_registries(
    config: &VerifyConfig,
    registries: RegistryAccess,
    environment: &Environment,
) -> Result<Verifier, CliError> {
    if let Some(folder) =
        config.program_folders.iter().find(|folder| !folder.is_absolute() || !folder.is_dir())
    {
        let message =
            format!("verify.programs: `{}` is not the full path of an existing folder", folder.display());
        return Err(
            CliError::usage("no_programs", message).hint("specify the full path of each folder, without `~`")
        );
    }
    let sandbox_level = truing_loops::machine::sandbox_level();
    if sandbox_level == SandboxLevel::Full
        && let Some(message) = hidden_folder_message(config)
    {
        return Err(CliError::usage("no_programs", message).hint(HIDDEN_FOLDER_HINT));
    }
    let folder = environment.user_folder("XDG_CACHE_HOME", ".cache").ok_or_else(|| {
        CliError::usage("no_cache", "Truing has no folder for the set-ups of checks")
            .hint("set HOME or XDG_CACHE_HOME")
    })?;
    let kept = CacheRetention { bytes: config.max_cache_bytes, age: config.max_cache_age };
    let plan = VerifyPlan {
        setup: config.setup_commands.clone(),
        check: config.check_commands.clone(),
        registries,
        program_folders: config.program_folders.clone(),
        command_time_limit: config.timeout,
        memory: config.max_memory_bytes,
        disk: config.max_written_bytes,
    };
    Verifier::new(plan, SetupCache::new(folder.join(SETUP_CACHE_FOLDER), kept), sandbox_level)
        .map_err(verify_error)
}

/// Hint for a folder that [`hidden_folder_message`] names.
pub(crate) const HIDDEN_FOLDER_HINT: &str =
    "move the folder to a place that the sandbox shows, such as a folder below /opt";

/// Returns a message about the first folder of `verify.programs` that commands do not see in a sandbox with
/// its own file system.
pub(crate) fn hidden_folder_message(config: &VerifyConfig) -> Option<String> {
    config.program_folders.iter().find_map(|folder| {
        let mount = hiding_mount(folder)?;
        Some(format!(
            "verify.programs: `{}` is hidden in the sandbox, which mounts its own folder at `{}`",
            folder.display(),
            mount.display()
        ))
    })
}

/// Returns the commands of the gate and the verifier that runs them, or none if no command is configured.
///
/// # Errors
/// Returns the same errors as [`new_verifier`].
pub(crate) fn gate_commands(
    config: &Config,
    environment: &Environment,
) -> Result<Option<GateCommands>, CliError> {
    let argv = config.converge.gate.clone();
    let commands = || {
        Ok(GateCommands {
            argv: argv.clone(),
            verifier: new_verifier(&config.verify, environment)?,
            base_hooks: None,
        })
    };
    (!argv.is_empty()).then(commands).transpose()
}

/// Returns the verifier that runs the checks, or none if no check is configured.
///
/// # Errors
/// Returns the same errors as [`new_verifier`].
pub(crate) fn check_verifier(
    config: &VerifyConfig,
    environment: &Environment,
) -> Result<Option<Verifier>, CliError> {
    (!config.check_commands.is_empty()).then(|| new_verifier(config, environment)).transpose()
}

/// Returns the verifier that runs a job's lock commands, or none if the job has no lock commands.
///
/// # Errors
/// Returns the same errors as [`new_verifier`].
pub(crate) fn lock_verifier(
    config: &VerifyConfig,
    environment: &Environment,
    job: &JobConfig,
) -> Result<Option<Verifier>, CliError> {
    let runner =
        || verifier_with_registries(config, registry_access(&config.registries, environment)?, environment);
    (!job.lock_commands.is_empty()).then(runner).transpose()
}

/// Returns the access to the registries. If the user's settings name an index for a registry, this index
/// replaces the registry's public index.
fn registry_access(
    package_registries: &[PackageRegistry],
    environment: &Environment,
) -> Result<RegistryAccess, CliError> {
    let wrong = |error: RegistryError| CliError::usage("index", error.to_string()).hint(error.hint());
    let variable = |name: &str| environment.get(name).and_then(|value| value.to_str());
    let mut registries = RegistryAccess::new(package_registries, variable).map_err(wrong)?;
    let owned = |name: &str| variable(name).map(str::to_owned);
    let home = environment.get("HOME").map(PathBuf::from);
    let user = UserEnvironment { read_variable: &owned, home: home.as_deref() };
    for registry in package_registries {
        let own =
            user.find_index(*registry, "").map_err(|error| CliError::usage("index", error.to_string()))?;
        let Some(named_by) = own.configured_by else { continue };
        if own.token.is_some() {
            return Err(wrong(RegistryError::UrlCredentials(named_by)));
        }
        let index = RegistryIndex { registry: *registry, configured_by: named_by, address: own.address };
        registries = registries.with_index(&index).map_err(wrong)?;
    }
    Ok(registries)
}

/// Converts an error that prevented the checks from running to an error of the command line.
pub(crate) fn verify_error(error: VerifyError) -> CliError {
    let message = error.to_string();
    match error {
        VerifyError::Sandbox(SandboxError::TooWeak { .. }) => CliError::failure("sandbox_weak", message)
            .hint(super::sandbox_hint())
            .hint("a weaker sandbox is not accepted here: commands would share the machine's network"),
        VerifyError::Sandbox(_) | VerifyError::NotRun { .. } => CliError::failure("sandbox", message).hint(
            "run `truing sandbox check` to see what this machine allows, and check that `verify.programs` \
                contains no system folder",
        ),
        VerifyError::Folder { .. } => CliError::failure("verify_folder", message).hint(
            "check that the folder for temporary files and the user's cache folder have free space and are \
             writable",
        ),
    }
}
