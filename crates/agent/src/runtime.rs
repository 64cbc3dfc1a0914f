//! The runtimes. Each runtime conducts the conversation with a model. Both runtimes have the same limits,
//! tools, reports and outcomes.

use std::pin::Pin;

use truing_model::gateway::LanguageModel;

use crate::cli::{ClaudeCli, ServerCli};
use crate::native::{self, AgentRunInput, AgentRunResult, ReportSchema, RunLimits, RunTools};
use crate::outgoing_text;

/// One of the runtimes.
#[derive(Clone, Debug)]
pub enum AgentRuntime {
    /// The runtime in this process ([`native`]).
    Native,
    /// The `claude` program ([`crate::cli`]).
    Cli(ClaudeCli),
    /// The `claude` program of a server, which may be unusable for a time ([`ServerCli`]).
    ServerCli(ServerCli),
}

impl AgentRuntime {
    /// Returns the reason why the runtime cannot hold conversations now, without a path of this machine.
    pub fn problem(&self) -> Option<&'static str> {
        match self {
            Self::Native | Self::Cli(_) => None,
            Self::ServerCli(cli) => cli.problem(),
        }
    }

    /// Runs a model until it submits its report or reaches a limit: see [`native::run_with_report_check`].
    /// Secrets and paths of this machine are removed from the model's input ([`crate::outgoing_text`]).
    ///
    /// The future is boxed to erase its type. The future is large, and would otherwise become part of each
    /// caller's future.
    pub fn run_with_report_check<'a, F: ReportSchema + 'a>(
        &'a self,
        model: &'a dyn LanguageModel,
        tools: &'a dyn RunTools,
        brief: &'a AgentRunInput,
        limits: &'a RunLimits,
        check_report: impl Fn(&F) -> Option<String> + Send + 'a,
    ) -> Pin<Box<dyn Future<Output = AgentRunResult<F>> + Send + 'a>> {
        Box::pin(async move {
            let (brief, tools) = (outgoing_text::redact_brief(brief), outgoing_text::SanitizedTools(tools));
            match self {
                Self::Native => {
                    Box::pin(native::run_with_report_check(model, &tools, &brief, limits, check_report)).await
                }
                Self::Cli(cli) => {
                    Box::pin(cli.run_with_report_check(model, &tools, &brief, limits, check_report)).await
                }
                Self::ServerCli(cli) => {
                    Box::pin(cli.run_with_report_check(model, &tools, &brief, limits, check_report)).await
                }
            }
        })
    }
}
