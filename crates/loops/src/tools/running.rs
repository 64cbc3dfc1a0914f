//! The machine that runs linters, the files that they inspect, and the ways to run one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use truing_agent::installed::{InstalledProgram, MachinePaths};
use truing_agent::sandbox::SandboxLevel;
use truing_agent::verify::{CacheScope as Trust, SetupResult, Verifier};
use truing_core::port::ChangedFile;
use truing_diff::RepoPath;

use super::base::BaseCommit;
use super::cache::ToolCache;

/// The scope of kept findings on the user's own files.
pub(super) const OWN: &str = "own";

/// The way in which linters are run.
#[derive(Clone, Debug)]
pub struct LinterRunner {
    /// Search paths of the machine's programs.
    pub machine: MachinePaths,
    /// The strength of its sandbox.
    pub level: SandboxLevel,
    /// The folders that variables name, see [`truing_reader::output::known::FetchedFolder::variable`].
    pub folders: BTreeMap<String, PathBuf>,
    /// The virtual environment of Python that is active.
    pub environment: Option<PathBuf>,
    /// True if the files are another person's. Then no program in them runs, and no linter whose
    /// configuration is code runs if the change touches that configuration.
    pub is_foreign_code: bool,
    /// Sets up the project's dependencies, for linters that need them.
    pub verifier: Option<Verifier>,
    /// Findings of earlier runs; if none, each run inspects every file.
    pub cache: Option<ToolCache>,
    /// Configured files and folders that are hidden from every linter.
    pub hidden_paths: Vec<PathBuf>,
}

/// The files that linters inspect.
#[derive(Clone, Copy, Debug)]
pub struct LinterFiles<'a> {
    /// The folder that holds them.
    pub tree: &'a Path,
    /// The folder whose pinned program versions apply: the head's, also for the base.
    pub pins: &'a Path,
    /// The folder in which the files' owner has installed programs for them; none if there is no such folder.
    pub project: Option<&'a Path>,
    /// The changed files that exist.
    pub changed: &'a [ChangedFile],
    /// Every path that the change names, including files that are not reviewed.
    pub changed_paths: &'a [RepoPath],
    /// The base of the change, whose configuration applies in a served review; if none, that of the tree
    /// applies.
    pub base: Option<BaseCommit<'a>>,
    /// The scope of set-ups that may be used.
    pub trust: Option<&'a Trust>,
}

/// A way to run a linter.
pub(super) enum LinterRunMethod<'a> {
    /// Runs it as a program of the machine.
    Machine(InstalledProgram),
    /// Runs it as a program of the project's set-up or of the system, on a copy of the files with that
    /// set-up.
    SetUp(&'a Verifier, &'a SetupResult),
}
