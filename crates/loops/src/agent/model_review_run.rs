//! Converts the result of a model's run to the model's part of the review's outcome.

use truing_agent::mcp::client::ServerProblem;
use truing_agent::native::{AgentRunEnd, AgentRunResult, RunLimit};
use truing_core::id::UnixMillis;
use truing_core::ledger::{BudgetLevel, BudgetLevelKind, next_midnight};
use truing_core::line::format_count;
use truing_core::money::MicroUsd;
use truing_core::outcome::{ModelReview, ModelReviewStatus, ReviewRuntime};
use truing_model::gateway::ModelError;
use truing_reader::redact::redact_secrets;

/// The model's part of a review.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelReviewRun {
    /// Final status of the model's part.
    pub status: ModelReviewStatus,
    /// The runtime that held the conversation with the model.
    pub runtime: ReviewRuntime,
    /// The number of turns, the cost and other data about the model's work; `None` if no model was called.
    pub model_review: Option<ModelReview>,
    /// The exhausted budget limit that people are asked to raise; `None` if people are not asked.
    pub reached_spending_limit: Option<MicroUsd>,
    /// True if the model stopped at a usage limit of its subscription.
    pub reached_usage_limit: bool,
}

impl ModelReviewRun {
    /// Returns the complete part of a review in which the model had nothing to review.
    pub fn nothing_to_review() -> Self {
        Self {
            status: ModelReviewStatus::Complete,
            runtime: ReviewRuntime::Native,
            model_review: None,
            reached_spending_limit: None,
            reached_usage_limit: false,
        }
    }

    /// True if the model has reported all of its findings.
    pub fn is_complete(&self) -> bool {
        self.status == ModelReviewStatus::Complete && self.model_review.is_some()
    }

    /// Returns a part that is deferred until the time `until`. `level` is the daily budget of the repository,
    /// which is exhausted.
    pub fn deferred_by(level: &BudgetLevel, until: UnixMillis) -> Self {
        let reason = format!("daily budget hit: {}", level.exhausted_text());
        Self { status: ModelReviewStatus::Deferred { reason, until }, ..Self::nothing_to_review() }
    }

    /// Returns the model's part of a review in which this error prevented all calls of the model.
    pub fn from_model_error(error: &ModelError, now: UnixMillis) -> Self {
        let partial =
            |error: String| Self { status: ModelReviewStatus::Partial(error), ..Self::nothing_to_review() };
        match error {
            ModelError::Budget { level } => match level.kind {
                BudgetLevelKind::RepoDay => Self::deferred_by(level, next_midnight(now)),
                BudgetLevelKind::TeamMonth | BudgetLevelKind::Month => {
                    partial(format!("minimal: rules only, because {}", level.exhausted_text()))
                }
                BudgetLevelKind::PullAsk => Self {
                    reached_spending_limit: Some(level.limit),
                    ..partial(format!("budget: rules only, because {}", level.exhausted_text()))
                },
                BudgetLevelKind::Review
                | BudgetLevelKind::Run
                | BudgetLevelKind::Pull
                | BudgetLevelKind::ConvergeDay
                | BudgetLevelKind::SyncDay => {
                    partial(format!("budget: rules only, because {}", level.exhausted_text()))
                }
            },
            ModelError::UsageLimit { next_attempt_at, .. } => Self {
                status: ModelReviewStatus::Deferred { reason: error.to_string(), until: *next_attempt_at },
                reached_usage_limit: true,
                ..Self::nothing_to_review()
            },
            ModelError::Halted(_)
            | ModelError::NotAllowed(_)
            | ModelError::SpendCap { .. }
            | ModelError::Unauthorized { .. }
            | ModelError::InvalidRequest { .. }
            | ModelError::TooLong { .. }
            | ModelError::Unavailable { .. }
            | ModelError::Nonsense { .. }
            | ModelError::Ledger(_)
            | ModelError::Drift { .. } => partial(format!("minimal: rules only, because {error}")),
        }
    }

    /// Returns the model's part of the review after this run.
    pub fn from_run(run: &AgentRunResult, now: UnixMillis) -> Self {
        match &run.end {
            AgentRunEnd::Reported => Self::nothing_to_review(),
            AgentRunEnd::ModelFailed(reason)
                if run.turns == 0 || matches!(reason, ModelError::UsageLimit { .. }) =>
            {
                Self::from_model_error(reason, now)
            }
            AgentRunEnd::ProgramFailed(reason) if run.turns == 0 => {
                let reason = format!("minimal: rules only, because {}", redact_secrets(reason));
                Self { status: ModelReviewStatus::Partial(reason), ..Self::nothing_to_review() }
            }
            AgentRunEnd::ModelFailed(ModelError::Budget { level })
                if level.kind == BudgetLevelKind::PullAsk =>
            {
                Self {
                    status: ModelReviewStatus::Partial(run.end.to_string()),
                    reached_spending_limit: Some(level.limit),
                    ..Self::nothing_to_review()
                }
            }
            end @ (AgentRunEnd::Limit(_)
            | AgentRunEnd::Declined
            | AgentRunEnd::ResponseTooLong
            | AgentRunEnd::ContextExceeded
            | AgentRunEnd::InvalidReport(_)
            | AgentRunEnd::ModelFailed(_)
            | AgentRunEnd::ProgramFailed(_)) => Self {
                status: ModelReviewStatus::Partial(redact_secrets(&end.to_string())),
                ..Self::nothing_to_review()
            },
        }
    }

    /// If the run ended because a budget was exhausted, the reason names `level`, the exhausted budget level
    /// of the pull request.
    #[must_use]
    pub fn with_exhausted_budget(self, level: Option<&BudgetLevel>, end: &AgentRunEnd) -> Self {
        let is_money = match end {
            AgentRunEnd::Limit(limit) => *limit == RunLimit::Money,
            AgentRunEnd::ModelFailed(ModelError::Budget { level }) => level.kind == BudgetLevelKind::Run,
            AgentRunEnd::Reported
            | AgentRunEnd::Declined
            | AgentRunEnd::ResponseTooLong
            | AgentRunEnd::ContextExceeded
            | AgentRunEnd::InvalidReport(_)
            | AgentRunEnd::ModelFailed(_)
            | AgentRunEnd::ProgramFailed(_) => false,
        };
        let Some(level) = level.filter(|_| is_money) else { return self };
        let reason = format!("budget: the model had to finish, because {}", level.exhausted_text());
        let asks = (level.kind == BudgetLevelKind::PullAsk).then_some(level.limit);
        Self {
            status: ModelReviewStatus::Partial(reason),
            reached_spending_limit: self.reached_spending_limit.max(asks),
            ..self
        }
    }

    /// Marks the part as incomplete if `failure_count` is not zero. `failure_count` is the number of files
    /// that the reader failed to read. These files may contain findings that the model could not see.
    #[must_use]
    pub fn with_read_failures(self, failure_count: usize) -> Self {
        if failure_count == 0 || self.status != ModelReviewStatus::Complete {
            return self;
        }
        let attempts = if failure_count == 1 { "attempt" } else { "attempts" };
        let reason = format!(
            "reader: {failure_count} {attempts} to read files failed, so the model did not see every \
                requested \
            file"
        );
        Self { status: ModelReviewStatus::Partial(reason), ..self }
    }
}

/// Maximum number of server problems in an outcome.
const MAX_SERVER_PROBLEMS: usize = 3;

impl ModelReviewRun {
    /// Marks the part as incomplete if some of the operator's servers failed.
    #[must_use]
    pub fn with_failed_servers(self, problems: &[ServerProblem]) -> Self {
        if problems.is_empty() || self.status != ModelReviewStatus::Complete {
            return self;
        }
        let problem_texts = problems
            .iter()
            .take(MAX_SERVER_PROBLEMS)
            .map(|problem| format!("`{}`: {}", problem.server, problem.description));
        let more = match problems.len().saturating_sub(MAX_SERVER_PROBLEMS) {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let problem_texts = problem_texts.collect::<Vec<_>>().join("; ");
        let reason = format!(
            "mcp: the model continued without these servers, or without some of their tools: \
                {problem_texts}{more}"
        );
        Self { status: ModelReviewStatus::Partial(reason), ..self }
    }

    /// Marks the part as incomplete if `lost_count` findings of the model do not match the files. The
    /// location of these defects is unknown.
    #[must_use]
    pub fn with_lost_findings(self, lost_count: u32) -> Self {
        if lost_count == 0 || self.status != ModelReviewStatus::Complete {
            return self;
        }
        let findings = format_count(lost_count, "finding");
        let reason =
            format!("model: {findings} could not be used: the lines do not exist or have other text");
        Self { status: ModelReviewStatus::Partial(reason), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use truing_core::ledger::BudgetLevel;
    use truing_core::money::MicroUsd;

    /// The time 2026-11-20, half a minute before midnight in UTC.
    const NOW: UnixMillis = UnixMillis(1_795_219_170_000);

    fn agent_run(end: AgentRunEnd, turns: u32) -> AgentRunResult {
        AgentRunResult {
            end,
            report: Default::default(),
            turns,
            usage: Default::default(),
            cost: MicroUsd(7),
            model: "m".into(),
            tool_calls: Default::default(),
            denials: Default::default(),
            trimmed_results: 0,
        }
    }

    fn budget_end(kind: BudgetLevelKind) -> AgentRunEnd {
        let level = BudgetLevel { kind, key: "k".into(), period: String::new(), limit: MicroUsd(1) };
        AgentRunEnd::ModelFailed(ModelError::Budget { level })
    }

    fn review_status(end: AgentRunEnd, turns: u32) -> ModelReviewStatus {
        ModelReviewRun::from_run(&agent_run(end, turns), NOW).status
    }

    #[test]
    fn only_a_whole_report_is_whole() {
        assert_eq!(review_status(AgentRunEnd::Reported, 3), ModelReviewStatus::Complete);
        for end in [
            AgentRunEnd::Declined,
            AgentRunEnd::ResponseTooLong,
            AgentRunEnd::ContextExceeded,
            AgentRunEnd::InvalidReport(String::new()),
        ] {
            assert!(matches!(review_status(end, 1), ModelReviewStatus::Partial(_)));
        }
    }

    #[test]
    fn a_used_up_day_defers_before_the_first_call_and_is_partial_after() {
        let until = UnixMillis(1_795_219_200_000);
        let deferred = review_status(budget_end(BudgetLevelKind::RepoDay), 0);
        assert!(
            matches!(deferred, ModelReviewStatus::Deferred { until: at, .. } if at == until),
            "{deferred:?}"
        );
        for kind in [BudgetLevelKind::RepoDay, BudgetLevelKind::TeamMonth, BudgetLevelKind::Review] {
            let ModelReviewStatus::Partial(reason) = review_status(budget_end(kind), 2) else {
                panic!("{kind:?}")
            };
            assert!(reason.contains("budget"), "{reason}");
        }
        for (kind, word) in [
            (BudgetLevelKind::TeamMonth, "minimal"),
            (BudgetLevelKind::Month, "minimal"),
            (BudgetLevelKind::Review, "budget"),
            (BudgetLevelKind::Pull, "budget: rules only"),
        ] {
            let ModelReviewStatus::Partial(reason) = review_status(budget_end(kind), 0) else {
                panic!("{kind:?}")
            };
            assert!(reason.starts_with(word), "{reason}");
        }
    }

    #[test]
    fn usage_limit_defers_review_even_after_answers() {
        let limit = "the 5-hour limit of the subscription".to_owned();
        let next_attempt_at = UnixMillis(7_000);
        let error = ModelError::UsageLimit { limit, next_attempt_at };
        for turns in [0, 3] {
            let end = AgentRunEnd::ModelFailed(error.clone());
            let part = ModelReviewRun::from_run(&agent_run(end, turns), NOW);
            let ModelReviewStatus::Deferred { reason, until } = part.status else { panic!("{turns}") };
            assert_eq!(until, next_attempt_at);
            let expected = "the 5-hour limit of the subscription is used up until 1970-01-01T00:00:07Z";
            assert_eq!(reason, expected);
        }
    }

    #[test]
    fn without_an_answer_the_review_says_that_it_is_minimal() {
        let down = || {
            AgentRunEnd::ModelFailed(ModelError::Unavailable { message: "529".into(), next_attempt_at: None })
        };
        let ModelReviewStatus::Partial(reason) = review_status(down(), 0) else { panic!() };
        assert!(reason.starts_with("minimal: rules only"), "{reason}");
        let ModelReviewStatus::Partial(reason) = review_status(down(), 4) else { panic!() };
        assert!(!reason.contains("minimal"), "{reason}");
    }
}
