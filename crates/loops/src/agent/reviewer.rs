//! Runs the review of a change by one reviewer. The model is the only reviewer, or one of several specialists
//! that work in parallel.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use truing_agent::mcp::client::McpServers;
use truing_agent::memory::{LayeredMemory, Skill, SkillTools};
use truing_agent::native::{AgentRunEnd, AgentRunResult, RunLimits};
use truing_agent::prompt::route::{REVIEW, REVIEW_AGAIN, SPECIALIST_TASK, SPECIALIST_TASK_AGAIN};
use truing_agent::schema::walkthrough::WalkthroughReport;
use truing_agent::schema::{self, UncheckedFindings};
use truing_core::finding::Finding;
use truing_core::id::UnixMillis;
use truing_core::ledger::{BudgetLevel, BudgetLevelKind, BudgetUsage, RunBudget};
use truing_core::money::MicroUsd;
use truing_core::outcome::{ModelReview, ModelReviewDetail, ModelReviewStatus, SpecialistResult};
use truing_core::port::WriteGate;
use truing_diff::RepoPath;
use truing_model::gateway::ModelError;
use truing_reader::FileTree;
use truing_reader::protocol::ToolsRequest;
use truing_reader::redact::redact_secrets;

use super::change_view::{self, EarlierReviewText, ReviewPromptInput, ViewTrackingTools};
use super::task::ModelTask;
use super::{AgentError, ChangeDescription, ModelAgent, ModelReviewOptions, ModelReviewRun, ReviewTree};
use crate::reading::{ReadingOutcome, ReviewedChange};

/// The names that identify a review and its only agent in a cassette.
const LOOP_NAME: &str = "review";
const AGENT_NAME: &str = "reviewer";
/// Maximum cost of one specialist.
const MAX_SPECIALIST_COST: MicroUsd = MicroUsd(500_000);

/// The input of a review: the change, the model and the tools.
#[derive(Clone, Copy)]
pub(super) struct ReviewInput<'a> {
    pub(super) agent: &'a ModelAgent,
    pub(super) change: &'a ReviewedChange,
    pub(super) review_tree: ReviewTree<'a>,
    pub(super) rule_results: &'a ReadingOutcome,
    pub(super) change_description: &'a ChangeDescription,
    /// The text about earlier reviews of the change, if there were any.
    pub(super) earlier_reviews: Option<&'a EarlierReviewText>,
    /// The findings for which each reviewer must report a verdict.
    pub(super) findings_to_verify: &'a [&'a Finding],
    /// Options of the review: a walkthrough, and specialists in parallel.
    pub(super) options: ModelReviewOptions,
    pub(super) memory: &'a LayeredMemory,
    pub(super) budget: &'a RunBudget,
    /// The budget level of the pull request with the least money left; none if no level limits the pull
    /// request.
    pub(super) pull_budget: Option<&'a BudgetUsage>,
    /// Additional tool servers for all reviewers.
    pub(super) servers: &'a McpServers,
}

/// The result of one reviewer.
pub(super) struct ReviewerRun {
    /// Name of the specialist; none for the only reviewer.
    pub(super) specialist: Option<String>,
    pub(super) agent_run: AgentRunResult,
    /// The files whose change the reviewer saw.
    pub(super) viewed_paths: BTreeSet<RepoPath>,
    /// Number of files that the reader failed to read.
    pub(super) read_failure_count: usize,
    /// Digest of the prompt.
    pub(super) prompt_hash: String,
    pub(super) duration_ms: u64,
    /// The budget level of the pull request that limits the reviewer's cost; `None` if no such level limits
    /// it.
    pub(super) limiting_budget_level: Option<BudgetLevel>,
}

impl<'a> ReviewInput<'a> {
    /// Returns one entry for each reviewer: the skill of a specialist, or `None` for the only reviewer.
    pub(super) fn reviewers(&self) -> Vec<Option<&'a Skill>> {
        match self.options.has_specialists {
            true => self.memory.specialists.iter().map(Some).collect(),
            false => vec![None],
        }
    }

    /// Runs one reviewer. `parallel_reviewer_count` reviewers share the review's money.
    ///
    /// The future is boxed and its type is erased: one such future per specialist exists at the same time,
    /// and the futures are large.
    pub(super) fn run_reviewer(
        self,
        specialist: Option<&'a Skill>,
        parallel_reviewer_count: usize,
        gate: Arc<dyn WriteGate>,
    ) -> Pin<Box<dyn Future<Output = Result<ReviewerRun, AgentError>> + Send + 'a>> {
        Box::pin(self.run_unboxed(specialist, parallel_reviewer_count, gate))
    }

    async fn run_unboxed(
        self,
        specialist: Option<&Skill>,
        parallel_reviewer_count: usize,
        gate: Arc<dyn WriteGate>,
    ) -> Result<ReviewerRun, AgentError> {
        let Self {
            agent,
            change,
            review_tree,
            rule_results,
            change_description: subject,
            earlier_reviews,
            findings_to_verify,
            memory,
            budget,
            pull_budget: left,
            ..
        } = self;
        let began = Instant::now();
        let level = |kind| budget.levels.iter().find(|level| level.kind == kind);
        let repository = level(BudgetLevelKind::RepoDay).map_or("", |level| level.key.as_str());
        let part = specialist.map(|specialist| specialist.text.as_str());
        let task = match (part, earlier_reviews) {
            (None, None) => REVIEW.task_prompt_name,
            (None, Some(_)) => REVIEW_AGAIN.task_prompt_name,
            (Some(_), None) => SPECIALIST_TASK,
            (Some(_), Some(_)) => SPECIALIST_TASK_AGAIN,
        };
        let recalled = Some((memory, part));
        let shown = ReviewPromptInput {
            change,
            rule_results,
            change_description: subject,
            repository,
            earlier_reviews,
            memory: recalled,
            findings: None,
            dismissed_findings: None,
        };
        let (prompt, viewed_paths) =
            change_view::build_first_prompt(agent, (REVIEW.system_prompt_name, task), shown)?;
        let request = ToolsRequest {
            tree: review_tree.tree.to_owned(),
            readable_files: review_tree.visible_paths.map(<[_]>::to_vec),
            always: rule_results.coverage.reviewed.clone(),
        };
        let tools = agent.reader.tools(request, change.diff.as_slice());
        let beside = self.servers.combine_with(&tools);
        let skilled = SkillTools::new(&beside, &memory.skills);
        let looked = ViewTrackingTools::new(&skilled, viewed_paths);
        let name = specialist.map(|specialist| specialist.name.clone());
        // With this limit, the model can finish its report while a little money is left, before the budget
        // refuses a call.
        let whole = level(BudgetLevelKind::Review)
            .map(|level| level.limit)
            .into_iter()
            .chain(left.map(BudgetUsage::unspent))
            .min();
        let max_cost = specialist.map_or(whole, |_| Some(budget_share(whole, parallel_reviewer_count)));
        // The pull request's money limits a specialist only if the specialist's share is smaller than the
        // usual maximum.
        let is_bounded = specialist.is_none() || max_cost < Some(MAX_SPECIALIST_COST);
        let bound = left.filter(|left| is_bounded && whole == Some(left.unspent()));
        let bound = bound.map(|left| left.level.clone());
        let limits = RunLimits { max_cost, ..agent.limits };
        // Each reviewer has its own budget level, so no reviewer can reserve money that the other reviewers
        // need.
        let own = name.as_ref().zip(max_cost).map(|(name, limit)| BudgetLevel {
            kind: BudgetLevelKind::Run,
            key: format!("{} {name}", budget.run),
            period: String::new(),
            limit,
        });
        let levels = budget.levels.iter().cloned().chain(own).collect();
        let drawn = RunBudget { run: budget.run.clone(), levels };
        let who = (LOOP_NAME, name.as_deref().unwrap_or(AGENT_NAME));
        let task = ModelTask { budget: drawn, loop_and_agent_names: who, prompt: &prompt, limits, gate };
        let files = FileTree::open(review_tree.tree).ok();
        let text = |path: &RepoPath| files.as_ref()?.read_text(path);
        let lacks = |items: &UncheckedFindings| {
            let both = [
                schema::mismatch_message(items, text),
                schema::missing_verdicts_message(&items.verdicts, findings_to_verify.iter().copied()),
            ];
            let texts: Vec<String> = both.into_iter().flatten().collect();
            (!texts.is_empty()).then(|| texts.join("\n"))
        };
        let agent_run: AgentRunResult = if self.options.has_walkthrough {
            let lacks = |items: &WalkthroughReport| lacks(&items.0);
            agent.run_conversation(task, &looked, lacks).await.map(|WalkthroughReport(items)| items)
        } else {
            agent.run_conversation(task, &looked, lacks).await
        };
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let AgentRunEnd::ModelFailed(ModelError::Halted(reason)) = agent_run.end {
            return Err(AgentError::Halted(reason));
        }
        if let AgentRunEnd::ModelFailed(ModelError::Drift { message: what }) = agent_run.end {
            return Err(AgentError::RecordingMismatch(what));
        }
        let (viewed_paths, failures) = (looked.seen_files(), tools.failures().await.len());
        Ok(ReviewerRun {
            specialist: name,
            agent_run,
            viewed_paths,
            read_failure_count: failures,
            prompt_hash: prompt.prompt_hash,
            duration_ms: ms,
            limiting_budget_level: bound,
        })
    }
}

/// Returns the share of a review's money that one reviewer may spend.
fn budget_share(review_budget: Option<MicroUsd>, parallel_reviewer_count: usize) -> MicroUsd {
    let most = MAX_SPECIALIST_COST.0;
    let reviewers = u64::try_from(parallel_reviewer_count.max(1)).unwrap_or(u64::MAX);
    MicroUsd(review_budget.map_or(most, |review_budget| most.min(review_budget.0 / reviewers)))
}

/// Combines the runs of several reviewers into the model's part of the review. `detail` contains data about
/// the review that is not in `runs`.
pub(super) fn combine_runs(
    runs: &[ReviewerRun],
    accepted_counts: &[u32],
    detail: ModelReviewDetail,
    now: UnixMillis,
) -> ModelReviewRun {
    let mut asked = ModelReview { detail, ..ModelReview::default() };
    let (mut parts, mut asks) = (Vec::new(), None);
    // One reviewer that stopped at the limit of the subscription defers the review.
    let mut deferred = None;
    for (
        index,
        ReviewerRun {
            specialist,
            agent_run,
            read_failure_count: failures,
            prompt_hash: hash,
            duration_ms: ms,
            limiting_budget_level: bound,
            ..
        },
    ) in runs.iter().enumerate()
    {
        asked.turns = asked.turns.saturating_add(agent_run.turns);
        asked.cost = asked.cost.plus(agent_run.cost);
        asked.duration_ms = asked.duration_ms.max(*ms);
        if !agent_run.model.is_empty() {
            asked.model.clone_from(&agent_run.model);
        }
        asked.prompt_hash.clone_from(hash);
        let all = &mut asked.detail;
        all.tokens = all.tokens.plus(&agent_run.usage);
        for (name, count) in &agent_run.tool_calls {
            let sum = all.calls.entry(name.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        // A denied tool perhaps does not exist. The model may have made up its name, so secrets are removed
        // from the name.
        for (name, count) in &agent_run.denials {
            let sum = all.denials.entry(redact_secrets(name)).or_default();
            *sum = sum.saturating_add(*count);
        }
        let ended = all.conversation_ends.entry(agent_run.end.label().to_owned()).or_default();
        *ended = ended.saturating_add(1);
        let run = ModelReviewRun::from_run(agent_run, now)
            .with_exhausted_budget(bound.as_ref(), &agent_run.end)
            .with_read_failures(*failures);
        if run.reached_usage_limit {
            deferred = Some(run.status.clone());
        }
        let ModelReviewRun { status: part, reached_spending_limit: asks_here, .. } = run;
        asks = asks.max(asks_here);
        if let Some(name) = specialist {
            all.specialists.push(SpecialistResult {
                name: name.clone(),
                turns: agent_run.turns,
                cost_micro_usd: agent_run.cost,
                accepted_findings: accepted_counts.get(index).copied().unwrap_or_default(),
                incomplete_reason: incomplete_reason(agent_run, &part, asks_here),
            });
        }
        parts.push((specialist.as_deref(), part));
    }
    let reached_usage_limit = deferred.is_some();
    let part = match (deferred, parts.as_slice()) {
        (Some(deferred), _) => deferred,
        (None, [(None, part)]) => part.clone(),
        // No model was called, and the reason is the same for all reviewers.
        (None, [(_, first), others @ ..])
            if asked.turns == 0 && others.iter().all(|(_, part)| part == first) =>
        {
            first.clone()
        }
        (None, _) => {
            let gaps = asked.detail.specialists.iter().filter_map(|one| {
                let reason = one.incomplete_reason.as_ref()?;
                Some(format!("{}: {reason}", one.name))
            });
            match gaps.collect::<Vec<_>>().as_slice() {
                [] => ModelReviewStatus::Complete,
                gaps => ModelReviewStatus::Partial(gaps.join("; ")),
            }
        }
    };
    ModelReviewRun {
        status: part,
        model_review: Some(asked),
        reached_spending_limit: asks,
        reached_usage_limit,
        ..ModelReviewRun::nothing_to_review()
    }
}

/// Returns the reason why a reviewer's part is incomplete. Unlike the reason for a single reviewer, this
/// reason does not contain "rules only", because other reviewers may have completed their parts.
fn incomplete_reason(
    run: &AgentRunResult,
    status: &ModelReviewStatus,
    reached_spending_limit: Option<MicroUsd>,
) -> Option<String> {
    match (status, &run.end) {
        (ModelReviewStatus::Complete, _) => None,
        (
            ModelReviewStatus::Partial(why) | ModelReviewStatus::Deferred { reason: why, .. },
            AgentRunEnd::Reported,
        ) => Some(why.clone()),
        (ModelReviewStatus::Partial(why), _) if reached_spending_limit.is_some() => Some(why.clone()),
        (ModelReviewStatus::Partial(_) | ModelReviewStatus::Deferred { .. }, end) => {
            Some(redact_secrets(&end.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_half_a_dollar_and_all_of_them_no_more_than_the_review_has() {
        assert_eq!(budget_share(Some(MicroUsd(2_000_000)), 4), MicroUsd(500_000));
        assert_eq!(budget_share(Some(MicroUsd(9_000_000)), 4), MicroUsd(500_000));
        assert_eq!(budget_share(Some(MicroUsd(2_000_000)), 8), MicroUsd(250_000));
        assert_eq!(budget_share(None, 0), MicroUsd(500_000));
    }
}
