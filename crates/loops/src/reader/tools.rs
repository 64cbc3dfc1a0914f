//! A model's tools, carried out in a reader process that lives from the first call to the end of the run.
//!
//! A call that takes the process down, or is answered with rubbish or too much, fails, and the next one gets a new
//! process, up to [`MAX_CHILDREN`] in a run. What a reply says is only ever given to the model. The change is shown by
//! this process: a reader that was taken over cannot lie about what is reviewed.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::timeout;
use truing_agent::native::{CallOutput, RunTools};
use truing_model::messages::ToolDefinition;
use truing_reader::mask::are_secrets_shown;
use truing_reader::protocol::{
    MAX_CALL_BYTES, MAX_OPENED_BYTES, MAX_REPLIED_BYTES, NumberedReply, OpenReply, ProtocolError,
    ToolsRequest, TreeToolCall, checked_reply, encode,
};
use truing_reader::tools::{DIFF, ToolDescription, ToolReply, TreeTool, diff, offered};

use super::child::{ChildError, ReaderProgram, cleaned, told};
use super::session::{ReaderSession, SessionError};

/// How long one call may take, the start of a process included. The process itself stops working on it earlier.
pub const CALL_TIME: Duration = Duration::from_secs(30);
/// How many processes one run may use up.
pub const MAX_CHILDREN: usize = 4;

/// The tools of one run. Calls are carried out one after the other.
#[derive(Debug)]
pub struct ReaderTools {
    program: ReaderProgram,
    request: ToolsRequest,
    change: Arc<[u8]>,
    time: Duration,
    state: Mutex<ReaderToolsState>,
}

#[derive(Debug, Default)]
struct ReaderToolsState {
    /// None before the first call, while one is carried out, and after a failure.
    caller: Option<ToolCallProcess>,
    /// How many processes were started.
    started: usize,
    /// What became of those that failed.
    failures: Vec<String>,
}

impl ReaderTools {
    pub(super) fn new(program: ReaderProgram, request: ToolsRequest, change: Arc<[u8]>) -> Self {
        Self { program, request, change, time: CALL_TIME, state: Mutex::default() }
    }

    /// With another time limit for a call than [`CALL_TIME`].
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// What went wrong with the processes so far, one failure each: calls that came to nothing though the model did
    /// nothing wrong.
    #[truing_core::boxed_future]
    pub async fn failures(&self) -> Vec<String> {
        self.state.lock().await.failures.clone()
    }

    async fn look(&self, tool: TreeTool, input: &Value) -> ToolReply {
        let mut state = self.state.lock().await;
        // Taken out: if this call is given up in the middle, the process dies with it, and no later call hears its
        // reply.
        let mut caller = match state.caller.take() {
            Some(caller) => caller,
            None if state.started >= MAX_CHILDREN => {
                return ToolReply::wrong(
                    "this tool cannot be used any more in this review: go on without it",
                );
            }
            None => {
                state.started += 1;
                match ToolCallProcess::start(self) {
                    Ok(caller) => caller,
                    Err(error) => return state.fail(told(&error, &[])),
                }
            }
        };
        let done = timeout(self.time, caller.call(&self.request, tool, input)).await;
        match done.unwrap_or(Err(SessionError::Child(ChildError::TimedOut(self.time)))) {
            Ok(reply) => {
                state.caller = Some(caller);
                reply
            }
            Err(SessionError::Child(ChildError::Protocol(
                error @ ProtocolError::TooLong { what: THE_CALL, .. },
            ))) => {
                state.caller = Some(caller); // nothing was said yet
                ToolReply::wrong(&error.to_string())
            }
            Err(error) => state.fail(caller.session.end(error).await.what),
        }
    }
}

impl ReaderToolsState {
    fn fail(&mut self, what: String) -> ToolReply {
        tracing::warn!(what, "a call of a tool failed");
        self.failures.push(what);
        ToolReply::wrong(
            "this call could not be carried out: what it looks at may be too much for the reader. Try another way",
        )
    }
}

/// What a call is named by in errors.
const THE_CALL: &str = "the call";

#[async_trait]
impl RunTools for ReaderTools {
    fn offered(&self) -> Vec<ToolDefinition> {
        let tool = |tool: ToolDescription| ToolDefinition {
            name: tool.name.to_owned(),
            description: tool.description,
            input_schema: tool.input_schema,
            cache_control: None,
        };
        offered().into_iter().map(tool).collect()
    }

    async fn call(&self, name: &str, input: &Value) -> CallOutput {
        let ToolReply { text, is_error } = match (TreeTool::named(name), name) {
            (Some(tool), _) => self.look(tool, input).await,
            (None, DIFF) => diff(&self.change, input),
            (None, _) => {
                let names: Vec<_> = offered().iter().map(|tool| tool.name).collect();
                ToolReply::wrong(&format!("there is no tool `{name}`; there are: {}", names.join(", ")))
            }
        };
        CallOutput { text, is_error, denied: false }
    }

    /// The next call has a new process, which looks anew which files there are, and may open those that are new. It is
    /// none of those that were used up.
    async fn renew(&self) {
        let mut state = self.state.lock().await;
        if state.caller.take().is_some() {
            state.started -= 1;
        }
    }
}

/// A process that carries out calls.
#[derive(Debug)]
struct ToolCallProcess {
    session: ReaderSession,
    /// How many calls were made; none before the tree is open.
    calls: Option<u64>,
}

impl ToolCallProcess {
    fn start(tools: &ReaderTools) -> Result<Self, ChildError> {
        let unmasked = are_secrets_shown().then_some("--unmasked");
        let arguments = ["--tools"].into_iter().chain(unmasked).map(OsStr::new);
        Ok(Self {
            session: ReaderSession::start(&tools.program, &tools.request.tree, arguments)?,
            calls: None,
        })
    }

    async fn call(
        &mut self,
        request: &ToolsRequest,
        tool: TreeTool,
        input: &Value,
    ) -> Result<ToolReply, SessionError> {
        let number = match self.calls {
            Some(calls) => calls + 1,
            None => {
                let opened: OpenReply = self.session.open(request, MAX_OPENED_BYTES).await?;
                opened.map_err(|error| SessionError::Reader(cleaned(error)))?;
                1
            }
        };
        let call = TreeToolCall { number, tool, input: input.clone() };
        let line = encode(THE_CALL, &call, MAX_CALL_BYTES).map_err(ChildError::from)?;
        self.calls = Some(number);
        let replied: NumberedReply = self.session.ask(&line, "its reply", MAX_REPLIED_BYTES).await?;
        Ok(checked_reply(number, replied).map_err(ChildError::from)?)
    }
}
