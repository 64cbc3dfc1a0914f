//! The turns of one run: its requests, and the handling of each response. This module makes the same
//! decisions whether this runtime or another program holds the conversation ([`crate::cli`]).

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::Instant;
use truing_core::agent::MAX_OUTPUT_BYTES;
use truing_core::ledger::TokenUsage;
use truing_core::money::MicroUsd;
use truing_model::gateway::{LanguageModel, ModelAnswer, ModelError};
use truing_model::messages::{
    KnownBlock, MessageBlock, MessageRole, ModelMessage, ModelRequest, StopReason, ToolDefinition,
};

use super::run_end::{AgentRunEnd, AgentRunResult, RunLimit};
use super::run_input::{CollectedReport, RejectedReport};
use super::window::{self, ContextWindow};
use super::{
    AgentRunInput, MAX_CALLS_PER_RESPONSE, MAX_DENIALS, MAX_TOOL_CALLS, RunLimits, RunTools, ToolCallOutput,
};
use crate::schema::{self, REPORT_TOOL};

/// Maximum number of consecutive responses that are cut off or stop because the context is full. One more
/// such response ends the run.
const MAX_CUT_RESPONSES: u32 = 2;
/// Separator between the names of two models that have answered in one run.
const MODEL_SEPARATOR: &str = ", then ";
/// Maximum number of repeated requests for a valid report.
const MAX_REPORT_RETRIES: u32 = 1;
/// The model is asked to conclude when this percentage of the wall-clock time is left.
const CONCLUDE_PERCENT: u32 = 15;

/// A run in progress.
pub(crate) struct ActiveAgentRun<'a> {
    model: &'a dyn LanguageModel,
    tools: &'a dyn RunTools,
    limits: RunLimits,
    started_at: Instant,
    request: ModelRequest,
    window: ContextWindow,
    progress: AgentRunProgress,
    report: &'a mut dyn CollectedReport,
}

/// The outcome of a turn.
pub(crate) enum TurnOutcome {
    /// The end of the run.
    RunEnded(AgentRunEnd),
    /// Another turn follows; its message is already in the conversation.
    NextTurn,
    /// Tool calls that must be made and answered.
    ToolCalls {
        /// The response with the calls.
        message: ModelMessage,
        /// The error of a report among the calls, if there is one.
        report_error: Option<String>,
    },
}

/// The results of the run until now.
#[derive(Default)]
struct AgentRunProgress {
    /// True if a report was rejected but is kept.
    has_kept_rejected_report: bool,
    turns: u32,
    usage: TokenUsage,
    cost: MicroUsd,
    last_cost: MicroUsd,
    model: String,
    /// Name of the fallback model, if a fallback gave the last response.
    fallback: Option<String>,
    tool_calls: BTreeMap<String, u32>,
    denials: BTreeMap<String, u32>,
    trimmed_results: u32,
    report_retries: u32,
    cut_responses: u32,
}

/// One call that the model made.
struct RequestedCall<'a> {
    id: &'a str,
    name: &'a str,
    input: &'a Value,
}

impl<'a> ActiveAgentRun<'a> {
    pub(crate) fn new(
        model: &'a dyn LanguageModel,
        tools: &'a dyn RunTools,
        run_input: &AgentRunInput,
        limits: RunLimits,
        report: &'a mut dyn CollectedReport,
    ) -> Self {
        let mut offered: Vec<ToolDefinition> = tools.tool_definitions();
        offered.retain(|tool| tool.name != REPORT_TOOL);
        offered
            .push(ToolDefinition { cache_control: Some(window::ephemeral_cache_control()), ..report.tool() });
        let system = KnownBlock::Text {
            text: run_input.system_prompt.clone(),
            cache_control: Some(window::ephemeral_cache_control()),
        };
        let request = ModelRequest {
            model: run_input.model.clone(),
            max_tokens: limits.max_response_tokens,
            system: vec![MessageBlock::Known(system)],
            messages: vec![ModelMessage {
                role: MessageRole::User,
                content: vec![MessageBlock::text(run_input.review_text.clone())],
            }],
            tools: offered,
            tool_choice: None,
            thinking: None,
            output_config: None,
            program: None,
        };
        let mut window = ContextWindow::new(limits.context_tokens);
        let tools_bytes: usize = request.tools.iter().map(|tool| tool.input_schema.to_string().len()).sum();
        window.add_bytes(run_input.system_prompt.len() + run_input.review_text.len() + tools_bytes);
        let progress = AgentRunProgress { model: run_input.model.clone(), ..AgentRunProgress::default() };
        Self { model, tools, limits, started_at: Instant::now(), request, window, progress, report }
    }

    /// Runs turns until the run ends.
    pub(super) async fn run_turns(&mut self) -> AgentRunEnd {
        loop {
            match self.run_turn().await {
                TurnOutcome::RunEnded(end) => return end,
                TurnOutcome::NextTurn => {}
                TurnOutcome::ToolCalls { message, report_error } => {
                    if let Some(end) = self.run_tool_calls(message, report_error).await {
                        return end;
                    }
                }
            }
        }
    }

    /// Runs one turn: a request and the handling of its response.
    pub(crate) async fn run_turn(&mut self) -> TurnOutcome {
        let last = match self.last_turn_limit() {
            Some(limit) if self.progress.turns >= self.limits.turns => {
                return TurnOutcome::RunEnded(AgentRunEnd::Limit(limit));
            }
            Some(limit) => {
                self.push_user_text(self.report.messages().last_turn);
                Some(limit)
            }
            None => None,
        };
        match self.ask_model().await {
            Ok(answer) => match (self.handle_answer(answer, last), last) {
                (TurnOutcome::RunEnded(end), _) => TurnOutcome::RunEnded(end),
                (TurnOutcome::NextTurn | TurnOutcome::ToolCalls { .. }, Some(limit)) => {
                    TurnOutcome::RunEnded(AgentRunEnd::Limit(limit))
                }
                (step, None) => step,
            },
            Err(ModelError::TooLong { .. }) if self.drop_old_results() => TurnOutcome::NextTurn,
            Err(ModelError::TooLong { .. }) => TurnOutcome::RunEnded(AgentRunEnd::ContextExceeded),
            Err(refused) => TurnOutcome::RunEnded(AgentRunEnd::ModelFailed(refused)),
        }
    }

    /// Returns the tools that the model may call.
    pub(crate) fn tools(&self) -> &[ToolDefinition] {
        &self.request.tools
    }

    /// Returns the total usage that the provider reported until now.
    pub(crate) fn usage(&self) -> TokenUsage {
        self.progress.usage
    }

    /// Adds messages that another program added to the conversation.
    pub(crate) fn add_messages(&mut self, messages: impl IntoIterator<Item = ModelMessage>) {
        self.request.messages.extend(messages);
    }

    /// Replaces the conversation, because another program has rewritten it.
    pub(crate) fn replace_messages(&mut self, messages: Vec<ModelMessage>) {
        self.window = ContextWindow::new(self.limits.context_tokens);
        self.window.add_bytes(self.request.system.iter().map(block_bytes).sum());
        self.window.add_bytes(messages.iter().flat_map(|message| &message.content).map(block_bytes).sum());
        self.request.messages = messages;
    }

    pub(crate) async fn finish_run(self, end: AgentRunEnd) -> AgentRunResult<()> {
        // The cost includes a response that was cancelled with the run.
        let cost = self.model.cost().await;
        let AgentRunProgress {
            has_kept_rejected_report: has_accepted_rejection,
            turns,
            usage,
            model,
            tool_calls,
            denials,
            trimmed_results,
            ..
        } = self.progress;
        // If a rejected report is kept, the report is complete, so a failed correction is not a failure of
        // the run. A halt, a cassette mismatch and a ledger error still count as failures.
        let is_over = matches!(
            end,
            AgentRunEnd::ModelFailed(
                ModelError::Halted(_) | ModelError::Drift { .. } | ModelError::Ledger(_)
            )
        );
        let end = if has_accepted_rejection && !is_over { AgentRunEnd::Reported } else { end };
        AgentRunResult { end, report: (), turns, usage, cost, model, tool_calls, denials, trimmed_results }
    }

    /// Returns the limit that forces the next turn to be the last one, because the limit is reached or nearly
    /// reached. In a run of only one turn, the model is not asked to conclude, because it needs this turn for
    /// the task.
    fn last_turn_limit(&self) -> Option<RunLimit> {
        let AgentRunProgress { turns, cost, last_cost, tool_calls, denials, .. } = &self.progress;
        let count = |counts: &BTreeMap<String, u32>| counts.values().sum::<u32>();
        let soon = self.limits.time / 100 * (100 - CONCLUDE_PERCENT);
        // The cost of the final response is estimated as twice the cost of the latest response, because the
        // conversation has grown.
        let next = MicroUsd(cost.0.saturating_add(last_cost.0.saturating_mul(2)));
        if *turns >= self.limits.turns || (*turns > 0 && turns + 1 == self.limits.turns) {
            Some(RunLimit::Turns)
        } else if *turns == 0 {
            None
        } else if self.started_at.elapsed() >= soon {
            Some(RunLimit::Time)
        } else if self.limits.max_cost.is_some_and(|most| next > most) {
            Some(RunLimit::Money)
        } else if count(tool_calls) >= MAX_TOOL_CALLS || count(denials) >= MAX_DENIALS {
            Some(RunLimit::Calls)
        } else {
            None
        }
    }

    async fn ask_model(&mut self) -> Result<ModelAnswer, ModelError> {
        self.progress.trimmed_results += self.window.trim_messages(&mut self.request.messages);
        window::mark_cache(&mut self.request);
        let asked = self.model.request_answer(&self.request).await;
        let cost = self.model.cost().await;
        self.progress.last_cost = MicroUsd(cost.0.saturating_sub(self.progress.cost.0));
        self.progress.cost = cost;
        let answer = asked?;
        self.progress.turns += 1;
        self.progress.usage = self.progress.usage.plus(&answer.usage);
        self.record_model(&answer);
        self.window.record_usage(&answer.usage);
        Ok(answer)
    }

    /// Records the name of the model that answered. If a fallback model answered, records both names.
    fn record_model(&mut self, answer: &ModelAnswer) {
        let AgentRunProgress { turns, model, fallback, .. } = &mut self.progress;
        let served = answer.serving_model();
        if *turns > 1 && *fallback != answer.served_by {
            if !model.split(MODEL_SEPARATOR).any(|before| before == served) {
                *model = format!("{model}{MODEL_SEPARATOR}{served}");
            }
        } else if fallback.is_none() && !model.contains(MODEL_SEPARATOR) {
            *model = served;
        }
        fallback.clone_from(&answer.served_by);
    }

    /// Handles a response and returns the outcome.
    fn handle_answer(&mut self, answer: ModelAnswer, reached_limit: Option<RunLimit>) -> TurnOutcome {
        let ModelAnswer { message: ModelMessage { role, content }, stop, .. } = answer;
        let content: Vec<MessageBlock> = content.into_iter().filter(|block| !is_blank(block)).collect();
        let message = ModelMessage { role, content };
        match stop {
            StopReason::EndTurn | StopReason::ToolUse | StopReason::StopSequence => {
                self.progress.cut_responses = 0;
                self.handle_message(message, reached_limit)
            }
            StopReason::Refusal => TurnOutcome::RunEnded(AgentRunEnd::Declined),
            StopReason::PauseTurn if message.content.is_empty() => {
                end_or_continue(self.request_report_once("an empty pause"))
            }
            StopReason::PauseTurn => {
                self.request.messages.push(message);
                TurnOutcome::NextTurn
            }
            StopReason::MaxTokens => end_or_continue(self.continue_after_cut(&message)),
            StopReason::ModelContextWindowExceeded => {
                self.progress.cut_responses += 1;
                end_or_continue(
                    (self.progress.cut_responses > MAX_CUT_RESPONSES || !self.drop_old_results())
                        .then_some(AgentRunEnd::ContextExceeded),
                )
            }
        }
    }

    /// Handles a complete response: a report, tool calls, or prose instead of both.
    fn handle_message(&mut self, message: ModelMessage, reached_limit: Option<RunLimit>) -> TurnOutcome {
        let calls = requested_calls(&message);
        if calls.is_empty() {
            let words = message_text(&message);
            // Some models write the report as text instead of calling the report tool.
            if let Some(is_partial) = self.report.add_text(&words) {
                return end_or_continue(match self.accept_report(is_partial, reached_limit) {
                    Ok(end) => end,
                    Err(report_error) => {
                        self.push_model_message(message);
                        self.push_user_text(&report_error);
                        self.request_report_once(&report_error)
                    }
                });
            }
            let what =
                if words.trim().is_empty() { "an empty message" } else { "plain text instead of a report" };
            self.push_model_message(message);
            return end_or_continue(self.request_report_once(what));
        }
        let mut report_error = None;
        let mut done = None;
        for call in calls.iter().filter(|call| call.name == REPORT_TOOL) {
            match self.report.add_tool_input(call.input) {
                Ok(is_partial) => match self.accept_report(is_partial, reached_limit) {
                    Ok(end) => done = end.or(done),
                    Err(unsound) => report_error = Some(unsound),
                },
                Err(malformed) => report_error = Some(malformed),
            }
        }
        match done {
            Some(end) if report_error.is_none() => TurnOutcome::RunEnded(end),
            Some(_) | None => TurnOutcome::ToolCalls { message, report_error },
        }
    }

    /// Runs the calls of a response and adds their results to the conversation. Returns the end of the run if
    /// a call or its report has ended the run.
    async fn run_tool_calls(
        &mut self,
        message: ModelMessage,
        report_error: Option<String>,
    ) -> Option<AgentRunEnd> {
        let calls = requested_calls(&message);
        let mut results = Vec::with_capacity(calls.len());
        for (at, call) in calls.iter().enumerate() {
            let ToolCallOutput { text: content, is_error, is_denied: _ } =
                self.run_tool_call(call.name, call.input, at, report_error.as_deref()).await;
            let tool_use_id = call.id.to_owned();
            results.push(MessageBlock::Known(KnownBlock::ToolResult {
                tool_use_id,
                content,
                is_error,
                cache_control: None,
            }));
        }
        self.push_model_message(message);
        self.request.messages.push(ModelMessage { role: MessageRole::User, content: results });
        self.request_valid_report(report_error)
    }

    /// Asks for a valid report if a call contained an invalid report. Returns the end of the run if a call or
    /// its report has ended the run.
    pub(crate) fn request_valid_report(&mut self, report_error: Option<String>) -> Option<AgentRunEnd> {
        report_error.and_then(|what| self.request_report_once(&what))
    }

    /// Runs and counts the call at `call_index` of a response. Returns the result, cut to its size limit.
    pub(crate) async fn run_tool_call(
        &mut self,
        name: &str,
        input: &Value,
        call_index: usize,
        report_error: Option<&str>,
    ) -> ToolCallOutput {
        let ToolCallOutput { text, is_error, is_denied: denied } =
            self.answer_call(name, input, call_index, report_error).await;
        if denied {
            self.count_denial(name);
        }
        let text = truncate_output(text);
        self.window.add_bytes(text.len());
        ToolCallOutput { text, is_error, is_denied: denied }
    }

    /// Returns the result of one call. `report_error` is the error in a report of the same response.
    async fn answer_call(
        &mut self,
        name: &str,
        input: &Value,
        call_index: usize,
        report_error: Option<&str>,
    ) -> ToolCallOutput {
        let call_output = |text: String, is_error| ToolCallOutput { text, is_error, is_denied: false };
        if name == REPORT_TOOL {
            return match (self.report.acceptance_message(input), report_error) {
                (Ok(message), None) => call_output(message, false),
                (Ok(_), Some(report_error)) => call_output(report_error.to_owned(), true),
                (Err(malformed), _) => call_output(malformed, true),
            };
        }
        if call_index >= MAX_CALLS_PER_RESPONSE {
            return call_output(
                format!(
                    "not called: one answer may contain at most {MAX_CALLS_PER_RESPONSE} calls; repeat this \
                    call"
                ),
                true,
            );
        }
        if !self.request.tools.iter().any(|tool| tool.name == name) {
            let names: Vec<&str> = self.request.tools.iter().map(|tool| tool.name.as_str()).collect();
            let text = format!("denied: this run has no such tool. It may call: {}", names.join(", "));
            return ToolCallOutput { text, is_error: true, is_denied: true };
        }
        *self.progress.tool_calls.entry(name.to_owned()).or_default() += 1;
        self.tools.call(name, input).await
    }

    /// Answers those calls of a response that name unknown tools. Returns the results by the identifiers of
    /// the calls.
    pub(crate) async fn answer_unknown_calls(
        &mut self,
        message: &ModelMessage,
    ) -> BTreeMap<String, ToolCallOutput> {
        let mut answered = BTreeMap::new();
        for (at, call) in requested_calls(message).iter().enumerate() {
            if !self.request.tools.iter().any(|tool| tool.name == call.name) {
                let output = self.run_tool_call(call.name, call.input, at, None).await;
                answered.insert(call.id.to_owned(), output);
            }
        }
        answered
    }

    pub(crate) fn count_denial(&mut self, name: &str) {
        let name = truing_core::line::clean_line(name, schema::MAX_QUOTED_NAME_CHARS);
        *self.progress.denials.entry(name).or_default() += 1;
    }

    /// Accepts the report that was added. Returns the end of the run, if the report is complete.
    ///
    /// # Errors
    /// The error of the report, if the model can still correct the report. Earlier parts of the report are
    /// then discarded as well, unless [`ReportSchema::KEEPS_REJECTED_REPORTS`] is true.
    fn accept_report(
        &mut self,
        is_partial: bool,
        reached_limit: Option<RunLimit>,
    ) -> Result<Option<AgentRunEnd>, String> {
        match (reached_limit, is_partial) {
            (Some(limit), _) => Ok(Some(AgentRunEnd::Limit(limit))),
            (None, true) => Ok(None),
            (None, false) if self.progress.report_retries < MAX_REPORT_RETRIES => match self.report.check() {
                Ok(()) => Ok(Some(AgentRunEnd::Reported)),
                Err(RejectedReport { message, is_kept }) => {
                    self.progress.has_kept_rejected_report |= is_kept;
                    Err(message)
                }
            },
            (None, false) => Ok(Some(AgentRunEnd::Reported)),
        }
    }

    /// Asks for a valid report. If the model was already asked once, returns the end of the run instead.
    fn request_report_once(&mut self, problem: &str) -> Option<AgentRunEnd> {
        self.progress.report_retries += 1;
        if self.progress.report_retries > MAX_REPORT_RETRIES {
            return Some(AgentRunEnd::InvalidReport(problem.to_owned()));
        }
        self.push_user_text(self.report.messages().retry);
        None
    }

    /// Lets the model continue after a response that was cut off. After too many such responses, returns the
    /// outcome of the run instead.
    fn continue_after_cut(&mut self, message: &ModelMessage) -> Option<AgentRunEnd> {
        self.progress.cut_responses += 1;
        if self.progress.cut_responses > MAX_CUT_RESPONSES {
            return Some(AgentRunEnd::ResponseTooLong);
        }
        // The input of a call may be cut off, so a response with a call is not added to the conversation.
        let kept: Vec<MessageBlock> =
            message.content.iter().filter(|block| !is_call(block)).cloned().collect();
        if kept.len() == message.content.len() {
            self.push_model_message(ModelMessage { role: MessageRole::Assistant, content: kept });
        }
        self.push_user_text(self.report.messages().cut_off);
        None
    }

    /// Removes old results from the conversation. Returns true if a result was removed.
    fn drop_old_results(&mut self) -> bool {
        let trimmed = window::trim_older_results(&mut self.request.messages);
        self.progress.trimmed_results += trimmed;
        trimmed > 0
    }

    pub(crate) fn push_model_message(&mut self, message: ModelMessage) {
        if !message.content.is_empty() {
            self.request.messages.push(message);
        }
    }

    /// Adds a user text to the conversation. If the last message is already a user message, appends the text
    /// to it.
    fn push_user_text(&mut self, text: &str) {
        self.window.add_bytes(text.len());
        match self.request.messages.last_mut() {
            Some(ModelMessage { role: MessageRole::User, content }) => {
                content.push(MessageBlock::text(text));
            }
            Some(_) | None => {
                self.request
                    .messages
                    .push(ModelMessage { role: MessageRole::User, content: vec![MessageBlock::text(text)] });
            }
        }
    }
}

/// Returns the given end of the run as the outcome of the turn. If there is no end, the outcome is another
/// turn.
fn end_or_continue(end: Option<AgentRunEnd>) -> TurnOutcome {
    end.map_or(TurnOutcome::NextTurn, TurnOutcome::RunEnded)
}

/// Returns the calls of a message, in order.
fn requested_calls(message: &ModelMessage) -> Vec<RequestedCall<'_>> {
    let call = |block| match block {
        &MessageBlock::Known(KnownBlock::ToolUse { ref id, ref name, ref input }) => {
            Some(RequestedCall { id, name, input })
        }
        MessageBlock::Known(KnownBlock::Text { .. } | KnownBlock::ToolResult { .. })
        | MessageBlock::Other(_) => None,
    };
    message.content.iter().filter_map(call).collect()
}

fn is_call(block: &MessageBlock) -> bool {
    matches!(block, MessageBlock::Known(KnownBlock::ToolUse { .. }))
}

/// Returns true for a text of whitespace alone, which the API does not accept in a later request.
fn is_blank(block: &MessageBlock) -> bool {
    matches!(block, MessageBlock::Known(KnownBlock::Text { text, .. }) if text.trim().is_empty())
}

/// Returns the joined text of a message.
fn message_text(message: &ModelMessage) -> String {
    let text = |block: &MessageBlock| match block {
        MessageBlock::Known(KnownBlock::Text { text, .. }) => Some(text.clone()),
        MessageBlock::Known(KnownBlock::ToolUse { .. } | KnownBlock::ToolResult { .. })
        | MessageBlock::Other(_) => None,
    };
    message.content.iter().filter_map(text).collect::<Vec<_>>().join("\n")
}

/// Cuts an output to its maximum size and adds a note about the cut.
fn truncate_output(mut text: String) -> String {
    if text.len() > MAX_OUTPUT_BYTES {
        let bytes = text.len();
        text.truncate(text.floor_char_boundary(MAX_OUTPUT_BYTES));
        text.push_str(&format!("\n[cut: {MAX_OUTPUT_BYTES} of {bytes} bytes]"));
    }
    // The Messages API accepts no empty result of a failed call.
    if text.is_empty() { "[no output]".to_owned() } else { text }
}

/// Estimates the bytes of a block.
fn block_bytes(block: &MessageBlock) -> usize {
    match block {
        MessageBlock::Known(KnownBlock::Text { text, .. }) => text.len(),
        MessageBlock::Known(KnownBlock::ToolResult { content, .. }) => content.len(),
        MessageBlock::Known(KnownBlock::ToolUse { input, .. }) => input.to_string().len(),
        MessageBlock::Other(value) => value.to_string().len(),
    }
}
