//! Runs git: each call is an isolated child process with limits.

// long: one type for a call, its limits, its output and its end.

use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use truing_core::secret::SecretString;

use crate::options::{MAX_MESSAGE_CHARS, MAX_STDERR_BYTES, MIN_VERSION};
use crate::search_path::PROGRAM_NOT_FOUND_MESSAGE;
use crate::{GitError, GitLimits, GitOptions, PrivateFolder, SearchPath, private};

/// Environment variables that every call sets. The child process gets only these variables, `PATH`, `HOME`,
/// and the variables of the call itself.
const ENVIRONMENT: &[(&str, &str)] = &[
    // Truing searches for known texts in git's messages, so the messages must not be translated.
    ("LC_ALL", "C"),
    // Ignores the configuration and attributes of the system and the user.
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_SYSTEM", "/dev/null"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    // Disables prompts. The values are empty but set, so git looks for no other askpass program.
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", ""),
    ("SSH_ASKPASS", ""),
    // Commands that only read do not refresh the repository's index.
    ("GIT_OPTIONAL_LOCKS", "0"),
    // Git neither replaces objects nor fetches missing objects on demand.
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_NO_LAZY_FETCH", "1"),
    // Git treats paths literally, not as patterns.
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("GIT_PROTOCOL_FROM_USER", "0"),
];

/// Hooks folder that contains no hooks.
pub(crate) const NO_HOOKS: &str = "/dev/null";

/// Settings of every call, which override the repository's own configuration. The configuration is passed in
/// environment variables, because `-c` cannot name a subsection that contains `=`.
///
/// `safe.directory`: by default, git refuses a repository that another user owns, because the repository's
/// configuration could run programs. In this crate, calls that read content do not load a repository's
/// configuration (see `isolated_git_dir.rs`), so the configuration cannot run programs. Such repositories may
/// therefore be read. For example, in a container, the files may belong to the host's user.
const CONFIGURATION: &[(&str, &str)] = &[
    (SAFE_DIRECTORY_KEY, "*"),
    ("core.hooksPath", NO_HOOKS),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.pager", "cat"),
    ("core.sshCommand", "false"),
    ("core.untrackedCache", "false"),
    ("core.splitIndex", "false"),
    ("core.quotePath", "true"),
    ("credential.helper", ""),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("log.showSignature", "false"),
    ("transfer.credentialsInUrl", "die"),
    // Credentials must not follow a redirect, and a stalled connection must not use up the whole time limit.
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
];

/// Setting that names the folders whose repositories git reads even if another user owns them.
const SAFE_DIRECTORY_KEY: &str = "safe.directory";

/// Variables of [`ENVIRONMENT`] that hide the configuration of the system and of the user.
const CONFIG_HIDING_VARIABLES: [&str; 3] = ["GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_GLOBAL"];

/// Variable with the number of settings passed in variables.
const CONFIG_COUNT_VARIABLE: &str = "GIT_CONFIG_COUNT";

/// Texts in git's messages about an object that a partial clone lacks. A clone with `--filter=blob:none`
/// lacks files; one with `--filter=tree:0` also lacks folders.
const MISSING_OBJECT_MESSAGES: [&str; 4] =
    ["unable to read", "bad tree object", "not a tree object", "could not get object info"];

/// Git's messages for failed memory allocations.
const OUT_OF_MEMORY_MESSAGES: [&str; 3] = ["Out of memory", "out of memory", "Cannot allocate memory"];

/// The git program. The program is located and its version is checked only once. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Git {
    inner: Arc<GitInner>,
}

#[derive(Debug)]
struct GitInner {
    program: PathBuf,
    path_variable: OsString,
    home: PrivateFolder,
    options: GitOptions,
    version: OnceLock<(u32, u32)>,
}

impl Git {
    /// Locates the program and checks its version.
    ///
    /// # Errors
    /// [`GitError::NoGit`], [`GitError::TooOld`], and [`GitError::Io`] if no private folder can be created.
    #[truing_core::boxed_future]
    pub async fn new(options: GitOptions) -> Result<Self, GitError> {
        let program = find_program(&options.program, &options.search_path)?;
        let path = options.search_path.path_variable();
        private::remove_stale_folders(&options.temp_folder);
        truing_system::shared_memory_folder().into_iter().for_each(private::remove_stale_folders);
        let home = create_private_folder(&options.temp_folder)?;
        let git = Self {
            inner: Arc::new(GitInner {
                program,
                path_variable: path,
                home,
                options,
                version: OnceLock::new(),
            }),
        };

        let version_output = git.command("--version").read_output().await?;
        match parse_version(&version_output) {
            Some(found) if found >= MIN_VERSION => {
                let _ = git.inner.version.set(found);
                Ok(git)
            }
            Some(_) | None => Err(GitError::TooOld { found_version: clean_message(&version_output, None) }),
        }
    }

    /// Returns the version of the program, as needed for compatibility checks.
    pub(crate) fn version(&self) -> (u32, u32) {
        self.inner.version.get().copied().unwrap_or(MIN_VERSION)
    }

    pub(crate) fn limits(&self) -> &GitLimits {
        &self.inner.options.limits
    }

    pub(crate) fn options(&self) -> &GitOptions {
        &self.inner.options
    }

    /// Returns the folder that contains the temporary folders.
    pub fn temp_folder(&self) -> &Path {
        &self.inner.options.temp_folder
    }

    /// Returns the folder that git uses as the home folder. Git reads no file in this folder unless a call
    /// names the file.
    pub(crate) fn home_folder(&self) -> &Path {
        self.inner.home.path()
    }

    /// Creates a private folder that is removed when dropped.
    ///
    /// # Errors
    /// [`GitError::Io`] if the folder cannot be created.
    pub fn create_private_folder(&self) -> Result<PrivateFolder, GitError> {
        create_private_folder(&self.inner.options.temp_folder)
    }

    /// Begins a call of one subcommand.
    pub(crate) fn command(&self, name: &'static str) -> GitCommand {
        GitCommand {
            git: self.clone(),
            subcommand: name,
            arguments: Vec::new(),
            folder: self.inner.home.path().to_owned(),
            environment: Vec::new(),
            configuration: Vec::new(),
            reads_user_configuration: false,
            allowed_protocol: "none".into(),
            input: None,
            time_limit: self.limits().local_timeout,
            max_output_bytes: self.limits().output_bytes,
            secret: None,
            may_lack_objects: false,
        }
    }
}

fn create_private_folder(temp_folder: &Path) -> Result<PrivateFolder, GitError> {
    PrivateFolder::new_in(temp_folder).map_err(|source| GitError::Io {
        failure: "cannot create a private folder in",
        path: temp_folder.to_owned(),
        source,
    })
}

/// Resolves the program to an absolute path, because each call may run in another folder.
fn find_program(program: &Path, search_path: &SearchPath) -> Result<PathBuf, GitError> {
    let no_git = |source| GitError::NoGit { program: program.to_owned(), source };
    if program.components().count() > 1 || program.is_absolute() {
        return std::fs::canonicalize(program).map_err(no_git);
    }
    let missing = || no_git(std::io::Error::new(std::io::ErrorKind::NotFound, PROGRAM_NOT_FOUND_MESSAGE));
    search_path.find(program).ok_or_else(missing)
}

/// Parses the first two numbers of `git version 2.47.3 (…)`.
fn parse_version(output: &[u8]) -> Option<(u32, u32)> {
    let output = std::str::from_utf8(output).ok()?;
    let mut numbers = output.strip_prefix("git version ")?.split(['.', ' ', '\n']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Builder of one git call.
pub(crate) struct GitCommand {
    git: Git,
    subcommand: &'static str,
    arguments: Vec<OsString>,
    folder: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    configuration: Vec<(String, OsString)>,
    /// True if the call reads the configuration that the user's own git reads.
    reads_user_configuration: bool,
    allowed_protocol: String,
    input: Option<Vec<u8>>,
    time_limit: Duration,
    max_output_bytes: usize,
    secret: Option<SecretString>,
    /// True if the repository may lack objects, because it is a partial clone.
    may_lack_objects: bool,
}

impl GitCommand {
    /// Returns the subcommand's name.
    pub(crate) fn name(&self) -> &'static str {
        self.subcommand
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Runs the call in this folder instead of an empty folder.
    pub(crate) fn in_folder(mut self, folder: &Path) -> Self {
        self.folder = folder.to_owned();
        self
    }

    /// Adds an environment variable.
    pub(crate) fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, value.as_ref().to_owned()));
        self
    }

    /// Adds configuration that overrides all other configuration.
    pub(crate) fn config(mut self, key: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.configuration.push((key.into(), value.into()));
        self
    }

    /// Lets the call use the configuration that the user's own git uses ([`GitOptions::config_variables`]).
    /// Of our configuration, only `safe.directory` applies. Call this function only for `git config`, which
    /// starts no program that a configuration names.
    pub(crate) fn with_user_configuration(mut self) -> Self {
        self.reads_user_configuration = true;
        self
    }

    /// Sets the standard input, which is otherwise empty.
    pub(crate) fn with_input(mut self, bytes: Vec<u8>) -> Self {
        self.input = Some(bytes);
        self
    }

    /// Sets the maximum size of the output in bytes.
    pub(crate) fn max_output(mut self, bytes: usize) -> Self {
        self.max_output_bytes = bytes;
        self
    }

    /// Permits access to another repository with this protocol, and applies the network's time limit.
    pub(crate) fn allow_network(mut self, protocol: &str) -> Self {
        protocol.clone_into(&mut self.allowed_protocol);
        self.with_network_timeout()
    }

    /// Applies the network's time limit. Some local calls need this limit, because they may copy as much data
    /// as a fetch.
    pub(crate) fn with_network_timeout(mut self) -> Self {
        self.time_limit = self.git.limits().network_timeout;
        self
    }

    /// Replaces this secret in git's messages.
    pub(crate) fn redact_secret(mut self, secret: Option<&SecretString>) -> Self {
        self.secret = secret.cloned();
        self
    }

    /// If `partial` is true, an error about a missing object reports that the object was never fetched.
    pub(crate) fn set_may_lack_objects(mut self, partial: bool) -> Self {
        self.may_lack_objects = partial;
        self
    }

    /// Runs the call and returns its output; returns an error unless the exit code is 0.
    pub(crate) async fn read_output(self) -> Result<Vec<u8>, GitError> {
        let name = self.subcommand;
        self.run().await?.into_success_output(name)
    }

    /// Runs the call and returns its output, also if the exit code is not 0.
    pub(crate) async fn run(mut self) -> Result<GitOutput, GitError> {
        let (name, bound, may_lack_objects) = (self.subcommand, self.max_output_bytes, self.may_lack_objects);
        let memory = self.git.limits().memory_bytes;
        let input = self.input.take();
        let mut running = self.spawn(input.is_some())?;
        let (stdin, stdout) = (running.stdin.take(), running.stdout.take());
        let talk = async move {
            let feed = write_input(stdin, input.unwrap_or_default());
            let (_, stdout) = tokio::join!(feed, read_bounded(stdout, bound));
            stdout.map_err(|unread| unread.into_error(name, bound))
        };
        let (stdout, status, stderr) = running.supervise(talk).await?;
        Ok(GitOutput {
            status,
            stdout,
            stderr_tail: stderr.tail,
            stderr_message: stderr.message,
            may_lack_objects,
            memory_limit_bytes: memory,
        })
    }

    /// Starts the process. Its standard output and standard error are pipes. Its standard input is a pipe
    /// only if there is input.
    pub(crate) fn spawn(self, with_input: bool) -> Result<GitProcess, GitError> {
        let inner = &self.git.inner;
        let mut command = Command::new(&inner.program);
        command.arg(self.subcommand).args(&self.arguments).current_dir(&self.folder);
        command.env_clear().envs(ENVIRONMENT.iter().copied());
        command.env("PATH", &inner.path_variable).env("HOME", inner.home.path());
        // Overrides any `protocol.*.allow` in a repository's configuration.
        command.env("GIT_ALLOW_PROTOCOL", &self.allowed_protocol);
        let user: &[(String, OsString)] =
            if self.reads_user_configuration { &inner.options.config_variables } else { &[] };
        let fixed = CONFIGURATION
            .iter()
            .filter(|(key, _)| !self.reads_user_configuration || *key == SAFE_DIRECTORY_KEY);
        let fixed = fixed.map(|(key, value)| ((*key).to_owned(), OsString::from(value)));
        let configuration = fixed.chain(self.configuration).collect::<Vec<_>>();
        if self.reads_user_configuration {
            for name in CONFIG_HIDING_VARIABLES {
                command.env_remove(name);
            }
            command.envs(user.iter().map(|(name, value)| (name, value)));
        }
        // Settings in environment variables are numbered. The user's settings keep their numbers, and our
        // settings follow.
        let passed = user.iter().find(|(name, _)| name == CONFIG_COUNT_VARIABLE);
        let passed = passed.and_then(|(_, count)| count.to_str()?.parse::<usize>().ok()).unwrap_or(0);
        command.env(CONFIG_COUNT_VARIABLE, passed.saturating_add(configuration.len()).to_string());
        for (number, (key, value)) in (passed..).zip(configuration) {
            command
                .env(format!("GIT_CONFIG_KEY_{number}"), key)
                .env(format!("GIT_CONFIG_VALUE_{number}"), value);
        }
        command.envs(self.environment);
        command.stdin(if with_input { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child =
            command.spawn().map_err(|source| GitError::NoGit { program: inner.program.clone(), source })?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(id) = group {
            // Packs are mapped files, so they may be larger. The call fails if our own limit, which the child
            // inherits, is already lower.
            let bytes = self.git.limits().memory_bytes;
            let _ = truing_system::limit_data(id, bytes, bytes);
        }
        Ok(GitProcess {
            name: self.subcommand,
            time_limit: self.time_limit,
            secret: self.secret,
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            process_group: group,
            child,
        })
    }
}

/// The end of a call's standard error.
pub(crate) struct GitStderr {
    /// The bytes as git wrote them. They may contain a secret.
    tail: Vec<u8>,
    /// The text as one line without control characters and secrets.
    message: String,
}

/// Output of a finished call.
pub(crate) struct GitOutput {
    status: ExitStatus,
    /// Standard output of the call.
    pub(crate) stdout: Vec<u8>,
    /// The last bytes of standard error, as git wrote them. They may contain a secret.
    pub(crate) stderr_tail: Vec<u8>,
    /// Text of standard error: only its end, as one line without control characters and secrets.
    pub(crate) stderr_message: String,
    /// True if the repository may lack objects, because it is a partial clone.
    may_lack_objects: bool,
    /// Memory limit of the process in bytes.
    memory_limit_bytes: u64,
}

impl GitOutput {
    /// Returns the exit code; `None` if a signal killed the process.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Returns standard output if the exit code is 0; otherwise returns an error.
    pub(crate) fn into_success_output(self, name: &'static str) -> Result<Vec<u8>, GitError> {
        if self.status.success() { Ok(self.stdout) } else { Err(self.into_error(name)) }
    }

    /// Converts an unsuccessful exit to an error.
    pub(crate) fn into_error(self, name: &'static str) -> GitError {
        let message =
            if self.stderr_message.is_empty() { self.status.to_string() } else { self.stderr_message };
        if self.may_lack_objects && MISSING_OBJECT_MESSAGES.iter().any(|words| message.contains(words)) {
            return GitError::NotFetched { call: name, message };
        }
        if OUT_OF_MEMORY_MESSAGES.iter().any(|words| message.contains(words)) {
            return GitError::OutOfMemory { call: name, mib: self.memory_limit_bytes >> 20, message };
        }
        GitError::CommandFailed { call: name, message }
    }
}

/// A child process with its process group. Dropping this value kills the process group, unless the process
/// has already exited.
pub(crate) struct GitProcess {
    name: &'static str,
    time_limit: Duration,
    secret: Option<SecretString>,
    /// Standard input; `None` if the call has no input.
    pub(crate) stdin: Option<ChildStdin>,
    /// Standard output of the process.
    pub(crate) stdout: Option<ChildStdout>,
    /// Process group; `None` after the process was waited for, because another process may then have the same
    /// id.
    process_group: Option<Pid>,
    child: Child,
}

impl GitProcess {
    /// Runs `exchange`, which reads standard output to its end, and at the same time reads standard error to
    /// its end. Then waits for the process to exit. The call's time limit applies to the reading and the
    /// waiting together. The process is waited for only after both streams have ended. Until then, its id
    /// cannot belong to another process, so a kill signal to this id is safe.
    pub(crate) async fn supervise<T>(
        mut self,
        read_stdout: impl Future<Output = Result<T, GitError>>,
    ) -> Result<(T, ExitStatus, GitStderr), GitError> {
        let (name, after, stderr) = (self.name, self.time_limit, self.child.stderr.take());
        let whole = async {
            let (done, error_tail) = tokio::try_join!(read_stdout, async { Ok(read_tail(stderr).await) })?;
            let status = self.child.wait().await.map_err(|source| GitError::Io {
                failure: "cannot wait for",
                path: PathBuf::from("git"),
                source,
            })?;
            self.process_group = None;
            let message = clean_message(&error_tail, self.secret.as_ref());
            Ok((done, status, GitStderr { tail: error_tail, message }))
        };
        tokio::time::timeout(after, whole)
            .await
            .unwrap_or(Err(GitError::TimedOut { call: name, time_limit: after }))
    }
}

impl Drop for GitProcess {
    fn drop(&mut self) {
        if let Some(group) = self.process_group {
            // This call fails if the process has just exited; the error does not matter.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Writes all input and closes the stream. Write errors are ignored: if git stops reading, its exit code and
/// message report the cause.
async fn write_input(stdin: Option<ChildStdin>, input: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(&input).await;
        let _ = stdin.shutdown().await;
    }
}

/// The reason why the output could not be read.
enum OutputReadError {
    Io(std::io::Error),
    TooLarge,
}

impl OutputReadError {
    fn into_error(self, call: &'static str, limit: usize) -> GitError {
        match self {
            Self::Io(source) => {
                GitError::Io { failure: "cannot read the output of", path: PathBuf::from("git"), source }
            }
            Self::TooLarge => GitError::TooLarge { call, limit },
        }
    }
}

async fn read_bounded(
    stream: Option<impl AsyncRead + Unpin>,
    max_bytes: usize,
) -> Result<Vec<u8>, OutputReadError> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let most = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
        stream.take(most).read_to_end(&mut bytes).await.map_err(OutputReadError::Io)?;
    }
    if bytes.len() > max_bytes { Err(OutputReadError::TooLarge) } else { Ok(bytes) }
}

/// Reads a stream to its end and returns the last bytes, because git reports fatal errors last.
async fn read_tail(stream: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stream) = stream else { return kept };
    let mut part = vec![0; MAX_STDERR_BYTES];
    while let Ok(count @ 1..) = stream.read(&mut part).await {
        kept.extend_from_slice(part.get(..count).unwrap_or_default());
        kept.drain(..kept.len().saturating_sub(MAX_STDERR_BYTES));
    }
    kept
}

/// Formats git's message as one line of limited length, without control characters and without the secret.
pub(crate) fn clean_message(output: &[u8], secret: Option<&SecretString>) -> String {
    let output = String::from_utf8_lossy(output);
    let lines = output.lines().map(str::trim).filter(|line| !line.is_empty());
    // Git may print its hints before the error.
    let (hints, mut lines): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("hint:"));
    lines.extend(hints);
    let plain = lines.join("; ").chars().filter(|letter| !letter.is_control()).collect::<String>();
    let hidden = secret.map_or_else(|| plain.clone(), |secret| secret.redact_from(&plain));
    hidden.chars().take(MAX_MESSAGE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_git_prints_them() {
        for (said, found) in [
            ("git version 2.47.3\n", Some((2, 47))),
            ("git version 2.39.2 (Apple Git-143)\n", Some((2, 39))),
            ("git version 2.42.0.rc1", Some((2, 42))),
            ("git version 2.45.1.windows.1", Some((2, 45))),
            ("hub version 2.47.3", None),
            ("git version next", None),
            ("", None),
        ] {
            assert_eq!(parse_version(said.as_bytes()), found, "{said}");
        }
    }

    #[test]
    fn messages_are_one_clean_line() {
        let secret = SecretString::new("Basic canary-123");
        let said = b"remote: \x1b[31mred canary-123\r\n\n  fatal: no\xff\n";
        assert_eq!(clean_message(said, Some(&secret)), "remote: [31mred ***; fatal: no\u{fffd}");
        assert_eq!(clean_message(&[b'x'; 5000], None).len(), MAX_MESSAGE_CHARS);
        assert_eq!(clean_message(b"hint: do x\nfatal: y\n", None), "fatal: y; hint: do x");
    }
}
