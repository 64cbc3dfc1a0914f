//! Runs one command in the sandbox, bounded in time, in output, and in bytes written.

use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use truing_system::ProcessHandle;

use crate::sandbox::{
    HELPER_FAILED_EXIT_CODE, HELPER_MESSAGE_PREFIX, NOT_STARTED_EXIT_CODE, SandboxError, SandboxJob,
    SandboxLimit, SocketHandoff, children_of, exceeded_limit,
};
use crate::verify::usage::{self, DiskUsage, ExceededDiskLimit};

/// Bytes kept from the beginning of a stream.
const KEPT_HEAD_BYTES: usize = 8 << 10;
/// Bytes kept from the end of a stream, where most programs print their errors.
const KEPT_TAIL_BYTES: usize = 12 << 10;
/// Maximum number of bytes that a command may print on a stream before it is killed.
pub(crate) const MAX_STREAM_BYTES: usize = 16 << 20;
/// Maximum time to wait until all processes of a killed command have exited.
const KILL_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time for which a thread waits until a dropped job has been killed.
const DROP_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes read at once.
const READ_CHUNK_BYTES: usize = 64 << 10;

/// An error that kept a command from running.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The sandbox for the command is unavailable.
    #[error("the command cannot be run: {0}")]
    Sandbox(#[from] SandboxError),
    /// An input or output error of this machine.
    #[error("the command cannot be run: {0}")]
    Io(#[from] std::io::Error),
    /// The sandbox started but failed before it started the command.
    #[error("cannot run the command: its sandbox failed: {0}")]
    SandboxHelperFailed(String),
    /// The program does not exist or is not executable.
    #[error("`{program}` cannot be started: {reason}")]
    ProgramNotStarted {
        /// Name of the program as given in the command.
        program: String,
        /// The operating system's error.
        reason: String,
    },
}

/// The reason why a command ended.
pub(crate) enum ProcessOutcome {
    Exit(ExitStatus),
    TimeLimitExceeded,
    OutputLimitExceeded,
    DiskLimitExceeded(ExceededDiskLimit),
    /// All processes of the command together exceeded a limit. The text gives the measured value and the
    /// limit.
    SandboxLimitExceeded(SandboxLimit, String),
}

/// A command that ended, with the captured output.
pub(crate) struct CommandResult<O = CapturedOutput> {
    pub(crate) outcome: ProcessOutcome,
    pub(crate) stdout: O,
    pub(crate) stderr: CapturedOutput,
    pub(crate) duration: Duration,
}

/// A limit on the total size of folders that a command may write to.
#[derive(Clone)]
pub(crate) struct WriteLimit {
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) limit: DiskUsage,
}

/// Limits of a command.
pub(crate) struct CommandLimits {
    pub(crate) time: Duration,
    pub(crate) write_limit: Option<WriteLimit>,
    /// True if the whole output is kept; false if only the beginning and the end are kept.
    pub(crate) keeps_whole_output: bool,
}

/// Runs a command. Dropping the future kills the command and every process that it started.
pub(crate) async fn run(job: SandboxJob, bounds: &CommandLimits) -> Result<CommandResult, CommandError> {
    let program = job.program_name();
    let child = spawn_child(job.command()?)?;
    wait_for_end(child, bounds, &program, CapturedOutput::new(bounds)).await
}

/// Input, output and variables of a command.
pub(crate) struct CommandIo<'a, O> {
    /// Names of the variables to set to the address of the server on the command's loopback interface.
    pub(crate) address_variables: &'a [&'a str],
    /// Bytes to write to the command's standard input; `None` if the command reads no input.
    pub(crate) input: Option<Vec<u8>>,
    /// Receiver of the command's output.
    pub(crate) output: O,
}

/// Runs a command that reaches a server on the command's loopback interface. `serve` runs this server until
/// the command has exited.
pub(crate) async fn run_with_server<O: OutputSink, F: Future<Output = ()>>(
    mut job: SandboxJob,
    bounds: &CommandLimits,
    command_io: CommandIo<'_, O>,
    serve: impl FnOnce(tokio::net::TcpListener) -> F,
) -> Result<CommandResult<O>, CommandError> {
    let program = job.program_name();
    job.has_input_stream = command_io.input.is_some();
    let (command, listening) = job.command_with_socket(command_io.address_variables)?;
    let child = spawn_child(command)?;
    let words = command_io.input;
    let server = async {
        // If no socket arrives, the helper has failed, and the exit of the helper reports the reason.
        if let Ok((socket, listening)) = wait_for_socket(listening).await {
            match words {
                // A failed send is ignored: a command that does not read all its input reports the reason
                // when it exits.
                Some(words) => drop(tokio::task::spawn_blocking(move || listening.send_input(&words))),
                None => drop(listening),
            }
            serve(socket).await;
        }
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        ended = wait_for_end(child, bounds, &program, command_io.output) => ended,
        never = server => match never {},
    }
}

/// Waits for the socket, and returns the socket and the channel that handed it over.
pub(crate) async fn wait_for_socket(
    handoff: SocketHandoff,
) -> std::io::Result<(tokio::net::TcpListener, SocketHandoff)> {
    let (socket, listening) =
        tokio::task::spawn_blocking(|| Ok::<_, std::io::Error>((handoff.wait_for_socket()?, handoff)))
            .await??;
    socket.set_nonblocking(true)?;
    Ok((tokio::net::TcpListener::from_std(socket)?, listening))
}

/// A receiver of a command's output.
pub(crate) trait OutputSink {
    /// Reads a stream to its end.
    ///
    /// # Errors
    /// [`OutputOverflow`] if the stream exceeds its bound.
    fn read_stream(
        &mut self,
        stream: Option<impl AsyncRead + Unpin + Send>,
    ) -> impl Future<Output = Result<(), OutputOverflow>> + Send;
}

/// Starts the command. Then drops `command`, which closes this process's copies of the inherited file
/// descriptors.
pub(crate) fn spawn_child(command: std::process::Command) -> std::io::Result<JobProcess> {
    let mut command = Command::from(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Ok(JobProcess(command.spawn()?))
}

/// The outer helper of a job. Dropping it kills the job, and waits until the inner helper has killed the
/// job's processes and removed its folders: the caller may remove the job's tree next.
#[derive(Debug)]
pub(crate) struct JobProcess(Child);

impl Deref for JobProcess {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for JobProcess {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

impl Drop for JobProcess {
    fn drop(&mut self) {
        let process_id = self.0.id().and_then(|id| i32::try_from(id).ok());
        let Some(outer_helper) = process_id.and_then(Pid::from_raw) else { return };
        let inner_helpers = children_of(outer_helper);
        let exits: Vec<ProcessHandle> =
            inner_helpers.into_iter().filter_map(|helper| ProcessHandle::open(helper).ok()).collect();
        // The error is ignored, because the process may have just exited.
        let _ = self.0.start_kill();
        for exit in exits {
            exit.wait_for_exit(Some(DROP_TIMEOUT));
        }
    }
}

async fn wait_for_end<O: OutputSink>(
    mut child: JobProcess,
    bounds: &CommandLimits,
    program: &str,
    mut output_sink: O,
) -> Result<CommandResult<O>, CommandError> {
    let began = Instant::now();
    let mut err = CapturedOutput::new(bounds);
    let mut stdout = child.stdout.take();
    let mut stderr = child.stderr.take();
    let end = {
        let printed = async {
            tokio::try_join!(output_sink.read_stream(stdout.as_mut()), err.read_stream(stderr.as_mut()))
        };
        tokio::select! {
            printed = printed => printed.err().map(|OutputOverflow| ProcessOutcome::OutputLimitExceeded),
            () = tokio::time::sleep(bounds.time) => Some(ProcessOutcome::TimeLimitExceeded),
            over = wait_for_overrun(bounds.write_limit.as_ref()) => {
                Some(ProcessOutcome::DiskLimitExceeded(over))
            }
        }
    };
    let end = match end {
        // The command's streams have ended, so all its processes have exited: the helper keeps the streams
        // open while any process runs.
        None => {
            let status = child.wait().await?;
            // The command may have exceeded the write limit between two measurements.
            match &bounds.write_limit {
                Some(WriteLimit { folders, limit }) => usage::find_exceeded_limit(folders, *limit)
                    .await
                    .map_or(ProcessOutcome::Exit(status), ProcessOutcome::DiskLimitExceeded),
                None => ProcessOutcome::Exit(status),
            }
        }
        Some(end) => {
            child.kill().await?;
            // The command's processes keep the streams open until they have been killed, too.
            let rest = async { tokio::join!(discard_stream(stdout), discard_stream(stderr)) };
            let _ = tokio::time::timeout(KILL_TIMEOUT, rest).await;
            end
        }
    };
    // A command may exit with the same codes as the helper, but only the helper prints this prefix.
    if let ProcessOutcome::Exit(status) = &end
        && err.beginning.starts_with(HELPER_MESSAGE_PREFIX.as_bytes())
    {
        match status.code() {
            Some(code) if code == i32::from(HELPER_FAILED_EXIT_CODE) => {
                return Err(CommandError::SandboxHelperFailed(err.text().trim_end().to_owned()));
            }
            Some(code) if code == i32::from(NOT_STARTED_EXIT_CODE) => {
                let words = err.text();
                let reason = words.trim_end().trim_start_matches(HELPER_MESSAGE_PREFIX).to_owned();
                return Err(CommandError::ProgramNotStarted { program: program.to_owned(), reason });
            }
            Some(_) | None => {}
        }
    }
    let end = match end {
        ProcessOutcome::Exit(status) => match exceeded_limit(status.code(), err.text().as_bytes()) {
            Some((bound, seen)) => ProcessOutcome::SandboxLimitExceeded(bound, seen),
            None => ProcessOutcome::Exit(status),
        },
        other @ (ProcessOutcome::TimeLimitExceeded
        | ProcessOutcome::OutputLimitExceeded
        | ProcessOutcome::DiskLimitExceeded(_)
        | ProcessOutcome::SandboxLimitExceeded(..)) => other,
    };
    Ok(CommandResult { outcome: end, stdout: output_sink, stderr: err, duration: began.elapsed() })
}

/// Reads a stream to its end.
async fn discard_stream(stream: Option<impl AsyncRead + Unpin>) {
    if let Some(mut stream) = stream {
        // An error ends the stream, too.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
}

/// Completes as soon as the command has written more than allowed. If `write_limit` is `None`, never
/// completes.
async fn wait_for_overrun(write_limit: Option<&WriteLimit>) -> ExceededDiskLimit {
    match write_limit {
        Some(WriteLimit { folders, limit }) => usage::wait_for_excess(folders, *limit).await,
        None => std::future::pending().await,
    }
}

/// A stream exceeded its bound.
pub(crate) struct OutputOverflow;

impl OutputSink for CapturedOutput {
    async fn read_stream(
        &mut self,
        stream: Option<impl AsyncRead + Unpin + Send>,
    ) -> Result<(), OutputOverflow> {
        let Some(mut stream) = stream else { return Ok(()) };
        let mut part = vec![0; READ_CHUNK_BYTES];
        while let Ok(count @ 1..) = stream.read(&mut part).await {
            self.append(part.get(..count).unwrap_or_default());
            if self.total_bytes > MAX_STREAM_BYTES {
                return Err(OutputOverflow);
            }
        }
        Ok(())
    }
}

/// The beginning and the end of an output, or all of it.
pub(crate) struct CapturedOutput {
    max_head_bytes: usize,
    beginning: Vec<u8>,
    end: Vec<u8>,
    total_bytes: usize,
}

impl CapturedOutput {
    pub(crate) fn new(bounds: &CommandLimits) -> Self {
        let most_of_beginning = if bounds.keeps_whole_output { MAX_STREAM_BYTES } else { KEPT_HEAD_BYTES };
        Self { max_head_bytes: most_of_beginning, beginning: Vec::new(), end: Vec::new(), total_bytes: 0 }
    }

    fn append(&mut self, chunk: &[u8]) {
        self.total_bytes += chunk.len();
        let (beginning, rest) = chunk.split_at(chunk.len().min(self.max_head_bytes - self.beginning.len()));
        self.beginning.extend_from_slice(beginning);
        self.end.extend_from_slice(rest);
        self.end.drain(..self.end.len().saturating_sub(KEPT_TAIL_BYTES));
    }

    /// True if nothing was printed.
    pub(crate) fn is_empty(&self) -> bool {
        self.total_bytes == 0
    }

    /// Returns the kept text, with a note of the bytes left out.
    pub(crate) fn text(&self) -> String {
        let left_out = self.total_bytes - self.beginning.len() - self.end.len();
        let (beginning, end) = (String::from_utf8_lossy(&self.beginning), String::from_utf8_lossy(&self.end));
        if left_out == 0 {
            // There is no gap between the two parts. Decoding them together preserves a character that is
            // split between them.
            return String::from_utf8_lossy(&[self.beginning.as_slice(), &self.end].concat()).into_owned();
        }
        format!("{beginning}\n[… {left_out} bytes are left out here …]\n{end}")
    }
}
