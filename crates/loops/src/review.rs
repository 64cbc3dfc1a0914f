//! The review loop of a pull request. One lease covers all steps, from reading the forge's head to posting
//! the comments.
//!
//! [`LeasedReview::run`] is the list of steps. Each step can be repeated: after a crash, the next lease
//! continues from the stages that the records contain (`prepared`, `computed`, `published`).

mod budget_request;
mod tier_skip;

use std::sync::Arc;

use truing_core::dismissal::{self, Dismissal};
use truing_core::finding::{Finding, FindingSource};
use truing_core::id::{RunId, Sha, TimeSpan, UnixMillis};
use truing_core::identity::{IdentifiedFindings, assign_finding_ids};
use truing_core::increment::{FindingTally, ReviewIncrement};
use truing_core::outcome::{ReviewCoverage, ReviewDetail, ReviewOutcome, ReviewOutcomeKind, ReviewRecord};
use truing_core::port::{
    Clock, ComputedReview, EffectOwner, ForgePull, GateHalt, HistoryEvent, PrState, PullRequest,
    PullRevision, RecordStore, RunReference, RunStart, WriteGate,
};
use truing_core::publish::CommentProducer;
use truing_core::slot::{HoldReason, SlotCommand, SlotLimits, StepOutcome, WaitReason};
use truing_core::tier::{Tier, TierChoice};
use truing_forge::effects::EffectExecutor;
use truing_forge::publisher::{CommentPublisher, PublishError, ReconcileOutcome};
use truing_forge::write_monitor::WriteMonitor;

use super::agent::{
    self, ChangeDescription, ModelAgent, ModelReviewOptions, ModelReviewRequest, ReviewContext,
};
use super::checkout::{CheckoutContext, configuring_files, load_change};
use super::earlier_reviews::EarlierReviews;
use super::pull::unpublished_review_key;
use super::reading::{ReadingOutcome, ReviewedChange};
use super::{desired_state, head_comparison, text};
use crate::instructions::add_instructions;
use crate::slots::apply_slot_command;
use crate::step_stop_reason::StepStopReason;
use crate::telemetry;

pub use budget_request::budget_question_topic;
pub(crate) use tier_skip::choose_tier;

/// Counts the runs that have ended, and the money and time that they used.
pub trait RunCounter: Sync {
    /// Counts a run that has ended. `loop_name` is the name of the loop, such as `review`. `outcome` is the
    /// loop's name for the outcome of the run.
    fn count_run(&self, loop_name: &str, outcome: &str);

    /// Counts a computed review, with the work of its model if a model took part.
    fn count_review(&self, record: &ReviewRecord);
}

/// A leased pull request, and all other inputs of its review.
pub struct LeasedReview<'a> {
    /// Store of slots and records.
    pub store: &'a dyn RecordStore,
    /// Access to the pull request on its forge.
    pub forge: &'a dyn ForgePull,
    pub clock: &'a dyn Clock,
    /// The mirror of the pull request's repository, and the components that read its commits.
    pub checkout: CheckoutContext<'a>,
    /// The model that reviews in addition to the rules; none if only the rules review.
    pub agent: Option<&'a ModelAgent>,
    /// Limits of the slot's state machine.
    pub limits: &'a SlotLimits,
    /// Maximum number of comments on lines and files.
    pub max_inline_comments: usize,
    /// This run, with the lease's token.
    pub run: &'a RunReference,
    /// True if a person requested the review. In that case, a revision is reviewed even if it was already
    /// reviewed.
    pub is_requested: bool,
    /// The head that the last event named.
    pub announced_head: Option<AnnouncedHead>,
    /// The gate, which is checked before every step that costs money and before every write.
    pub gate: &'a Arc<dyn WriteGate>,
    /// Reports each write; in a dry run, nothing is written.
    pub write_monitor: &'a WriteMonitor,
    /// Counts the runs that have ended.
    pub run_counter: &'a dyn RunCounter,
}

/// The head that an event named. Only the head that the forge shows is reviewed. If the forge reports a
/// different head, its answer may still be outdated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnnouncedHead {
    /// Commit that the event named as the head.
    pub head: Sha,
    /// Time at which the event arrived, by the wall clock.
    pub arrived_at: UnixMillis,
}

/// The result of computing a review.
enum ReviewComputation {
    Completed(Box<ReviewRecord>),
    /// The tier of the pull request does not allow a review of this head.
    SkippedByTier(TierChoice),
}

impl LeasedReview<'_> {
    /// Reviews the pull request's current head.
    ///
    /// # Errors
    /// [`StepStopReason`]
    #[truing_core::boxed_future]
    pub async fn run(&self) -> Result<StepOutcome, StepStopReason> {
        self.check_write_gate().await?;
        let pull = self.load_pull_request().await?;
        let PullRevision { head, base } = &pull.revision;
        tracing::info!(pull = pull.name, %head, %base, state = ?pull.state, "the pull request was read \
            from the forge");
        match pull.state {
            PrState::Closed => return Ok(StepOutcome::Held(HoldReason::Cancelled)),
            PrState::Draft => return Ok(StepOutcome::Held(HoldReason::Draft)),
            PrState::Open => {}
        }
        let mut begun = self.store.begin_run(self.run, &pull.revision, self.clock.now()).await?;
        // Outputs of tools that were supplied with this run require a new review, because no earlier run has
        // read them.
        let is_given = !self.checkout.linter_sources.supplied_outputs.is_empty();
        // A review that waited for budget is repeated, because the model can review when budget is available.
        let is_reviewed = begun.last_published.as_ref() == Some(&pull.revision);
        let waits =
            begun.last_review.as_ref().is_some_and(|last| last.detail.outcome.next_attempt_at.is_some());
        // The head was reviewed, then another head was computed, and now the pull request is at the reviewed
        // head again. The findings of the other head do not apply, so this head is read again.
        let is_mixed = begun.returns_to_reviewed && begun.last_computed != begun.last_published;
        let is_known = is_reviewed && !self.is_requested && !is_given && !waits && !is_mixed;
        let is_done = begun.unpublished_review.is_none() && is_known;
        let computed = if is_given {
            None
        } else if !is_done {
            begun.unpublished_review.take()
        } else if begun.last_review.is_some() && self.is_outdated(&begun).await? {
            begun.last_review.take()
        } else {
            let (at, key, run) = (self.clock.now(), self.run.key.clone(), Some(self.run.id.clone()));
            let what = "nothing to do: this head and base are already reviewed".to_owned();
            tracing::info!("{what}");
            self.store.append_history(&[HistoryEvent { at, key, run, description: what }]).await?;
            return Ok(self.idle_outcome(&pull.revision.head, None));
        };
        let outcome = match computed {
            Some(outcome) => {
                self.refresh_record((&pull.revision.head, None), outcome, &begun.dismissals).await?
            }
            None => {
                if let Some(ends) = self.next_allowed_review_time().await? {
                    return Ok(StepOutcome::DueAt(ends, WaitReason::Storm));
                }
                match Box::pin(self.compute_review(&pull, &begun)).await? {
                    ReviewComputation::Completed(record) => {
                        self.run_counter.count_review(&record);
                        *record
                    }
                    ReviewComputation::SkippedByTier(choice) => {
                        return self.end_without_review(&pull, begun, &choice).await;
                    }
                }
            }
        };
        match self.publish(&pull.revision.head, true).await? {
            ReconcileOutcome::Settling { until } => {
                return Ok(StepOutcome::DueAt(until, WaitReason::Settling));
            }
            ReconcileOutcome::Done => {}
        }
        if let Some(limit) = outcome.detail.reached_spending_limit
            && let Some(until) = self.request_budget_increase(&pull, limit).await?
        {
            return Ok(StepOutcome::DueAt(until, WaitReason::Settling));
        }
        let published = ReviewRecord { run: self.run.id.clone(), ..outcome }.with_end_time(self.clock.now());
        self.store.mark_published(self.run, &published).await?;
        self.run_counter.count_run("review", published.detail.outcome.kind.as_str());
        tracing::info!(outcome = published.detail.outcome.kind.as_str(), "published");
        let after = self.load_pull_request().await?;
        let unmoved = after.revision == pull.revision && after.state == pull.state;
        let waits_until = published.detail.outcome.next_attempt_at;
        Ok(if unmoved { self.idle_outcome(&pull.revision.head, waits_until) } else { StepOutcome::DueAgain })
    }

    /// Publishes the result that was computed last, with all dismissals since then, and removes the retracted
    /// comments. Nothing is reviewed, no model is called, and no new comment is posted. The published run id
    /// is the id of the run that computed the result.
    ///
    /// # Errors
    /// [`StepStopReason`]
    #[truing_core::boxed_future]
    pub async fn publish_retractions(&self) -> Result<StepOutcome, StepStopReason> {
        self.check_write_gate().await?;
        let Some(revision) = self.store.findings_revision(&self.run.key).await? else {
            return Ok(StepOutcome::Done);
        };
        let pull = self.load_pull_request().await?;
        let begun = self.store.begin_run(self.run, &revision, self.clock.now()).await?;
        let now = Some(&pull.revision.head).filter(|now| **now != revision.head);
        let reviewed = begun.last_review.filter(|_| begun.last_published.as_ref() == Some(&revision));
        let Some(record) = begun.unpublished_review.or(reviewed) else { return Ok(StepOutcome::Done) };
        let restated = self.review_from_record((&revision.head, now), record, &begun.dismissals).await?;
        self.store.replace_computed_review(self.run, &restated).await?;
        Ok(match self.publish(&revision.head, false).await? {
            ReconcileOutcome::Settling { until } => StepOutcome::DueAt(until, WaitReason::Settling),
            ReconcileOutcome::Done => StepOutcome::Done,
        })
    }

    /// Returns the outcome when nothing is left to do for the head that the forge shows. If the last event
    /// named another head, the pull request becomes due again when the settle delay after this event has
    /// passed. After the delay, the head that the forge shows is accepted. If the review was deferred for
    /// lack of budget, the outcome contains the time of the next attempt.
    fn idle_outcome(&self, shown_head: &Sha, waits_until: Option<UnixMillis>) -> StepOutcome {
        let rest =
            waits_until.map_or(StepOutcome::Done, |until| StepOutcome::DueAt(until, WaitReason::Deferred));
        let Some(heard) = self.announced_head.as_ref().filter(|heard| heard.head != *shown_head) else {
            return rest;
        };
        let settled = heard.arrived_at + self.forge.visibility_delay();
        // This run has already served a person's request. Even if an event named another head, this request
        // does not cause a second review.
        if self.is_requested || self.clock.now() >= settled {
            rest
        } else {
            StepOutcome::DueAt(settled, WaitReason::Settling)
        }
    }

    /// Stops the step if the gate does not permit the run to continue.
    async fn check_write_gate(&self) -> Result<(), StepStopReason> {
        Ok(self.gate.permit_continuation().await.map_err(GateHalt::from)?)
    }

    /// Returns the forge's current state of the pull request. Events are not trusted, so their content is not
    /// used.
    async fn load_pull_request(&self) -> Result<PullRequest, StepStopReason> {
        let looked = self.forge.pull_request().await;
        looked.map_err(|error| StepStopReason::from_remote_error(error.into(), self.clock.now(), TimeSpan(0)))
    }

    /// Returns the time at which the next review may be computed. None if a review may be computed now.
    /// During a storm of events, only one review is computed before the storm ends.
    async fn next_allowed_review_time(&self) -> Result<Option<UnixMillis>, StepStopReason> {
        let now = self.store.now().await?;
        let slots = self.store.load_slots(std::slice::from_ref(&self.run.key)).await?;
        let Some(slot) = slots.first() else { return Ok(None) };
        Ok(slot.storm.filter(|_| !slot.may_compute_review(now)).map(|storm| storm.end))
    }

    /// True if the result that is shown for a reviewed head is outdated. The result is outdated if the pull
    /// request left the head and returned to it, or if a person has dismissed a finding that the records list
    /// as open.
    async fn is_outdated(&self, run_start: &RunStart) -> Result<bool, StepStopReason> {
        if run_start.returns_to_reviewed {
            return Ok(true);
        }
        if run_start.dismissals.is_empty() {
            return Ok(false);
        }
        Ok(dismissal::apply_dismissals(&mut self.store.findings(&self.run.key).await?, &run_start.dismissals)
            > 0)
    }

    /// Returns the known findings of the pull request. If there are none yet, returns the open findings that
    /// a model reported in an unpublished review.
    async fn known_findings(&self, pull: &PullRequest) -> Result<Vec<Finding>, StepStopReason> {
        let known = self.store.findings(&self.run.key).await?;
        if !known.is_empty() {
            return Ok(known);
        }
        let mut looked = self.store.findings(&unpublished_review_key(&pull.url)).await?;
        looked.retain(|finding| finding.raw.source == FindingSource::Agent && finding.is_open());
        Ok(looked)
    }

    /// Fetches the commits, reads the change, matches the findings with known ones, and records the result.
    /// Afterwards, the result must only be published. If the tier of a head does not allow a review, the head
    /// is not read.
    async fn compute_review(
        &self,
        pull: &PullRequest,
        run_start: &RunStart,
    ) -> Result<ReviewComputation, StepStopReason> {
        let (before, dismissals) = (run_start.last_computed.as_ref(), run_start.dismissals.as_slice());
        let revision = &pull.revision;
        let started = self.clock.now();
        telemetry::record_head(revision.head.as_str());
        let known_findings = self.known_findings(pull).await?;
        let (mirror, pinned) = self.checkout.fetch(pull).await?;
        tracing::info!(
            configured_by = pinned.config_file_tip.as_ref().map(tracing::field::display),
            "fetched"
        );
        let change = load_change(&mirror, revision).await?;
        let choice = choose_tier(&pinned.scope.tiers, pull, &change, self.is_requested);
        tracing::info!(
            tier = choice.tier.as_str(),
            at = choice.origin,
            because = choice.because,
            "the tier is chosen"
        );
        if self.is_skipped_by_tier(&choice, run_start, &change) {
            return Ok(ReviewComputation::SkippedByTier(choice));
        }
        let agent = self.agent.filter(|_| choice.tier.asks_model());
        self.check_write_gate().await?;
        let cleared = match agent {
            Some(_) => self.clean_converge_run(&revision.head, &change.base, &known_findings).await?,
            None => None,
        };
        let recalled = match agent.filter(|_| cleared.is_none()) {
            Some(agent) => Some(pinned.read_review_context(&agent.sources, &mirror).await?),
            None => None,
        };
        let recalled = recalled
            .map(|recalled| add_instructions(recalled, &pinned.scope, pull.repository_name(), &change));
        let since = head_comparison::compare_with_previous(&mirror, &change, &revision.head, before).await;
        let earlier = head_comparison::earlier_reviews(known_findings, before, since.as_ref());
        let form = ModelReviewOptions {
            has_walkthrough: pinned.scope.walkthrough,
            has_specialists: choice.tier == Tier::Deep,
        };
        let asking = (self.model_request(pull, recalled, form, started), &earlier);
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
        let EarlierReviews { known_findings, .. } = earlier;
        let mut outcome = agent::server_review_outcome(&coverage, part.as_ref()).with_tool_results(&tools);
        if let (Some(run), ReviewOutcomeKind::Reviewed) = (&cleared, outcome.kind) {
            outcome.reason = Some(text::clean_audit_reason(run));
        }
        if self.agent.is_some() && agent.is_none() && outcome.kind == ReviewOutcomeKind::Reviewed {
            outcome.reason = Some(text::rules_only_reason(&choice));
        }
        let mut identified =
            assign_finding_ids(&known_findings, found, Some(&revision.head), &coverage, &renames);
        if let Some(since) = &since {
            since.mark_out_of_scope(&mut identified.missing_findings, &known_findings, &change);
        }
        rechecked.update_statuses(&mut identified.missing_findings, &known_findings, &revision.head);
        dismissal::apply_dismissals(&mut identified.current, dismissals);
        dismissal::apply_dismissals(&mut identified.missing_findings, dismissals);
        let idle_ignores =
            self.checkout.unused_ignore_patterns(&mirror, &revision.head, &pinned, &coverage).await;
        let mut record = self.build_record(&change, revision, &identified, outcome, coverage, started);
        record.detail.unused_ignore_patterns = idle_ignores;
        record.detail.tier = Some(choice);
        record.detail.outdated_dismissals =
            dismissal::count_outdated_dismissals(&identified.current, &known_findings, dismissals);
        (record.detail.unused_suppressions, record.detail.tools) = (suppressions, tools);
        record.detail.reached_spending_limit = part.as_ref().and_then(|part| part.reached_spending_limit);
        let mut record = record.with_model_review(agent::model_review(part));
        telemetry::record_review(&record);
        let findings = identified.into_findings();
        let increment = since.and_then(|since| since.increment);
        record.detail.increment = increment.map(|increment| ReviewIncrement {
            findings: FindingTally::from_findings(&known_findings, &findings),
            ..increment
        });
        // If the forge is unreachable, the error is ignored here, because the run reads the pull request
        // again before it ends.
        let now = self.forge.pull_request().await.ok().map(|now| now.revision.head);
        let now = now.filter(|now| *now != revision.head);
        let computed = self.desired_review(&revision.head, now.as_ref(), findings, &record, dismissals);
        apply_slot_command(self.store, &self.run.key, SlotCommand::CountReview(self.run.token), self.limits)
            .await?;
        self.store.store_computed_review(self.run, &computed).await?;
        let (files, findings) = (record.detail.coverage.reviewed.len(), computed.findings.len());
        tracing::info!(files, findings, outcome = record.detail.outcome.kind.as_str(), "computed");
        Ok(ReviewComputation::Completed(Box::new(record)))
    }

    /// Returns the converge run that audited exactly this change and found nothing. After such a run, no
    /// model needs to review the change again. Returns `None` if a person requested the review, or if a
    /// finding of a model is still open.
    async fn clean_converge_run(
        &self,
        head: &Sha,
        base: &Sha,
        known_findings: &[Finding],
    ) -> Result<Option<RunId>, StepStopReason> {
        let is_followed = |finding: &Finding| finding.is_open() && finding.raw.source == FindingSource::Agent;
        if self.is_requested || known_findings.iter().any(is_followed) {
            return Ok(None);
        }
        let last = self.store.last_converge(&self.run.key).await?;
        let last = last.filter(|last| {
            last.detail.base == *base && last.detail.state.cleared_head.as_ref() == Some(head)
        });
        Ok(last.map(|last| last.run))
    }

    /// Builds the request to the model for this review, if there is a model.
    fn model_request<'b>(
        &'b self,
        pull: &PullRequest,
        context: Option<ReviewContext>,
        options: ModelReviewOptions,
        started_at: UnixMillis,
    ) -> Option<ModelReviewRequest<'b>> {
        let (agent, context) = (self.agent?, context?);
        let RunReference { id, key, .. } = self.run;
        let budget = agent.budgets.review_budget(
            id.clone(),
            key,
            pull.revision.head.as_str(),
            pull.repository_name(),
            started_at,
        );
        Some(ModelReviewRequest {
            agent,
            budget,
            change_description: ChangeDescription::from_pull_request(pull),
            context,
            options,
            gate: Arc::clone(self.gate),
            started_at,
        })
    }

    /// Updates a result that was computed before: by a run that this run replaces, or by the last review of
    /// this revision. The desired comments and status are computed again. This is necessary because the
    /// earlier run may have published that it failed, and because people may have dismissed findings since
    /// then.
    async fn refresh_record(
        &self,
        reviewed_and_current_head: (&Sha, Option<&Sha>),
        record: ReviewRecord,
        dismissals: &[Dismissal],
    ) -> Result<ReviewRecord, StepStopReason> {
        let restated = self.review_from_record(reviewed_and_current_head, record, dismissals).await?;
        self.store.store_computed_review(self.run, &restated).await?;
        Ok(restated.record)
    }

    /// Returns the comments and the status that the pull request should now show for this record.
    async fn review_from_record(
        &self,
        reviewed_and_current_head: (&Sha, Option<&Sha>),
        record: ReviewRecord,
        dismissals: &[Dismissal],
    ) -> Result<ComputedReview, StepStopReason> {
        let mut findings = self.store.findings(&self.run.key).await?;
        let changed = dismissal::apply_dismissals(&mut findings, dismissals) > 0;
        let open: Vec<&Finding> = findings.iter().filter(|finding| finding.is_open()).collect();
        // The finding counts of the earlier comparison do not include the dismissal, so the comparison is not
        // shown.
        let since = record.detail.increment.filter(|_| !changed);
        let detail = ReviewDetail {
            open_finding_counts: text::count_by_severity(&open),
            increment: since,
            ..record.detail
        };
        let record = ReviewRecord { detail, ..record };
        Ok(self.desired_review(
            reviewed_and_current_head.0,
            reviewed_and_current_head.1,
            findings,
            &record,
            dismissals,
        ))
    }

    fn build_record(
        &self,
        change: &ReviewedChange,
        revision: &PullRevision,
        identified_findings: &IdentifiedFindings,
        outcome: ReviewOutcome,
        coverage: ReviewCoverage,
        started_at: UnixMillis,
    ) -> ReviewRecord {
        // If a tool did not run, its findings stay open.
        let left = identified_findings
            .missing_findings
            .iter()
            .filter(|finding| finding.raw.source == FindingSource::Tool);
        let open: Vec<&Finding> =
            identified_findings.current.iter().chain(left).filter(|finding| finding.is_open()).collect();
        let detail = ReviewDetail {
            open_finding_counts: text::count_by_severity(&open),
            coverage,
            changed_config_files: configuring_files(change, self.agent.is_some()),
            ..ReviewDetail::new(Some(revision.head.clone()), change.base.clone(), outcome)
        };
        let RunReference { id, key, .. } = self.run;
        ReviewRecord {
            ended_at: self.clock.now(),
            versions: super::program_versions(),
            ..ReviewRecord::new(id.clone(), key.clone(), detail, started_at)
        }
    }

    /// Returns the desired state for the records: the findings, their comments, and the status of the head.
    /// `current_head` is the pull request's current head if it differs from the reviewed head.
    fn desired_review(
        &self,
        head: &Sha,
        current_head: Option<&Sha>,
        findings: Vec<Finding>,
        record: &ReviewRecord,
        dismissals: &[Dismissal],
    ) -> ComputedReview {
        let desired = desired_state::desired_comments(
            &findings,
            head,
            current_head,
            record,
            dismissals,
            self.max_inline_comments,
        );
        let summary = desired_state::summary_text(&findings, head, current_head, record, dismissals, &[]);
        let status = Some(desired_state::desired_status(&findings, &record.detail.outcome, head, &summary));
        ComputedReview {
            producer: CommentProducer::Review,
            findings,
            desired_comments: desired,
            status,
            record: record.clone(),
        }
    }

    fn effect_executor(&self) -> EffectExecutor<'_> {
        let RunReference { key, token, .. } = self.run;
        let writer = EffectOwner { key: key.clone(), producer: CommentProducer::Review, token: Some(*token) };
        let (forge, log, gate, clock) = (self.forge, self.store, self.gate, self.clock);
        EffectExecutor { forge, log, gate, clock, owner: writer, monitor: self.write_monitor }
    }

    async fn publish(
        &self,
        head: &Sha,
        may_create_comments: bool,
    ) -> Result<ReconcileOutcome, StepStopReason> {
        let publisher = CommentPublisher {
            effects: self.effect_executor(),
            forge: self.forge,
            records: self.store,
            run: self.run,
            head,
            may_create: may_create_comments,
        };
        publisher.reconcile().await.map_err(|error| match error {
            PublishError::Store(error) => error.into(),
            PublishError::Forge(error) => {
                StepStopReason::from_forge_error(error, self.clock.now(), self.forge.visibility_delay())
            }
            PublishError::HeadChanged => StepStopReason::HeadChanged,
            PublishError::Halted(halt) => halt.into(),
        })
    }

    /// Publishes that the head of the pull request is not reviewed, before the slot is parked. With
    /// [`ReconcileOutcome::Settling`], the status is not published yet, and the caller must try again.
    ///
    /// # Errors
    /// [`StepStopReason`], if publishing also fails; in that case, only `truing why` shows that the head is
    /// not reviewed.
    #[truing_core::boxed_future]
    pub async fn publish_abandonment(
        &self,
        failure_class: &'static str,
    ) -> Result<ReconcileOutcome, StepStopReason> {
        self.check_write_gate().await?;
        let pull = self.load_pull_request().await?;
        let head = &pull.revision.head;
        self.store.begin_run(self.run, &pull.revision, self.clock.now()).await?;
        let summary = text::unavailable_summary(head, failure_class);
        let status = desired_state::unavailable_status(head, failure_class, &summary);
        self.store.store_summary_and_status(self.run, CommentProducer::Review, &summary, &status).await?;
        self.publish(head, true).await
    }
}
