//! The settings for running linters, the files that linters inspect, and the methods to run a linter.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use truing_agent::installed::{InstalledProgram, MachinePaths};
use truing_agent::sandbox::SandboxLevel;
use truing_agent::verify::{CacheScope as Trust, SetupResult, Verifier};
use truing_core::port::ChangedFile;
use truing_diff::RepoPath;

use super::base::BaseCommit;
use super::cache::ToolCache;
use super::fetch::ProgramFetcher;

/// The name of the cache scope for the user's own files.
pub(super) const OWN_FILES_CACHE_SCOPE: &str = "own";

/// The settings with which linters are run.
#[derive(Clone, Debug)]
pub struct LinterRunner {
    /// The folders that are searched for programs on this machine.
    pub machine_paths: MachinePaths,
    /// The level of isolation that this machine's sandbox supports.
    pub sandbox_level: SandboxLevel,
    /// The paths of folders that environment variables set. The key is the variable (see
    /// [`truing_reader::output::known::FetchedFolder::variable`]).
    pub folders_by_variable: BTreeMap<String, PathBuf>,
    /// The active Python virtual environment.
    pub python_environment: Option<PathBuf>,
    /// True if the files come from another person. In that case, no program in these files is run. If the
    /// change touches a linter's configuration and this configuration is code, the linter is not run.
    pub is_foreign_code: bool,
    /// Sets up the project's dependencies, for linters that need them.
    pub verifier: Option<Verifier>,
    /// Fetches linters in the versions that the repository pins, if the configuration permits it.
    pub program_fetcher: ProgramFetcher,
    /// The cached findings of earlier runs. `None` if every run must inspect every file.
    pub cache: Option<ToolCache>,
    /// Configured files and folders that are hidden from every linter.
    pub hidden_paths: Vec<PathBuf>,
}

/// The files that linters inspect.
#[derive(Clone, Copy, Debug)]
pub struct LinterFiles<'a> {
    /// The folder that contains the files.
    pub tree: &'a Path,
    /// The folder whose files pin the versions of programs. This is the head's folder, even if the linters
    /// inspect the base.
    pub pin_folder: &'a Path,
    /// The folder in which the user has installed the project's programs; `None` if there is no such folder.
    pub project_programs_folder: Option<&'a Path>,
    /// The changed files that exist in the tree.
    pub changed_files: &'a [ChangedFile],
    /// Every path that the change names, including files that are not reviewed.
    pub changed_paths: &'a [RepoPath],
    /// The base of the change. In a review by the service, linters use the configuration of the base. Without
    /// a base, linters use the configuration in `tree`.
    pub base: Option<BaseCommit<'a>>,
    /// The scope of the cached set-ups that may be used.
    pub trust: Option<&'a Trust>,
}

/// A way to run a linter.
pub(super) enum LinterRunMethod<'a> {
    /// Runs the linter's program that is installed on the machine.
    MachineProgram(InstalledProgram),
    /// Runs the linter's program from the project's set-up, or else from the system. The linter runs in a
    /// copy of the files in which the set-up has run.
    ProjectSetup(&'a Verifier, &'a SetupResult),
}
