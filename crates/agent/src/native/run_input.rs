//! The inputs of a run: its prompts, tools and limits, and the schema of its report.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use truing_core::money::MicroUsd;
use truing_model::messages::ToolDefinition;

/// The report that a model submits with the tool [`crate::schema::REPORT_TOOL`], and the messages that
/// request a report.
pub trait ReportSchema: Default + Send {
    /// The message to a model that did not report.
    const RETRY_MESSAGE: &str;
    /// The message to a model whose response was cut off.
    const CUT_OFF_MESSAGE: &str;
    /// The message to a model before its last turn.
    const LAST_TURN_MESSAGE: &str;

    /// True if a report that the check rejected is kept, together with later reports; false if it is
    /// discarded.
    const KEEPS_REJECTED_REPORTS: bool = false;

    /// Returns the definition of the report tool.
    fn tool() -> ToolDefinition;

    /// Parses a call's input. Returns the report, and true if another report will follow.
    ///
    /// # Errors
    /// A description of the error, for the model.
    fn parse_tool_input(input: &Value) -> Result<(Self, bool), String>;

    /// Parses a report that a model wrote as text instead of a tool call.
    fn parse_text(text: &str) -> Option<(Self, bool)>;

    /// Adds the content of another report of the same run to this report.
    fn accept_report(&mut self, report: Self);

    /// Returns the message to a model whose report was accepted.
    fn acceptance_message(&self) -> String;
}

/// The report of a run in progress, independent of its type. The compiler therefore generates the code of a
/// run once, not once for each type of report.
pub(crate) trait CollectedReport: Send {
    /// Returns the definition of the report tool.
    fn tool(&self) -> ToolDefinition;

    /// Returns the messages that request the report.
    fn messages(&self) -> ReportMessages;

    /// Parses a call's input and adds it to the report. Returns true if another report will follow.
    ///
    /// # Errors
    /// A description of the error, for the model.
    fn add_tool_input(&mut self, input: &Value) -> Result<bool, String>;

    /// Adds a report that a model wrote as text. Returns `None` if the text is no report.
    fn add_text(&mut self, text: &str) -> Option<bool>;

    /// Returns the message to a model that made a call with this input.
    ///
    /// # Errors
    /// A description of the error, for the model.
    fn acceptance_message(&self, input: &Value) -> Result<String, String>;

    /// Checks the report. Discards a rejected report, unless [`ReportSchema::KEEPS_REJECTED_REPORTS`] is
    /// true.
    ///
    /// # Errors
    /// [`RejectedReport`]
    fn check(&mut self) -> Result<(), RejectedReport>;
}

/// The messages of a [`ReportSchema`].
#[derive(Clone, Copy)]
pub(crate) struct ReportMessages {
    /// The message to a model that did not report.
    pub(crate) retry: &'static str,
    /// The message to a model whose response was cut off.
    pub(crate) cut_off: &'static str,
    /// The message to a model before its last turn.
    pub(crate) last_turn: &'static str,
}

/// A report that its check rejected.
pub(crate) struct RejectedReport {
    /// The error in the report, for the model.
    pub(crate) message: String,
    /// True if the report is kept nevertheless.
    pub(crate) is_kept: bool,
}

/// A report, and the check that it must pass.
pub(crate) struct CheckedReport<F, J> {
    pub(crate) report: F,
    /// Returns the error in a report, or none if the report is accepted.
    check_report: J,
}

impl<F: ReportSchema, J: Fn(&F) -> Option<String>> CheckedReport<F, J> {
    pub(crate) fn new(check_report: J) -> Self {
        Self { report: F::default(), check_report }
    }
}

impl<F: ReportSchema, J: Fn(&F) -> Option<String> + Send> CollectedReport for CheckedReport<F, J> {
    fn tool(&self) -> ToolDefinition {
        F::tool()
    }

    fn messages(&self) -> ReportMessages {
        ReportMessages {
            retry: F::RETRY_MESSAGE,
            cut_off: F::CUT_OFF_MESSAGE,
            last_turn: F::LAST_TURN_MESSAGE,
        }
    }

    fn add_tool_input(&mut self, input: &Value) -> Result<bool, String> {
        let (report, is_partial) = F::parse_tool_input(input)?;
        self.report.accept_report(report);
        Ok(is_partial)
    }

    fn add_text(&mut self, text: &str) -> Option<bool> {
        let (report, is_partial) = F::parse_text(text)?;
        self.report.accept_report(report);
        Some(is_partial)
    }

    fn acceptance_message(&self, input: &Value) -> Result<String, String> {
        F::parse_tool_input(input).map(|(report, _)| report.acceptance_message())
    }

    fn check(&mut self) -> Result<(), RejectedReport> {
        let Some(message) = (self.check_report)(&self.report) else { return Ok(()) };
        let is_kept = F::KEEPS_REJECTED_REPORTS;
        if !is_kept {
            self.report = F::default();
        }
        Err(RejectedReport { message, is_kept })
    }
}

/// The tools that a model may call in one run.
#[async_trait]
pub trait RunTools: Send + Sync {
    /// Returns the definitions of the tools.
    fn tool_definitions(&self) -> Vec<ToolDefinition>;

    /// Calls a tool. A failed call also returns a result. The model receives this result, so the run may
    /// continue.
    async fn call(&self, name: &str, input: &Value) -> ToolCallOutput;

    /// Discards cached state. The run calls this method after another tool has changed the files that these
    /// tools read.
    async fn clear_cache(&self) {}
}

/// The result of a call. The text may come from a repository, so it is data and never an instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolCallOutput {
    /// Text for the model, within the tool's bound.
    pub text: String,
    /// True if the call failed.
    pub is_error: bool,
    /// True if the call was not allowed. [`MAX_DENIALS`] denied calls end a run.
    pub is_denied: bool,
}

/// The inputs of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgentRunInput {
    pub model: String,
    /// System prompt, in the operator's words.
    pub system_prompt: String,
    /// The text to review, which is data and not an instruction.
    pub review_text: String,
}

/// The limits of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunLimits {
    /// Maximum number of responses of the model.
    pub turns: u32,
    /// Maximum wall-clock time, from beginning to end.
    pub time: Duration,
    /// Maximum cost of the run's responses; if `None`, only the gateway limits the cost. When the cost is
    /// near the maximum, the model is asked to conclude.
    pub max_cost: Option<MicroUsd>,
    /// Context size of the model, in tokens.
    pub context_tokens: u64,
    /// Maximum number of tokens of one response, including thinking.
    pub max_response_tokens: u32,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self {
            turns: DEFAULT_MAX_TURNS,
            time: DEFAULT_TIME_LIMIT,
            max_cost: None,
            context_tokens: DEFAULT_CONTEXT_TOKENS,
            max_response_tokens: DEFAULT_MAX_RESPONSE_TOKENS,
        }
    }
}

/// Default number of responses of one run.
pub const DEFAULT_MAX_TURNS: u32 = 25;

/// Default wall-clock time of one run.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Context size, in tokens, that every model in the price table supports.
pub const DEFAULT_CONTEXT_TOKENS: u64 = 200_000;

/// Default maximum number of tokens of one response, which is more than fifty findings require.
pub const DEFAULT_MAX_RESPONSE_TOKENS: u32 = 16_384;

/// Maximum number of calls of one run, including denied calls.
pub const MAX_TOOL_CALLS: u32 = 500;

/// Maximum number of denied calls of one run.
pub const MAX_DENIALS: u32 = 50;

/// Maximum number of calls in one response; any further call returns an error.
pub const MAX_CALLS_PER_RESPONSE: usize = 32;
