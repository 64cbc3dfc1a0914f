//! A job: a command, and what it may see and use; and the helper that runs it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use truing_core::sandbox::SandboxLevel;

use super::limits::JobLimits;
use super::probe::EscapeProbe;
use super::read_only::ReadAccess;

/// The name under which the program is the sandbox's helper.
pub const NAME: &str = "truing-sandbox";

/// The running program, under a name that stays its own even when its file is replaced or removed.
pub(super) const THIS_PROGRAM: &str = "/proc/self/exe";

/// Where the running program is inside, for commands that are it.
pub(super) const PROGRAM_INSIDE: &str = "/.truing";

/// The folder of what a job builds, as the job sees it ([`SandboxJob::builds`]).
pub const BUILDS: &str = "/builds";

/// The bytes of a stage that one argument holds: the system takes fewer than 128 KiB in one, and far more in all.
const PART_BYTES: usize = 64 << 10;

/// The beginning of everything that the helper says.
pub(crate) const COMPLAINT: &str = "truing sandbox: ";

/// The helper's exit code when the command cannot be started.
pub const NOT_STARTED: u8 = 127;

/// The helper's exit code when it ended the job for passing a bound: as shells tell of a killed program. Its last line
/// on the error stream says which; see [`super::bound_passed`].
pub const LIMIT_PASSED: u8 = 128 + 9;

/// A command to run, and all that it may see and use.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SandboxJob {
    /// The strength of the sandbox.
    pub level: SandboxLevel,
    /// The folder that it runs in; absolute, without links.
    pub tree: PathBuf,
    /// The name of that folder inside: its own name, unless what is made there must not depend on it. Below
    /// [`SandboxLevel::Full`] every folder has its own name.
    pub inside: PathBuf,
    /// The folder below the tree that it begins in; empty: the tree.
    pub folder: PathBuf,
    /// May it change the tree? Not git's folder in it.
    pub writable: bool,
    /// Further folders that it may read and run programs from.
    pub read: Vec<PathBuf>,
    /// Files of the tree, by their paths in it, that are empty inside ([`SandboxLevel::Full`] alone).
    pub hidden: Vec<PathBuf>,
    /// May it make sockets? They reach nothing outside.
    pub sockets: bool,
    /// The resources that it may use.
    pub limits: JobLimits,
    /// Its folders that outlast it ([`SandboxLevel::Full`] alone).
    pub room: Option<JobFolders>,
    /// A folder that it may write to and that outlasts it, which it finds at [`BUILDS`] ([`SandboxLevel::Full`] alone).
    pub builds: Option<PathBuf>,
    /// Further variables that it finds.
    pub variables: Vec<(String, String)>,
    /// Variables that name a server on its loopback interface; none: there is none. See [`SandboxJob::listening`].
    pub listens: Vec<String>,
    /// Does it read what is said by [`super::SocketHandoff`], as its standard input?
    pub hears: bool,
    /// Does the helper write [`super::watch::LOOKED`] to the output whenever it has looked? For tries.
    pub(super) shows_looks: bool,
    /// Home and temporary folders where there is no own file system (below [`SandboxLevel::Full`]).
    pub private: PathBuf,
    /// The command.
    pub run: JobCommand,
}

/// Folders of a job's own that outlast it, for programs that build on what others have left: they have names of users
/// and hosts, too, which test suites ask for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobFolders {
    /// Its home folder.
    pub home: PathBuf,
    /// Its temporary folder.
    pub temporary: PathBuf,
}

/// The command of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum JobCommand {
    /// A program of the system, found on the sandbox's own `PATH`, with its arguments.
    Program(#[serde(with = "words")] Vec<OsString>),
    /// This program, with these arguments.
    Own(#[serde(with = "words")] Vec<OsString>),
    /// A try to escape.
    Probe(EscapeProbe),
}

/// The arguments of the helper, which are parts of one text.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum HelperStage {
    /// To make a sandbox for a job of this parent.
    Outside { job: SandboxJob, parent: i32 },
    /// To be the first process inside; `outside` is the helper's own process that watches.
    Inside { job: SandboxJob, outside: i32 },
    /// To try an escape.
    Probe(EscapeProbe),
    /// To try one from where a reader is.
    Reading { reading: ReadAccess, probe: EscapeProbe },
}

impl SandboxJob {
    /// The name of the command, for messages.
    pub(crate) fn program(&self) -> String {
        match &self.run {
            JobCommand::Program(argv) => {
                argv.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
            }
            JobCommand::Own(_) | JobCommand::Probe(_) => NAME.to_owned(),
        }
    }

    /// The name of the tree inside.
    pub(super) fn place(&self) -> &Path {
        match self.level {
            SandboxLevel::Full => &self.inside,
            SandboxLevel::Landlock | SandboxLevel::None => &self.tree,
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
        let mut command = helper(&HelperStage::Outside { job, parent })?;
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        // What this process reads, a terminal or a protocol, is not the command's, unless the caller says so.
        command.env_clear().envs(variables).process_group(0).stdin(Stdio::null());
        Ok(command)
    }
}

/// The program as its own helper.
pub(super) fn helper(stage: &HelperStage) -> std::io::Result<Command> {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0(NAME).args(stage.arguments()?);
    Ok(command)
}

impl HelperStage {
    /// The arguments that say it.
    pub(super) fn arguments(&self) -> std::io::Result<Vec<OsString>> {
        let text = serde_json::to_vec(self)?;
        Ok(text.chunks(PART_BYTES).map(|part| OsStr::from_bytes(part).to_owned()).collect())
    }

    /// The stage that arguments say, if they say one.
    pub(super) fn of(arguments: &[OsString]) -> Option<Self> {
        serde_json::from_slice(&arguments.join(OsStr::new("")).into_vec()).ok()
    }
}

/// The words of a command as text. Serde writes each byte of an [`OsString`] as a number, which is up to four times as long.
mod words {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum JobWord {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(words: &[OsString], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(words.iter().map(|word| match word.to_str() {
            Some(text) => JobWord::Text(text.to_owned()),
            None => JobWord::Bytes(word.as_bytes().to_owned()),
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<OsString>, D::Error> {
        let words = Vec::<JobWord>::deserialize(from)?.into_iter();
        let plain = words.map(|word| match word {
            JobWord::Text(text) => OsString::from(text),
            JobWord::Bytes(bytes) => OsString::from_vec(bytes),
        });
        Ok(plain.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_bytes_and_length_come_through_arguments() {
        let long = "é\"\n".repeat(PART_BYTES);
        let words = vec!["ls".into(), long.into(), OsString::from_vec(vec![b'a', 0xff])];
        let job = SandboxJob::new(
            SandboxLevel::None,
            Path::new(env!("CARGO_MANIFEST_DIR")),
            JobCommand::Program(words.clone()),
        );
        let arguments = HelperStage::Outside { job: job.unwrap(), parent: 1 }.arguments().unwrap();
        assert!(arguments.iter().all(|part| part.len() <= PART_BYTES));
        let Some(HelperStage::Outside { job, parent: 1 }) = HelperStage::of(&arguments) else {
            panic!("{arguments:?}")
        };
        let JobCommand::Program(told) = job.run else { panic!("{job:?}") };
        assert_eq!(told, words);
        assert!(HelperStage::of(&[]).is_none());
    }
}
