//! Configuration of a repository's own setup and checks.

use std::path::PathBuf;
use std::time::Duration;

use truing_core::registry::PackageRegistry;

use super::problem::ConfigError;
use super::{TypedSettings, table_mismatch};

/// Section `verify` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyConfig {
    /// Commands of the setup, in order.
    pub setup_commands: Vec<Vec<String>>,
    /// Package registries to which the setup may connect.
    pub registries: Vec<PackageRegistry>,
    /// Commands of the checks, in order.
    pub check_commands: Vec<Vec<String>>,
    /// Timeout of each command.
    pub timeout: Duration,
    /// Folders with programs that commands may run in addition to the system's programs.
    pub program_folders: Vec<PathBuf>,
    /// Memory limit for all processes of a command together, in bytes.
    pub max_memory_bytes: u64,
    /// Maximum number of bytes that a setup may write. The same limit applies to all checks of a tree
    /// together.
    pub max_written_bytes: u64,
    /// Maximum total size of the cached setup results, in bytes.
    pub max_cache_bytes: u64,
    /// Maximum age of a cached setup result.
    pub max_cache_age: Duration,
}

pub(super) fn read_section(settings: &TypedSettings<'_>) -> Result<VerifyConfig, ConfigError> {
    let mib = |path: &str| settings.number::<u64>(path).map(|number| number.saturating_mul(1 << 20));
    let registry =
        |word: &String| PackageRegistry::from_name(word).ok_or_else(|| table_mismatch("verify.registries"));
    Ok(VerifyConfig {
        setup_commands: settings.commands("verify.setup")?,
        registries: settings.list("verify.registries")?.iter().map(registry).collect::<Result<_, _>>()?,
        check_commands: settings.commands("verify.check")?,
        timeout: settings.duration("verify.timeout")?,
        program_folders: settings.list("verify.programs")?.into_iter().map(PathBuf::from).collect(),
        max_memory_bytes: mib("verify.memory_mib")?,
        max_written_bytes: mib("verify.disk_mib")?,
        max_cache_bytes: mib("verify.cache_mib")?,
        max_cache_age: settings.duration("verify.cache_age")?,
    })
}
