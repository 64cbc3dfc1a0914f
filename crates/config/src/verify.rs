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
    pub setup: Vec<Vec<String>>,
    /// Package registries to which the setup may connect.
    pub registries: Vec<PackageRegistry>,
    /// Commands of the checks, in order.
    pub check: Vec<Vec<String>>,
    /// Timeout of each command.
    pub timeout: Duration,
    /// Folders with programs that commands may run in addition to the system's programs.
    pub programs: Vec<PathBuf>,
    /// Memory limit for all processes of a command together, in bytes.
    pub memory: u64,
    /// Maximum number of bytes that a setup may write. The same limit applies to all checks of a tree
    /// together.
    pub disk: u64,
    /// Maximum total size of the cached setup results, in bytes.
    pub cache_bytes: u64,
    /// Maximum age of a cached setup result.
    pub cache_age: Duration,
}

pub(super) fn read_section(settings: &TypedSettings<'_>) -> Result<VerifyConfig, ConfigError> {
    let mib = |path: &str| settings.number::<u64>(path).map(|number| number.saturating_mul(1 << 20));
    let registry =
        |word: &String| PackageRegistry::from_name(word).ok_or_else(|| table_mismatch("verify.registries"));
    Ok(VerifyConfig {
        setup: settings.commands("verify.setup")?,
        registries: settings.list("verify.registries")?.iter().map(registry).collect::<Result<_, _>>()?,
        check: settings.commands("verify.check")?,
        timeout: settings.duration("verify.timeout")?,
        programs: settings.list("verify.programs")?.into_iter().map(PathBuf::from).collect(),
        memory: mib("verify.memory_mib")?,
        disk: mib("verify.disk_mib")?,
        cache_bytes: mib("verify.cache_mib")?,
        cache_age: settings.duration("verify.cache_age")?,
    })
}
