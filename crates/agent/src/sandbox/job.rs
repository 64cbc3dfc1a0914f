//! A job: a command with its permissions and limits. Also builds the command that starts the helper for a
//! job.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use truing_core::sandbox::SandboxLevel;

use super::escape::EscapeProbe;
use super::read_only::ReadAccess;

/// Name under which the program acts as the sandbox's helper.
pub const HELPER_NAME: &str = "truing-sandbox";

/// Path of the running program, which stays valid even if its file is replaced or removed.
pub(super) const THIS_PROGRAM: &str = "/proc/self/exe";

/// Path inside the sandbox of the folder with a job's build results ([`SandboxJob::build_folder`]).
pub const BUILD_FOLDER: &str = "/builds";

/// Maximum number of bytes in one argument of the helper. The system accepts fewer than 128 KiB in one
/// argument, but far more in all arguments together, so a longer text is split.
const MAX_ARGUMENT_BYTES: usize = 64 << 10;

/// Prefix of all messages of the helper.
pub(crate) const HELPER_MESSAGE_PREFIX: &str = "truing sandbox: ";

/// Exit code of the helper if the command cannot be started.
pub const NOT_STARTED_EXIT_CODE: u8 = 127;

/// Exit code of the helper if it killed the job for exceeding a limit; a shell reports the same code for a
/// killed program. The last line of the error stream names the limit; see [`super::exceeded_limit`].
pub const LIMIT_EXCEEDED_EXIT_CODE: u8 = 128 + 9;

/// Interval of the watcher's checks. One check of a few processes takes a tenth of a millisecond.
pub const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// The environment variables from which programs read the address of a proxy. Some programs read only the
/// upper-case names, and some only the lower-case names.
pub const PROXY_VARIABLES: [&str; 4] = ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"];

/// The resource limits of one job.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct JobLimits {
    /// Memory of all processes together, in bytes: private and shared memory, and files kept in memory. The
    /// kernel limits each process, and a watcher limits their sum.
    pub memory: u64,
    /// Maximum number of processes and threads, together.
    pub processes: u64,
    /// Maximum total size in bytes of all files outside a writable tree, and maximum size of each single file
    /// inside the tree.
    pub disk: u64,
}

impl Default for JobLimits {
    fn default() -> Self {
        Self { memory: 4 << 30, processes: 1024, disk: 2 << 30 }
    }
}

/// A command, with its permissions and limits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SandboxJob {
    pub level: SandboxLevel,
    /// Folder that the job may use and runs in; absolute, without links.
    pub tree: PathBuf,
    /// Path of the tree inside the sandbox. Differs from `tree` if results must not depend on the real path.
    /// Below [`SandboxLevel::Full`], this field is ignored, and the tree keeps its real path.
    #[serde(rename = "inside")]
    pub inner_tree: PathBuf,
    /// Working folder, relative to the tree; empty for the tree's root.
    #[serde(rename = "folder")]
    pub working_folder: PathBuf,
    /// True if the job may change the tree, except git's folder in it.
    pub writable: bool,
    /// Further folders that the job may read and run programs from.
    #[serde(rename = "read")]
    pub readable_paths: Vec<PathBuf>,
    /// Files in the tree whose content the job cannot read, by their paths in the tree. Below
    /// [`SandboxLevel::Full`], files of a writable tree are not hidden.
    #[serde(rename = "hidden")]
    pub hidden_files: Vec<PathBuf>,
    /// True if the job may create sockets. The sockets can connect only within the sandbox.
    #[serde(rename = "sockets")]
    pub allows_sockets: bool,
    pub limits: JobLimits,
    /// Private folders that outlive the job. Below [`SandboxLevel::Full`], they keep their real paths.
    pub persistent_folders: Option<JobFolders>,
    /// A writable folder that outlives the job, mounted at [`BUILD_FOLDER`] (only at [`SandboxLevel::Full`]).
    #[serde(rename = "builds")]
    pub build_folder: Option<PathBuf>,
    /// Further environment variables of the job.
    pub variables: Vec<(String, String)>,
    /// Names of the variables that hold the address of a server on the job's loopback interface; empty if
    /// there is no server. See [`SandboxJob::command_with_socket`].
    pub address_variables: Vec<String>,
    /// True if the job's command reads its standard input from the stream of [`super::SocketHandoff`].
    pub has_input_stream: bool,
    /// True if the helper writes [`super::watch::CHECK_DONE_MARK`] to the output after each check, as the
    /// self-test requires.
    pub(super) reports_checks: bool,
    /// Folder in which the helper makes the job's home and temporary folder below [`SandboxLevel::Full`],
    /// where the job has no file system of its own. The helper removes them after the job.
    #[serde(rename = "private")]
    pub private_folder: PathBuf,
    /// Path of git's data while it is outside of the tree; `None` if it is not.
    pub(super) moved_git: Option<PathBuf>,
    /// Newest version of Landlock that the job uses, for tests of older kernels; `None` for all versions.
    pub landlock_version: Option<i32>,
    #[serde(rename = "run")]
    pub job_command: JobCommand,
}

/// Private folders that remain after a job, so later commands can use the files of earlier commands. A job
/// with such folders also sees files such as `/etc/passwd` and `/etc/hosts`, because test suites look up
/// users and hosts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobFolders {
    pub home: PathBuf,
    pub temporary: PathBuf,
}

/// The command of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum JobCommand {
    /// A system program with its arguments. The program is searched for on the sandbox's `PATH`.
    Program(#[serde(with = "argument_serde")] Vec<OsString>),
    /// Truing itself, with these arguments.
    #[serde(rename = "Own")]
    ThisProgram(#[serde(with = "argument_serde")] Vec<OsString>),
    /// An attempt to escape, for the self-test.
    Probe(EscapeProbe),
}

/// A stage of the helper. A stage is passed to the helper's process as one text, split into several
/// arguments.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum HelperStage {
    /// Makes the sandbox for a job, and watches the job. `parent` is the process id of the caller.
    #[serde(rename = "Outside")]
    OuterHelper { job: SandboxJob, parent: i32 },
    /// Acts as the first process inside the sandbox. `watcher_pid` is the process id of the outer stage,
    /// which watches the job.
    #[serde(rename = "Inside")]
    InnerHelper {
        job: SandboxJob,
        #[serde(rename = "outside")]
        watcher_pid: i32,
    },
    /// Attempts an escape for the self-test.
    Probe(EscapeProbe),
    /// Attempts an escape from inside a reader.
    Reading { reading: ReadAccess, probe: EscapeProbe },
}

impl SandboxJob {
    /// Returns the name of the command, for messages.
    pub(crate) fn program_name(&self) -> String {
        match &self.job_command {
            JobCommand::Program(argv) => {
                argv.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
            }
            JobCommand::ThisProgram(_) | JobCommand::Probe(_) => HELPER_NAME.to_owned(),
        }
    }

    /// Returns the tree's path inside the sandbox.
    pub(crate) fn inner_tree(&self) -> &Path {
        match self.level {
            SandboxLevel::Full => &self.inner_tree,
            SandboxLevel::Landlock | SandboxLevel::None => &self.tree,
        }
    }

    /// Returns the command that starts the helper. The command has only the job's variables in its
    /// environment, no input, and its own process group. The helper refuses to start if a standard stream is
    /// a terminal. If the helper or this process is killed, all processes inside the sandbox are killed too.
    ///
    /// # Errors
    /// An I/O error if a path in the job is not UTF-8, and on other systems than Linux.
    pub fn command(&self) -> std::io::Result<Command> {
        let parent = rustix::process::getpid().as_raw_nonzero().get();
        // The arguments contain only the variables' names. The values are passed in the environment, because
        // they may be secret and every user of the machine can read a process's arguments.
        let names = self.variables.iter().map(|(name, _)| (name.clone(), String::new())).collect();
        let job = Self { variables: names, ..self.clone() };
        let mut command = helper_command(&HelperStage::OuterHelper { job, parent })?;
        let variables = self.variables.iter().map(|(name, value)| (name, value));
        // The command does not inherit this process's standard input, which may be a terminal or the stream
        // of a protocol. The caller may set another input.
        command.env_clear().envs(variables).process_group(0).stdin(Stdio::null());
        Ok(command)
    }
}

/// Returns a command that runs this program as its own helper.
///
/// # Errors
/// An I/O error if a path in the stage is not UTF-8, and on other systems than Linux.
pub(super) fn helper_command(stage: &HelperStage) -> std::io::Result<Command> {
    if !cfg!(target_os = "linux") {
        return Err(unsupported_system_error());
    }
    let mut command = Command::new(THIS_PROGRAM);
    command.arg0(HELPER_NAME).args(stage.to_arguments()?);
    Ok(command)
}

/// Returns the error of a system that has no sandbox.
pub(super) fn unsupported_system_error() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::Unsupported, "only Linux has the sandbox for programs")
}

/// Prints an error with the helper's prefix, because the helper has no other channel to report errors.
pub(super) fn print_error(error: &std::io::Error) {
    let _ = writeln!(std::io::stderr(), "{HELPER_MESSAGE_PREFIX}{error}");
}

impl HelperStage {
    /// Returns the arguments that encode the stage.
    pub(super) fn to_arguments(&self) -> std::io::Result<Vec<OsString>> {
        let text = serde_json::to_vec(self)?;
        Ok(text.chunks(MAX_ARGUMENT_BYTES).map(|part| OsStr::from_bytes(part).to_owned()).collect())
    }

    /// Decodes a stage from arguments. Returns `None` if the arguments do not encode a stage.
    pub(super) fn from_arguments(arguments: &[OsString]) -> Option<Self> {
        serde_json::from_slice(&arguments.join(OsStr::new("")).into_vec()).ok()
    }
}

/// Serializes the words of a command as text. By default, Serde writes an [`OsString`] as a list of numbers,
/// one for each byte, which is up to four times as long.
mod argument_serde {
    use std::ffi::OsString;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum JobArgument {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(arguments: &[OsString], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(arguments.iter().map(|word| match word.to_str() {
            Some(text) => JobArgument::Text(text.to_owned()),
            None => JobArgument::Bytes(word.as_bytes().to_owned()),
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<OsString>, D::Error> {
        let words = Vec::<JobArgument>::deserialize(from)?.into_iter();
        let plain = words.map(|word| match word {
            JobArgument::Text(text) => OsString::from(text),
            JobArgument::Bytes(bytes) => OsString::from_vec(bytes),
        });
        Ok(plain.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_bytes_and_length_come_through_arguments() {
        let long = "é\"\n".repeat(MAX_ARGUMENT_BYTES);
        let words = vec!["ls".into(), long.into(), OsString::from_vec(vec![b'a', 0xff])];
        let job = SandboxJob::new(
            SandboxLevel::None,
            Path::new(env!("CARGO_MANIFEST_DIR")),
            JobCommand::Program(words.clone()),
        );
        let arguments = HelperStage::OuterHelper { job: job.unwrap(), parent: 1 }.to_arguments().unwrap();
        assert!(arguments.iter().all(|part| part.len() <= MAX_ARGUMENT_BYTES));
        let Some(HelperStage::OuterHelper { job, parent: 1 }) = HelperStage::from_arguments(&arguments)
        else {
            panic!("{arguments:?}")
        };
        let JobCommand::Program(told) = job.job_command else { panic!("{job:?}") };
        assert_eq!(told, words);
        assert!(HelperStage::from_arguments(&[]).is_none());
    }
}
