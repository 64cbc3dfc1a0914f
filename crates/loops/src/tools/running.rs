//! The machine that runs linters, the files that they look at, and the ways to run one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use truing_agent::installed::{InstalledProgram, MachinePaths};
use truing_agent::sandbox::SandboxLevel;
use truing_agent::verify::{CacheScope as Trust, SetupResult, Verifier};
use truing_core::port::ChangedFile;
use truing_diff::RepoPath;

use super::base::BaseCommit;
use super::cache::ToolCache;

/// The scope of findings that are kept of files of one's own.
pub(super) const OWN: &str = "own";

/// The way in which linters are run.
#[derive(Clone, Debug)]
pub struct LinterRunner {
    /// The machine's programs.
    pub machine: MachinePaths,
    /// The strength of its sandbox.
    pub level: SandboxLevel,
    /// The folders that variables name, of [`truing_reader::output::known::FetchedFolder::variable`].
    pub folders: BTreeMap<String, PathBuf>,
    /// The virtual environment of Python that is active.
    pub environment: Option<PathBuf>,
    /// Are the files somebody else's? Then no program that they bring along runs, and no linter with code for its configuration if
    /// the change touches that.
    pub is_served: bool,
    /// Sets up the project's dependencies, for linters that need them.
    pub verifier: Option<Verifier>,
    /// Findings of earlier runs; none: each run looks at every file.
    pub cache: Option<ToolCache>,
    /// Files and folders that no linter may see, as the configuration names them.
    pub concealed: Vec<PathBuf>,
}

/// The files that linters look at.
#[derive(Clone, Copy, Debug)]
pub struct LinterFiles<'a> {
    /// The folder that holds them.
    pub tree: &'a Path,
    /// The folder whose pinned versions of programs count: the head's, also for the base.
    pub pins: &'a Path,
    /// The folder in which their owner has installed programs for them; none: there are none.
    pub project: Option<&'a Path>,
    /// Those that changed and are there.
    pub changed: &'a [ChangedFile],
    /// Every path that the change names, also of files that are not reviewed.
    pub touched: &'a [RepoPath],
    /// The base of the change, whose configuration counts in a served review; none: that of the tree does.
    pub base: Option<BaseCommit<'a>>,
    /// Whose set-ups may be used.
    pub trust: Option<&'a Trust>,
}

/// A way to run a linter.
pub(super) enum LinterRunMethod<'a> {
    /// As a program of the machine.
    Machine(InstalledProgram),
    /// As a program that the project's set-up or the system has, on a copy of the files with that set-up.
    SetUp(&'a Verifier, &'a SetupResult),
}
