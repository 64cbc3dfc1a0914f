//! Provides a home folder with the operator's configuration file, and runs `truing` there.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use truing_fakes::forge::WebhookTarget;

use crate::support::HANGS;
use crate::support::watch::Watched;

/// Name of the operator's configuration file.
const FILE: &str = "truing.toml";
/// Text before the address in the log line in which a server reports that it listens.
const LISTENS: &str = "health and metrics: ";

/// A home folder, and the environment variables for the `truing` commands that run in it. The home folder is
/// also the commands' working folder.
pub(crate) struct Home {
    folder: TempDir,
    variables: Vec<(OsString, OsString)>,
    /// True if every command gets the operator's file with `--config`.
    is_configured: bool,
}

impl Home {
    /// Creates an empty home folder. Commands get `HOME` as their only variable.
    pub(crate) fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new(), is_configured: false }
    }

    /// Creates a home folder with this operator's file, which every command uses. Commands also get `PATH`.
    pub(crate) fn with_config(config: &str) -> Self {
        let home = Self { is_configured: true, ..Self::empty() };
        home.write(FILE, config);
        home.with_variable("PATH", std::env::var_os("PATH").unwrap_or_default())
    }

    /// Adds an environment variable for the commands.
    pub(crate) fn with_variable(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.file(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap()
    }

    /// Returns the text of the operator's file.
    pub(crate) fn config(&self) -> String {
        self.read(FILE)
    }

    /// Replaces `old` by `new` in the operator's file, which must contain `old`.
    pub(crate) fn replace_in_config(&self, old: &str, new: &str) {
        let text = self.config();
        assert!(text.contains(old), "{text}");
        self.write(FILE, text.replace(old, new));
    }

    /// Returns the `truing` command with these arguments.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_truing"));
        if self.is_configured {
            command.args(["--config", FILE]);
        }
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }

    /// Starts a server with this command, and makes the forge send its webhooks to the server.
    pub(crate) fn serve_by(&self, command: &mut Command, forge: &Watched, secret: &str) -> Server {
        let server = Server::start(command);
        let url = format!("{}/webhooks/{}", server.url, forge.forge_name());
        forge.set_hook(WebhookTarget { url, secret: secret.into(), is_automatic: false });
        server
    }
}

/// The exit code and the output of a command.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Ran {
    pub(crate) exit: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            exit: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// Runs a command on a separate thread, so that other tasks of the async runtime can continue.
    pub(crate) async fn run_on_blocking_thread(mut command: Command) -> Self {
        tokio::task::spawn_blocking(move || Self::from(command.output().unwrap())).await.unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// Returns the standard output with fixed values in place of durations and commit ids.
    pub(crate) fn normalized_text(&self) -> String {
        let seconds = regex::Regex::new(r"in \d+\.\d\d s").unwrap();
        let ids = regex::Regex::new(r"\b[0-9a-f]{10}\b").unwrap();
        ids.replace_all(&seconds.replace_all(&self.out, "in 0.10 s"), "0123456789").into_owned()
    }
}

/// A process that is killed on drop.
pub(crate) struct Process(pub(crate) Child);

impl Deref for Process {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that is killed on drop.
pub(crate) struct Server {
    /// URL of the server without a path.
    pub(crate) url: String,
    pub(crate) child: Process,
    log: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts a server, and waits until its log contains the address at which it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::start_announced(command, |line| {
            Some(line.split_once(LISTENS)?.1.split_once("/healthz")?.0.to_owned())
        })
    }

    /// Starts a server, and waits for the log line from which `address` extracts the server's URL.
    pub(crate) fn start_announced(
        command: &mut Command,
        address: impl FnMut(String) -> Option<String>,
    ) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(address).unwrap();
        // The thread reads the log until its end, because the server would block if the pipe was full.
        let log = std::thread::spawn(move || lines.collect::<Vec<_>>().join("\n"));
        Self { url, child: Process(child), log: Some(log) }
    }

    /// Wraps a server whose address the test does not need. The server's log is not read here.
    pub(crate) fn from_child(child: Child) -> Self {
        Self { url: String::new(), child: Process(child), log: None }
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Waits until the server exits. Returns its exit status and its log.
    pub(crate) fn wait_for_end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, self.log.take().map(|log| log.join().unwrap()).unwrap_or_default())
    }

    /// Stops the server with SIGTERM, so that it completes its current work. It must exit successfully.
    pub(crate) fn stop(self) {
        self.signal("-TERM");
        let (status, log) = self.wait_for_end();
        assert!(status.success(), "{log}");
    }
}

/// Waits until the condition is true.
pub(crate) async fn wait_until(label: &str, condition: impl AsyncFnMut() -> bool) {
    wait_until_or_show(label, String::new, condition).await;
}

/// Waits until the condition is true. If this takes too long, the test fails with the text from `describe`.
pub(crate) async fn wait_until_or_show(
    label: &str,
    describe: impl Fn() -> String,
    mut condition: impl AsyncFnMut() -> bool,
) {
    let deadline = Instant::now() + HANGS;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        tick.tick().await;
        if condition().await {
            return;
        }
        assert!(Instant::now() < deadline, "waited in vain: {label}\n{}", describe());
    }
}
