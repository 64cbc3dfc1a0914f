//! How git is run: one hermetic, bounded child process a call.

use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
#[cfg(target_os = "linux")]
use rustix::process::{Resource, Rlimit, prlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use truing_core::secret::SecretString;

use crate::options::{MAX_MESSAGE_CHARS, MAX_STDERR_BYTES, MIN_VERSION};
use crate::programs::NOT_FOUND;
use crate::{GitError, GitLimits, GitOptions, PrivateFolder, SearchPath, private};

/// Variables of every call. The child gets these, `PATH`, `HOME`, and what the call itself adds: nothing else.
const ENVIRONMENT: &[(&str, &str)] = &[
    // Messages are matched, so they must be the untranslated ones.
    ("LC_ALL", "C"),
    // Neither the system's nor the user's configuration or attributes.
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_SYSTEM", "/dev/null"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    // Never ask. Set but empty: git looks no further for a program that asks.
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_ASKPASS", ""),
    ("SSH_ASKPASS", ""),
    // Reading commands do not refresh the repository's index behind our back.
    ("GIT_OPTIONAL_LOCKS", "0"),
    // Objects are what their ids say, and are never fetched on demand.
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    ("GIT_NO_LAZY_FETCH", "1"),
    // A path is a path, not a pattern.
    ("GIT_LITERAL_PATHSPECS", "1"),
    ("GIT_PROTOCOL_FROM_USER", "0"),
];

/// Where no hook is.
pub(crate) const NO_HOOKS: &str = "/dev/null";

/// Configuration of every call. It stands above the repository's own. It is passed in variables and not as
/// `-c`, which cannot name a subsection that holds `=`.
///
/// `safe.directory`: git refuses repositories of other users because their configuration could run programs.
/// Here it cannot: what reads content does not load it (see `view.rs`), so other people's
/// repositories may be read, as in a container whose files belong to the host's user.
const CONFIGURATION: &[(&str, &str)] = &[
    (SAFE_FOLDERS, "*"),
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
    // Credentials must not follow a redirect, and a dead connection must not use up the whole time limit.
    ("http.followRedirects", "false"),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "60"),
];

/// The setting that names the repositories of other users that git reads.
const SAFE_FOLDERS: &str = "safe.directory";

/// The variables of [`ENVIRONMENT`] that hide the configuration of the system and of the user.
const USER_CONFIGURATION: [&str; 3] = ["GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_GLOBAL"];

/// The variable that holds how many settings are passed in variables.
const CONFIGURATION_COUNT: &str = "GIT_CONFIG_COUNT";

/// Git's words where it gets no more memory.
const OUT_OF_MEMORY: [&str; 3] = ["Out of memory", "out of memory", "Cannot allocate memory"];

/// The git program, found and its version checked once. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Git {
    inner: Arc<GitInner>,
}

#[derive(Debug)]
struct GitInner {
    program: PathBuf,
    path: OsString,
    home: PrivateFolder,
    options: GitOptions,
    version: OnceLock<(u32, u32)>,
}

impl Git {
    /// Finds the program and checks its version.
    ///
    /// # Errors
    /// [`GitError::NoGit`], [`GitError::TooOld`], and [`GitError::Io`] if no private folder can be made.
    #[truing_core::boxed_future]
    pub async fn new(options: GitOptions) -> Result<Self, GitError> {
        let program = find(&options.program, &options.programs)?;
        let path = options.programs.path();
        private::remove_dead(&options.temp);
        private::remove_dead(Path::new(private::MEMORY));
        let home = private_folder(&options.temp)?;
        let git =
            Self { inner: Arc::new(GitInner { program, path, home, options, version: OnceLock::new() }) };

        let said = git.call("--version").read().await?;
        match version(&said) {
            Some(found) if found >= MIN_VERSION => {
                let _ = git.inner.version.set(found);
                Ok(git)
            }
            Some(_) | None => Err(GitError::TooOld { found: clean(&said, None) }),
        }
    }

    /// The version of the program, as far as compatibility needs it.
    pub(crate) fn version(&self) -> (u32, u32) {
        self.inner.version.get().copied().unwrap_or(MIN_VERSION)
    }

    /// The bounds.
    pub(crate) fn limits(&self) -> &GitLimits {
        &self.inner.options.limits
    }

    /// The options.
    pub(crate) fn options(&self) -> &GitOptions {
        &self.inner.options
    }

    /// Where folders are made for one purpose, which are gone afterwards.
    pub fn temp(&self) -> &Path {
        &self.inner.options.temp
    }

    /// The folder that is git's home: nothing in it is read, unless a call names it.
    pub(crate) fn home(&self) -> &Path {
        self.inner.home.path()
    }

    /// A folder of its own for one purpose, gone when dropped.
    ///
    /// # Errors
    /// [`GitError::Io`] if there is no room for it.
    pub fn private_folder(&self) -> Result<PrivateFolder, GitError> {
        private_folder(&self.inner.options.temp)
    }

    /// Starts to describe a call of one subcommand.
    pub(crate) fn call(&self, name: &'static str) -> GitCommand {
        GitCommand {
            git: self.clone(),
            name,
            arguments: Vec::new(),
            folder: self.inner.home.path().to_owned(),
            environment: Vec::new(),
            configuration: Vec::new(),
            reads_user: false,
            protocol: "none".into(),
            input: None,
            time: self.limits().local_time,
            output: self.limits().output_bytes,
            secret: None,
            partial: false,
        }
    }
}

fn private_folder(temp: &Path) -> Result<PrivateFolder, GitError> {
    PrivateFolder::make(temp).map_err(|source| GitError::Io {
        doing: "cannot make a private folder in",
        path: temp.to_owned(),
        source,
    })
}

/// The program as an absolute path, so that what is found does not depend on a call's folder.
fn find(program: &Path, programs: &SearchPath) -> Result<PathBuf, GitError> {
    let no_git = |source| GitError::NoGit { program: program.to_owned(), source };
    if program.components().count() > 1 || program.is_absolute() {
        return std::fs::canonicalize(program).map_err(no_git);
    }
    let missing = || no_git(std::io::Error::new(std::io::ErrorKind::NotFound, NOT_FOUND));
    programs.find(program).ok_or_else(missing)
}

/// The first two numbers of `git version 2.47.3 (…)`.
fn version(said: &[u8]) -> Option<(u32, u32)> {
    let said = std::str::from_utf8(said).ok()?;
    let mut numbers = said.strip_prefix("git version ")?.split(['.', ' ', '\n']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// One call, being described.
pub(crate) struct GitCommand {
    git: Git,
    name: &'static str,
    arguments: Vec<OsString>,
    folder: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    configuration: Vec<(String, OsString)>,
    /// Is the configuration read that the user's own git reads?
    reads_user: bool,
    protocol: String,
    input: Option<Vec<u8>>,
    time: Duration,
    output: usize,
    secret: Option<SecretString>,
    /// May objects be missing?
    partial: bool,
}

impl GitCommand {
    /// The subcommand.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Runs in this folder instead of an empty one.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.folder = folder.to_owned();
        self
    }

    /// Adds a variable.
    pub(crate) fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, value.as_ref().to_owned()));
        self
    }

    /// Adds configuration, which stands above all other.
    pub(crate) fn config(mut self, key: impl Into<String>, value: impl Into<OsString>) -> Self {
        self.configuration.push((key.into(), value.into()));
        self
    }

    /// Reads the configuration that the user's own git reads ([`GitOptions::user_variables`]), and none of ours: only for
    /// `git config`, which starts no program that a configuration names.
    pub(crate) fn with_user_configuration(mut self) -> Self {
        self.reads_user = true;
        self
    }

    /// Feeds these bytes instead of nothing.
    pub(crate) fn input(mut self, bytes: Vec<u8>) -> Self {
        self.input = Some(bytes);
        self
    }

    /// Takes an answer of up to this many bytes.
    pub(crate) fn output(mut self, bytes: usize) -> Self {
        self.output = bytes;
        self
    }

    /// Lets this one protocol reach another repository, within the time of the network.
    pub(crate) fn network(mut self, protocol: &str) -> Self {
        protocol.clone_into(&mut self.protocol);
        self.at_length()
    }

    /// Takes as long as a call that reaches another repository: it may copy as much.
    pub(crate) fn at_length(mut self) -> Self {
        self.time = self.git.limits().network_time;
        self
    }

    /// Hides a secret in git's words, should it come back in them.
    pub(crate) fn hiding(mut self, secret: Option<&SecretString>) -> Self {
        self.secret = secret.cloned();
        self
    }

    /// Takes an object that is missing for one that was never fetched.
    pub(crate) fn of_partial_clone(mut self, partial: bool) -> Self {
        self.partial = partial;
        self
    }

    /// Runs it and gives the answer; any exit but 0 is an error.
    pub(crate) async fn read(self) -> Result<Vec<u8>, GitError> {
        let name = self.name;
        self.run().await?.success(name)
    }

    /// Runs it and gives the answer whatever the exit.
    pub(crate) async fn run(mut self) -> Result<GitOutput, GitError> {
        let (name, bound, partial) = (self.name, self.output, self.partial);
        let memory = self.git.limits().memory_bytes;
        let input = self.input.take();
        let mut running = self.spawn(input.is_some())?;
        let (stdin, stdout) = (running.stdin.take(), running.stdout.take());
        let talk = async move {
            let feed = feed(stdin, input.unwrap_or_default());
            let (_, stdout) = tokio::join!(feed, read_bounded(stdout, bound));
            stdout.map_err(|unread| unread.into_error(name, bound))
        };
        let (stdout, status, message) = running.supervise(talk).await?;
        Ok(GitOutput { status, stdout, message, partial, memory })
    }

    /// Starts the process. Its standard streams are pipes; input only where some is to come.
    pub(crate) fn spawn(self, with_input: bool) -> Result<GitProcess, GitError> {
        let inner = &self.git.inner;
        let mut command = Command::new(&inner.program);
        command.arg(self.name).args(&self.arguments).current_dir(&self.folder);
        command.env_clear().envs(ENVIRONMENT.iter().copied());
        command.env("PATH", &inner.path).env("HOME", inner.home.path());
        // Stronger than any `protocol.*.allow` in a repository's configuration.
        command.env("GIT_ALLOW_PROTOCOL", &self.protocol);
        let user: &[(String, OsString)] = if self.reads_user { &inner.options.user_variables } else { &[] };
        let fixed = CONFIGURATION.iter().filter(|(key, _)| !self.reads_user || *key == SAFE_FOLDERS);
        let fixed = fixed.map(|(key, value)| ((*key).to_owned(), OsString::from(value)));
        let configuration = fixed.chain(self.configuration).collect::<Vec<_>>();
        if self.reads_user {
            for name in USER_CONFIGURATION {
                command.env_remove(name);
            }
            command.envs(user.iter().map(|(name, value)| (name, value)));
        }
        // Settings that the user has passed in variables come first.
        let passed = user.iter().find(|(name, _)| name == CONFIGURATION_COUNT);
        let passed = passed.and_then(|(_, count)| count.to_str()?.parse::<usize>().ok()).unwrap_or(0);
        command.env(CONFIGURATION_COUNT, passed.saturating_add(configuration.len()).to_string());
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
            bound_memory(id, self.git.limits().memory_bytes);
        }
        Ok(GitProcess {
            name: self.name,
            time: self.time,
            secret: self.secret,
            stdin: child.stdin.take(),
            stdout: child.stdout.take(),
            group,
            child,
        })
    }
}

/// Lets the kernel refuse a process more memory than this. It has only just begun, and what it starts inherits it.
/// Mapped files do not count: packs may be larger.
#[cfg(target_os = "linux")]
fn bound_memory(id: Pid, bytes: u64) {
    let bound = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    // Refused where our own bound is lower already, which it has inherited.
    let _ = prlimit(Some(id), Resource::Data, bound);
}

#[cfg(not(target_os = "linux"))]
fn bound_memory(_: Pid, _: u64) {}

/// What a call came to.
pub(crate) struct GitOutput {
    status: ExitStatus,
    /// Its answer.
    pub(crate) stdout: Vec<u8>,
    /// What it said on the error stream, cut and cleaned.
    pub(crate) message: String,
    /// May objects be missing?
    partial: bool,
    /// How much memory it could have, in bytes.
    memory: u64,
}

impl GitOutput {
    /// The exit code; none if a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The answer, if it exited with 0.
    pub(crate) fn success(self, name: &'static str) -> Result<Vec<u8>, GitError> {
        if self.status.success() { Ok(self.stdout) } else { Err(self.failure(name)) }
    }

    /// The error that this exit is.
    pub(crate) fn failure(self, name: &'static str) -> GitError {
        let message = if self.message.is_empty() { self.status.to_string() } else { self.message };
        if self.partial && message.contains("unable to read") {
            return GitError::NotFetched { call: name, message };
        }
        if OUT_OF_MEMORY.iter().any(|words| message.contains(words)) {
            return GitError::OutOfMemory { call: name, mib: self.memory >> 20, message };
        }
        GitError::Failed { call: name, message }
    }
}

/// A child process and its group, which dies with this value unless it has ended by itself.
pub(crate) struct GitProcess {
    name: &'static str,
    time: Duration,
    secret: Option<SecretString>,
    /// Its input, if some is to come.
    pub(crate) stdin: Option<ChildStdin>,
    /// Its answer.
    pub(crate) stdout: Option<ChildStdout>,
    /// None once it has been waited for: the id may then belong to another.
    group: Option<Pid>,
    child: Child,
}

impl GitProcess {
    /// Does `talk` (which reads the answer to its end) while the error stream is drained, then waits for the
    /// exit; all within the call's time. The process is only waited for when both streams have ended: until
    /// then it exists, if only as a zombie, and its id is safe to kill by.
    pub(crate) async fn supervise<T>(
        mut self,
        talk: impl Future<Output = Result<T, GitError>>,
    ) -> Result<(T, ExitStatus, String), GitError> {
        let (name, after, stderr) = (self.name, self.time, self.child.stderr.take());
        let whole = async {
            let (done, said) = tokio::try_join!(talk, async { Ok(read_tail(stderr).await) })?;
            let status = self.child.wait().await.map_err(|source| GitError::Io {
                doing: "cannot wait for",
                path: PathBuf::from("git"),
                source,
            })?;
            self.group = None;
            Ok((done, status, clean(&said, self.secret.as_ref())))
        };
        tokio::time::timeout(after, whole).await.unwrap_or(Err(GitError::TimedOut { call: name, after }))
    }
}

impl Drop for GitProcess {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            // It may have ended just now; then there is nothing to do.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Writes all input and closes it. A process that stops reading says why by its exit.
async fn feed(stdin: Option<ChildStdin>, input: Vec<u8>) {
    if let Some(mut stdin) = stdin {
        let _ = stdin.write_all(&input).await;
        let _ = stdin.shutdown().await;
    }
}

/// Why an answer could not be read.
enum OutputReadError {
    Failed(std::io::Error),
    TooLarge,
}

impl OutputReadError {
    fn into_error(self, call: &'static str, limit: usize) -> GitError {
        match self {
            Self::Failed(source) => {
                GitError::Io { doing: "cannot read the answer of", path: PathBuf::from("git"), source }
            }
            Self::TooLarge => GitError::TooLarge { call, limit },
        }
    }
}

async fn read_bounded(
    stream: Option<impl AsyncRead + Unpin>,
    bound: usize,
) -> Result<Vec<u8>, OutputReadError> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let most = u64::try_from(bound).unwrap_or(u64::MAX).saturating_add(1);
        stream.take(most).read_to_end(&mut bytes).await.map_err(OutputReadError::Failed)?;
    }
    if bytes.len() > bound { Err(OutputReadError::TooLarge) } else { Ok(bytes) }
}

/// Drains a stream and keeps its last bytes: git says last what was fatal.
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

/// Git's words as one line for people: no control characters, no secret, not long.
pub(crate) fn clean(said: &[u8], secret: Option<&SecretString>) -> String {
    let said = String::from_utf8_lossy(said);
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    let plain = lines.chars().filter(|letter| !letter.is_control()).collect::<String>();
    let hidden = secret.map_or_else(|| plain.clone(), |secret| secret.hide_in(&plain));
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
            assert_eq!(version(said.as_bytes()), found, "{said}");
        }
    }

    #[test]
    fn messages_are_one_clean_line() {
        let secret = SecretString::new("Basic canary-123");
        let said = b"remote: \x1b[31mred canary-123\r\n\n  fatal: no\xff\n";
        assert_eq!(clean(said, Some(&secret)), "remote: [31mred ***; fatal: no\u{fffd}");
        assert_eq!(clean(&[b'x'; 5000], None).len(), MAX_MESSAGE_CHARS);
    }
}
