//! A child process that runs the reader, and the communication with the child.

use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use truing_core::port::ReaderError;
use truing_core::sandbox::SandboxLevel;
use truing_reader::protocol::{MAX_ANSWER_BYTES, MAX_HELLO_BYTES, ProtocolError, ReaderHello, decode_line};
use truing_system::ProcessUsage;

use super::bounds;

/// Maximum number of bytes that are kept from the end of a child's error stream.
const MAX_STDERR_BYTES: usize = 16 << 10;
/// Maximum number of characters of a child's own messages that an error includes.
const MAX_MESSAGE_CHARS: usize = 500;

/// The program that is started as a reader.
#[derive(Clone, Debug)]
pub(super) struct ReaderProgram {
    pub(super) path: PathBuf,
    /// The weakest sandbox that is accepted.
    pub(super) min_sandbox: SandboxLevel,
}

/// The reason why a child gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChildError {
    #[error("{} cannot be started: {source}", program.display())]
    Start { program: PathBuf, source: std::io::Error },
    #[error("cannot communicate with its process: {0}")]
    StreamIo(#[from] std::io::Error),
    #[error("its process exited before it answered ({0})")]
    ExitedBeforeAnswer(ExitStatus),
    #[error("reading the file exceeds the memory limit for files of this size")]
    MemoryLimit,
    #[error("its process answered and then failed ({0})")]
    FailedAfterAnswer(ExitStatus),
    #[error("its process did not answer within {} s and was killed", .0.as_secs_f32())]
    TimedOut(Duration),
    #[error("its process violated the protocol: {0}")]
    Protocol(#[from] ProtocolError),
}

/// Cleans the error that a child reported, for display.
pub(super) fn clean_error(error: ReaderError) -> ReaderError {
    match error {
        ReaderError::UnknownPack { name, known_packs: known } => ReaderError::UnknownPack {
            name: to_printable_line(&name),
            known_packs: to_printable_line(&known),
        },
        ReaderError::BadPack(what) => ReaderError::BadPack(to_printable_line(&what)),
        ReaderError::Failed(what) => ReaderError::Failed(to_printable_line(&what)),
    }
}

/// Formats the failure of a child, with its last output.
pub(super) fn failure_text(error: &ChildError, output: &[u8]) -> String {
    let (what, words) =
        (to_printable_line(&error.to_string()), to_printable_line(&String::from_utf8_lossy(output)));
    if words.is_empty() { what } else { format!("{what}; its output: {words}") }
}

/// Formats text as one line for people: without control characters, and cut to a limit.
pub(super) fn to_printable_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    lines.chars().filter(|letter| !letter.is_control()).take(MAX_MESSAGE_CHARS).collect()
}

/// A child and its process group. When this value is dropped, the child and its group are killed, unless the
/// child has already exited.
#[derive(Debug)]
pub(super) struct ReaderProcess {
    pub(super) child: Child,
    /// The id of the process group. None after the process has been waited for, because another process may
    /// then have this id.
    pub(super) group: Option<Pid>,
}

impl ReaderProgram {
    pub(super) fn start<'a>(
        &self,
        tree: &Path,
        arguments: impl Iterator<Item = &'a OsStr>,
    ) -> Result<ReaderProcess, ChildError> {
        let mut command = Command::new(&self.path);
        command.arg0("truing").arg("reader").arg("--tree").arg(tree).args(arguments).env_clear();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let child =
            command.spawn().map_err(|source| ChildError::Start { program: self.path.clone(), source })?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(ReaderProcess { child, group })
    }
}

impl ReaderProcess {
    /// Sends the request, and reads the output of the child until the child exits. The child is waited for
    /// only after its streams have ended. Until then, its id belongs to the child or its zombie, so a kill
    /// signal to this id is safe.
    ///
    /// If the child parses one file, `file` is the size of this file. The size determines the memory limit.
    pub(super) async fn exchange<Answer: DeserializeOwned>(
        mut self,
        request: &[u8],
        file_size: Option<u64>,
        min_sandbox: SandboxLevel,
        error_output: &mut Vec<u8>,
    ) -> Result<Answer, ChildError> {
        let (stdin, stdout) = (self.child.stdin.take(), self.child.stdout.take());
        let stderr = self.child.stderr.take();
        let bound = || {
            if let (Some(process), Some(size)) = (self.group, file_size) {
                limit_memory_for_file(ProcessUsage::from_pid(process), size);
            }
        };
        let talk = async {
            let heard = exchange_lines(stdin, stdout, request, min_sandbox, bound).await;
            if heard.is_err() {
                self.kill(); // its output may be endless
            }
            heard
        };
        let (heard, ()) = tokio::join!(talk, drain_to_tail(stderr, error_output));
        let status = self.child.wait().await?;
        self.group = None;
        match heard? {
            None if file_size.is_some() && is_resource_limit_exit(status) => Err(ChildError::MemoryLimit),
            None => Err(ChildError::ExitedBeforeAnswer(status)),
            Some(_) if !status.success() => Err(ChildError::FailedAfterAnswer(status)),
            Some(line) => Ok(decode_line("its answer", &line, MAX_ANSWER_BYTES)?),
        }
    }

    pub(super) fn kill(&self) {
        if let Some(group) = self.group {
            // This call fails if the child has just exited; there is then nothing to kill.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for ReaderProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Applies the memory limit for a file of this size to a reader.
pub(super) fn limit_memory_for_file(usage: ProcessUsage, size: u64) {
    if !bounds::limit_memory_for_file(usage, size) {
        tracing::debug!("this reader has no memory limit of its own, only the limit of all readers");
    }
}

/// True if the exit status shows that the kernel refused the child more memory or a larger stack.
pub(super) fn is_resource_limit_exit(status: ExitStatus) -> bool {
    status.signal().is_some_and(|signal| [Signal::ABORT, Signal::SEGV].iter().any(|it| it.as_raw() == signal))
}

/// Returns an error if the sandbox level of a child is too low.
pub(super) fn check_hello(hello: ReaderHello, min_sandbox: SandboxLevel) -> Result<(), ChildError> {
    if hello.sandbox < SandboxLevel::MAX_REQUIRED_READER_LEVEL {
        let sandbox = hello.sandbox.as_str();
        tracing::warn!(
            sandbox,
            "the kernel does not confine readers to their files: a compromised reader could read other files"
        );
    }
    Ok(hello.check_compatible(min_sandbox)?)
}

/// Reads the hello, sets the child's limits, sends the request, and returns the reply line. Returns `None` if
/// the output of the child ended before the reply.
async fn exchange_lines(
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    request: &[u8],
    min_sandbox: SandboxLevel,
    set_limits: impl FnOnce(),
) -> Result<Option<Vec<u8>>, ChildError> {
    let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else { return Ok(None) };
    let mut stdout = BufReader::new(stdout);
    let Some(hello) = read_line(&mut stdout, MAX_HELLO_BYTES).await? else { return Ok(None) };
    check_hello(decode_line("its hello", &hello, MAX_HELLO_BYTES)?, min_sandbox)?;
    set_limits();

    // Write errors are ignored. If a child stops reading, its reply or exit status shows the reason.
    let feed = async { drop(stdin.write_all(request).await) };
    let mut answer = Vec::new();
    let mut bounded = stdout.take(MAX_ANSWER_BYTES as u64 + 1);
    let ((), read) = tokio::join!(feed, bounded.read_to_end(&mut answer));
    read?;
    // The child's input is closed only after the reply has been read, because a child stops when its input
    // ends.
    drop(stdin);
    if answer.len() > MAX_ANSWER_BYTES {
        let (message_kind, bytes) = ("its answer", answer.len());
        return Err(ProtocolError::TooLong { message_kind, bytes, max_bytes: MAX_ANSWER_BYTES }.into());
    }
    Ok(answer.ends_with(b"\n").then_some(answer))
}

/// Reads the next line, up to the maximum number of bytes. Returns `None` if the output ended before the line
/// was complete.
pub(super) async fn read_line(
    stdout: &mut BufReader<ChildStdout>,
    max_bytes: usize,
) -> Result<Option<Vec<u8>>, ChildError> {
    let mut line = Vec::new();
    stdout.take(max_bytes as u64 + 1).read_until(b'\n', &mut line).await?;
    Ok((line.len() > max_bytes || line.ends_with(b"\n")).then_some(line))
}

/// Reads the error stream to its end, and keeps its last bytes, because fatal messages are at the end.
pub(crate) async fn drain_to_tail(stream: Option<impl AsyncRead + Unpin>, tail: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut part = vec![0; MAX_STDERR_BYTES];
    while let Ok(count @ 1..) = stream.read(&mut part).await {
        tail.extend_from_slice(part.get(..count).unwrap_or_default());
        tail.drain(..tail.len().saturating_sub(MAX_STDERR_BYTES));
    }
}
