//! A repository's own set-up and checks.

use std::path::PathBuf;
use std::time::Duration;

use truing_core::registry::PackageRegistry;

use super::problem::ConfigError;
use super::{TypedSettings, bug};

/// Section `verify`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifyConfig {
    /// Commands that set the tree up, in order.
    pub setup: Vec<Vec<String>>,
    /// What they may reach.
    pub registries: Vec<PackageRegistry>,
    /// The checks, in order.
    pub check: Vec<Vec<String>>,
    /// How long each command may take.
    pub timeout: Duration,
    /// Folders with programs besides the system's.
    pub programs: Vec<PathBuf>,
    /// Memory of all processes of a command together, in bytes.
    pub memory: u64,
    /// What a set-up, or the checks, may write, in bytes.
    pub disk: u64,
    /// How much is kept of what set-ups left, in bytes.
    pub cache_bytes: u64,
    /// How long it is kept.
    pub cache_age: Duration,
}

pub(super) fn of(settings: &TypedSettings<'_>) -> Result<VerifyConfig, ConfigError> {
    let mib = |path: &str| settings.number::<u64>(path).map(|number| number.saturating_mul(1 << 20));
    let registry = |word: &String| PackageRegistry::named(word).ok_or_else(|| bug("verify.registries"));
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
