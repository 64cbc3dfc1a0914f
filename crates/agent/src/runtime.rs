//! The runtimes. Each runtime conducts the conversation with a model. Both runtimes have the same limits,
//! tools, reports and outcomes.

use truing_model::gateway::LanguageModel;

use crate::cli::{ClaudeCli, ServerCli};
use crate::native::{
    self, AgentRunInput, AgentRunResult, CheckedReport, CollectedReport, ReportSchema, RunLimits, RunTools,
};
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

    /// Runs a model until it submits its report or reaches a limit. `check_report` receives the whole report.
    /// If `check_report` returns an error message, the model gets the message and one chance to correct the
    /// report. The next report is accepted without a check, so the caller must check the final report.
    /// Secrets and paths of this machine are removed from the model's input ([`crate::outgoing_text`]).
    pub async fn run_with_report_check<F: ReportSchema>(
        &self,
        model: &dyn LanguageModel,
        tools: &dyn RunTools,
        brief: &AgentRunInput,
        limits: &RunLimits,
        check_report: impl Fn(&F) -> Option<String> + Send,
    ) -> AgentRunResult<F> {
        let mut report = CheckedReport::new(check_report);
        let result = self.collect_report(model, tools, brief, limits, &mut report).await;
        result.map(|()| report.report)
    }

    #[truing_core::boxed_future]
    async fn collect_report(
        &self,
        model: &dyn LanguageModel,
        tools: &dyn RunTools,
        brief: &AgentRunInput,
        limits: &RunLimits,
        report: &mut dyn CollectedReport,
    ) -> AgentRunResult<()> {
        let (brief, tools) = (outgoing_text::redact_brief(brief), outgoing_text::SanitizedTools(tools));
        match self {
            Self::Native => native::collect_report(model, &tools, &brief, limits, report).await,
            Self::Cli(cli) => cli.collect_report(model, &tools, &brief, limits, report).await,
            Self::ServerCli(cli) => cli.collect_report(model, &tools, &brief, limits, report).await,
        }
    }
}
