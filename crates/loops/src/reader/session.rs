//! A child that answers several requests.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use truing_core::port::ReaderError;
use truing_core::sandbox::SandboxLevel;
use truing_reader::protocol::{MAX_HELLO_BYTES, MAX_REQUEST_BYTES, ReaderHello, decode_line, encode_line};
use truing_system::ProcessUsage;

use super::reader_process::{
    ChildError, ReaderProcess, ReaderProgram, check_hello, drain_to_tail, failure_text,
    is_resource_limit_exit, read_line,
};

/// Time limit for the last output and the exit status of a process that failed.
const FINAL_OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);

/// A child, its streams, and its error output.
#[derive(Debug)]
pub(super) struct ReaderSession {
    process: ReaderProcess,
    min_sandbox: SandboxLevel,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    error_output: JoinHandle<Vec<u8>>,
}

/// The reason why a child gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error(transparent)]
    Reader(ReaderError),
    #[error("its process ended")]
    ProcessEnded,
}

/// The failure of a child, with its exit status.
#[derive(Debug)]
pub(super) struct ReaderFailure {
    /// The error, with the child's last output.
    pub(super) message: String,
    /// The exit status, if the child exited before the server killed it; otherwise `None`.
    pub(super) status: Option<ExitStatus>,
}

impl ReaderFailure {
    /// True if the kernel refused the child more memory, or a larger stack.
    pub(super) fn is_resource_limit(&self) -> bool {
        self.status.is_some_and(is_resource_limit_exit)
    }
}

impl ReaderSession {
    pub(super) fn start<'a>(
        program: &ReaderProgram,
        tree: &Path,
        arguments: impl Iterator<Item = &'a OsStr>,
    ) -> Result<Self, ChildError> {
        let mut process = program.start(tree, arguments)?;
        let child = &mut process.child;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            let source = std::io::ErrorKind::BrokenPipe.into();
            return Err(ChildError::Start { program: program.path.clone(), source });
        };
        let error_output = tokio::spawn(async move {
            let mut error_output = Vec::new();
            drain_to_tail(stderr, &mut error_output).await;
            error_output
        });
        let min_sandbox = program.min_sandbox;
        Ok(Self { process, min_sandbox, stdin, stdout: BufReader::new(stdout), error_output })
    }

    /// Reads the child's hello, sends the first request, and returns the reply to this request.
    pub(super) async fn send_first_request<T: DeserializeOwned>(
        &mut self,
        request: &impl Serialize,
        max_bytes: usize,
    ) -> Result<T, SessionError> {
        let hello: ReaderHello = self.read_reply("its hello", MAX_HELLO_BYTES).await?;
        check_hello(hello, self.min_sandbox)?;
        let line = encode_line("the request", request, MAX_REQUEST_BYTES).map_err(ChildError::from)?;
        self.send_and_read(&line, "its answer", max_bytes).await
    }

    /// Sends a line, and returns the reply to this line.
    pub(super) async fn send_and_read<T: DeserializeOwned>(
        &mut self,
        line: &[u8],
        label: &'static str,
        max_bytes: usize,
    ) -> Result<T, SessionError> {
        // Write errors are ignored. If a process stops reading, its reply or exit status shows the reason.
        let (stdin, stdout) = (&mut self.stdin, &mut self.stdout);
        let feed = async { drop(stdin.write_all(line).await) };
        let ((), heard) = tokio::join!(feed, read_line(stdout, max_bytes));
        let heard = heard?.ok_or(SessionError::ProcessEnded)?;
        Ok(decode_line(label, &heard, max_bytes).map_err(ChildError::from)?)
    }

    /// Reads the next line.
    pub(super) async fn read_reply<T: DeserializeOwned>(
        &mut self,
        label: &'static str,
        max_bytes: usize,
    ) -> Result<T, SessionError> {
        self.send_and_read(&[], label, max_bytes).await
    }

    /// Sends a line that is short enough for the buffer of a pipe.
    pub(super) async fn send_line(&mut self, line: &[u8]) {
        // Write errors are ignored. If a process stops reading, its reply or exit status shows the reason.
        drop(self.stdin.write_all(line).await);
    }

    /// Returns the process's resource usage, as the kernel reports it.
    pub(super) fn usage(&self) -> Option<ProcessUsage> {
        self.process.group.map(ProcessUsage::from_pid)
    }

    /// Ends a process that is no longer needed.
    pub(super) async fn close(mut self) {
        self.process.kill();
        // Waiting for the process prevents a zombie.
        let _ = self.process.child.wait().await;
        self.process.group = None;
    }

    /// Kills the process, and returns the failure with the process's last output.
    pub(super) async fn kill_on_error(mut self, error: SessionError) -> ReaderFailure {
        // A process that has already exited is waited for before the kill, so its original exit status is
        // reported.
        let error = match error {
            SessionError::Child(error) => error,
            SessionError::Reader(error) => return ReaderFailure { message: error.to_string(), status: None },
            SessionError::ProcessEnded => {
                match timeout(FINAL_OUTPUT_TIMEOUT, self.process.child.wait()).await {
                    Ok(Ok(status)) => {
                        self.process.group = None;
                        ChildError::ExitedBeforeAnswer(status)
                    }
                    Ok(Err(error)) => ChildError::StreamIo(error),
                    Err(_) => ChildError::TimedOut(FINAL_OUTPUT_TIMEOUT),
                }
            }
        };
        self.process.kill();
        let error_text = timeout(FINAL_OUTPUT_TIMEOUT, &mut self.error_output).await;
        let message = failure_text(&error, &error_text.ok().and_then(Result::ok).unwrap_or_default());
        ReaderFailure {
            message,
            status: if let ChildError::ExitedBeforeAnswer(status) = error { Some(status) } else { None },
        }
    }
}

impl Drop for ReaderSession {
    fn drop(&mut self) {
        self.error_output.abort();
    }
}
