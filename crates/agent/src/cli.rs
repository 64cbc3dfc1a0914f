//! The `cli` runtime: the `claude` program holds the conversation with the model, in a sandbox where it finds nothing but
//! one server of ours (`relay`).
//!
//! The program has no tools of its own and sees no file of the repository. What it asks the model goes through the run's
//! own way to it, with the run's own words, money and limits; what the model calls comes back over MCP and is answered by
//! the same tools as in the native runtime. So a run has the same turns, reports and ends in both ([`crate::native`]); how
//! the program itself ends decides only where the run has no end of its own. docs/adr/0041 says why.

mod conversation;
mod invocation;
#[cfg(test)]
mod recorded;
mod relay;
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
use truing_core::line::clean;
use truing_core::secret::SecretString;
use truing_model::gateway::LanguageModel;

use crate::command::{self, CommandBounds, CommandError, CommandIo, FinishedCommand};
use crate::native::turns::RunTurns;
use crate::native::{AgentRun, AgentRunEnd, ReportForm, RunBrief, RunLimit, RunLimits, RunTools};
use crate::sandbox::{JobCommand, SandboxError, SandboxJob, SandboxLevel, at_least};
use conversation::CliConversation;
use invocation::ADDRESS;
use relay::CliRelay;
use stream::CliStream;

/// How long the program may take to tell its version, and a run's until it first asks the model, on a machine that is
/// busy, unless another time is configured. One that does not ask by then never will, and the run's time is not for it.
pub const START_TIME: Duration = Duration::from_secs(60);
/// The most bytes that it may tell its version in.
const MAX_VERSION_BYTES: u64 = 64 << 10;
/// Messages between the server and the run that may wait.
const WAITING: usize = 16;
/// The most characters of what a program says in place of its version.
const MAX_WORDS: usize = 200;
/// The most characters of a version.
const MAX_VERSION: usize = 40;
/// Bytes of a run's token.
const TOKEN_BYTES: usize = 32;

/// The program, ready to be run. Cheap to clone: all share one queue.
#[derive(Clone, Debug)]
pub struct ClaudeCli {
    program: PathBuf,
    /// A start takes a processor for itself, for most of a second: more at once only wait for one another.
    starts: Arc<Semaphore>,
    /// How long it may take until it asks.
    within: Duration,
    /// Does the user's environment switch teams of agents on?
    teams: bool,
}

/// Why the program cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ClaudeCliError {
    /// It is not there.
    #[error("there is no program {}: {why}", program.display())]
    Missing {
        /// Where it was looked for.
        program: PathBuf,
        /// The system's words.
        why: std::io::Error,
    },
    /// It does not say what it is.
    #[error("{} does not tell its version: {why}", program.display())]
    Silent {
        /// The program.
        program: PathBuf,
        /// What it does instead.
        why: String,
    },
    /// It is another version than the one that is allowed.
    #[error("{} is version {found}, and {wanted} is the one that is allowed", program.display())]
    Version {
        /// The program.
        program: PathBuf,
        /// What it says.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// There is no sandbox for it.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl ClaudeCli {
    /// The program at this place, in this version, in the sandbox that the machine allows. It is asked for its version,
    /// there. `within`: as [`START_TIME`].
    ///
    /// # Errors
    /// [`ClaudeCliError`]; [`SandboxError::TooWeak`] below [`SandboxLevel::Full`], whatever is accepted elsewhere: without a network and
    /// a namespace of its own the program could not be bounded.
    pub fn new(
        program: &Path,
        version: &str,
        within: Duration,
        reached: SandboxLevel,
    ) -> Result<Self, ClaudeCliError> {
        at_least(SandboxLevel::Full, reached)?;
        let missing = |why| ClaudeCliError::Missing { program: program.to_owned(), why };
        let program = program.canonicalize().map_err(missing)?;
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let cli = Self { program, starts: Arc::new(Semaphore::new(cpus)), within, teams: false };
        let silent = |why: String| ClaudeCliError::Silent { program: cli.program.clone(), why };
        let output = cli.version()?.map_err(|error| silent(error.to_string()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        let found =
            said.split_whitespace().next().filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
        let Some(found) = found else {
            let words = if said.trim().is_empty() { String::from_utf8_lossy(&output.stderr) } else { said };
            return Err(silent(clean(words.trim(), MAX_WORDS)));
        };
        if !output.status.success() {
            // Whatever it printed before: it failed.
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(silent(clean(
                &format!("it ends with {}. {}", output.status, words.trim()),
                MAX_WORDS,
            )));
        }
        if found != version {
            let (found, wanted) = (clean(found, MAX_VERSION), version.to_owned());
            return Err(ClaudeCliError::Version { program: cli.program.clone(), found, wanted });
        }
        Ok(cli)
    }

    /// With the user's `CLAUDE_CODE_EXPERIMENTAL_AGENT_TEAMS`: it is passed on if it is 1.
    #[must_use]
    pub fn with_teams(self, said: Option<&str>) -> Self {
        Self { teams: said.is_some_and(|said| said.trim() == invocation::TEAMS.1), ..self }
    }

    /// What the program finds in its environment.
    fn variables(&self, token: &str) -> Vec<(String, String)> {
        let (name, on) = invocation::TEAMS;
        let teams = self.teams.then(|| (name.to_owned(), on.to_owned()));
        invocation::variables(token).chain(teams).collect()
    }

    /// What the program says when it is asked for its version, in the sandbox.
    fn version(&self) -> Result<std::io::Result<Output>, SandboxError> {
        let mut job = self.job(vec!["--version".into()])?;
        job.variables = invocation::variables("").collect();
        Ok(job.command().and_then(|mut command| {
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let child = command.spawn()?;
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let (tell, told) = std::sync::mpsc::channel();
            std::thread::spawn(move || tell.send(heard(child)));
            told.recv_timeout(self.within).unwrap_or_else(|_| {
                // With its helper the program ends, too.
                pid.and_then(|pid| kill_process(pid, Signal::KILL).ok());
                Err(std::io::Error::other(format!("it does not end within {} s", self.within.as_secs_f32())))
            })
        }))
    }

    /// A job that runs the program: in its own folder, which nothing can change, with home and temporary folders in
    /// memory. So nothing is left of a run, however it ends.
    fn job(&self, arguments: Vec<OsString>) -> Result<SandboxJob, SandboxError> {
        let folder = self.program.parent().unwrap_or(Path::new("/"));
        let argv = std::iter::once(self.program.clone().into_os_string()).chain(arguments).collect();
        let mut job = SandboxJob::new(SandboxLevel::Full, folder, JobCommand::Program(argv))?;
        job.sockets = true;
        Ok(job)
    }

    /// As [`crate::native::run_judged`], with the program in between.
    pub async fn run_judged<F: ReportForm>(
        &self,
        model: &dyn LanguageModel,
        tools: &dyn RunTools,
        brief: &RunBrief,
        limits: &RunLimits,
        judge: impl Fn(&F) -> Option<String> + Send,
    ) -> AgentRun<F> {
        let mut conversation =
            CliConversation::new(RunTurns::new(model, tools, (brief, *limits), judge), brief);
        let end = match self.held(&mut conversation, brief, limits).await {
            Ok(end) => end,
            Err(error) => AgentRunEnd::Failed(error.to_string()),
        };
        conversation.ended(end).await
    }

    /// Lets the program hold the conversation. How the run ends, if the conversation does not say so.
    async fn held<F: ReportForm, J: Fn(&F) -> Option<String> + Send>(
        &self,
        conversation: &mut CliConversation<'_, F, J>,
        brief: &RunBrief,
        limits: &RunLimits,
    ) -> Result<AgentRunEnd, CommandError> {
        let token = SecretString::new(token()?);
        let (say, said) = mpsc::channel(WAITING);
        let relay = CliRelay::new(&token, conversation.offers(), say);
        let mut job = self.job(invocation::arguments(&brief.model, limits))?;
        job.variables = self.variables(token.expose());
        let bounds = CommandBounds { time: limits.time, written: None, whole: false };
        let words = Some(wire::user(&brief.task));
        let around = CommandIo { variables: &[ADDRESS], words, out: CliStream::default() };
        // The queue is never closed.
        let start = self.starts.clone().acquire_owned().await.ok();
        let mut program = Box::pin(command::run_with(job, &bounds, around, |listener| relay.serve(listener)));
        tokio::select! {
            ended = &mut program => return Ok(how(ended?)),
            () = Box::pin(conversation.held(said, start, self.within)) => {}
        }
        if conversation.is_over() {
            // The run's own end counts; the program ends with this.
            return Ok(AgentRunEnd::Done);
        }
        // Its server is gone. Without it the program ends, and tells why.
        Ok(how(program.await?))
    }
}

/// What a program says until it ends, within its bound; one that says more is ended.
fn heard(mut child: Child) -> std::io::Result<Output> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    // Read to its end, so that the program never waits for a reader; only the beginning is kept.
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

/// How a run ends that the program has ended.
fn how(ended: FinishedCommand<CliStream>) -> AgentRunEnd {
    match ended.end {
        command::ProcessEnd::Exit(status) => ended.out.end(status, &ended.err.text()),
        command::ProcessEnd::Time => AgentRunEnd::Limit(RunLimit::Time),
        command::ProcessEnd::Output => AgentRunEnd::Failed("claude printed more than a run may".to_owned()),
        command::ProcessEnd::Disk(_) => AgentRunEnd::Failed("claude wrote more than a run may".to_owned()),
        command::ProcessEnd::Limit(bound, seen) => AgentRunEnd::Failed(format!(
            "claude exceeded the {} limit of the sandbox ({seen})",
            bound.as_str()
        )),
    }
}

/// A word that nobody guesses.
fn token() -> std::io::Result<String> {
    let mut bytes = [0; TOKEN_BYTES];
    let mut filled = 0;
    while filled < TOKEN_BYTES {
        let rest = bytes.get_mut(filled..).unwrap_or_default();
        filled += rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())?;
    }
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
                starts: Arc::new(Semaphore::new(1)),
                within: START_TIME,
                teams: false,
            };
            let variables = cli.with_teams(said).variables("token");
            let is_there = |(name, value): &(String, String)| {
                name == "CLAUDE_CODE_EXPERIMENTAL_AGENT_TEAMS" && value == "1"
            };
            assert_eq!(variables.iter().any(is_there), passed, "{said:?}");
        }
    }
}
