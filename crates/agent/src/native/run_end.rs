//! The end of a run, and its result.

use std::collections::BTreeMap;
use std::fmt;

use truing_core::ledger::{BudgetLevelKind, TokenUsage};
use truing_core::money::MicroUsd;
use truing_model::gateway::ModelError;

use crate::schema::UncheckedFindings;

/// The result of a run, regardless of how the run ended.
#[derive(Debug)]
pub struct AgentRunResult<F = UncheckedFindings> {
    pub end: AgentRunEnd,
    /// The model's report, not yet checked against the tree.
    pub report: F,
    /// Number of the model's responses.
    pub turns: u32,
    /// Total usage that the provider reported.
    pub usage: TokenUsage,
    /// Total cost in the ledger, including model requests that got no response.
    pub cost: MicroUsd,
    /// The model of the last response; empty if there was none.
    pub model: String,
    /// Number of calls by tool.
    pub tool_calls: BTreeMap<String, u32>,
    /// Number of denied calls, by tool.
    pub denials: BTreeMap<String, u32>,
    /// Number of results that were removed from the conversation to keep it within the model's context.
    pub trimmed_results: u32,
}

impl<F> AgentRunResult<F> {
    /// Converts the report to another form.
    pub fn map<T>(self, form: impl FnOnce(F) -> T) -> AgentRunResult<T> {
        let Self { end, report: items, turns, usage, cost, model, tool_calls, denials, trimmed_results } =
            self;
        AgentRunResult {
            end,
            report: form(items),
            turns,
            usage,
            cost,
            model,
            tool_calls,
            denials,
            trimmed_results,
        }
    }
}

/// The end of a run. Only [`AgentRunEnd::Reported`] means that the result is complete.
#[derive(Debug)]
pub enum AgentRunEnd {
    /// The model has reported everything that it found.
    Reported,
    /// A limit ended the run. The reports that the model made before the limit are kept.
    Limit(RunLimit),
    /// The model declined the task.
    Declined,
    /// Several responses in a row were cut off at the token limit of one response.
    ResponseTooLong,
    /// The conversation exceeds the model's context.
    ContextExceeded,
    /// The model gave no valid report, even after a second request.
    InvalidReport(String),
    /// The model request failed.
    ModelFailed(ModelError),
    /// The program that holds the conversation failed ([`crate::cli`]).
    ProgramFailed(String),
}

/// A limit of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunLimit {
    /// The number of the model's responses.
    Turns,
    /// The wall-clock time of the run.
    Time,
    /// The cost of the run. This limit ends the run shortly before the maximum cost is reached.
    Money,
    /// The number of tool calls, or the number of denied tool calls.
    Calls,
}

impl AgentRunEnd {
    /// All values of [`AgentRunEnd::label`].
    pub const LABELS: [&str; 15] = [
        "done",
        "turns",
        "time",
        "money",
        "calls",
        "declined",
        "cut",
        "context",
        "unreadable",
        "budget",
        "spend_cap",
        "unavailable",
        "halted",
        "refused",
        "failed",
    ];

    /// Returns the label in records and metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Reported => "done",
            Self::Limit(RunLimit::Turns) => "turns",
            Self::Limit(RunLimit::Time) => "time",
            Self::Limit(RunLimit::Money) => "money",
            Self::Limit(RunLimit::Calls) => "calls",
            Self::Declined => "declined",
            Self::ResponseTooLong => "cut",
            Self::ContextExceeded => "context",
            Self::InvalidReport(_) => "unreadable",
            Self::ModelFailed(ModelError::Budget { .. }) => "budget",
            Self::ModelFailed(ModelError::SpendCap { .. } | ModelError::UsageLimit { .. }) => "spend_cap",
            Self::ModelFailed(ModelError::Unavailable { .. }) => "unavailable",
            Self::ModelFailed(ModelError::Halted(_)) => "halted",
            Self::ModelFailed(
                ModelError::NotAllowed(_)
                | ModelError::Unauthorized { .. }
                | ModelError::InvalidRequest { .. }
                | ModelError::TooLong { .. }
                | ModelError::Nonsense { .. }
                | ModelError::Ledger(_)
                | ModelError::Drift { .. },
            ) => "refused",
            Self::ProgramFailed(_) => "failed",
        }
    }

    /// Returns true if the result is complete.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Reported)
    }
}

/// Formats the end as the reason of a partial review, for people.
impl fmt::Display for AgentRunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reported => write!(f, "the model has reported all it found"),
            Self::Limit(RunLimit::Turns) => write!(f, "turn limit: the model had to finish early"),
            Self::Limit(RunLimit::Time) => write!(f, "time limit: the model was not given more time"),
            Self::Limit(RunLimit::Money) => {
                write!(f, "budget: the money for this review is nearly used up, so the model had to finish")
            }
            Self::Limit(RunLimit::Calls) => write!(f, "tool limit: the model made too many tool calls"),
            Self::Declined => write!(f, "refusal: the model declines to review this change"),
            Self::ResponseTooLong => {
                write!(f, "max_tokens: the model's answers are cut off before their end")
            }
            Self::ContextExceeded => write!(f, "context: the change does not fit into the model's context"),
            Self::InvalidReport(what) => write!(f, "the model's answer is not a report: {what}"),
            Self::ModelFailed(ModelError::Budget { level }) => {
                let whose = match level.kind {
                    BudgetLevelKind::Review => "for this review",
                    BudgetLevelKind::RepoDay => "for this repository today",
                    BudgetLevelKind::TeamMonth => "for this team this month",
                    BudgetLevelKind::Run => "for this run",
                    BudgetLevelKind::PullAsk => {
                        "for this pull request (`budget.pr_ask_usd`; the comment `/spend` allows more)"
                    }
                    BudgetLevelKind::Pull => "for all runs of this pull request (`budget.pr_usd`)",
                    BudgetLevelKind::ConvergeDay => {
                        "for converge runs of this repository today (`budget.converge_day_usd`)"
                    }
                    BudgetLevelKind::SyncDay => "for jobs of this repository today (`budget.sync_day_usd`)",
                    BudgetLevelKind::Month => "for this installation this month (`budget.month_usd`)",
                };
                match level.limit {
                    MicroUsd(0) => {
                        write!(f, "budget: no money is allowed {whose}: {}", level.exhausted_text())
                    }
                    limit => {
                        write!(f, "budget: the money left {whose} does not cover a request (limit {limit})")
                    }
                }
            }
            Self::ModelFailed(refused) => write!(f, "{refused}"),
            Self::ProgramFailed(what) => write!(f, "runtime: {what}"),
        }
    }
}
