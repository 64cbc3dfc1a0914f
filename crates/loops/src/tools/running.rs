//! The settings with which linters are run, the files that they inspect, and the methods to run them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use truing_agent::installed::{InstalledProgram, MachinePaths};
use truing_agent::sandbox::SandboxLevel;
use truing_agent::verify::{CacheScope as Trust, SetupResult, Verifier};
use truing_core::port::ChangedFile;
use truing_diff::RepoPath;

use super::base::BaseCommit;
use super::cache::ToolCache;

/// The name of the cache scope for the user's own files.
pub(super) const OWN_FILES_SCOPE: &str = "own";

/// The settings with which linters are run.
#[derive(Clone, Debug)]
pub struct LinterRunner {
    /// The paths in which programs on this machine are searched.
    pub machine: MachinePaths,
    /// The level of the machine's sandbox.
    pub level: SandboxLevel,
    /// The folders that environment variables name, by variable (see
    /// [`truing_reader::output::known::FetchedFolder::variable`]).
    pub folders: BTreeMap<String, PathBuf>,
    /// The active Python virtual environment.
    pub environment: Option<PathBuf>,
    /// True if the files come from another person. In that case, no program in the files is run. A linter
    /// whose configuration is code is not run if the change touches that configuration.
    pub is_foreign_code: bool,
    /// Sets up the project's dependencies, for linters that need them.
    pub verifier: Option<Verifier>,
    /// The cached findings of earlier runs. None if every run inspects every file.
    pub cache: Option<ToolCache>,
    /// Configured files and folders that are hidden from every linter.
    pub hidden_paths: Vec<PathBuf>,
}

/// The files that linters inspect.
#[derive(Clone, Copy, Debug)]
pub struct LinterFiles<'a> {
    /// The folder that contains the files.
    pub tree: &'a Path,
    /// The folder whose pinned program versions apply. It is the head's folder, even for a run that inspects
    /// the base.
    pub pins: &'a Path,
    /// The folder in which the owner of the files has installed programs; none if there is no such folder.
    pub project: Option<&'a Path>,
    /// The changed files that exist.
    pub changed_files: &'a [ChangedFile],
    /// Every path that the change names, including files that are not reviewed.
    pub changed_paths: &'a [RepoPath],
    /// The base of the change. In a review by the service, the base's configuration applies. If there is no
    /// base, the tree's configuration applies.
    pub base: Option<BaseCommit<'a>>,
    /// The scope of the cached set-ups that may be used.
    pub trust: Option<&'a Trust>,
}

/// A way to run a linter.
pub(super) enum LinterRunMethod<'a> {
    /// Runs the linter's program that is installed on the machine.
    Machine(InstalledProgram),
    /// Runs the linter's program from the project's set-up, or else from the system. The linter gets a copy
    /// of the files with that set-up.
    SetUp(&'a Verifier, &'a SetupResult),
}
