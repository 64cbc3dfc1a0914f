//! A model's tools, carried out in a reader process that lives from the first call to the end of the run.
//!
//! A call that takes the process down, or is answered with rubbish or too much, fails, and the next one gets a new
//! process, up to [`MAX_CHILDREN`] in a run. What a reply says is only ever given to the model. The change is shown by
//! this process: a reader that was taken over cannot lie about what is reviewed.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use truing_agent::native::{Output, Tools};
use truing_core::port::ReaderError;
use truing_core::sandbox::Level;
use truing_model::messages::Tool;
use truing_reader::protocol::{
    Call, Hello, MAX_CALL_BYTES, MAX_HELLO_BYTES, MAX_OPENED_BYTES, MAX_REPLIED_BYTES, MAX_REQUEST_BYTES,
    Opened, ProtocolError, Replied, ToolsRequest, checked_reply, decode, encode,
};
use truing_reader::tools::{DIFF, Offered, Reply, TreeTool, diff, offered};

use super::{ChildError, Program, Running, accept, cleaned, keep_last, line, told};

/// How long one call may take, the start of a process included. The process itself stops working on it earlier.
pub const CALL_TIME: Duration = Duration::from_secs(30);
/// How many processes one run may use up.
pub const MAX_CHILDREN: usize = 4;
/// How long the last words of a process that was killed are waited for.
const LAST_WORDS_TIME: Duration = Duration::from_secs(1);

/// The tools of one run. Calls are carried out one after the other.
#[derive(Debug)]
pub struct ReaderTools {
    program: Program,
    request: ToolsRequest,
    change: Arc<[u8]>,
    time: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// None before the first call, while one is carried out, and after a failure.
    session: Option<Session>,
    /// How many processes were started.
    started: usize,
    /// What became of those that failed.
    failures: Vec<String>,
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error(transparent)]
    Child(#[from] ChildError),
    #[error(transparent)]
    Reader(ReaderError),
    #[error("its process ended")]
    Ended,
}

impl ReaderTools {
    pub(super) fn new(program: Program, request: ToolsRequest, change: Arc<[u8]>) -> Self {
        Self { program, request, change, time: CALL_TIME, state: Mutex::default() }
    }

    /// With another time limit for a call than [`CALL_TIME`].
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// What went wrong with the processes so far, one failure each: calls that came to nothing though the model did
    /// nothing wrong.
    pub async fn failures(&self) -> Vec<String> {
        self.state.lock().await.failures.clone()
    }

    async fn look(&self, tool: TreeTool, input: &Value) -> Reply {
        let mut state = self.state.lock().await;
        // Taken out: if this call is given up in the middle, the process dies with it, and no later call hears its
        // reply.
        let session = match state.session.take() {
            Some(session) => session,
            None if state.started >= MAX_CHILDREN => {
                return Reply::wrong("this tool cannot be used any more in this review: go on without it");
            }
            None => {
                state.started += 1;
                match Session::start(self) {
                    Ok(session) => session,
                    Err(error) => return state.fail(told(&error, &[])),
                }
            }
        };
        let mut session = session;
        let done = timeout(self.time, session.call(&self.request, tool, input)).await;
        match done.unwrap_or(Err(SessionError::Child(ChildError::TimedOut(self.time)))) {
            Ok(reply) => {
                state.session = Some(session);
                reply
            }
            Err(SessionError::Child(ChildError::Protocol(
                error @ ProtocolError::TooLong { what: THE_CALL, .. },
            ))) => {
                state.session = Some(session); // nothing was said yet
                Reply::wrong(&error.to_string())
            }
            Err(error) => state.fail(session.end(error).await),
        }
    }
}

impl State {
    fn fail(&mut self, what: String) -> Reply {
        tracing::warn!(what, "a call of a tool failed");
        self.failures.push(what);
        Reply::wrong(
            "this call could not be carried out: what it looks at may be too much for the reader. Try another way",
        )
    }
}

/// What a call is named by in errors.
const THE_CALL: &str = "the call";

impl Tools for ReaderTools {
    fn offered(&self) -> Vec<Tool> {
        let tool = |tool: Offered| Tool {
            name: tool.name.to_owned(),
            description: tool.description,
            input_schema: tool.input_schema,
            cache_control: None,
        };
        offered().into_iter().map(tool).collect()
    }

    async fn call(&self, name: &str, input: &Value) -> Output {
        let Reply { text, is_error } = match (TreeTool::named(name), name) {
            (Some(tool), _) => self.look(tool, input).await,
            (None, DIFF) => diff(&self.change, input),
            (None, _) => {
                let names: Vec<_> = offered().iter().map(|tool| tool.name).collect();
                Reply::wrong(&format!("there is no tool `{name}`; there are: {}", names.join(", ")))
            }
        };
        Output { text, is_error, denied: false }
    }

    /// The next call has a new process, which looks anew which files there are, and may open those that are new. It is
    /// none of those that were used up.
    async fn renew(&self) {
        let mut state = self.state.lock().await;
        if state.session.take().is_some() {
            state.started -= 1;
        }
    }
}

/// A process that carries out calls.
#[derive(Debug)]
struct Session {
    running: Running,
    weakest: Level,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    said: JoinHandle<Vec<u8>>,
    /// How many calls were made; none before the tree is open.
    calls: Option<u64>,
}

impl Session {
    fn start(tools: &ReaderTools) -> Result<Self, ChildError> {
        let mut running = tools.program.start(&tools.request.tree, [OsStr::new("--tools")].into_iter())?;
        let child = &mut running.child;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            let source = std::io::ErrorKind::BrokenPipe.into();
            return Err(ChildError::Start { program: tools.program.path.clone(), source });
        };
        let said = tokio::spawn(async move {
            let mut said = Vec::new();
            keep_last(stderr, &mut said).await;
            said
        });
        let weakest = tools.program.weakest;
        Ok(Self { running, weakest, stdin, stdout: BufReader::new(stdout), said, calls: None })
    }

    async fn call(
        &mut self,
        request: &ToolsRequest,
        tool: TreeTool,
        input: &Value,
    ) -> Result<Reply, SessionError> {
        let number = match self.calls {
            Some(calls) => calls + 1,
            None => {
                self.open(request).await?;
                1
            }
        };
        let call = Call { number, tool, input: input.clone() };
        let line = encode(THE_CALL, &call, MAX_CALL_BYTES).map_err(ChildError::from)?;
        self.calls = Some(number);
        let replied: Replied = self.ask(&line, "its reply", MAX_REPLIED_BYTES).await?;
        Ok(checked_reply(number, replied).map_err(ChildError::from)?)
    }

    async fn open(&mut self, request: &ToolsRequest) -> Result<(), SessionError> {
        let hello: Hello = self.ask(&[], "its hello", MAX_HELLO_BYTES).await?;
        accept(hello, self.weakest)?;
        let line = encode("the request", request, MAX_REQUEST_BYTES).map_err(ChildError::from)?;
        let opened: Opened = self.ask(&line, "its answer", MAX_OPENED_BYTES).await?;
        opened.map_err(|error| SessionError::Reader(cleaned(error)))?;
        self.calls = Some(0);
        Ok(())
    }
}

impl Session {
    /// Says a line and hears the one that answers it.
    async fn ask<T: DeserializeOwned>(
        &mut self,
        said: &[u8],
        what: &'static str,
        most: usize,
    ) -> Result<T, SessionError> {
        // A process that stops listening says by its answer, or by its end, why.
        let (stdin, stdout) = (&mut self.stdin, &mut self.stdout);
        let feed = async { drop(stdin.write_all(said).await) };
        let ((), heard) = tokio::join!(feed, line(stdout, most));
        let heard = heard?.ok_or(SessionError::Ended)?;
        Ok(decode(what, &heard, most).map_err(ChildError::from)?)
    }

    /// Kills the process, and tells what went wrong with its last words.
    async fn end(mut self, error: SessionError) -> String {
        // What ended by itself is waited for before it is killed, so that its own end is told.
        let error = match error {
            SessionError::Child(error) => error,
            SessionError::Reader(error) => return error.to_string(),
            SessionError::Ended => match timeout(LAST_WORDS_TIME, self.running.child.wait()).await {
                Ok(Ok(status)) => {
                    self.running.group = None;
                    ChildError::Ended(status)
                }
                Ok(Err(error)) => ChildError::Streams(error),
                Err(_) => ChildError::TimedOut(LAST_WORDS_TIME),
            },
        };
        self.running.kill();
        let said = timeout(LAST_WORDS_TIME, &mut self.said).await;
        told(&error, &said.ok().and_then(Result::ok).unwrap_or_default())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.said.abort();
    }
}
