//! A sandbox for untrusted programs. These programs see one folder, have no network access, and cannot affect
//! other processes. On request, the sandbox kills an untrusted program and every process that the program
//! started.
//!
//! The sandbox is a helper mode of the running program, started under another name ([`HELPER_NAME`]). The
//! outer stage (`enter`) makes namespaces. The inner stage is the first process in these namespaces. This
//! process builds the file system (`mounts`), drops all capabilities, and adds two more restrictions,
//! Landlock (`landlock_rules`) and seccomp (`filter`). Only then does the helper start the command. Because
//! the restrictions are set up in the helper, the multi-threaded parent runs no code between fork and exec.
//!
//! A process that reads hostile data and starts no other process confines itself instead of using the helper
//! ([`ReadAccess`]).
//!
//! Some machines forbid namespaces. There, Landlock, seccomp and the `mediator` enforce the same properties:
//! [`SandboxLevel`] is the level that was reached, and [`check_escapes`] tests that escapes are impossible.
//!
//! Only Linux has the sandbox. On other systems, the level is [`SandboxLevel::None`], and no job starts
//! (`unsupported`).

#[cfg(target_os = "linux")]
mod check;
#[cfg(target_os = "linux")]
mod enter;
mod escape;
#[cfg(target_os = "linux")]
mod filter;
#[cfg(target_os = "linux")]
mod git_folder;
mod job;
#[cfg(target_os = "linux")]
mod landlock_rules;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod listening;
#[cfg(target_os = "linux")]
mod loopback;
#[cfg(target_os = "linux")]
mod machine_code;
#[cfg(target_os = "linux")]
mod mediator;
#[cfg(target_os = "linux")]
mod mounts;
#[cfg(target_os = "linux")]
pub mod objects;
#[cfg(target_os = "linux")]
mod open_files;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod processes;
pub mod property;
mod read_only;
#[cfg(target_os = "linux")]
mod reading;
#[cfg(target_os = "linux")]
mod smaps;
mod system_paths;
#[cfg(not(target_os = "linux"))]
mod unsupported;
#[cfg(target_os = "linux")]
mod watch;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

#[cfg(target_os = "linux")]
pub use check::{check_escapes, check_escapes_with_landlock};
pub use escape::{EscapeCheck, EscapeProbe};
pub(crate) use job::HELPER_MESSAGE_PREFIX;
pub use job::{
    BUILD_FOLDER, CHECK_INTERVAL as WATCH_PERIOD, HELPER_NAME, JobCommand, JobFolders, JobLimits,
    LIMIT_EXCEEDED_EXIT_CODE, NOT_STARTED_EXIT_CODE, PROXY_VARIABLES, SandboxJob,
};
#[cfg(target_os = "linux")]
pub use listening::SocketHandoff;
#[cfg(target_os = "linux")]
pub(crate) use processes::children_of;
pub use read_only::{READER_MEMORY_BYTES, ReadAccess};
pub(crate) use system_paths::{HOME, READABLE_SYSTEM_PATHS, SYSTEM_PATH, TEMPORARY_FOLDER};
pub use truing_core::sandbox::{SandboxLevel, SandboxLimit};
#[cfg(not(target_os = "linux"))]
pub(crate) use unsupported::children_of;
#[cfg(not(target_os = "linux"))]
pub use unsupported::{SocketHandoff, check_escapes, exceeded_limit};
#[cfg(target_os = "linux")]
pub use watch::exceeded_limit;

use job::{HelperStage, print_error};
#[cfg(target_os = "linux")]
use job::{THIS_PROGRAM, helper_command};
#[cfg(target_os = "linux")]
use mounts::PROGRAM_PATH_IN_SANDBOX;

/// Exit code of the helper if the helper itself failed. `timeout` and `env` use the same code.
pub const HELPER_FAILED_EXIT_CODE: u8 = 125;
/// The reason that a job cannot run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The machine's sandbox is weaker than required.
    #[error(
        "the sandbox level of this machine is `{}`, but at least `{}` is required",
        .actual_level.as_str(),
        .required_level.as_str()
    )]
    TooWeak {
        /// Level that was reached.
        actual_level: SandboxLevel,
        /// Level that is required.
        required_level: SandboxLevel,
    },
    /// The folder cannot be used as the tree.
    #[error("{} cannot be the folder of a sandbox: {reason}", path.display())]
    Tree {
        path: PathBuf,
        /// Reason for the rejection.
        reason: String,
    },
    /// A process could not be started, or an I/O error occurred while it was set up.
    #[error("cannot start the sandbox: {0}")]
    Start(#[from] std::io::Error),
}

impl SandboxJob {
    /// Returns a job that may read the tree but not change it, with the limits of [`JobLimits::default`].
    ///
    /// # Errors
    /// [`SandboxError::Tree`] if the folder does not exist, or contains the system's folders.
    pub fn new(level: SandboxLevel, tree: &Path, run: JobCommand) -> Result<Self, SandboxError> {
        let no = |reason: String| SandboxError::Tree { path: tree.to_owned(), reason };
        let tree = tree.canonicalize().map_err(|error| no(error.to_string()))?;
        if system_paths::touches_system_folder(&tree) {
            return Err(no("it is, contains or is inside a system folder".to_owned()));
        }
        Ok(Self {
            level,
            inner_tree: tree.clone(),
            tree,
            working_folder: PathBuf::new(),
            writable: false,
            readable_paths: Vec::new(),
            hidden_files: Vec::new(),
            allows_sockets: false,
            limits: JobLimits::default(),
            persistent_folders: None,
            build_folder: None,
            variables: Vec::new(),
            address_variables: Vec::new(),
            has_input_stream: false,
            reports_checks: false,
            private_folder: std::env::temp_dir(),
            moved_git: None,
            landlock_version: None,
            job_command: run,
        })
    }
}

/// Runs the helper if the first argument is [`HELPER_NAME`], and returns the helper's exit code. Otherwise
/// returns `None`. Call this function first in `main`, while there is only one thread.
pub fn run_if_helper(arguments: &[OsString]) -> Option<ExitCode> {
    let (name, stage) = arguments.split_first()?;
    if name != HELPER_NAME || stage.is_empty() {
        return None;
    }
    let code = match HelperStage::from_arguments(stage) {
        Some(stage) => stage.run(),
        None => Err(io::Error::other("only truing itself may start this helper")),
    };
    Some(ExitCode::from(code.unwrap_or_else(|error| {
        print_error(&error);
        HELPER_FAILED_EXIT_CODE
    })))
}

#[cfg(target_os = "linux")]
impl HelperStage {
    /// Runs the stage, and returns the helper's exit code.
    fn run(self) -> io::Result<u8> {
        match self {
            Self::OuterHelper { job, parent } => enter::run_outer_helper(&job, parent),
            Self::InnerHelper { job, watcher_pid } => enter::run_inner_helper(&job, watcher_pid),
            Self::Probe(probe) => Ok(probe.run_to_exit_code()),
            Self::Reading { reading, probe } => reading.confine().map(|_| probe.run_to_exit_code()),
        }
    }
}

/// Returns the strongest sandbox that this machine allows. To test a level, this function runs a command that
/// does nothing in a sandbox of this level, with `folder` as its tree. The folder must be empty. On other
/// systems than Linux, no level works.
pub fn detect_level(folder: &Path) -> SandboxLevel {
    let works = |level: &SandboxLevel| {
        let mut job = SandboxJob::new(*level, folder, JobCommand::Probe(EscapeProbe::Nothing)).ok()?;
        job.private_folder = folder.to_owned();
        // The output of the test process is discarded, so that users do not see its messages.
        let mut command = job.command().ok()?;
        let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        ended.success().then_some(*level)
    };
    [SandboxLevel::Full, SandboxLevel::Landlock].iter().find_map(works).unwrap_or(SandboxLevel::None)
}

/// Returns `actual_level` if it is at least `required_level`.
///
/// # Errors
/// [`SandboxError::TooWeak`] if `actual_level` is lower.
pub fn require_level(
    required_level: SandboxLevel,
    actual_level: SandboxLevel,
) -> Result<SandboxLevel, SandboxError> {
    if actual_level < required_level {
        Err(SandboxError::TooWeak { actual_level, required_level })
    } else {
        Ok(actual_level)
    }
}
