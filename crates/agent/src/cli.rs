//! The `cli` runtime: the `claude` program holds the conversation with the model, in a sandbox from which
//! only Truing's own server (`relay`) is reachable.
//!
//! The program has no tools of its own and sees no file of the repository. The run's own gateway handles the
//! program's model requests, with the run's prompts, spending limit and other limits. The program sends the
//! model's tool calls to Truing over MCP, and the same tools as in the native runtime answer them. A run
//! therefore has the same turns, reports and outcomes in both runtimes ([`crate::native`]). If the
//! conversation ends without an outcome, the exit of the program determines the outcome of the run.

mod conversation;
mod invocation;
mod program_model;
#[cfg(test)]
mod recordings;
mod relay;
mod server;
mod stream;
mod wire;

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::{Semaphore, mpsc};
use truing_core::line::clean_line;
use truing_core::secret::SecretString;
use truing_model::gateway::LanguageModel;

use crate::command::{self, CommandError, CommandIo, CommandLimits, CommandResult};
use crate::native::turns::ActiveAgentRun;
use crate::native::{
    AgentRunEnd, AgentRunInput, AgentRunResult, CollectedReport, RunLimit, RunLimits, RunTools,
};
use crate::sandbox::{JobCommand, SandboxError, SandboxJob, SandboxLevel, require_level};
use conversation::CliConversation;
use invocation::BASE_URL_VARIABLE;
use program_model::ProgramModel;
use relay::CliRelay;
use stream::CliStream;

pub use server::{CHECK_INTERVAL, ProgramCheck, ServerCli};

/// Default timeout for the program to print its version, and for a run to send its first model request. The
/// timeout is long enough even for a busy machine. A program that has sent no request by then never sends
/// one. The timeout stops such a program before it uses up the run's time limit.
pub const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum number of bytes read of the version output.
const MAX_VERSION_BYTES: u64 = 64 << 10;
/// Capacity of the message queue between the server and the run.
const MESSAGE_QUEUE_CAPACITY: usize = 16;
/// Maximum number of characters of the program's output that an error quotes if the output contains no
/// version.
const MAX_QUOTED_CHARS: usize = 200;
/// Maximum number of characters of a wrong version that an error quotes.
const MAX_VERSION_CHARS: usize = 40;
/// Random bytes in a run's token.
const TOKEN_BYTES: usize = 32;

/// The `claude` program, checked and ready to run. Cheap to clone: all clones share one queue of starts.
#[derive(Clone, Debug)]
pub struct ClaudeCli {
    program: PathBuf,
    sandbox_level: SandboxLevel,
    /// Limits the number of concurrent starts of the program to the number of processors. A start uses one
    /// processor for most of a second, so more starts would slow one another down.
    start_permits: Arc<Semaphore>,
    /// Timeout for the version check and for a run's first model request.
    start_timeout: Duration,
    /// True if the user's environment enables teams of agents.
    teams: bool,
}

/// An error that prevents use of the program.
#[derive(Debug, thiserror::Error)]
pub enum ClaudeCliError {
    /// The program does not exist or cannot be resolved.
    #[error("cannot find the program {}: {reason}", program.display())]
    Missing {
        /// Path that was tried.
        program: PathBuf,
        /// The operating system's error.
        reason: std::io::Error,
    },
    /// The program does not print a version.
    #[error("{} does not print its version: {reason}", program.display())]
    NoVersion {
        program: PathBuf,
        /// Description of the program's actual behaviour.
        reason: String,
    },
    /// The program's version is not the allowed version.
    #[error("{} has version {found_version}, but only {required_version} is allowed", program.display())]
    Version {
        program: PathBuf,
        /// Version that the program printed.
        found_version: String,
        /// Version that is allowed.
        required_version: String,
    },
    /// The sandbox cannot be set up or is too weak.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl ClaudeCliError {
    /// Returns the error in a form for authors of pull requests and for clients of a server: without paths of
    /// this machine and without output of the program.
    pub fn problem(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "the program claude cannot be found",
            Self::NoVersion { .. } => "the program claude does not print its version",
            Self::Version { .. } => "the version of the program claude is not allowed",
            Self::Sandbox(SandboxError::TooWeak { .. }) => "the sandbox is too weak for the program claude",
            Self::Sandbox(_) => "the sandbox for the program claude cannot be set up",
        }
    }
}

impl ClaudeCli {
    /// Runs the program in the sandbox, checks that it prints this version, and returns the checked program.
    /// `start_timeout` bounds the check and a run's first request, as [`START_TIMEOUT`] does.
    ///
    /// # Errors
    /// [`ClaudeCliError`]. Returns [`SandboxError::TooWeak`] if the level is below
    /// [`SandboxLevel::MIN_FOR_FOREIGN_CODE`], even where weaker levels are accepted.
    pub fn new(
        program: &Path,
        version: &str,
        start_timeout: Duration,
        sandbox_level: SandboxLevel,
    ) -> Result<Self, ClaudeCliError> {
        let sandbox_level = require_level(SandboxLevel::MIN_FOR_FOREIGN_CODE, sandbox_level)?;
        let missing = |reason| ClaudeCliError::Missing { program: program.to_owned(), reason };
        let program = program.canonicalize().map_err(missing)?;
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let cli = Self {
            program,
            sandbox_level,
            start_permits: Arc::new(Semaphore::new(cpus)),
            start_timeout,
            teams: false,
        };
        let silent = |reason: String| ClaudeCliError::NoVersion { program: cli.program.clone(), reason };
        let output = cli.query_version()?.map_err(|error| silent(error.to_string()))?;
        let version_output = String::from_utf8_lossy(&output.stdout);
        let found = version_output
            .split_whitespace()
            .next()
            .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let Some(found) = found else {
            let words = if version_output.trim().is_empty() {
                String::from_utf8_lossy(&output.stderr)
            } else {
                version_output
            };
            return Err(silent(clean_line(words.trim(), MAX_QUOTED_CHARS)));
        };
        if !output.status.success() {
            // A failed exit status is an error even if the program printed a version before it exited.
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(silent(clean_line(
                &format!("it ends with {}. {}", output.status, words.trim()),
                MAX_QUOTED_CHARS,
            )));
        }
        if found != version {
            let (found, required_version) = (clean_line(found, MAX_VERSION_CHARS), version.to_owned());
            return Err(ClaudeCliError::Version {
                program: cli.program.clone(),
                found_version: found,
                required_version,
            });
        }
        Ok(cli)
    }

    /// Sets the user's value of `CLAUDE_CODE_EXPERIMENTAL_AGENT_TEAMS`. The program gets this variable only
    /// if the value is `1`.
    #[must_use]
    pub fn with_teams(self, flag_text: Option<&str>) -> Self {
        Self {
            teams: flag_text.is_some_and(|flag_text| flag_text.trim() == invocation::TEAMS_VARIABLE.1),
            ..self
        }
    }

    /// Returns the environment variables of the program.
    fn environment_variables(&self, token: &str) -> Vec<(String, String)> {
        let (name, on) = invocation::TEAMS_VARIABLE;
        let teams = self.teams.then(|| (name.to_owned(), on.to_owned()));
        invocation::environment_variables(token).chain(teams).collect()
    }

    /// Runs the program with `--version` in the sandbox and returns its output.
    fn query_version(&self) -> Result<std::io::Result<Output>, SandboxError> {
        let mut job = self.job(vec!["--version".into()])?;
        job.variables = invocation::environment_variables("").collect();
        Ok(job.command().and_then(|mut command| {
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let child = command.spawn()?;
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let (sender, receiver) = std::sync::mpsc::channel();
            std::thread::spawn(move || sender.send(read_output(child)));
            receiver.recv_timeout(self.start_timeout).unwrap_or_else(|_| {
                // Killing the sandbox helper also kills the program.
                pid.and_then(|pid| kill_process(pid, Signal::KILL).ok());
                Err(std::io::Error::other(format!(
                    "it did not end within {} s",
                    self.start_timeout.as_secs_f32()
                )))
            })
        }))
    }

    /// Returns a job that runs the program in its own folder, which is read-only, with home and temporary
    /// folders that are removed afterwards. No file of a run remains after the run, regardless of how the run
    /// ends.
    fn job(&self, arguments: Vec<OsString>) -> Result<SandboxJob, SandboxError> {
        let folder = self.program.parent().unwrap_or(Path::new("/"));
        let argv = std::iter::once(self.program.clone().into_os_string()).chain(arguments).collect();
        let mut job = SandboxJob::new(self.sandbox_level, folder, JobCommand::Program(argv))?;
        job.allows_sockets = true;
        Ok(job)
    }

    /// Runs an agent as [`crate::native::collect_report`] does, except that the `claude` program holds the
    /// conversation.
    pub(crate) async fn collect_report(
        &self,
        model: &dyn LanguageModel,
        tools: &dyn RunTools,
        run_input: &AgentRunInput,
        limits: &RunLimits,
        report: &mut dyn CollectedReport,
    ) -> AgentRunResult<()> {
        let program_model = ProgramModel::new(model);
        let mut conversation = CliConversation::new(
            ActiveAgentRun::new(&program_model, tools, run_input, *limits, report),
            run_input,
            &program_model,
        );
        let is_program_request = model.serves_only_program();
        let run = self.run_conversation(&mut conversation, run_input, limits, is_program_request);
        let end = match run.await {
            Ok(end) => end,
            Err(error) => AgentRunEnd::ProgramFailed(error.to_string()),
        };
        conversation.finish_run(end).await
    }

    /// Runs the program, which holds the conversation with the model. With `is_program_request`, the
    /// provider gets the program's own requests, so the program gets the run's system prompt. If the
    /// conversation has not determined an outcome, the caller uses the outcome that this function returns.
    async fn run_conversation(
        &self,
        conversation: &mut CliConversation<'_>,
        run_input: &AgentRunInput,
        limits: &RunLimits,
        is_program_request: bool,
    ) -> Result<AgentRunEnd, CommandError> {
        let token = SecretString::new(random_token()?);
        let (message_sender, message_receiver) = mpsc::channel(MESSAGE_QUEUE_CAPACITY);
        let relay = CliRelay::new(&token, conversation.mcp_tools(), message_sender);
        let system_prompt =
            if is_program_request { &run_input.system_prompt } else { invocation::PLACEHOLDER_PROMPT };
        let mut job = self.job(invocation::program_arguments(&run_input.model, limits, system_prompt))?;
        job.variables = self.environment_variables(token.expose());
        if is_program_request {
            job.variables.retain(|(name, _)| name != invocation::ATTRIBUTION_VARIABLE.0);
        }
        let bounds = CommandLimits { time: limits.time, write_limit: None, keeps_whole_output: false };
        let input = Some(wire::encode_task(&run_input.review_text));
        let around =
            CommandIo { address_variables: &[BASE_URL_VARIABLE], input, output: CliStream::default() };
        // The result is always a permit, because the semaphore is never closed.
        let start = self.start_permits.clone().acquire_owned().await.ok();
        let mut program =
            Box::pin(command::run_with_server(job, &bounds, around, |listener| relay.serve(listener)));
        tokio::select! {
            ended = &mut program => return Ok(run_end(ended?)),
            () = Box::pin(conversation.serve_program(message_receiver, start, self.start_timeout)) => {}
        }
        if conversation.is_over() {
            // The caller ignores this value, because the conversation has already determined the outcome.
            // When this function returns, the program is killed.
            return Ok(AgentRunEnd::Reported);
        }
        // The server has stopped, so no more messages arrive. A program without its server exits, and this
        // exit determines the outcome. Without the server, the program exits, and the exit is the outcome.
        Ok(run_end(program.await?))
    }
}

/// Reads the output of a program until the program exits. Kills a program that prints more than
/// `MAX_VERSION_BYTES` bytes.
fn read_output(mut child: Child) -> std::io::Result<Output> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    // The error stream is read to its end, because a full pipe would block the program. Only the beginning is
    // kept.
    let errors = std::thread::spawn(move || {
        let mut kept = Vec::new();
        if let Some(mut err) = err {
            let _ = err.by_ref().take(MAX_VERSION_BYTES).read_to_end(&mut kept);
            let _ = std::io::copy(&mut err, &mut std::io::sink());
        }
        kept
    });
    let mut stdout = Vec::new();
    if let Some(out) = out {
        out.take(MAX_VERSION_BYTES + 1).read_to_end(&mut stdout)?;
    }
    let is_too_much = u64::try_from(stdout.len()).is_ok_and(|bytes| bytes > MAX_VERSION_BYTES);
    if is_too_much {
        child.kill()?;
    }
    let status = child.wait()?;
    let stderr = errors.join().unwrap_or_default();
    if is_too_much {
        return Err(std::io::Error::other(format!("it prints more than {MAX_VERSION_BYTES} bytes")));
    }
    Ok(Output { status, stdout, stderr })
}

/// Maps the end of the program to the end of the run.
fn run_end(result: CommandResult<CliStream>) -> AgentRunEnd {
    match result.outcome {
        command::ProcessOutcome::Exit(status) => result.stdout.run_end(status, &result.stderr.text()),
        command::ProcessOutcome::TimeLimitExceeded => AgentRunEnd::Limit(RunLimit::Time),
        command::ProcessOutcome::OutputLimitExceeded => {
            AgentRunEnd::ProgramFailed("claude exceeded the output limit of a run".to_owned())
        }
        command::ProcessOutcome::DiskLimitExceeded(_) => {
            AgentRunEnd::ProgramFailed("claude exceeded the write limit of a run".to_owned())
        }
        command::ProcessOutcome::SandboxLimitExceeded(bound, seen) => AgentRunEnd::ProgramFailed(format!(
            "claude exceeded the {} limit of the sandbox ({seen})",
            bound.as_str()
        )),
    }
}

/// Returns a random token in hexadecimal that cannot be guessed.
fn random_token() -> std::io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_switch_for_teams_is_passed_on_if_it_is_one() {
        for (said, passed) in [(None, false), (Some("0"), false), (Some("true"), false), (Some(" 1 "), true)]
        {
            let cli = ClaudeCli {
                program: "claude".into(),
                sandbox_level: SandboxLevel::Full,
                start_permits: Arc::new(Semaphore::new(1)),
                start_timeout: START_TIMEOUT,
                teams: false,
            };
            let variables = cli.with_teams(said).environment_variables("token");
            let is_there = |(name, value): &(String, String)| {
                name == "CLAUDE_CODE_EXPERIMENTAL_AGENT_TEAMS" && value == "1"
            };
            assert_eq!(variables.iter().any(is_there), passed, "{said:?}");
        }
    }
}
