//! A run whose conversation the `claude` program holds. Each model request of the program is a turn, and each
//! MCP call of the program executes a tool call of the model.

use std::collections::BTreeMap;

use hyper::HeaderMap;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Duration, Instant, timeout, timeout_at};
use truing_core::ledger::TokenUsage;
use truing_core::line::clean_line;
use truing_model::messages::{KnownBlock, MessageBlock, MessageRole, ModelMessage, ToolDefinition};

use super::program_model::ProgramModel;
use super::relay::{ProgramMessage, RelayReply};
use super::wire;
use crate::mcp::{McpTool, ToolHints};
use crate::native::turns::{ActiveAgentRun, TurnOutcome};
use crate::native::{AgentRunEnd, AgentRunInput, AgentRunResult, ToolCallOutput};
use crate::schema::{MAX_QUOTED_NAME_CHARS, REPORT_TOOL};

/// Text that the program gets as the model's last message.
const FINAL_MESSAGE: &str = "The run is over.";
/// Time that the program has, after the end of the run, to exit by itself before it is killed.
const EXIT_TIMEOUT: Duration = Duration::from_secs(10);

/// Hints of every tool of a run. No tool is marked as read-only. The program makes calls of read-only tools
/// in parallel, but an edit needs the result of the preceding call.
pub(super) const HINTS: ToolHints =
    ToolHints { read_only: false, destructive: false, idempotent: false, open_world: false };

/// A run and the state of its exchange with the program.
pub(super) struct CliConversation<'a> {
    agent_run: ActiveAgentRun<'a>,
    model: &'a str,
    program_model: &'a ProgramModel<'a>,
    /// The end of the run; `None` while the run continues.
    end: Option<AgentRunEnd>,
    /// Error in the report of the model's last response, if the report has an error.
    report_error: Option<String>,
    /// Results of calls of unknown tools, by call identifier. The program answers such calls with its own
    /// text; these results replace that text.
    unknown_tool_results: BTreeMap<String, ToolCallOutput>,
    /// Number of tool calls that the program has made so far for the model's last response.
    arrived_calls: usize,
    /// Number of responses sent to the program.
    response_count: usize,
    /// Usage reported to the program until now.
    reported_usage: TokenUsage,
    /// Number of messages in the program's conversation, including the last response. The run's own
    /// conversation also contains the messages that the run exchanged with the model without the program.
    program_message_count: usize,
}

impl<'a> CliConversation<'a> {
    /// Returns the conversation of a run, which uses `program_model`.
    pub(super) fn new(
        agent_run: ActiveAgentRun<'a>,
        run_input: &'a AgentRunInput,
        program_model: &'a ProgramModel<'a>,
    ) -> Self {
        Self {
            agent_run,
            model: &run_input.model,
            program_model,
            end: None,
            report_error: None,
            unknown_tool_results: BTreeMap::new(),
            arrived_calls: 0,
            response_count: 0,
            reported_usage: TokenUsage::default(),
            program_message_count: 0,
        }
    }

    /// Returns the tools of the run as MCP tools.
    pub(super) fn mcp_tools(&self) -> Vec<McpTool> {
        let offer = |tool: &ToolDefinition| McpTool {
            name: tool.name.clone(),
            title: tool.name.clone(),
            description: tool.description.clone(),
            input_schema: tool.input_schema.clone(),
            output_schema: None,
            hints: HINTS,
        };
        self.agent_run.tools().iter().map(offer).collect()
    }

    /// Handles the program's messages until the run is over and the program has had time to exit.
    /// `start_permit` is the program's permit to start; the program's first message releases it for the next
    /// start. The run also ends if the program does not send its first model request in time.
    pub(super) async fn serve_program(
        &mut self,
        mut messages: mpsc::Receiver<ProgramMessage>,
        start_permit: Option<OwnedSemaphorePermit>,
        request_timeout: Duration,
    ) {
        let mut start = start_permit;
        let latest = Instant::now() + request_timeout;
        let mut has_asked = false;
        while self.end.is_none() {
            let next =
                if has_asked { Ok(messages.recv().await) } else { timeout_at(latest, messages.recv()).await };
            let Ok(next) = next else {
                let reason =
                    format!("claude sent no model request within {} s", request_timeout.as_secs_f32());
                self.end = Some(AgentRunEnd::ProgramFailed(reason));
                // The program has not sent its first model request, so there is no orderly exit to wait for.
                return;
            };
            let Some(message) = next else { break };
            drop(start.take());
            has_asked |= matches!(message, ProgramMessage::ModelRequest { .. });
            self.handle_message(message).await;
        }
        let rest = async {
            while let Some(message) = messages.recv().await {
                self.handle_message(message).await;
            }
        };
        // A timeout is ignored, because the run is already over.
        let _ = timeout(EXIT_TIMEOUT, rest).await;
    }

    /// Returns true once the conversation has determined the end of the run.
    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Returns the result of the run. The outcome is `end`, unless the conversation has already determined an
    /// outcome.
    pub(super) async fn finish_run(self, end: AgentRunEnd) -> AgentRunResult<()> {
        self.agent_run.finish_run(self.end.unwrap_or(end)).await
    }

    async fn handle_message(&mut self, message: ProgramMessage) {
        // The send fails only if the receiver was dropped and no longer needs a response, so the error is
        // ignored.
        match message {
            ProgramMessage::ModelRequest { headers, body, subagent, reply_sender: back } => {
                drop(back.send(self.answer_request(&headers, &body, subagent).await));
            }
            ProgramMessage::ToolCall { name, input, reply_sender: back } => {
                drop(back.send(self.call_tool(&name, &input).await));
            }
        }
    }

    /// Answers a model request of the program. This takes one turn, or several turns if the model makes no
    /// tool call.
    async fn answer_request(
        &mut self,
        headers: &HeaderMap,
        body: &[u8],
        subagent: Option<String>,
    ) -> RelayReply {
        let asked = match wire::read_request(body, headers) {
            Ok(asked) => asked,
            Err(what) => return RelayReply::Refusal(what),
        };
        if let Some(agent) = subagent {
            self.agent_run.count_denial(&format!("agent {agent}"));
            return RelayReply::Refusal("this run may not start subagents".to_owned());
        }
        if asked.model != self.model {
            let other = clean_line(&asked.model, MAX_QUOTED_NAME_CHARS);
            return RelayReply::Refusal(format!("this run may not use the model `{other}`"));
        }
        if self.end.is_none() && !asked.tools.iter().any(|name| name == REPORT_TOOL) {
            return RelayReply::Refusal("the tools of this run are not connected".to_owned());
        }
        self.program_model.set_template(asked.template);
        let reply = match &self.end {
            Some(_) => None,
            None => self.ask_model(asked.messages).await,
        };
        match (reply, &self.end) {
            (Some(reply), _) => self.encode_reply(&reply, asked.streams),
            (None, Some(AgentRunEnd::ModelFailed(why))) => RelayReply::Refusal(why.to_string()),
            (None, Some(_) | None) => {
                let last = ModelMessage {
                    role: MessageRole::Assistant,
                    content: vec![MessageBlock::text(FINAL_MESSAGE)],
                };
                self.encode_reply(&last, asked.streams)
            }
        }
    }

    /// Sends requests to the model until a response contains calls or the run is over.
    async fn ask_model(&mut self, messages: Vec<ModelMessage>) -> Option<ModelMessage> {
        let known = std::mem::replace(&mut self.program_message_count, messages.len() + 1);
        if known > 0 && messages.len() > known {
            let mut new: Vec<ModelMessage> = messages.into_iter().skip(known).collect();
            self.replace_unknown_results(&mut new);
            self.agent_run.add_messages(new);
        } else {
            self.agent_run.replace_messages(messages);
        }
        self.end = self.agent_run.request_valid_report(self.report_error.take());
        while self.end.is_none() {
            match self.agent_run.run_turn().await {
                TurnOutcome::NextTurn => {}
                TurnOutcome::RunEnded(end) => self.end = Some(end),
                TurnOutcome::ToolCalls { message, report_error } => {
                    self.unknown_tool_results = self.agent_run.answer_unknown_calls(&message).await;
                    self.agent_run.push_model_message(message.clone());
                    (self.report_error, self.arrived_calls) = (report_error, 0);
                    return Some(message);
                }
            }
        }
        None
    }

    fn replace_unknown_results(&self, messages: &mut [ModelMessage]) {
        for block in messages.iter_mut().flat_map(|message| &mut message.content) {
            if let MessageBlock::Known(KnownBlock::ToolResult { tool_use_id, content, is_error, .. }) = block
                && let Some(output) = self.unknown_tool_results.get(tool_use_id)
            {
                (*content, *is_error) = (output.text.clone(), output.is_error);
            }
        }
    }

    /// Builds a response for the program. The response reports the tokens that the run has used since the
    /// previous response. The program sums up these usages for its own spending cap.
    fn encode_reply(&mut self, message: &ModelMessage, streams: bool) -> RelayReply {
        self.response_count += 1;
        let id = format!("msg_{:08}", self.response_count);
        let counted = std::mem::replace(&mut self.reported_usage, self.agent_run.usage());
        let usage = self.reported_usage.minus(&counted);
        RelayReply::Response { body: wire::encode_answer(message, &id, self.model, &usage, streams), streams }
    }

    /// Runs a tool call that the model's last response requested.
    async fn call_tool(&mut self, name: &str, input: &Value) -> ToolCallOutput {
        let (at, wrong) = (self.arrived_calls, self.report_error.clone());
        self.arrived_calls += 1;
        self.agent_run.run_tool_call(name, input, at, wrong.as_deref()).await
    }
}
