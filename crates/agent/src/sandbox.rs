//! A place for programs that nobody vouches for: they see one folder, reach no network, touch no other process, and
//! end when they are told to, with everything that they started.
//!
//! The sandbox is a helper mode of the running program, started under another name ([`NAME`]): first outside
//! (`enter`), where it makes namespaces, then inside them as their first process, where it builds the file system
//! (`mounts`), gives up all rights, and puts up two more fences, Landlock (`fence`) and seccomp (`filter`). Only then
//! does the command begin. So nothing has to be done between fork and exec in a process with threads.
//!
//! A process that itself reads what is hostile, and starts nothing, confines itself instead ([`Reading`]).
//!
//! What a machine allows differs: [`Level`] says what was reached, [`check`] tries what must be impossible.

pub mod check;
mod enter;
mod fence;
mod files;
mod filter;
mod limits;
mod listening;
mod loopback;
mod machine_code;
mod mounts;
mod probe;
mod reading;
mod smaps;
mod watch;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde::{Deserialize, Serialize};

pub(crate) use enter::SYSTEM_PATH;
pub use limits::Limits;
pub use listening::{Listening, PROXY};
pub use probe::Probe;
pub use reading::{READER_MEMORY, Reading};
pub use truing_core::sandbox::{Bound, Level};
pub use watch::PERIOD as WATCH_PERIOD;

/// The name under which the program is the sandbox's helper.
pub const NAME: &str = "truing-sandbox";
/// The running program, under a name that stays its own even when its file is replaced or removed.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Where the running program is inside, for commands that are it.
const PROGRAM_INSIDE: &str = "/.truing";
/// What the helper ends with when it could not do its work, as `timeout` and `env` do.
pub const HELPER_FAILED: u8 = 125;
/// How everything begins that the helper says.
pub(crate) const COMPLAINT: &str = "truing sandbox: ";
/// What the helper ends with when the command cannot be started.
pub const NOT_STARTED: u8 = 127;

/// What the helper ends with when it ended the job for passing a bound: as shells tell of a killed program. Its last line
/// on the error stream says which; see [`bound_passed`].
pub const LIMIT_PASSED: u8 = 128 + 9;

/// What to run, and what it may see and use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// How strong the sandbox is.
    pub level: Level,
    /// The folder that it runs in; absolute, without links.
    pub tree: PathBuf,
    /// What that folder is called inside: its own name, unless what is made there must not depend on it. Below
    /// [`Level::Full`] every folder has its own name.
    pub inside: PathBuf,
    /// May it change the tree? Not git's folder in it.
    pub writable: bool,
    /// Further folders that it may read and run programs from.
    pub read: Vec<PathBuf>,
    /// May it make sockets? They reach nothing outside.
    pub sockets: bool,
    /// What it may use.
    pub limits: Limits,
    /// What stays of it, and what it is told ([`Level::Full`] alone).
    pub room: Option<Room>,
    /// Further variables that it finds.
    pub variables: Vec<(String, String)>,
    /// Variables that name a server on its loopback interface; none: there is none. See [`Job::listening`].
    pub listens: Vec<String>,
    /// Does it read what [`Listening::say`] says, as its standard input?
    pub hears: bool,
    /// Home and temporary folders where there is no own file system (below [`Level::Full`]).
    pub private: PathBuf,
    /// The command.
    pub run: Run,
}

/// Folders of a job's own that outlast it, for programs that build on what others have left: they have names of users
/// and hosts, too, which test suites ask for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Room {
    /// Its home folder.
    pub home: PathBuf,
    /// Its temporary folder.
    pub temporary: PathBuf,
}

/// The command of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Run {
    /// A program of the system, found on the sandbox's own `PATH`, with its arguments.
    Program(Vec<OsString>),
    /// This program, with these arguments.
    Own(Vec<OsString>),
    /// A try to escape.
    Probe(Probe),
}

/// Why a job cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The machine's sandbox is weaker than is accepted.
    #[error("the sandbox that this machine allows is `{}`, and at least `{}` is asked for", .reached.as_str(), .wanted.as_str())]
    TooWeak {
        /// What was reached.
        reached: Level,
        /// What is asked for.
        wanted: Level,
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

/// What the helper is told, as its one argument.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Stage {
    /// To make a sandbox for a job of this parent.
    Outside { job: Job, parent: i32 },
    /// To be the first process inside; `outside` is the helper's own process that watches.
    Inside { job: Job, outside: i32 },
    /// To try an escape.
    Probe(Probe),
    /// To try one from where a reader is.
    Reading { reading: Reading, probe: Probe },
}

impl Job {
    /// A job that reads the tree and may use what [`Limits::default`] says.
    ///
    /// # Errors
    /// If the folder does not exist, or is one that holds the system.
    pub fn new(level: Level, tree: &Path, run: Run) -> Result<Self, SandboxError> {
        let no = |why: String| SandboxError::Tree { path: tree.to_owned(), why };
        let tree = tree.canonicalize().map_err(|error| no(error.to_string()))?;
        if mounts::is_system(&tree) {
            return Err(no("it holds the system's own folders".to_owned()));
        }
        Ok(Self {
            level,
            inside: tree.clone(),
            tree,
            writable: false,
            read: Vec::new(),
            sockets: false,
            limits: Limits::default(),
            room: None,
            variables: Vec::new(),
            listens: Vec::new(),
            hears: false,
            private: PathBuf::new(),
            run,
        })
    }

    /// What the command is, for messages.
    pub(crate) fn program(&self) -> String {
        match &self.run {
            Run::Program(argv) => {
                argv.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
            }
            Run::Own(_) | Run::Probe(_) => NAME.to_owned(),
        }
    }

    /// What the tree is called inside.
    fn place(&self) -> &Path {
        match self.level {
            Level::Full => &self.inside,
            Level::Landlock | Level::None => &self.tree,
        }
    }

    /// The process to start for it: with no environment and no input, in the tree, in a process group of its own. It
    /// takes no terminal for a stream. Killing that process, or this one, ends everything inside.
    ///
    /// # Errors
    /// If a path in it is no text.
    pub fn command(&self) -> std::io::Result<Command> {
        let parent = rustix::process::getpid().as_raw_nonzero().get();
        // What arguments say anybody may read, and a value may be a secret of the run: it is told by the environment.
        let names = self.variables.iter().map(|(name, _)| (name.clone(), String::new())).collect();
        let job = Self { variables: names, ..self.clone() };
        let mut command = helper(&Stage::Outside { job, parent })?;
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        // What this process reads, a terminal or a protocol, is not the command's, unless the caller says so.
        command.env_clear().envs(variables).process_group(0).stdin(Stdio::null());
        Ok(command)
    }
}

/// The program as its own helper.
fn helper(stage: &Stage) -> std::io::Result<Command> {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0(NAME).arg(serde_json::to_string(stage)?);
    Ok(command)
}

/// What [`NAME`] is called with: the helper's whole life. `None` if the program was not called as the helper.
/// To be asked first in `main`, while there is one thread.
pub fn entered(arguments: &[OsString]) -> Option<ExitCode> {
    let [name, stage] = arguments else { return None };
    if name != NAME {
        return None;
    }
    let stage: Option<Stage> = stage.to_str().and_then(|stage| serde_json::from_str(stage).ok());
    let code = match stage {
        Some(Stage::Outside { job, parent }) => enter::outside(&job, parent),
        Some(Stage::Inside { job, outside }) => enter::inside(&job, outside),
        Some(Stage::Probe(probe)) => Ok(probe.tried()),
        Some(Stage::Reading { reading, probe }) => reading.confine().map(|_| probe.tried()),
        None => Err(std::io::Error::other("it is started by truing alone")),
    };
    Some(ExitCode::from(code.unwrap_or_else(|error| {
        enter::complain(&error);
        HELPER_FAILED
    })))
}

/// The strongest sandbox that this machine allows: tried, not guessed, in an empty folder.
pub fn reached(here: &Path) -> Level {
    let works = |level: &Level| {
        let mut job = Job::new(*level, here, Run::Probe(Probe::Nothing)).ok()?;
        job.private = here.to_owned();
        // Nothing of it is an answer of this program.
        let mut command = job.command().ok()?;
        let ended = command.stdout(Stdio::null()).stderr(Stdio::null()).status().ok()?;
        ended.success().then_some(*level)
    };
    [Level::Full, Level::Landlock].iter().find_map(works).unwrap_or(Level::None)
}

/// Which bound a job was ended for, and what was seen of it (`130 MiB of 64 MiB`), by the helper's exit code and the end of
/// its error stream. A program inside can say the same, of itself alone.
pub fn bound_passed(code: Option<i32>, errors: &[u8]) -> Option<(Bound, String)> {
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
pub fn at_least(wanted: Level, reached: Level) -> Result<Level, SandboxError> {
    if reached < wanted { Err(SandboxError::TooWeak { reached, wanted }) } else { Ok(reached) }
}
