//! A sync job with its tools.

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
    /// The model that ports code. None if no model may port code.
    pub porter: Option<&'a MigrationAgent>,
    /// The runner of lock commands. None if the job has no lock commands.
    pub locker: Option<&'a Verifier>,
    /// The runner of the project's own checks. None if the job has no checks.
    pub verifier: Option<&'a Verifier>,
    /// The release that this run follows. None selects the release that the job's target determines.
    pub to: Option<&'a PackageVersion>,
    /// True if nothing is written at the forge and nothing is stored except the record.
    pub dry_run: bool,
}
