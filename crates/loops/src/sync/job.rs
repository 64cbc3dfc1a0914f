//! A sync job with its tools.

use truing_agent::verify::Verifier;
use truing_config::sync::JobConfig;
use truing_core::version::PackageVersion;
use truing_git::Git;
use truing_upstream::archives::ArchiveFolder;
use truing_upstream::index::PackageIndex;

use super::port::MigrationAgent;
use crate::reader::ChildReader;

/// A sync job, and all that each run of it works with.
#[derive(Clone, Copy, Debug)]
pub struct SyncJob<'a> {
    /// Its name.
    pub name: &'a str,
    /// The package that it follows, and the way.
    pub config: &'a JobConfig,
    /// Git.
    pub git: &'a Git,
    /// The package's index.
    pub index: &'a PackageIndex,
    /// Where archives are kept.
    pub archives: &'a ArchiveFolder,
    /// Who reads them.
    pub reader: &'a ChildReader,
    /// Who ports code; none: nobody.
    pub porter: Option<&'a MigrationAgent>,
    /// The runner of lock commands; none: the job has none.
    pub locker: Option<&'a Verifier>,
    /// The runner of the project's own checks; none: none are configured.
    pub verifier: Option<&'a Verifier>,
    /// The release that a run is about; none: the job's target.
    pub to: Option<&'a PackageVersion>,
    /// Write nothing at the forge and remember nothing but the record?
    pub dry_run: bool,
}
