//! A sync job, with the tools that its runs use.

use truing_agent::verify::Verifier;
use truing_config::sync::JobConfig;
use truing_core::version::PackageVersion;
use truing_git::Git;

use super::package_sources::PackageSources;
use super::port::MigrationAgent;

/// A sync job, and the tools of each of its runs.
#[derive(Clone, Copy, Debug)]
pub struct SyncJob<'a> {
    pub name: &'a str,
    /// The configuration of the job, with the package that the job follows.
    pub config: &'a JobConfig,
    pub git: &'a Git,
    /// The index, the archive folder and the reader for the package's releases.
    pub sources: PackageSources<'a>,
    /// The model that ports code. `None` if the job does not permit ports by a model.
    pub migration_agent: Option<&'a MigrationAgent>,
    /// Runs the lock commands. None if the job has no lock commands.
    pub lock_command_runner: Option<&'a Verifier>,
    /// Runs the project's own checks. None if the job has no checks.
    pub verifier: Option<&'a Verifier>,
    /// The release that this run follows. `None` selects the release by the target that the job configures.
    pub target_version: Option<&'a PackageVersion>,
    /// True if the run writes nothing at the forge, and stores nothing except its record.
    pub dry_run: bool,
}
