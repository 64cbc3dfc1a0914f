//! The native runtime: a model's turns inside limits of money, turns, time and permission.
//!
//! [`run`] asks, calls the tools that the model wants, and asks again, until the model has reported (its findings, or what else [`ReportForm`] says) or a
//! limit ends it. It decides nothing about a change: what the model says is data that [`crate::schema`] checks. At a
//! limit the model is asked once for what it has, so that the partial result is not lost.

mod brief;
mod ended;
pub(crate) mod turns;
mod window;

#[cfg(test)]
mod tests;

use truing_model::gateway::LanguageModel;

use crate::schema::UncheckedFindings;

pub use brief::{
    ANSWER, CallOutput, MAX_CALLS, MAX_CALLS_AT_ONCE, MAX_DENIALS, ReportForm, RunBrief, RunLimits, RunTools,
    TIME, TURNS, WINDOW,
};
pub use ended::{AgentRun, AgentRunEnd, RunLimit};

/// Lets a model work until it has reported, or a limit ends it. Dropping the future ends it at once.
#[truing_core::boxed_future]
pub async fn run(
    model: &dyn LanguageModel,
    tools: &dyn RunTools,
    brief: &RunBrief,
    limits: &RunLimits,
) -> AgentRun {
    run_judged(model, tools, brief, limits, |_: &UncheckedFindings| None).await
}

/// The same, for a report that has to hold. `judge` looks at all of it and says what is wrong, in words for the model,
/// which is told once; what it says after that is taken as it is, for the caller to judge again.
pub async fn run_judged<F: ReportForm>(
    model: &dyn LanguageModel,
    tools: &dyn RunTools,
    brief: &RunBrief,
    limits: &RunLimits,
    judge: impl Fn(&F) -> Option<String> + Send,
) -> AgentRun<F> {
    let mut turns = turns::RunTurns::new(model, tools, (brief, *limits), judge);
    let end = tokio::time::timeout(limits.time, turns.all()).await;
    turns.ended(end.unwrap_or(AgentRunEnd::Limit(RunLimit::Time))).await
}
