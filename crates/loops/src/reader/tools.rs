//! Carries out a model's tool calls in a reader process that runs from the first call to the end of the run.
//!
//! A call fails if the process exits during the call, or if the reply is invalid or too long. The next call
//! then starts a new process, up to [`MAX_CHILDREN`] processes in a run. The content of a reply is passed
//! only to the model. Calls of the tool that shows the change are answered by the server process itself,
//! because a compromised reader must not falsify the change under review.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::timeout;
use truing_agent::native::{RunTools, ToolCallOutput};
use truing_model::messages::ToolDefinition;
use truing_reader::mask::are_secrets_shown;
use truing_reader::protocol::{
    MAX_CALL_BYTES, MAX_NUMBERED_REPLY_BYTES, MAX_TREE_OPEN_REPLY_BYTES, NumberedReply, ProtocolError,
    ToolsRequest, TreeOpenReply, TreeToolCall, check_reply, encode_line,
};
use truing_reader::tools::{
    DIFF_TOOL_NAME, ToolDescription, ToolReply, TreeTool, answer_diff_call, tool_descriptions,
};

use super::reader_process::{ChildError, ReaderProgram, clean_error, failure_text};
use super::session::{ReaderSession, SessionError};

/// Time limit of one call, including the start of a process. The reader process itself has a shorter limit,
/// and normally stops the call before this limit is reached.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of processes that one run may start.
pub const MAX_PROCESSES_PER_RUN: usize = 4;

/// The tools of one run. The calls are performed one after the other.
#[derive(Debug)]
pub struct ReaderTools {
    program: ReaderProgram,
    request: ToolsRequest,
    diff: Arc<[u8]>,
    call_timeout: Duration,
    state: Mutex<ReaderToolsState>,
}

#[derive(Debug, Default)]
struct ReaderToolsState {
    /// None before the first call, during a call, and after a failed call.
    call_process: Option<ToolCallProcess>,
    /// Number of processes that were started.
    process_count: usize,
    /// The errors of the failed calls.
    failures: Vec<String>,
}

impl ReaderTools {
    pub(super) fn new(program: ReaderProgram, request: ToolsRequest, diff: Arc<[u8]>) -> Self {
        Self { program, request, diff, call_timeout: CALL_TIMEOUT, state: Mutex::default() }
    }

    /// Replaces [`CALL_TIMEOUT`] as the time limit of a call.
    #[must_use]
    pub fn with_time_limit(self, time: Duration) -> Self {
        Self { call_timeout: time, ..self }
    }

    /// Returns the failures of the reader processes so far. A failed call whose cause is the model's input is
    /// not included.
    #[truing_core::boxed_future]
    pub async fn failures(&self) -> Vec<String> {
        self.state.lock().await.failures.clone()
    }

    async fn call_tool(&self, tool: TreeTool, input: &Value) -> ToolReply {
        let mut state = self.state.lock().await;
        // The process is removed from the state during the call. If this call is cancelled, the process is
        // killed, so no later call reads the reply to this call.
        let mut caller = match state.call_process.take() {
            Some(caller) => caller,
            None if state.process_count >= MAX_PROCESSES_PER_RUN => {
                return ToolReply::error(
                    "this tool cannot be used any more in this review: go on without it",
                );
            }
            None => {
                state.process_count += 1;
                match ToolCallProcess::start(self) {
                    Ok(caller) => caller,
                    Err(error) => return state.record_failure(failure_text(&error, &[])),
                }
            }
        };
        let done = timeout(self.call_timeout, caller.call(&self.request, tool, input)).await;
        match done.unwrap_or(Err(SessionError::Child(ChildError::TimedOut(self.call_timeout)))) {
            Ok(reply) => {
                state.call_process = Some(caller);
                reply
            }
            Err(SessionError::Child(ChildError::Protocol(
                error @ ProtocolError::TooLong { message_kind: CALL_LABEL, .. },
            ))) => {
                state.call_process = Some(caller); // no line was sent yet
                ToolReply::error(&error.to_string())
            }
            Err(error) => state.record_failure(caller.session.kill_on_error(error).await.message),
        }
    }
}

impl ReaderToolsState {
    fn record_failure(&mut self, message: String) -> ToolReply {
        tracing::warn!(what = message, "a call of a tool failed");
        self.failures.push(message);
        ToolReply::error(
            "this call could not be carried out: it may need more data than the reader can process. Try \
            another way",
        )
    }
}

/// The name that error messages use for a call.
const CALL_LABEL: &str = "the call";

#[async_trait]
impl RunTools for ReaderTools {
    fn tool_definitions(&self) -> Vec<ToolDefinition> {
        let tool = |tool: ToolDescription| ToolDefinition {
            name: tool.name.to_owned(),
            description: tool.description,
            input_schema: tool.input_schema,
            cache_control: None,
        };
        tool_descriptions().into_iter().map(tool).collect()
    }

    async fn call(&self, name: &str, input: &Value) -> ToolCallOutput {
        let ToolReply { text, is_error } = match (TreeTool::from_name(name), name) {
            (Some(tool), _) => self.call_tool(tool, input).await,
            (None, DIFF_TOOL_NAME) => answer_diff_call(&self.diff, input),
            (None, _) => {
                let names: Vec<_> = tool_descriptions().iter().map(|tool| tool.name).collect();
                ToolReply::error(&format!("there is no tool `{name}`; there are: {}", names.join(", ")))
            }
        };
        ToolCallOutput { text, is_error, is_denied: false }
    }

    /// Makes the next call start a new process, which lists the files again and may open new files. The new
    /// process does not count towards the limit.
    async fn clear_cache(&self) {
        let mut state = self.state.lock().await;
        if state.call_process.take().is_some() {
            state.process_count -= 1;
        }
    }
}

/// A process that performs calls.
#[derive(Debug)]
struct ToolCallProcess {
    session: ReaderSession,
    /// Number of calls that were made; `None` before the tree is open.
    call_count: Option<u64>,
}

impl ToolCallProcess {
    fn start(tools: &ReaderTools) -> Result<Self, ChildError> {
        let unmasked = are_secrets_shown().then_some("--unmasked");
        let arguments = ["--tools"].into_iter().chain(unmasked).map(OsStr::new);
        Ok(Self {
            session: ReaderSession::start(&tools.program, &tools.request.tree, arguments)?,
            call_count: None,
        })
    }

    async fn call(
        &mut self,
        request: &ToolsRequest,
        tool: TreeTool,
        input: &Value,
    ) -> Result<ToolReply, SessionError> {
        let number = match self.call_count {
            Some(calls) => calls + 1,
            None => {
                let opened: TreeOpenReply =
                    self.session.send_first_request(request, MAX_TREE_OPEN_REPLY_BYTES).await?;
                opened.map_err(|error| SessionError::Reader(clean_error(error)))?;
                1
            }
        };
        let call = TreeToolCall { number, tool, input: input.clone() };
        let line = encode_line(CALL_LABEL, &call, MAX_CALL_BYTES).map_err(ChildError::from)?;
        self.call_count = Some(number);
        let replied: NumberedReply =
            self.session.send_and_read(&line, "its reply", MAX_NUMBERED_REPLY_BYTES).await?;
        Ok(check_reply(number, replied).map_err(ChildError::from)?)
    }
}
