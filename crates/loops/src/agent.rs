//! The model's part of a review, which is the same in every loop: the content of the prompt, the limits, and
//! the checks of the model's report.
//!
//! The rules are applied to the change before the model reads it. The same code determines the locations of
//! the findings of rules and of the model. A finding of the model that repeats a rule's finding is dropped.
//! Truing computes the verdict from findings and coverage; the model does not decide it.

mod change_view;
mod context_sources;
mod model_review_run;
mod reviewer;
mod suggestions;
mod task;

use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::join_all;
use truing_agent::mcp::client::{McpServer, McpServers};
use truing_agent::native::{AgentRunEnd, RunLimits};
use truing_agent::prompt::{PromptError, PromptLibrary};
use truing_agent::runtime::AgentRuntime;
use truing_agent::schema::{self, CheckedFindings, DropReason, MAX_FINDINGS};
use truing_core::finding::{FindingSource, RawFinding};
use truing_core::id::{Sha, UnixMillis};
use truing_core::identity::{MIN_SAME_SCORE, comparable_finding, similarity};
use truing_core::ledger::{BudgetDecision, BudgetLevelKind, RunBudget};
use truing_core::money::MicroUsd;
use truing_core::outcome::{
    self, ModelReview, ModelReviewDetail, ModelReviewStatus, ReviewCoverage, ReviewOutcome, ReviewOutcomeKind,
};
use truing_core::port::{HaltReason, RecordStore, RepositoryReader, StoreError, WriteGate};
use truing_core::recheck::ReviewerReport;
use truing_diff::RepoPath;
use truing_model::cassette::CassetteMode;
use truing_model::gateway::{ModelError, ModelGateway};
use truing_reader::FileTree;
use truing_reader::redact::FileSecrets;

use super::earlier_reviews::{EarlierReviews, UNKNOWN_COMMIT, recheck_findings};
use super::reading::{self, ReadingOutcome, ReviewedChange};
use crate::budget::{BudgetLimits, check_budget};
use crate::reader::ChildProcessReader;
use crate::telemetry;

pub use change_view::ChangeDescription;
pub(crate) use change_view::{DiffExcerpt, ViewTrackingTools};
use change_view::{EarlierReviewText, ReviewPromptInput};
pub use context_sources::{ContextSources, ReviewContext};
pub use model_review_run::ModelReviewRun;
use reviewer::{ReviewInput, ReviewerRun};
pub(crate) use task::{
    BuiltPrompt, ModelSpend, ModelTask, RestrictedTools, TracedTools, describe_end, hash_values,
    invalid_report_reason,
};

/// A model that reviews, shared by all runs of a process.
pub struct ModelAgent {
    /// The gateway through which the model is called.
    pub gateway: ModelGateway,
    /// Ledger that records the cost of model calls.
    pub ledger: Arc<dyn RecordStore>,
    pub model: String,
    /// The runtime that holds the conversation with the model.
    pub runtime: AgentRuntime,
    /// Limits of turns, time and tokens of one run.
    pub limits: RunLimits,
    /// Limits on the cost of a run.
    pub budgets: BudgetLimits,
    /// The prompts of the model.
    pub prompts: PromptLibrary,
    /// Additional context from the operator and from repositories.
    pub sources: ContextSources,
    /// Starts the process that reads files for the model.
    pub reader: ChildProcessReader,
    /// Servers whose tools the model may call in reviews.
    pub servers: Vec<McpServer>,
    /// Truing's own tools for reviews at a forge.
    pub builtin_tool_factories: Vec<ToolServerFactory>,
    /// The cassette that records the model's calls, or from which recorded calls are replayed.
    pub cassette: CassetteMode,
}

/// Creates the server of Truing's own tools for one review. The arguments are the forge, the repository
/// (`owner/name`), and the id that requests to the forge contain. The factory returns `None` if the tools
/// belong to another forge.
pub type ToolServerFactory = Box<dyn Fn(&str, &str, &str) -> Option<McpServer> + Send + Sync>;

/// The model for a review that holds no slot.
pub struct GatedModelAgent<'a> {
    pub agent: &'a ModelAgent,
    /// The gate of the kill switch, which is checked before each turn of the model.
    pub gate: Arc<dyn WriteGate>,
}

impl<'a> GatedModelAgent<'a> {
    /// Builds the request for one review.
    pub fn review_request(
        &self,
        budget: RunBudget,
        change_description: ChangeDescription,
        context: ReviewContext,
        options: ModelReviewOptions,
        started_at: UnixMillis,
    ) -> ModelReviewRequest<'a> {
        ModelReviewRequest {
            agent: self.agent,
            budget,
            change_description,
            context,
            options,
            gate: Arc::clone(&self.gate),
            started_at,
        }
    }
}

/// The folder with the files under review, which the model's tools read.
#[derive(Clone, Copy, Debug)]
pub struct ReviewTree<'a> {
    /// Folder with the files.
    pub tree: &'a Path,
    /// The files of a working tree that git does not ignore; only these are shown. `None` means that all
    /// files are visible.
    pub visible_paths: Option<&'a [RepoPath]>,
}

/// Future of a model's review. Its result is the model's part of the review, and a report for each reviewer.
type ModelReviewFuture<'a> =
    Pin<Box<dyn Future<Output = Result<(ModelReviewRun, Vec<ReviewerReport>), AgentError>> + Send + 'a>>;

/// Runs the model's review, if a model is requested. Then determines which earlier findings remain, and
/// verifies the replacements that models propose.
///
/// # Errors
/// [`AgentError`]
pub fn run_model_review<'a>(
    request: Option<ModelReviewRequest<'a>>,
    change: &'a ReviewedChange,
    review_tree: ReviewTree<'a>,
    reader: &'a dyn RepositoryReader,
    earlier: &'a EarlierReviews,
    rule_results: &'a mut ReadingOutcome,
) -> BoxFuture<'a, Result<Option<ModelReviewRun>, AgentError>> {
    Box::pin(async move {
        rule_results.renames.extend(&earlier.renames);
        let earlier = &earlier.follow_to_head(review_tree.tree, change, rule_results);
        let (part, reviewers) = match request {
            // The future of a model's review is large, and would be stored inside each future that awaits it.
            // It is therefore boxed, and its type is erased.
            Some(request) => {
                let runtime = request.agent.review_runtime();
                let reviewing: ModelReviewFuture<'_> =
                    Box::pin(request.review(change, review_tree, earlier, rule_results));
                let (part, reviewers) = reviewing.await?;
                (Some(ModelReviewRun { runtime, ..part }), reviewers)
            }
            None => (None, Vec::new()),
        };
        // If the model's part is incomplete, the reviewers may have missed findings, so their reports are not
        // used.
        let reviewers =
            if part.as_ref().is_some_and(ModelReviewRun::is_complete) { reviewers } else { Vec::new() };
        rule_results.recheck_summary =
            recheck_findings(earlier, review_tree.tree, change, rule_results, reviewers);
        suggestions::check_suggestions(review_tree.tree, reader, &mut rule_results.findings).await;
        Ok(part)
    })
}

/// Returns the outcome of a review from the rules' coverage and, if a model ran, from the model's part.
pub fn review_outcome(coverage: &ReviewCoverage, model_run: Option<&ModelReviewRun>) -> ReviewOutcome {
    match model_run {
        Some(model_run) => {
            ReviewOutcome::from_model_review(coverage, model_run.runtime, model_run.status.clone())
        }
        None => ReviewOutcome::from_rules_coverage(coverage),
    }
}

/// Returns the outcome of a review in the server. While the model waits for budget or for its subscription,
/// the outcome shows the findings of the rules.
pub fn server_review_outcome(coverage: &ReviewCoverage, model_run: Option<&ModelReviewRun>) -> ReviewOutcome {
    let Some(ModelReviewRun {
        status: ModelReviewStatus::Deferred { reason, until },
        runtime,
        reached_usage_limit,
        ..
    }) = model_run
    else {
        return review_outcome(coverage, model_run);
    };
    let end =
        if *reached_usage_limit { "the model can be called again" } else { "the next day (UTC) begins" };
    let rules = ModelReviewStatus::Partial(format!("minimal: rules only until {end}, because {reason}"));
    let outcome = ReviewOutcome::from_model_review(coverage, *runtime, rules);
    let until = Some(*until).filter(|_| outcome.kind == ReviewOutcomeKind::Partial);
    ReviewOutcome { next_attempt_at: until, ..outcome }
}

/// Returns the model's part of the review; `None` if no model was called.
pub fn model_review(model_run: Option<ModelReviewRun>) -> Option<ModelReview> {
    model_run?.model_review
}

/// The reason why the model's part failed and has no result.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The ledger cannot be read, and the available budget is therefore unknown.
    #[error("cannot read the budget from the ledger: {0}")]
    Ledger(StoreError),
    /// The prompt cannot be built.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// The gate was closed during the review.
    #[error(transparent)]
    Halted(HaltReason),
    /// The recording belongs to another review.
    #[error("the recording has no answer to this review: {0}")]
    RecordingMismatch(String),
}

/// Options of a model's review.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ModelReviewOptions {
    /// True if the model also writes a walkthrough.
    pub has_walkthrough: bool,
    /// True if specialists review the change in parallel.
    pub has_specialists: bool,
}

/// A request to the model for one review.
pub struct ModelReviewRequest<'a> {
    pub agent: &'a ModelAgent,
    /// The budget that the cost of the review is charged to.
    pub budget: RunBudget,
    /// The author's description of the change.
    pub change_description: ChangeDescription,
    /// The context from the repository and the operator.
    pub context: ReviewContext,
    /// Options of the review: a walkthrough, and specialists in parallel.
    pub options: ModelReviewOptions,
    /// The gate of the kill switch, which is checked between turns.
    pub gate: Arc<dyn WriteGate>,
    /// Time at which the review began; it determines the periods of the budgets.
    pub started_at: UnixMillis,
}

impl ModelReviewRequest<'_> {
    /// Runs the model's review of a change that the rules have already been applied to, and adds the model's
    /// findings.
    ///
    /// # Errors
    /// [`AgentError`]
    async fn review(
        self,
        change: &ReviewedChange,
        review_tree: ReviewTree<'_>,
        earlier: &EarlierReviews,
        reading: &mut ReadingOutcome,
    ) -> Result<(ModelReviewRun, Vec<ReviewerReport>), AgentError> {
        // A cassette contains only a review of the change itself. With a cassette, the model therefore does
        // not verify the findings of earlier reviews.
        let is_told = !self.agent.cassette.is_enabled();
        let owed = if is_told { earlier.findings_to_recheck() } else { Vec::new() };
        let is_nothing =
            change.diff.is_empty() && change.large_new_files.is_empty() && change.omitted_files.is_empty();
        if is_nothing || reading.coverage.reviewed.is_empty() && owed.is_empty() {
            // There is nothing to review: the change is empty or contains only excluded files, and no earlier
            // finding must be verified.
            telemetry::record_model_end(&AgentRunEnd::Reported);
            return Ok((ModelReviewRun::nothing_to_review(), Vec::new()));
        }
        let Self { agent, budget, change_description: subject, context, options, gate, started_at } = self;
        let left = match agent.cassette.is_playback() {
            true => BudgetDecision::Allowed { tightest_budget: None },
            false => check_budget(&*agent.ledger, &budget, MicroUsd(1), started_at)
                .await
                .map_err(AgentError::Ledger)?,
        };
        let money = match left {
            BudgetDecision::Allowed { tightest_budget: left } => left,
            BudgetDecision::Deferred { until, level } => {
                let part = ModelReviewRun::deferred_by(&level, until);
                telemetry::record_model_end(&AgentRunEnd::ModelFailed(ModelError::Budget { level }));
                return Ok((part, Vec::new()));
            }
            BudgetDecision::RulesOnly { level } => {
                let refused = ModelError::Budget { level };
                let part = ModelReviewRun::from_model_error(&refused, started_at);
                telemetry::record_model_end(&AgentRunEnd::ModelFailed(refused));
                return Ok((part, Vec::new()));
            }
        };
        let memory = context.memory.as_ref();
        let repository = budget.levels.iter().find(|level| level.kind == BudgetLevelKind::RepoDay);
        let repository = repository.map_or("", |level| level.key.as_str());
        let own = agent.builtin_tool_factories.iter().filter_map(|own| {
            // A local review has no forge, so the tools for a forge are not available.
            let (forge, _) = repository.split_once('/')?;
            own(forge, subject.repository.as_deref()?, budget.run.as_str())
        });
        let servers: Vec<McpServer> = agent.servers.iter().cloned().chain(own).collect();
        let servers = McpServers::start(&servers).await;
        let again = (is_told && earlier.has_earlier_review()).then(|| EarlierReviewText {
            last_head: earlier.last_reviewed_head.as_ref().map_or(UNKNOWN_COMMIT, Sha::as_str).to_owned(),
            later_changes: earlier.later_changes.clone(),
            open_findings: earlier.render_open_findings(review_tree.tree, change, reading),
        });
        let input = ReviewInput {
            agent,
            change,
            review_tree,
            rule_results: &*reading,
            change_description: &subject,
            earlier_reviews: again.as_ref(),
            findings_to_verify: &owed,
            options,
            memory,
            budget: &budget,
            pull_budget: money.as_ref(),
            servers: &servers,
        };
        let reviewers = input.reviewers();
        let reviewer_runs =
            reviewers.iter().map(|skill| input.run_reviewer(*skill, reviewers.len(), gate.clone()));
        let reviewer_runs = join_all(reviewer_runs).await;
        let problems = servers.stop().await;
        let reviewer_runs = reviewer_runs.into_iter().collect::<Result<Vec<_>, _>>()?;
        // A file counts as reviewed only if every reviewer has seen it.
        let mut asked = reviewer_runs
            .iter()
            .filter(|look| look.agent_run.turns > 0)
            .map(|look| look.viewed_paths.clone());
        if let Some(first) = asked.next() {
            let seen = asked.fold(first, |seen, other| &seen & &other);
            change_view::mark_unseen_files(&seen, &mut reading.coverage);
        }
        let (found, dropped, lost) = add_findings(&reviewer_runs, review_tree.tree, change, reading);
        let reviewers = reviewer_runs.iter().map(|look| ReviewerReport {
            viewed_paths: look.viewed_paths.clone(),
            verdicts: schema::to_recheck_verdicts(&look.agent_run.report.verdicts, owed.iter().copied()),
        });
        let reviewers = reviewers.collect();
        let (memory, replayed) = (Some(context.to_model_memory()), agent.cassette.is_playback());
        let servers_failed = telemetry::record_server_failures(&problems);
        let did = ModelReviewDetail {
            memory,
            rejected_findings: dropped,
            replayed,
            mcp_server_failures: servers_failed,
            ..ModelReviewDetail::default()
        };
        let mut part = reviewer::combine_runs(&reviewer_runs, &found, did, started_at);
        if let Some(asked) = &mut part.model_review {
            asked.covered_cost = agent.covered_cost(asked.cost);
        }
        if part.is_complete()
            && let Some(asked) = &mut part.model_review
        {
            let walkthrough_lines = reviewer_runs.iter().flat_map(|look| &look.agent_run.report.walkthrough);
            asked.detail.walkthrough =
                suggestions::collect_walkthrough(walkthrough_lines, review_tree.tree, &reading.coverage);
        }
        Ok((part.with_lost_findings(lost).with_failed_servers(&problems), reviewers))
    }
}

impl ModelAgent {
    /// Returns the runtime of the conversation as the type that a review's outcome contains.
    pub fn review_runtime(&self) -> outcome::ReviewRuntime {
        match &self.runtime {
            AgentRuntime::Native => outcome::ReviewRuntime::Native,
            AgentRuntime::Cli(_) | AgentRuntime::ServerCli(_) => outcome::ReviewRuntime::Cli,
        }
    }

    /// Builds a prompt that contains the change but not the author's description of it. The prompt also
    /// contains the findings to fix, if the change is a fix, and the findings that people have dismissed.
    /// Also returns the files whose change the prompt shows.
    ///
    /// # Errors
    /// [`PromptError`], if the operator's own prompts require other values.
    pub(crate) fn build_change_prompt(
        &self,
        prompt_names: (&str, &str),
        findings: Option<&str>,
        dismissed_findings: Option<&str>,
        change: &ReviewedChange,
        rule_results: &ReadingOutcome,
    ) -> Result<(BuiltPrompt, BTreeSet<RepoPath>), PromptError> {
        let shown = ReviewPromptInput {
            change,
            rule_results,
            change_description: &ChangeDescription::default(),
            repository: "",
            earlier_reviews: None,
            memory: None,
            findings,
            dismissed_findings,
        };
        change_view::build_first_prompt(self, prompt_names, shown)
    }
}

/// Adds the findings, worst first and without duplicates. Returns three results: the number of valid findings
/// for each reviewer, the number of rejected findings by reason, and the number of findings that do not match
/// the files.
fn add_findings(
    runs: &[ReviewerRun],
    tree: &Path,
    change: &ReviewedChange,
    reading: &mut ReadingOutcome,
) -> (Vec<u32>, BTreeMap<String, u32>, u32) {
    let files = FileTree::open(tree).ok();
    let text = |path: &RepoPath| files.as_ref()?.read_text(path);
    let (mut all, mut found, mut dropped) = (Vec::new(), Vec::new(), BTreeMap::<String, u32>::new());
    let mut all_lost = 0_u32;
    let mut drop = |reason: DropReason, count: u32| {
        let sum = dropped.entry(reason.as_str().to_owned()).or_default();
        *sum = sum.saturating_add(count);
    };
    for look in runs {
        let CheckedFindings { findings, drop_counts: dropped, mismatch_count } =
            schema::check_findings(look.agent_run.report.clone(), text);
        all_lost = all_lost.saturating_add(mismatch_count);
        dropped.into_iter().for_each(|(reason, count)| drop(reason, count));
        found.push(u32::try_from(findings.len()).unwrap_or(u32::MAX));
        let specialists = Vec::from_iter(look.specialist.clone());
        all.extend(findings.into_iter().map(|raw| RawFinding { specialists: specialists.clone(), ..raw }));
    }
    all.sort_by_key(|raw| raw.severity);
    let sections = reading::diff_sections(&change.diff);
    let mut added = 0;
    for raw in all {
        let raw = redact_finding(raw, text);
        // Findings that a suppression comment hides also count as known. A finding that repeats such a
        // finding is dropped.
        let mut known = reading.findings.iter_mut().chain(&mut reading.suppressed);
        if let Some(other) = known.find(|other| is_same_defect(&raw, &other.raw)) {
            if other.raw.source == FindingSource::Agent {
                let is_new = |name: &String| !other.raw.specialists.contains(name);
                let more: Vec<String> = raw.specialists.into_iter().filter(is_new).collect();
                other.raw.specialists.extend(more);
            }
            continue;
        }
        if added >= MAX_FINDINGS {
            drop(DropReason::TooMany, 1);
            continue;
        }
        added += 1;
        let old_path = reading::old_path(&sections, &raw.location.path);
        reading.findings.push(reading::place_finding(&sections, raw, old_path));
    }
    (found, dropped, all_lost)
}

/// Removes secrets from a finding's text: the secrets in the finding's file, and any other text that the
/// rules recognise as a secret. The finding's lines are compared with the file later; this comparison
/// therefore also removes secrets from the file's text.
pub(crate) fn redact_finding(raw: RawFinding, file_text: impl Fn(&RepoPath) -> Option<String>) -> RawFinding {
    let quoted = file_text(&raw.location.path).map(|text| FileSecrets::from_text(&text)).unwrap_or_default();
    let (title, body) = (quoted.hide_secrets(&raw.title), quoted.hide_secrets(&raw.body));
    let snippet = quoted.hide_secrets(&raw.snippet);
    let proposed = raw.suggestion.as_ref().map(|proposed| proposed.replacement.clone());
    let raw = RawFinding { title, body, snippet, ..raw };
    match proposed {
        // Without its secret, the replacement can no longer be applied, so it is only shown as text.
        Some(proposed) if quoted.hide_secrets(&proposed) != proposed => {
            raw.with_unproven_suggestion(&schema::truncate_replacement(&quoted.hide_secrets(&proposed)))
        }
        Some(_) | None => raw,
    }
}

/// True if two findings report the same defect on overlapping lines.
fn is_same_defect(a: &RawFinding, b: &RawFinding) -> bool {
    let (at, other) = (&a.location, &b.location);
    let overlap = at.path == other.path
        && at.side == other.side
        && at.start_line <= other.end_line
        && other.start_line <= at.end_line;
    let statement = |raw: &RawFinding| comparable_finding(&raw.location.path.to_string(), raw);
    let same_kind = a.category == b.category && at.start_line == other.start_line;
    overlap && (same_kind || similarity(&statement(a), &statement(b)) >= MIN_SAME_SCORE)
}
