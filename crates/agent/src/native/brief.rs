//! The beginning of a run: its brief, tools, limits, and the form of its report.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use truing_core::money::MicroUsd;
use truing_model::messages::ToolDefinition;

/// The report that a model gives with the tool [`crate::schema::REPORT`], and in which words it is asked for that.
pub trait ReportForm: Default + Send {
    /// The message to a model that did not report.
    const ASK_AGAIN: &str;
    /// The message to a model that was cut off.
    const BE_BRIEF: &str;
    /// The message to a model before its last turn.
    const CONCLUDE: &str;

    /// Does a report count that was objected to, with what is reported after it?
    const STANDS: bool = false;

    /// The tool, as the model is told of it.
    fn tool() -> ToolDefinition;

    /// Reads a call's input. The answer: what it says, and whether another report will follow.
    ///
    /// # Errors
    /// The fault in it, in words for the model.
    fn read(input: &Value) -> Result<(Self, bool), String>;

    /// A report that a model wrote out instead of calling the tool.
    fn in_text(text: &str) -> Option<(Self, bool)>;

    /// Adds another report of the same run.
    fn add(&mut self, more: Self);

    /// The message to a model whose report was taken.
    fn taken(&self) -> String;
}

/// The tools that a model may call in one run.
#[async_trait]
pub trait RunTools: Send + Sync {
    /// The tools, as the model is told of them.
    fn offered(&self) -> Vec<ToolDefinition>;

    /// Calls one. A failure is an answer too: the model is told and may go on.
    async fn call(&self, name: &str, input: &Value) -> CallOutput;

    /// Somebody else has changed what they look at: what they remember of it counts no more.
    async fn renew(&self) {}
}

/// The result of a call. Text of a repository: data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallOutput {
    /// For the model, within the tool's bound.
    pub text: String,
    /// Did it fail?
    pub is_error: bool,
    /// Was it not allowed? So many of those as [`MAX_DENIALS`] end a run.
    pub denied: bool,
}

/// The beginning of a run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunBrief {
    /// The model's id.
    pub model: String,
    /// Who it is and what it is to do: the operator's words.
    pub system: String,
    /// The text that it is to look at: data.
    pub task: String,
}

/// The limits of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RunLimits {
    /// Answers of the model.
    pub turns: u32,
    /// Wall clock, from beginning to end.
    pub time: Duration,
    /// The most that the run's answers may cost; none: the gateway alone bounds it. Near it, the model is asked to conclude.
    pub money: Option<MicroUsd>,
    /// The model's context, in tokens.
    pub window: u64,
    /// Tokens of one answer, thinking included.
    pub answer: u32,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self { turns: TURNS, time: TIME, money: None, window: WINDOW, answer: ANSWER }
    }
}

/// Answers of one run.
pub const TURNS: u32 = 25;

/// Wall clock of one run.
pub const TIME: Duration = Duration::from_secs(20 * 60);

/// Tokens of context that every model in the price table has.
pub const WINDOW: u64 = 200_000;

/// Tokens of one answer: more than fifty findings take.
pub const ANSWER: u32 = 16_384;

/// Calls that one run may make, denied ones among them.
pub const MAX_CALLS: u32 = 500;

/// Calls of one run that may be denied.
pub const MAX_DENIALS: u32 = 50;

/// Calls that one answer may make; what is beyond is told to be too much.
pub const MAX_CALLS_AT_ONCE: usize = 32;
