//! Chooses the tier of a pull request. If a head gets no review, shows the reason on the pull request.

use std::collections::BTreeSet;

use truing_core::id::Sha;
use truing_core::outcome::{ReviewDetail, ReviewOutcome, ReviewOutcomeKind, ReviewRecord, ReviewRuntime};
use truing_core::port::{ComputedReview, PullRequest, PullRevision, RunReference, RunStart};
use truing_core::publish::CommentProducer;
use truing_core::slot::{StepOutcome, WaitReason};
use truing_core::tier::{PullAuthor, PullFacts, Tier, TierChoice, TierRules};
use truing_diff::{FileStatus, Hunk, LineKind, parse_files};
use truing_forge::publisher::ReconcileOutcome;

use super::LeasedReview;
use crate::reading::ReviewedChange;
use crate::step_stop_reason::StepStopReason;
use crate::{desired_state, text};

/// Maximum number of bytes that count as one line. A longer line counts as several lines, so that a change of
/// a minified file is not small.
const MAX_BYTES_PER_LINE: usize = 200;

/// Chooses the tier of a pull request from its metadata and its change.
pub(crate) fn choose_tier(
    tiers: &TierRules,
    pull: &PullRequest,
    change: &ReviewedChange,
    is_requested: bool,
) -> TierChoice {
    let (mut paths, mut lines, mut has_uncounted) = (Vec::new(), 0_u64, false);
    let mut counted = BTreeSet::new();
    for file in parse_files(&change.diff) {
        // The rest of the diff cannot be read, so it may contain any file.
        let Ok(file) = file else {
            has_uncounted = true;
            paths.push(String::new());
            break;
        };
        counted.insert(file.path.clone());
        paths.push(file.path.to_string());
        if file.status == FileStatus::Renamed {
            paths.extend(file.old_path.as_ref().map(ToString::to_string));
        }
        let changed = file.hunks.iter().flat_map(Hunk::lines).filter(|line| line.kind != LineKind::Context);
        lines += changed.map(|line| line.text.len().div_ceil(MAX_BYTES_PER_LINE).max(1) as u64).sum::<u64>();
        has_uncounted |= file.is_binary || file.hunks.is_empty();
    }
    paths.extend(change.omitted_files.iter().map(|gap| gap.path.to_string()));
    counted.extend(change.omitted_files.iter().map(|gap| gap.path.clone()));
    has_uncounted |= !change.omitted_files.is_empty();
    let facts = PullFacts {
        repository: pull.repository_name().unwrap_or_default(),
        author: pull.author.as_ref().map(|author| PullAuthor { id: &author.id, login: &author.login }),
        has_unique_names: pull.has_unique_logins,
        labels: pull.labels.as_deref(),
        title: &pull.title,
        base: &pull.base_branch,
        paths: &paths,
        changed_file_count: counted.len(),
        changed_line_count: lines,
        has_uncounted_lines: has_uncounted,
    };
    tiers.choose(&facts, is_requested)
}

impl LeasedReview<'_> {
    /// True if the tier of the pull request excludes this head from review.
    pub(super) fn is_skipped_by_tier(
        &self,
        choice: &TierChoice,
        run_start: &RunStart,
        change: &ReviewedChange,
    ) -> bool {
        // If the base has changed since the last review, the change is different, so the same head is
        // reviewed again.
        let of_last = run_start.last_review.as_ref().map(|last| &last.detail.base);
        let is_same_base = of_last == Some(&change.base);
        let is_of_change = |head: &Sha| change.head.as_ref() != Some(head) || is_same_base;
        match choice.tier {
            Tier::Off => true,
            Tier::Once => {
                let is_mixed =
                    run_start.returns_to_reviewed && run_start.last_computed != run_start.last_published;
                !self.is_requested
                    && !is_mixed
                    && self.head_reviewed_once(run_start).is_some_and(is_of_change)
            }
            Tier::Rules | Tier::Settled | Tier::Deep => false,
        }
    }

    /// Returns the reviewed head if the pull request has already received its only review under the tier
    /// `once`. A review that was deferred for lack of budget does not count. A review without a model does
    /// not count if a model is available now.
    fn head_reviewed_once<'b>(&self, run_start: &'b RunStart) -> Option<&'b Sha> {
        let outcome = &run_start.last_review.as_ref()?.detail.outcome;
        let is_whole = matches!(outcome.kind, ReviewOutcomeKind::Reviewed | ReviewOutcomeKind::Partial)
            && outcome.next_attempt_at.is_none()
            && (self.agent.is_none() || outcome.runtime != ReviewRuntime::Rules);
        run_start.last_published.as_ref().filter(|_| is_whole).map(|revision| &revision.head)
    }

    /// Ends the run without a review. The pull request keeps the summary of its last review, and the head
    /// gets a status that is never success. If reviews are off for the whole repository, nothing is shown on
    /// the pull request.
    pub(super) async fn end_without_review(
        &self,
        pull: &PullRequest,
        run_start: RunStart,
        choice: &TierChoice,
    ) -> Result<StepOutcome, StepStopReason> {
        let head = &pull.revision.head;
        let once = self.head_reviewed_once(&run_start).cloned();
        let reason = match (choice.tier, &once) {
            (Tier::Once, Some(reviewed)) => text::once_tier_reason(reviewed),
            (Tier::Off | Tier::Rules | Tier::Once | Tier::Settled | Tier::Deep, _) => {
                text::off_tier_reason(choice, pull)
            }
        };
        // If this head was reviewed, its check stays unchanged, even if the base has changed.
        let is_shown = match choice.tier {
            Tier::Once => once.as_ref() != Some(head),
            Tier::Off | Tier::Rules | Tier::Settled | Tier::Deep => choice.is_of_pull,
        };
        if is_shown {
            let summary = text::not_reviewed_text(head, &reason);
            let status = desired_state::pending_status(head, text::unreviewed_status(choice), &summary);
            let shown = match (run_start.last_review, run_start.last_computed) {
                (Some(last), Some(known)) => {
                    let now = Some(head).filter(|now| **now != known.head);
                    Some(self.review_from_record((&known.head, now), last, &run_start.dismissals).await?)
                }
                // There was no review, so there are no findings to keep. A comment would only repeat the
                // check.
                (_, None) => Some(self.empty_review(pull, &reason)),
                // The record of the last review cannot be read, so its findings stay unchanged.
                (None, Some(_)) => None,
            };
            match shown {
                Some(shown) => {
                    self.store
                        .replace_computed_review(self.run, &ComputedReview { status: Some(status), ..shown })
                        .await?;
                }
                None => {
                    self.store
                        .store_summary_and_status(self.run, CommentProducer::Review, &summary, &status)
                        .await?;
                }
            }
            if let ReconcileOutcome::Settling { until } = self.publish(head, false).await? {
                return Ok(StepOutcome::DueAt(until, WaitReason::Settling));
            }
        }
        let outcome = skipped_outcome(&reason);
        self.store.end_run(self.run, &outcome, self.clock.now()).await?;
        self.run_counter.count_run("review", outcome.kind.as_str());
        tracing::info!(reason = outcome.reason, "left without a review");
        let after = self.load_pull_request().await?;
        let unmoved = after.revision == pull.revision && after.state == pull.state;
        Ok(if unmoved { self.idle_outcome(head, None) } else { StepOutcome::DueAgain })
    }

    /// Returns a result without findings and comments.
    fn empty_review(&self, pull: &PullRequest, reason: &str) -> ComputedReview {
        let PullRevision { head, base } = pull.revision.clone();
        let detail = ReviewDetail::new(Some(head), base, skipped_outcome(reason));
        let RunReference { id, key, .. } = self.run.clone();
        let outcome = ReviewRecord::new(id, key, detail, self.clock.now());
        ComputedReview {
            producer: CommentProducer::Review,
            findings: Vec::new(),
            desired_comments: Vec::new(),
            status: None,
            record: outcome,
        }
    }
}

fn skipped_outcome(reason: &str) -> ReviewOutcome {
    ReviewOutcome {
        kind: ReviewOutcomeKind::Skipped,
        reason: Some(reason.to_owned()),
        next_attempt_at: None,
        runtime: ReviewRuntime::Rules,
    }
}
