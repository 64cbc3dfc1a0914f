//! The review of a pull request whose result is not published. The steps are the same as in the service's
//! review, from the commits to the findings, but there is no slot and there are no comments. The findings and
//! the outcome are recorded in the user's own records.

use opentelemetry::trace::FutureExt as _;
use truing_core::id::{PrId, RunId, SlotKey};
use truing_core::outcome::{ReviewDetail, ReviewRecord};
use truing_core::port::{Clock, PullRequest, PullRevision};
use truing_core::tier::Tier;

use super::agent::{self, ChangeDescription, GatedModelAgent, ModelReviewOptions};
use super::attempts::{AttemptRegistry, ReviewAttempt};
use super::checkout::{CheckoutContext, CheckoutError, PinnedReviewScope, configuring_files, load_change};
use super::compare::BaseOrigin;
use super::finding_storage::{FindingStorage, PriorFindings, RecordOpener, encode_name};
use super::head_comparison;
use super::local::{HeadKind, LocalReviewOutcome};
use super::reading::ReadingOutcome;
use super::review::choose_tier;
use crate::instructions::add_instructions;
use crate::machine::new_run_id;
use crate::telemetry;

/// A pull request, and all other inputs of its review.
pub struct PullRequestReview<'a> {
    pub id: &'a PrId,
    /// The current state of the pull request, as the forge reports it.
    pub pull: &'a PullRequest,
    /// The mirror of the pull request's repository, and the components that read its commits.
    pub checkout: CheckoutContext<'a>,
    /// The model that reviews in addition to the rules; none if only the rules review.
    pub model: Option<GatedModelAgent<'a>>,
    /// Registry that lists the review as long as it may call a model.
    pub attempts: &'a AttemptRegistry,
    /// Opens the records when the first result has to be recorded.
    pub record_opener: RecordOpener,
    pub clock: &'a dyn Clock,
}

impl PullRequestReview<'_> {
    /// Reviews the changes of the pull request. Also returns the configuration and the branch tip that
    /// provided it.
    ///
    /// # Errors
    /// [`CheckoutError`]
    #[truing_core::boxed_future]
    pub async fn run(&self) -> Result<(LocalReviewOutcome, PinnedReviewScope), CheckoutError> {
        let (run, key) = (new_run_id(), self.id.key());
        let trace =
            telemetry::start_review_trace(&run, &key, self.pull.repository_name(), Some(self.id.number));
        let reviewed = self.review(run, key).with_context(trace.clone()).await;
        if let Err(error) = &reviewed {
            telemetry::record_failure(&trace, &error.to_string());
        }
        reviewed
    }

    /// Reviews the pull request with the given run id.
    async fn review(
        &self,
        run: RunId,
        key: SlotKey,
    ) -> Result<(LocalReviewOutcome, PinnedReviewScope), CheckoutError> {
        let started = self.clock.now();
        let revision = &self.pull.revision;
        telemetry::record_head(revision.head.as_str());
        let (mirror, pinned) = self.checkout.fetch(self.pull).await?;
        let change = load_change(&mirror, revision).await?;
        let configuring = configuring_files(&change, self.model.is_some());
        let own = unpublished_review_key(&self.pull.url);
        let served = self.id.key();
        let memory = FindingStorage {
            record_opener: self.record_opener.clone(),
            service_key: Some(&served),
            fixed_in_commit: Some(&revision.head),
            branch_commits: None,
            branch_key: None,
            clock: self.clock,
        };
        let PriorFindings { findings, revision: before, unknown_reason, other_branch_findings: _ } =
            memory.load_prior_findings(&own).await;
        let since =
            head_comparison::compare_with_previous(&mirror, &change, &revision.head, before.as_ref()).await;
        let earlier = head_comparison::earlier_reviews(findings, before.as_ref(), since.as_ref());
        // A person has requested this review by the command, so the tiers `off` and `rules` both mean a
        // review by rules alone.
        let choice = choose_tier(&pinned.scope.tiers, self.pull, &change, true);
        let form = ModelReviewOptions {
            has_walkthrough: pinned.scope.walkthrough,
            has_specialists: choice.tier == Tier::Deep,
        };
        let asking = match self.model.as_ref().filter(|_| choice.tier.asks_model()) {
            Some(model) => {
                let (head, repository) = (revision.head.as_str(), self.pull.repository_name());
                let budget = model.agent.budgets.review_budget(run.clone(), &key, head, repository, started);
                let recalled = pinned.read_review_context(&model.agent.sources, &mirror).await?;
                let recalled = add_instructions(recalled, &pinned.scope, repository, &change);
                let revision = PullRevision { head: revision.head.clone(), base: change.base.clone() };
                let (run, key) = (run.clone(), own.clone());
                let runtime = model.agent.review_runtime();
                self.attempts.register_attempt(ReviewAttempt {
                    run,
                    key,
                    revision,
                    started_at: started,
                    runtime,
                });
                let description = (ChangeDescription::from_pull_request(self.pull), recalled);
                Some(model.review_request(budget, description.0, description.1, form, started))
            }
            None => None,
        };
        let asking = (asking, &earlier);
        let read = self.checkout.read_and_review(
            &mirror,
            &change,
            &revision.head,
            &pinned.scope,
            asking.0,
            asking.1,
        );
        let (reading, part) = read.await?;
        let found = reading.all_findings();
        let ReadingOutcome {
            coverage,
            renames,
            recheck_summary: rechecked,
            unused_suppressions: suppressions,
            tools,
            ..
        } = reading;
        let outcome = agent::review_outcome(&coverage, part.as_ref()).with_tool_results(&tools);
        let outcome = outcome.with_findings_read_error(unknown_reason.as_deref());
        // If the base branch has newer commits, they are not part of the change, so the merge base is the
        // base of the change.
        let against = match change.base == revision.base {
            true => BaseOrigin::NamedRevision(revision.base.short_sha().to_owned()),
            false => BaseOrigin::MergeBase(revision.base.short_sha().to_owned()),
        };
        let detail = ReviewDetail {
            unused_ignore_patterns: self
                .checkout
                .unused_ignore_patterns(&mirror, &revision.head, &pinned, &coverage)
                .await,
            coverage,
            changed_config_files: configuring,
            unused_suppressions: suppressions,
            tools,
            tier: Some(choice),
            ..ReviewDetail::new(change.head, change.base, outcome)
        };
        let begun = ReviewRecord {
            versions: super::program_versions(),
            ..ReviewRecord::new(run, own, detail, started)
        };
        let mut record =
            ReviewRecord { ended_at: self.clock.now(), ..begun }.with_model_review(agent::model_review(part));
        let found = (found.as_slice(), &renames, &rechecked);
        let (kept, unrecorded) = memory.record_findings(found, &mut record, &revision.head).await;
        self.attempts.remove_attempt(&record.run);
        let reviewed = HeadKind::Commit;
        Ok((
            LocalReviewOutcome {
                record,
                head_kind: reviewed,
                base_origin: against,
                findings: kept,
                unrecorded_reason: unrecorded,
            },
            pinned,
        ))
    }
}

/// Returns the key under which unpublished reviews of a pull request are recorded. The key differs from the
/// service's key for the pull request, because an unpublished review must never block a review by the
/// service.
pub fn unpublished_review_key(url: &str) -> SlotKey {
    SlotKey::new(format!("local/{}", encode_name(url.as_bytes())))
}
