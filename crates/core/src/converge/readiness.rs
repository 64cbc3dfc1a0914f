//! Decides the next step towards a ready pull request. The requirements concern other reviewers, threads,
//! mergeability, and the ready mark. The decision is pure; no step merges or approves the pull request.
//!
//! [`PullReadiness::next_action`] derives one step from the configuration, the state at the forge and the
//! time. Each call evaluates the feedback of others from the beginning. The stored state describes one head,
//! and contains only facts that the forge does not show: requests, waits, and the head's clearance by
//! Truing's own audit. Any push resets this state, so a pull request is always ready at one commit.
//!
//! The caller requests the next step while the [`ConvergeRun`](super::ConvergeRun) has no action in progress,
//! and reports completed effects ([`PullReadiness::record_request`], [`PullReadiness::record_ready_mark`]).
//! Until an effect is reported, the next step stays the same, and the caller searches the forge for an
//! existing effect. Every wait has a time for the next check, and a timeout.

// long: one state, and the conditions of readiness in their order.

mod action;
mod pull_snapshot;
mod rules;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ConvergeExit, ConvergeExitCode, MAX_FOREIGN_HEADS};
use crate::id::{Sha, TimeSpan, UnixMillis};
use crate::line::{clean_line, format_count};
use crate::port::PullState;
pub use action::{ReadinessAction, ReadinessWaitReason, UnansweredFeedback};
use pull_snapshot::ReviewerVerdict;
pub use pull_snapshot::{
    LastComment, MergeableState, ObservedReview, PullSnapshot, ReviewSubmission, ReviewTextSignal,
    ReviewerCheck, ReviewerFeedback, ThreadAuthor, UnresolvedThread,
};
pub use rules::{ExternalReviewer, ReadinessRules, RequiredReviewer};

/// Minimum age of a head before its state at the forge is trusted.
pub const HEAD_SETTLE_TIME: TimeSpan = TimeSpan::minutes(1);
/// Maximum interval between two checks for comments that a reviewer has announced. A shorter configured poll
/// interval takes precedence.
pub const MAX_COMMENT_CHECK_INTERVAL: TimeSpan = TimeSpan::minutes(1);
/// Poll interval while the forge computes the mergeability.
pub const MERGE_POLL_INTERVAL: TimeSpan = TimeSpan::seconds(10);
/// Timeout for the forge's computation of mergeability.
pub const MERGEABILITY_TIMEOUT: TimeSpan = TimeSpan::minutes(2);
/// Timeout for the completion of the head's checks.
pub const CHECKS_TIMEOUT: TimeSpan = TimeSpan::minutes(60);
/// Maximum number of merges of the base into the branch that one run requests.
pub const MAX_BASE_MERGES: u32 = 3;
/// A reviewer counts as unreachable after this number of requests with an unknown outcome at one head.
const MAX_FAILED_REQUESTS: u32 = 3;
/// Minimum length of a wait.
const MIN_WAIT: TimeSpan = TimeSpan::seconds(1);
/// Maximum number of check names in a message.
const MAX_LISTED_CHECKS: usize = 5;
/// Maximum number of displayed characters of a name that other people chose.
const MAX_NAME_CHARS: usize = 80;

/// The state of one pull request that is stored between two checks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PullReadiness {
    base: String,
    /// Head before our own push.
    #[serde(rename = "before")]
    previous_head: Option<Sha>,
    /// Number of changes to the head or the base by other accounts.
    moves: u32,
    updates: u32,
    /// True after Truing has requested a merge of the base. The next new head then counts as the merge.
    #[serde(default)]
    is_updating: bool,
    /// Newest head that a requested merge of the base created.
    #[serde(default)]
    updated: Option<Sha>,
    /// True if an earlier check found the pull request open and not a draft. If it is a draft at a later
    /// check, a user has converted it.
    was_open: bool,
    /// Reviewers to which requests are impossible, each with the reason.
    unreachable: BTreeMap<String, String>,
    #[serde(rename = "at")]
    head_state: HeadReadiness,
}

/// The stored state of one head.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct HeadReadiness {
    head: Sha,
    #[serde(rename = "since")]
    known_since: UnixMillis,
    is_cleared: bool,
    is_marked: bool,
    #[serde(rename = "asked")]
    request_counts: BTreeMap<String, u32>,
    /// Number of failed requests to each reviewer.
    #[serde(default)]
    #[serde(rename = "failed")]
    failed_request_counts: BTreeMap<String, u32>,
    /// Start time of each wait; a reviewer's wait starts at the latest request.
    waits: Vec<(ReadinessWaitReason, UnixMillis)>,
    lags: BTreeMap<String, ReviewerLag>,
    /// Reviews that existed before the first request to each reviewer.
    #[serde(default)]
    #[serde(rename = "reviewed_before")]
    earlier_reviews: BTreeMap<String, BTreeSet<ReviewSubmission>>,
    /// Feedback that was already passed on for fixing.
    handed: UnansweredFeedback,
}

/// The state of the wait for comments that a reviewer has announced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct ReviewerLag {
    /// Number of checks that found none of the announced comments.
    #[serde(rename = "looks")]
    check_count: u32,
    /// Time of the next check.
    #[serde(rename = "at")]
    next_check_at: UnixMillis,
}

impl HeadReadiness {
    fn new(head: Sha, now: UnixMillis) -> Self {
        Self {
            head,
            known_since: now,
            is_cleared: false,
            is_marked: false,
            request_counts: BTreeMap::new(),
            failed_request_counts: BTreeMap::new(),
            waits: Vec::new(),
            lags: BTreeMap::new(),
            earlier_reviews: BTreeMap::new(),
            handed: UnansweredFeedback::default(),
        }
    }

    /// Returns true if the reviewer has read this head: its text names the head, or the review was submitted
    /// after Truing had requested it for this head. The commit that the forge reports is no proof, because
    /// GitHub records the head at the time of submission, and moves the commit with later merges of the base.
    fn is_proven(&self, name: &str, feedback: &ReviewerFeedback) -> bool {
        let is_after_request = |review: &ObservedReview| {
            self.request_counts.contains_key(name)
                && self.earlier_reviews.get(name).is_some_and(|known| !known.contains(&review.submission))
        };
        feedback.review.as_ref().is_some_and(|review| review.names_head || is_after_request(review))
    }

    /// Returns the step that requests a review. Remembers the reviews before the first request. A later
    /// request does not change this set, because the reviewer may have received a request with unknown
    /// outcome.
    fn request_review(&mut self, name: &str, feedback: &ReviewerFeedback) -> ReadinessAction {
        let earlier = self.earlier_reviews.entry(name.to_owned());
        earlier.or_insert_with(|| feedback.submissions.clone());
        ReadinessAction::RequestReview(name.to_owned())
    }

    /// Returns the start time of the wait for this reason.
    fn waiting_since(&self, reason: &ReadinessWaitReason) -> Option<UnixMillis> {
        self.waits.iter().find(|(known, _)| known == reason).map(|(_, since)| *since)
    }

    fn start_wait(&mut self, reason: ReadinessWaitReason, now: UnixMillis) {
        self.waits.retain(|(known, _)| *known != reason);
        self.waits.push((reason, now));
    }

    /// Returns `Err` with a wait of at most `poll_interval`, after which the caller checks again. Returns
    /// `Ok` if the run has already waited for `timeout` at this head for this reason.
    fn wait_up_to(
        &mut self,
        reason: ReadinessWaitReason,
        poll_interval: TimeSpan,
        timeout: TimeSpan,
        now: UnixMillis,
    ) -> Result<(), ReadinessAction> {
        let since = self.waiting_since(&reason).unwrap_or(now);
        self.start_wait(reason.clone(), since);
        let end = since + timeout;
        if now < end { Err(wait_action((now + poll_interval).min(end), reason, now)) } else { Ok(()) }
    }
}

fn wait_action(until: UnixMillis, reason: ReadinessWaitReason, now: UnixMillis) -> ReadinessAction {
    ReadinessAction::Wait { until: until.max(now + MIN_WAIT), reason }
}

fn exit_with<T>(code: ConvergeExitCode, reason: impl Into<String>) -> Result<T, ReadinessAction> {
    Err(ReadinessAction::End(ConvergeExit::new(code, reason)))
}

impl PullReadiness {
    /// Creates the state of a pull request to this base, at this head.
    pub fn new(head: Sha, base: impl Into<String>, now: UnixMillis) -> Self {
        Self {
            base: base.into(),
            previous_head: None,
            moves: 0,
            updates: 0,
            is_updating: false,
            updated: None,
            was_open: false,
            unreachable: BTreeMap::new(),
            head_state: HeadReadiness::new(head, now),
        }
    }

    /// Returns the head that this state describes.
    pub fn head(&self) -> &Sha {
        &self.head_state.head
    }

    /// Returns true if a requested merge of the base created this head.
    pub fn is_requested_base_merge(&self, head: &Sha) -> bool {
        self.updated.as_ref() == Some(head)
    }

    /// Resets the state for a new head that Truing has pushed: earlier feedback no longer counts, and the
    /// first reviewer is next.
    pub fn record_push(&mut self, head: &Sha, now: UnixMillis) {
        if self.head_state.head != *head {
            let before = std::mem::replace(&mut self.head_state, HeadReadiness::new(head.clone(), now));
            self.previous_head = Some(before.head);
            self.is_updating = false;
        }
    }

    /// Records that our own audit has cleared this head.
    pub fn record_clearance(&mut self, head: &Sha, now: UnixMillis) {
        self.record_push(head, now);
        self.head_state.is_cleared = true;
    }

    /// Records a request for a review to this reviewer.
    pub fn record_request(&mut self, name: &str, now: UnixMillis) {
        let asked = self.head_state.request_counts.entry(name.to_owned()).or_default();
        *asked = asked.saturating_add(1);
        self.head_state.start_wait(ReadinessWaitReason::Answer(name.to_owned()), now);
    }

    /// Records a request with unknown outcome. The request is retried until `MAX_FAILED_REQUESTS` requests
    /// have failed; then the reviewer counts as unreachable.
    pub fn record_request_failure(&mut self, name: &str, reason: impl Into<String>) {
        let failed = self.head_state.failed_request_counts.entry(name.to_owned()).or_default();
        *failed = failed.saturating_add(1);
        if *failed >= MAX_FAILED_REQUESTS {
            self.mark_unreachable(name, reason);
        }
    }

    /// Records that requests to this reviewer are impossible in this run.
    pub fn mark_unreachable(&mut self, name: &str, reason: impl Into<String>) {
        self.unreachable.insert(name.to_owned(), reason.into());
    }

    /// Records that the pull request was marked ready.
    pub fn record_ready_mark(&mut self) {
        self.head_state.is_marked = true;
    }

    /// Returns the next step.
    pub fn next_action(
        &mut self,
        rules: &ReadinessRules,
        snapshot: &PullSnapshot,
        now: UnixMillis,
    ) -> ReadinessAction {
        match self.check_conditions(rules, snapshot, now) {
            Err(want) => want,
            Ok(notes) => ReadinessAction::Ready { notes },
        }
    }

    /// Evaluates the requirements in order, and stops at the first requirement that is not met.
    fn check_conditions(
        &mut self,
        rules: &ReadinessRules,
        snapshot: &PullSnapshot,
        now: UnixMillis,
    ) -> Result<Vec<String>, ReadinessAction> {
        self.check_changes(snapshot, now)?;
        let mut notes = Vec::new();
        for reviewer in &rules.reviewers {
            match reviewer {
                RequiredReviewer::Internal if self.head_state.is_cleared => {}
                RequiredReviewer::Internal => return Err(ReadinessAction::AuditHead),
                RequiredReviewer::External(rule) => {
                    self.check_unanswered_feedback(snapshot, now)?;
                    notes.extend(self.check_reviewer(rules, rule, snapshot, now)?);
                }
            }
        }
        self.check_unanswered_feedback(snapshot, now)?;
        check_threads(rules, snapshot)?;
        notes.extend(self.check_mergeability(rules, snapshot, now)?);
        notes.extend(self.check_ready_mark(rules, snapshot)?);
        Ok(notes)
    }

    /// Detects changes to the pull request by other accounts.
    fn check_changes(&mut self, snapshot: &PullSnapshot, now: UnixMillis) -> Result<(), ReadinessAction> {
        match snapshot.state {
            PullState::Merged => return exit_with(ConvergeExitCode::Closed, "it was merged"),
            PullState::Closed => return exit_with(ConvergeExitCode::Closed, "it was closed"),
            PullState::Open => self.was_open = true,
            PullState::Draft => {}
        }
        if snapshot.head == self.head_state.head && snapshot.base == self.base {
            return Ok(());
        }
        let is_stale = self.previous_head.as_ref() == Some(&snapshot.head)
            && now < self.head_state.known_since + HEAD_SETTLE_TIME;
        if is_stale && snapshot.base == self.base {
            return Err(wait_action(now + MERGE_POLL_INTERVAL, ReadinessWaitReason::Settling, now));
        }
        if self.is_updating && snapshot.base == self.base {
            self.record_push(&snapshot.head, now);
            self.updated = Some(snapshot.head.clone());
            return Ok(());
        }
        if snapshot.head != self.head_state.head {
            self.head_state = HeadReadiness::new(snapshot.head.clone(), now);
        }
        // A different base means a different change, so the audit's clearance no longer counts. Requests to
        // reviewers at this head still count.
        (self.head_state.is_cleared, self.head_state.is_marked) = (false, false);
        self.base.clone_from(&snapshot.base);
        self.previous_head = None;
        self.moves = self.moves.saturating_add(1);
        if self.moves > MAX_FOREIGN_HEADS {
            let reason = format!(
                "other accounts have pushed {} times during this run: run converge again after their last \
                    push",
                self.moves
            );
            return exit_with(ConvergeExitCode::HeadMoved, reason);
        }
        Ok(())
    }

    /// Passes on unanswered feedback before any other step. While others wait for a reply, Truing does not
    /// request reviews and does not wait for reviews.
    fn check_unanswered_feedback(
        &mut self,
        snapshot: &PullSnapshot,
        now: UnixMillis,
    ) -> Result<(), ReadinessAction> {
        // The earlier of the two times is used, because the committer's clock may be wrong.
        let settled = snapshot.committed.min(self.head_state.known_since) + HEAD_SETTLE_TIME;
        if now < settled {
            return Err(wait_action(settled, ReadinessWaitReason::Settling, now));
        }
        let handed = &mut self.head_state.handed;
        let threads = snapshot
            .threads
            .iter()
            .filter(|thread| thread.is_relevant() && thread.last_comment == LastComment::ByOtherAccount);
        let reviews = snapshot
            .reviewer_feedback
            .iter()
            .filter(|(_, view)| view.verdict(false) == ReviewerVerdict::ChangesRequested);
        let work = UnansweredFeedback {
            threads: threads
                .map(|thread| &thread.id)
                .filter(|id| !handed.threads.contains(*id))
                .cloned()
                .collect(),
            reviews: reviews
                .map(|(name, _)| name)
                .filter(|name| !handed.reviews.contains(*name))
                .cloned()
                .collect(),
        };
        if work.is_empty() {
            return Ok(());
        }
        handed.threads.extend(work.threads.iter().cloned());
        handed.reviews.extend(work.reviews.iter().cloned());
        Err(ReadinessAction::Fix(work))
    }

    /// Evaluates one reviewer. Returns a note if the run continues although this reviewer's review is missing
    /// or was declined.
    fn check_reviewer(
        &mut self,
        rules: &ReadinessRules,
        rule: &ExternalReviewer,
        snapshot: &PullSnapshot,
        now: UnixMillis,
    ) -> Result<Option<String>, ReadinessAction> {
        let name = &rule.name;
        let feedback = snapshot.reviewer_feedback.get(name).cloned().unwrap_or_default();
        let verdict = feedback.verdict(self.head_state.is_proven(name, &feedback));
        // The feedback was already passed on, but led to no change.
        let is_declined = self.head_state.handed.reviews.contains(name);
        match verdict {
            ReviewerVerdict::Satisfied => Ok(None),
            ReviewerVerdict::ChangesRequested | ReviewerVerdict::CommentsMissing
                if is_declined && rules.allow_declined =>
            {
                Ok(Some(format!("the changes that {name} requested were declined")))
            }
            ReviewerVerdict::CommentsMissing if !is_declined => {
                self.wait_for_comments(rules, name, feedback.may_hold_findings(), now)
            }
            ReviewerVerdict::ChangesRequested | ReviewerVerdict::CommentsMissing => {
                let reason = format!(
                    "the changes that {name} requested were declined: make them, or set \
                    `allow_declined`"
                );
                exit_with(ConvergeExitCode::Declined, reason)
            }
            ReviewerVerdict::Queued => self.handle_missing_review(rules, rule, &feedback, false, false, now),
            // The acknowledged request may refer to another head, so Truing also sends its own request once.
            ReviewerVerdict::Acknowledged => {
                let is_asked = self.head_state.request_counts.contains_key(name);
                self.handle_missing_review(rules, rule, &feedback, false, !is_asked, now)
            }
            ReviewerVerdict::Unproven | ReviewerVerdict::Silent => {
                self.handle_missing_review(rules, rule, &feedback, true, true, now)
            }
        }
    }

    /// Handles a reviewer that reports findings but has no comments on lines. If `may_hold_findings` is true,
    /// the text of the review may itself contain the findings.
    fn wait_for_comments(
        &mut self,
        rules: &ReadinessRules,
        name: &str,
        may_hold_findings: bool,
        now: UnixMillis,
    ) -> Result<Option<String>, ReadinessAction> {
        let next = now + MAX_COMMENT_CHECK_INTERVAL.min(rules.poll);
        let lag = self
            .head_state
            .lags
            .entry(name.to_owned())
            .or_insert(ReviewerLag { check_count: 0, next_check_at: next });
        if now >= lag.next_check_at {
            *lag = ReviewerLag { check_count: lag.check_count.saturating_add(1), next_check_at: next };
        }
        if lag.check_count >= rules.inline_lag_max && may_hold_findings {
            let reviews = BTreeSet::from([name.to_owned()]);
            self.head_state.handed.reviews.extend(reviews.iter().cloned());
            return Err(ReadinessAction::Fix(UnansweredFeedback {
                reviews,
                ..UnansweredFeedback::default()
            }));
        }
        if lag.check_count >= rules.inline_lag_max {
            let reason = format!("{name} reports findings, but posted no comment on a line");
            return exit_with(ConvergeExitCode::InlineLag, reason);
        }
        Err(wait_action(lag.next_check_at, ReadinessWaitReason::Inline(name.to_owned()), now))
    }

    /// Handles a reviewer without a proven response for this head. `may_request_now` permits an immediate
    /// request, and `may_request_after_wait` permits a request after a full wait.
    fn handle_missing_review(
        &mut self,
        rules: &ReadinessRules,
        rule: &ExternalReviewer,
        feedback: &ReviewerFeedback,
        may_request_now: bool,
        may_request_after_wait: bool,
        now: UnixMillis,
    ) -> Result<Option<String>, ReadinessAction> {
        let name = &rule.name;
        if let Some(reason) = self.unreachable.get(name) {
            return skip_reviewer(rule, format!("cannot request a review from {name}: {reason}"));
        }
        let reason = ReadinessWaitReason::Answer(name.clone());
        let asked = self.head_state.request_counts.get(name).copied().unwrap_or(0);
        let is_left = asked < rule.requests;
        let is_unproven = feedback.review.is_some() && !self.head_state.is_proven(name, feedback);
        match self.head_state.waiting_since(&reason) {
            None if may_request_now && is_left => {
                return Err(self.head_state.request_review(name, feedback));
            }
            None => self.head_state.start_wait(reason.clone(), now),
            Some(since) if now < since + rule.budget => {}
            Some(_) if may_request_after_wait && is_left => {
                return Err(self.head_state.request_review(name, feedback));
            }
            Some(_) => {
                let head = self.head_state.head.short_sha();
                let missing = if is_unproven {
                    format!(
                        "{name} reviewed, but it is not proven that it read {head}: the review names no \
                            commit, and Truing had not requested it for {head}"
                    )
                } else {
                    format!("{name} did not review {head}")
                };
                return skip_reviewer(rule, missing);
            }
        }
        let since = self.head_state.waiting_since(&reason).unwrap_or(now);
        let first = if asked > 0 { since + rules.poll_after_trigger } else { since };
        let shown_reason = if is_unproven { ReadinessWaitReason::Proof(name.clone()) } else { reason };
        Err(wait_action(first.max(now + rules.poll).min(since + rule.budget), shown_reason, now))
    }

    /// Evaluates the mergeability. Returns a note if only reviews that the base branch requires are missing.
    fn check_mergeability(
        &mut self,
        rules: &ReadinessRules,
        snapshot: &PullSnapshot,
        now: UnixMillis,
    ) -> Result<Option<String>, ReadinessAction> {
        if self.is_updating && matches!(snapshot.merge, MergeableState::Dirty | MergeableState::Behind) {
            // The forge confirms the request before it performs the merge, so the old mergeability may remain
            // visible for some time.
            let reason = ReadinessWaitReason::Merge;
            self.head_state.wait_up_to(reason, MERGE_POLL_INTERVAL, MERGEABILITY_TIMEOUT, now)?;
            self.is_updating = false;
        }
        let is_ready = match snapshot.merge {
            MergeableState::Clean | MergeableState::HasHooks => return Ok(None),
            MergeableState::Unknown => false,
            MergeableState::Dirty | MergeableState::Behind
                if rules.auto_rebase && self.updates < MAX_BASE_MERGES =>
            {
                self.updates = self.updates.saturating_add(1);
                self.is_updating = true;
                return Err(ReadinessAction::UpdateBranch);
            }
            MergeableState::Dirty => {
                let reason = format!(
                    "the branch conflicts with its base {}: merge the base into the branch",
                    self.base_name()
                );
                return exit_with(ConvergeExitCode::Mergeability, reason);
            }
            MergeableState::Behind => {
                let reason = format!(
                    "the branch is behind its base {}: merge the base into the branch",
                    self.base_name()
                );
                return exit_with(ConvergeExitCode::Mergeability, reason);
            }
            MergeableState::Draft => true,
            // A missing required review is no obstacle, because people are asked for reviews only after the
            // pull request is ready. A later run on the ready pull request must also end as ready.
            MergeableState::Blocked => snapshot.lacks_review,
            MergeableState::Unstable => false,
        };
        if snapshot.merge != MergeableState::Unknown && !snapshot.failed_checks.is_empty() {
            return exit_with(
                ConvergeExitCode::Mergeability,
                format!("checks failed: {}", join_names(&snapshot.failed_checks)),
            );
        }
        if snapshot.merge != MergeableState::Unknown && !snapshot.pending.is_empty() {
            self.head_state.wait_up_to(ReadinessWaitReason::Checks, rules.poll, CHECKS_TIMEOUT, now)?;
            let reason = format!("checks did not finish within an hour: {}", join_names(&snapshot.pending));
            return exit_with(ConvergeExitCode::Mergeability, reason);
        }
        if is_ready {
            return Ok(snapshot
                .lacks_review
                .then(|| "a review that the rules of the base branch require is missing".to_owned()));
        }
        // No known fact explains this state, but the forge may still update it.
        self.head_state.wait_up_to(
            ReadinessWaitReason::Merge,
            MERGE_POLL_INTERVAL,
            MERGEABILITY_TIMEOUT,
            now,
        )?;
        let reason = match snapshot.merge {
            MergeableState::Blocked => "the rules of the base branch do not allow the merge",
            MergeableState::Unstable => {
                "the forge reports the pull request as unstable, but names no failing check"
            }
            MergeableState::Unknown
            | MergeableState::Clean
            | MergeableState::HasHooks
            | MergeableState::Behind
            | MergeableState::Dirty
            | MergeableState::Draft => "the forge does not report whether the pull request can be merged",
        };
        exit_with(ConvergeExitCode::Mergeability, reason)
    }

    fn base_name(&self) -> String {
        crate::line::clean_line(&self.base, MAX_NAME_CHARS)
    }

    /// Returns the step that marks the pull request ready, if the mark is missing. If a user has converted
    /// the pull request to a draft again, returns a note instead.
    fn check_ready_mark(
        &self,
        rules: &ReadinessRules,
        snapshot: &PullSnapshot,
    ) -> Result<Option<String>, ReadinessAction> {
        if snapshot.state != PullState::Draft || self.head_state.is_marked || !rules.mark_ready {
            return Ok(None);
        }
        if self.was_open {
            return Ok(Some("the pull request was converted back to a draft and remains a draft".to_owned()));
        }
        Err(ReadinessAction::MarkReady)
    }
}

/// Ends the wait for a reviewer. Ends the run if the reviewer is required, and returns a note otherwise.
fn skip_reviewer(rule: &ExternalReviewer, reason: String) -> Result<Option<String>, ReadinessAction> {
    if rule.is_required { exit_with(ConvergeExitCode::ReviewerSilent, reason) } else { Ok(Some(reason)) }
}

/// Ends the run if threads are open that the configuration requires to be resolved. Feedback without a reply
/// was already passed on for fixing.
fn check_threads(rules: &ReadinessRules, snapshot: &PullSnapshot) -> Result<(), ReadinessAction> {
    let open = |last| {
        snapshot.threads.iter().filter(|thread| thread.is_relevant() && thread.last_comment == last).count()
    };
    let (theirs, fixed, declined) =
        (open(LastComment::ByOtherAccount), open(LastComment::ReportsFix), open(LastComment::Declined));
    let reason = if theirs > 0 {
        format!("Truing has not replied to {}", format_count(theirs, "open thread"))
    } else if declined > 0 && !rules.allow_declined {
        let open = format_count(declined, "open thread");
        format!("declined findings still have {open}: fix the findings, or set `allow_declined`")
    } else if fixed > 0 && rules.resolve_threads {
        format!("{} opened again, although the findings are fixed", format_count(fixed, "thread"))
    } else {
        return Ok(());
    };
    exit_with(ConvergeExitCode::Threads, reason)
}

/// Joins names that others chose. Cleans each name, and limits the number of names.
fn join_names(names: &[String]) -> String {
    let shown_names: Vec<String> =
        names.iter().take(MAX_LISTED_CHECKS).map(|name| clean_line(name, MAX_NAME_CHARS)).collect();
    let rest = names.len().saturating_sub(shown_names.len());
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", shown_names.join(", "))
}
