//! A place for programs that nobody vouches for: they see one folder, reach no network, touch no other process, and
//! end when they are told to, with everything that they started.
//!
//! The sandbox is a helper mode of the running program, started under another name ([`NAME`]): first outside
//! (`enter`), where it makes namespaces, then inside them as their first process, where it builds the file system
//! (`mounts`), gives up all rights, and puts up two more fences, Landlock (`fence`) and seccomp (`filter`). Only then
//! does the command begin. So nothing has to be done between fork and exec in a process with threads.
//!
//! A process that itself reads what is hostile, and starts nothing, confines itself instead ([`ReadAccess`]).
//!
//! What a machine allows differs: [`SandboxLevel`] says what was reached, [`check`] tries what must be impossible.

pub mod check;
mod enter;
mod fence;
mod files;
mod filter;
mod job;
mod limits;
mod listening;
mod loopback;
mod machine_code;
mod mounts;
pub mod objects;
mod probe;
mod read_only;
mod reading;
mod smaps;
mod watch;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};

pub(crate) use enter::SYSTEM_PATH;
pub(crate) use job::COMPLAINT;
pub use job::{BUILDS, JobCommand, JobFolders, LIMIT_PASSED, NAME, NOT_STARTED, SandboxJob};
pub use limits::JobLimits;
pub use listening::{PROXY, SocketHandoff};
pub(crate) use mounts::SYSTEM;
pub use probe::EscapeProbe;
pub use read_only::{READER_MEMORY, ReadAccess};
pub use truing_core::sandbox::{SandboxLevel, SandboxLimit};
pub use watch::PERIOD as WATCH_PERIOD;

use job::{HelperStage, PROGRAM_INSIDE, THIS_PROGRAM, helper};

/// What the helper ends with when it could not do its work, as `timeout` and `env` do.
pub const HELPER_FAILED: u8 = 125;
/// Why a job cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The machine's sandbox is weaker than is accepted.
    #[error("the sandbox that this machine allows is `{}`, and at least `{}` is asked for", .reached.as_str(), .wanted.as_str())]
    TooWeak {
        /// What was reached.
        reached: SandboxLevel,
        /// What is asked for.
        wanted: SandboxLevel,
    },
    /// The folder cannot be the tree.
    #[error("{} cannot be the folder of a sandbox: {why}", path.display())]
    Tree {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// A process could not be started or talked to.
    #[error("the sandbox cannot be started: {0}")]
    Start(#[from] std::io::Error),
}

impl SandboxJob {
    /// A job that reads the tree and may use what [`JobLimits::default`] says.
    ///
    /// # Errors
    /// If the folder does not exist, or is one that holds the system.
    pub fn new(level: SandboxLevel, tree: &Path, run: JobCommand) -> Result<Self, SandboxError> {
        let no = |why: String| SandboxError::Tree { path: tree.to_owned(), why };
        let tree = tree.canonicalize().map_err(|error| no(error.to_string()))?;
        if mounts::is_system(&tree) {
            return Err(no("it holds the system's own folders".to_owned()));
        }
        Ok(Self {
            level,
            inside: tree.clone(),
            tree,
            folder: PathBuf::new(),
            writable: false,
            read: Vec::new(),
            hidden: Vec::new(),
            sockets: false,
            limits: JobLimits::default(),
            room: None,
            builds: None,
            variables: Vec::new(),
            listens: Vec::new(),
            hears: false,
            shows_looks: false,
            private: PathBuf::new(),
            run,
        })
    }
}

/// What [`NAME`] is called with: the helper's whole life. `None` if the program was not called as the helper.
/// To be asked first in `main`, while there is one thread.
pub fn entered(arguments: &[OsString]) -> Option<ExitCode> {
    let (name, stage) = arguments.split_first()?;
    if name != NAME || stage.is_empty() {
        return None;
    }
    let code = match HelperStage::of(stage) {
        Some(HelperStage::Outside { job, parent }) => enter::outside(&job, parent),
        Some(HelperStage::Inside { job, outside }) => enter::inside(&job, outside),
        Some(HelperStage::Probe(probe)) => Ok(probe.tried()),
        Some(HelperStage::Reading { reading, probe }) => reading.confine().map(|_| probe.tried()),
        None => Err(std::io::Error::other("it is started by truing alone")),
    };
    Some(ExitCode::from(code.unwrap_or_else(|error| {
        enter::complain(&error);
        HELPER_FAILED
    })))
}

/// The strongest sandbox that this machine allows: tried, not guessed, in an empty folder.
pub fn reached(here: &Path) -> SandboxLevel {
    let works = |level: &SandboxLevel| {
        let mut job = SandboxJob::new(*level, here, JobCommand::Probe(EscapeProbe::Nothing)).ok()?;
        job.private = here.to_owned();
        // Nothing of it is an answer of this program.
        let mut command = job.command().ok()?;
        let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        ended.success().then_some(*level)
    };
    [SandboxLevel::Full, SandboxLevel::Landlock].iter().find_map(works).unwrap_or(SandboxLevel::None)
}

/// Which bound a job was ended for, and what was seen of it (`130 MiB of 64 MiB`), by the helper's exit code and the end of
/// its error stream. A program inside can say the same, of itself alone.
pub fn bound_passed(code: Option<i32>, errors: &[u8]) -> Option<(SandboxLimit, String)> {
    if code != Some(i32::from(LIMIT_PASSED)) {
        return None;
    }
    let errors = String::from_utf8_lossy(errors);
    let (_, line) = errors.trim_end().rsplit_once(COMPLAINT)?;
    let (bound, seen) = watch::passed(line)?;
    Some((bound, seen.to_owned()))
}

/// What a machine reaches, if it is enough.
///
/// # Errors
/// [`SandboxError::TooWeak`] if not.
pub fn at_least(wanted: SandboxLevel, reached: SandboxLevel) -> Result<SandboxLevel, SandboxError> {
    if reached < wanted { Err(SandboxError::TooWeak { reached, wanted }) } else { Ok(reached) }
}
