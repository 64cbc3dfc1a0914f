//! The part of a run after its own audit: other reviewers, their threads, mergeability, and the mark as
//! ready. This module reads the state of the pull request, `truing_core::converge::readiness` decides the
//! next action, and this module performs it.
//!
//! The next fix also fixes the findings of other reviewers. The answers to these findings are written in the
//! reviewers' threads. The texts of reviewers are untrusted data: a fixer receives them as findings, and
//! nothing else depends on them.

// long: the steps of one converge run, in their order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use truing_config::converge::{ConfiguredReviewer, ConvergeConfig, ReviewerConfig, ReviewerTrigger};
use truing_core::converge::readiness::{
    ExternalReviewer, HEAD_SETTLE_TIME, MergeableState as Mergeable, PullReadiness, PullSnapshot,
    ReadinessAction, ReadinessRules, RequiredReviewer as Who, UnansweredFeedback,
};
use truing_core::converge::{AuditorFinding, ConvergeEvent, ConvergeExit, ConvergeExitCode};
use truing_core::effect::{Effect, EffectKind};
use truing_core::id::{FencingToken, Sha, TimeSpan, Topic, UnixMillis};
use truing_core::increment::FileRenames;
use truing_core::line;
use truing_core::port::{
    Actor, CheckState, Clock as _, ConversationComment, ForgeRead as _, LineComment, PullReview,
    PullReviewDecision, ReviewThread, RunStore, StoreError,
};
use truing_core::slot::WaitReason;
use truing_diff::RepoPath;
use truing_forge::ForgeServer as _;
use truing_forge::effects::EffectError;

mod head_review;
mod reviewer_feedback;

use self::head_review::newest_head_review;
use self::reviewer_feedback::{
    is_own_comment, review_submission, should_resolve_thread, summarise_feedback, unresolved_thread,
};
use super::pull::{
    PullRequestWorkspace, effect_error, finding_topic, forge_error, pauses_run, retain_own_comments,
};
use super::reviewer_comments::{MAX_TITLE_CHARS, REVIEWER_RULE_PREFIX, finding_from_comment};
use super::{ActError, ConvergeCallOutcome, ConvergeRunner, RunObserver};
use crate::machine::SystemClock;

/// Maximum number of consecutive checks without a wait, if the head changes during each check.
const MAX_CONSECUTIVE_CHECKS: u32 = 3;
/// The next action on a pull request.
#[derive(Clone, PartialEq, Eq, Debug)]
enum NextAction {
    /// Wait until this time before the next check, for the given reason.
    Wait(UnixMillis, String),
    /// The run's own audit must check this head next.
    AuditHead(Sha),
    /// Apply this event, and continue the run.
    ApplyEvent(Box<ConvergeEvent>),
    /// Check the pull request again, because an action has changed it.
    CheckAgain,
    /// The run has ended.
    End(ConvergeExit),
    /// All reviewers are satisfied, so the pull request can be marked as ready. The notices are for people.
    MarkReady(Vec<String>),
}

/// Returns the readiness rules that the configuration sets.
fn readiness_rules(config: &ConvergeConfig) -> ReadinessRules {
    let rule = |other: &ReviewerConfig| ExternalReviewer {
        name: other.name.clone(),
        is_required: other.required,
        budget: to_time_span(other.response_timeout),
        requests: if other.trigger == ReviewerTrigger::Nothing { 0 } else { other.max_requests },
    };
    let who = |reviewer: &ConfiguredReviewer| match reviewer {
        ConfiguredReviewer::Internal => Who::Internal,
        ConfiguredReviewer::External(other) => Who::External(rule(other)),
    };
    ReadinessRules {
        reviewers: config.reviewers.iter().map(who).collect(),
        poll: to_time_span(config.poll_interval),
        poll_after_trigger: to_time_span(config.first_poll_delay),
        inline_lag_max: config.max_inline_comment_checks,
        resolve_threads: config.resolve_threads,
        allow_declined: config.limits.allow_declined,
        mark_ready: config.mark_ready,
        auto_rebase: config.allows_base_merge,
    }
}

fn to_time_span(time: Duration) -> TimeSpan {
    TimeSpan(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
}

/// The state of a pull request at the forge, and the threads and reviews that the state was computed from.
struct PullRequestObservation {
    snapshot: PullSnapshot,
    threads: Vec<ReviewThread>,
    reviews: Vec<PullReview>,
}

/// A run on a pull request.
pub struct PullRequestRunner<'a> {
    /// The runner that performs the run's acts.
    pub runner: ConvergeRunner<'a>,
    /// The pull request that the run works on.
    pub workspace: &'a PullRequestWorkspace<'a>,
}

impl PullRequestRunner<'_> {
    /// Continues the run until all reviewers are satisfied and the pull request is ready. Returns earlier if
    /// the run ends, has to wait, or has performed all the acts that the mode permits. The run is saved after
    /// every action and before every wait.
    ///
    /// # Errors
    /// [`StoreError`]: the last action was not saved.
    #[truing_core::boxed_future]
    pub async fn run_until_ready(
        &mut self,
        store: &dyn RunStore,
        token: FencingToken,
        observer: &dyn RunObserver,
    ) -> Result<ConvergeCallOutcome, StoreError> {
        let is_busy = self.runner.record.detail.state.exit.is_none()
            && !self.runner.record.detail.state.accepts_feedback();
        let mut left = if is_busy {
            self.runner.run(store, token, observer).await?
        } else {
            ConvergeCallOutcome::NoFurtherAct
        };
        while left == ConvergeCallOutcome::NoFurtherAct
            && self.runner.record.detail.state.accepts_feedback()
            && !self.runner.record.detail.state.audits_only
        {
            self.runner.record.detail.is_pursued = true;
            let next = match Box::pin(self.next_action(SystemClock.now())).await {
                Ok(next) => next,
                Err(ActError::Store(error)) => return Err(error),
                // If a check fails, earlier results remain valid.
                Err(stop) => {
                    self.runner.closed_gate_exit(&stop)?;
                    match self.outcome_after_error(stop) {
                        Ok(left) => {
                            store.store_converge_record(token, &self.runner.record).await?;
                            return Ok(left);
                        }
                        Err(exit) => NextAction::End(exit),
                    }
                }
            };
            self.runner.record.detail.put_off = 0;
            let before = self.runner.record.detail.state.log.len();
            let state = &mut self.runner.record.detail.state;
            match next {
                NextAction::AuditHead(head) => {
                    if let Err(stop) = self.record_head_to_audit(head).await {
                        match self.outcome_after_error(stop) {
                            Ok(left) => return Ok(left),
                            Err(exit) => {
                                self.runner.record.detail.state.exit = Some(exit);
                                self.runner.record.detail.is_pursued = false;
                                store.store_converge_record(token, &self.runner.record).await?;
                                return Ok(ConvergeCallOutcome::NoFurtherAct);
                            }
                        }
                    }
                    observer.on_log_update(&self.runner.record, before).await;
                    left = self.runner.run(store, token, observer).await?;
                    continue;
                }
                NextAction::ApplyEvent(event) => match state.apply_event(*event) {
                    Ok(()) => {
                        observer.on_log_update(&self.runner.record, before).await;
                        left = self.runner.run(store, token, observer).await?;
                        continue;
                    }
                    Err(unexpected) => {
                        state.exit =
                            Some(ConvergeExit::new(ConvergeExitCode::Infrastructure, unexpected.to_string()));
                    }
                },
                NextAction::CheckAgain => {}
                NextAction::Wait(until, what) => {
                    store.store_converge_record(token, &self.runner.record).await?;
                    return Ok(ConvergeCallOutcome::WaitUntil(until, WaitReason::Reviewer, what));
                }
                NextAction::End(exit) => {
                    state.exit = Some(exit);
                    self.runner.record.detail.is_pursued = false;
                }
                NextAction::MarkReady(notes) => {
                    self.runner.record.detail.is_pursued = false;
                    let head = self.runner.record.detail.state.head.short_sha();
                    let clean = if notes.is_empty() {
                        format!("every reviewer accepts {head}")
                    } else {
                        format!("no required reviewer objects to {head}")
                    };
                    self.runner
                        .record
                        .detail
                        .state
                        .exit
                        .get_or_insert_with(|| ConvergeExit::new(ConvergeExitCode::Clean, clean));
                    for note in notes {
                        self.runner.record.warn(note);
                    }
                    store.store_converge_record(token, &self.runner.record).await?;
                    return Ok(ConvergeCallOutcome::NoFurtherAct);
                }
            }
            store.store_converge_record(token, &self.runner.record).await?;
        }
        Ok(left)
    }

    /// Returns the outcome of the call after an error. If the error ends the run, returns the run's exit
    /// instead.
    fn outcome_after_error(&mut self, error: ActError) -> Result<ConvergeCallOutcome, ConvergeExit> {
        if let Some(left) = self.runner.temporary_error_wait(&error) {
            return Ok(left);
        }
        let exit = error.exit();
        if let ActError::CannotContinue { unmerged_commits: unreached, .. } = error {
            self.runner.record.detail.unreached = unreached;
            return Err(exit);
        }
        Ok(ConvergeCallOutcome::CannotContinue(exit))
    }

    /// Records the head that the run's own audit has to check next.
    async fn record_head_to_audit(&mut self, head: Sha) -> Result<(), ActError> {
        if self.runner.record.detail.state.exit.is_none() && self.runner.record.detail.state.head == head {
            return Ok(());
        }
        let is_update = self
            .runner
            .record
            .detail
            .readiness
            .as_ref()
            .is_some_and(|known| known.is_requested_base_merge(&head));
        self.record_new_head(head, is_update).await
    }

    /// Records a new head. If `is_requested_base_merge` is true, the forge created the head at our request;
    /// otherwise, another person pushed the head.
    async fn record_new_head(&mut self, head: Sha, is_requested_base_merge: bool) -> Result<(), ActError> {
        let tree = self.runner.record_head_base(&head).await?;
        let event = if is_requested_base_merge {
            ConvergeEvent::BaseMerged { head, tree }
        } else {
            ConvergeEvent::HeadChanged { head, tree }
        };
        self.runner
            .record
            .detail
            .state
            .apply_event(event)
            .map_err(|unexpected| ActError::Model(unexpected.to_string()))
    }

    /// Checks the pull request once and acts on the result.
    ///
    /// # Errors
    /// [`ActError`]
    async fn next_action(&mut self, now: UnixMillis) -> Result<NextAction, ActError> {
        self.runner.check_write_gate().await?;
        let others: Vec<&ReviewerConfig> = external_reviewers(self.runner.config).collect();
        let mut rules = readiness_rules(self.runner.config);
        let mut look = None;
        for _ in 0..MAX_CONSECUTIVE_CHECKS {
            look = self.load_observation(&others, now).await?;
            if look.is_some() {
                break;
            }
        }
        let Some(mut look) = look else {
            let until = UnixMillis(now.0.saturating_add(rules.poll.0));
            let what = "the head of the pull request changed during each check".to_owned();
            return Ok(NextAction::Wait(until, what));
        };
        // The capability is read only now, because the version of a Data Center server is unknown before the
        // first response.
        rules.mark_ready &= self.workspace.server.capability().drafts;
        let head = self.runner.record.detail.state.head.clone();
        let base = self.workspace.target_branch.to_owned();
        let mut readiness = self
            .runner
            .record
            .detail
            .readiness
            .clone()
            .unwrap_or_else(|| PullReadiness::new(head.clone(), base, now));
        if self.runner.record.detail.state.exit.is_some() && look.snapshot.head == head {
            readiness.record_clearance(&head, now);
            self.resolve_own_threads(&mut look).await?;
        }
        rules.resolve_threads &= self.workspace.effects.denial_reason(EffectKind::Resolve).is_none();
        let want = readiness.next_action(&rules, &look.snapshot, now);
        let next = match want {
            ReadinessAction::AuditHead => NextAction::AuditHead(look.snapshot.head),
            ReadinessAction::RequestReview(name) => {
                self.workspace.ensure_open(&self.runner.record).await?;
                let asked = match others.iter().find(|other| other.name == name) {
                    Some(other) => self.ask_reviewer(other, &look.snapshot.head).await,
                    None => Ok(()),
                };
                let error_line = |error: &EffectError| line::clean_line(&error.to_string(), MAX_TITLE_CHARS);
                match asked {
                    Ok(()) => {
                        readiness.record_request(&name, now);
                        NextAction::CheckAgain
                    }
                    Err(error) if pauses_run(&error) => return Err(effect_error(error)),
                    Err(error @ EffectError::Refused(_)) => {
                        readiness.mark_unreachable(&name, error_line(&error));
                        NextAction::CheckAgain
                    }
                    // The forge may have received the request, so the retry checks if the request already
                    // exists.
                    Err(error) => {
                        readiness.record_request_failure(&name, error_line(&error));
                        NextAction::Wait(
                            now + rules.poll,
                            format!("cannot request a review by {name}: {}", error_line(&error)),
                        )
                    }
                }
            }
            ReadinessAction::Wait { until, reason } => NextAction::Wait(until, reason.to_string()),
            ReadinessAction::Fix(work) => {
                let head = &look.snapshot.head;
                if self.runner.record.detail.state.head != *head {
                    self.record_new_head(head.clone(), readiness.is_requested_base_merge(head)).await?;
                }
                match self.convert_feedback(&work, &look).await? {
                    // None of these threads is by a configured reviewer. The pull request is checked again,
                    // and the next reviewer is called.
                    findings if findings.is_empty() => NextAction::CheckAgain,
                    findings => NextAction::ApplyEvent(Box::new(ConvergeEvent::FeedbackReceived {
                        findings,
                        renames: FileRenames::default(),
                    })),
                }
            }
            ReadinessAction::UpdateBranch => {
                match self.workspace.update_branch(&self.runner.record, &look.snapshot.head).await? {
                    Some(exit) => NextAction::End(exit),
                    None => NextAction::CheckAgain,
                }
            }
            ReadinessAction::MarkReady => {
                self.workspace.ensure_open(&self.runner.record).await?;
                self.workspace.effects.perform(&Effect::MarkReady).await.map_err(effect_error)?;
                readiness.record_ready_mark();
                NextAction::CheckAgain
            }
            ReadinessAction::Ready { notes } => NextAction::MarkReady(notes),
            ReadinessAction::End(exit) => NextAction::End(exit),
        };
        self.runner.record.detail.readiness = Some(readiness);
        Ok(next)
    }

    /// Resolves our threads on findings that the clean audit of the current head no longer reports. The
    /// threads may belong to other runs, and people may have fixed the findings. If the last comment of a
    /// thread is by another person, the thread stays open.
    async fn resolve_own_threads(
        &mut self,
        observation: &mut PullRequestObservation,
    ) -> Result<(), ActError> {
        let state = &self.runner.record.detail.state;
        let standing: BTreeSet<Topic> = state
            .findings
            .iter()
            .chain(state.history.declined_findings())
            .map(|finding| finding_topic(&finding.id))
            .collect();
        let dismissed: BTreeSet<Topic> =
            state.history.dismissed_findings().map(|finding| finding_topic(&finding.id)).collect();
        for thread in &observation.threads {
            let (Some(known), true) = (&thread.thread, should_resolve_thread(thread, &standing, &dismissed))
            else {
                continue;
            };
            let resolved = if self.workspace.resolves_fixed_threads {
                self.workspace.ensure_open(&self.runner.record).await?;
                let resolve = Effect::Resolve { thread: known.id.clone() };
                self.workspace.effects.perform(&resolve).await.map(drop)
            } else {
                Ok(())
            };
            match resolved {
                Ok(()) => observation.snapshot.threads.retain(|seen| seen.id != known.id),
                Err(error @ EffectError::Refused(_)) if !pauses_run(&error) => {
                    self.runner.record.warn(format!("could not resolve a thread: {error}"));
                }
                Err(error) => return Err(effect_error(error)),
            }
        }
        Ok(())
    }

    async fn ask_reviewer(&mut self, reviewer: &ReviewerConfig, head: &Sha) -> Result<(), EffectError> {
        match &reviewer.trigger {
            ReviewerTrigger::Nothing => Ok(()),
            ReviewerTrigger::Request => match reviewer.logins.first() {
                Some(login) => {
                    let request = Effect::RequestReview { login: login.clone() };
                    self.workspace.effects.perform(&request).await.map(drop)
                }
                None => Ok(()),
            },
            ReviewerTrigger::Comment(text) => {
                let own_comments = retain_own_comments(self.workspace.forge.matching_comments(text).await?);
                let known =
                    self.runner.record.detail.wakes.get(&reviewer.name).map_or(0, |(known, _)| *known);
                self.workspace.trigger_reviewer(text, &own_comments, known).await?;
                let (many, head) = (known.saturating_add(1).max(own_comments.len()), head.clone());
                self.runner.record.detail.wakes.insert(reviewer.name.clone(), (many, head));
                Ok(())
            }
        }
    }

    /// Reads the complete state of the pull request for one head. Returns `None` if the head changed during
    /// the read.
    async fn load_observation(
        &mut self,
        external_reviewers: &[&ReviewerConfig],
        now: UnixMillis,
    ) -> Result<Option<PullRequestObservation>, ActError> {
        let client = self.workspace.forge;
        // Settle time for a new head is needed only if there are other reviewers to wait for. If the operator
        // has set a short `poll`, there is no settle time.
        let settles = !external_reviewers.is_empty()
            && to_time_span(self.runner.config.poll_interval) >= HEAD_SETTLE_TIME;
        let unique = self.workspace.server.capability().has_unique_account_names;
        let pull = client.pull_details().await.map_err(forge_error)?;
        self.workspace.check_details_open(&self.runner.record, &pull).await?;
        self.workspace.check_not_stopped().await?;
        let merge = client.merge_state().await.map_err(forge_error)?;
        let checks = client.checks(&pull.head.sha).await.map_err(forge_error)?;
        let threads = client.threads().await.map_err(forge_error)?;
        let reviews = if external_reviewers.is_empty() {
            Vec::new()
        } else {
            client.reviews().await.map_err(forge_error)?
        };
        let mut views = BTreeMap::new();
        for other in external_reviewers {
            let newest = newest_head_review(&reviews, &threads, other, &pull.head.sha, unique);
            let queued = match &other.trigger {
                ReviewerTrigger::Nothing => false,
                ReviewerTrigger::Request => {
                    pull.requested_reviewers.iter().any(|asked| is_reviewer_account(asked, other, unique))
                }
                ReviewerTrigger::Comment(text) => {
                    let matching = client.matching_comments(text).await.map_err(forge_error)?;
                    let is_theirs =
                        |review: &&PullReview| is_by_reviewer(review.author.as_ref(), other, unique);
                    let answered =
                        reviews.iter().filter(is_theirs).filter_map(|review| review.submitted_at).max();
                    let many = retain_own_comments(matching.clone()).len();
                    let begun = (many, pull.head.sha.clone());
                    let asked = self.runner.record.detail.wakes.entry(other.name.clone()).or_insert(begun);
                    match pending_review_request(&matching, answered, asked, many, &pull.head.sha) {
                        Some(newest) => {
                            self.workspace.has_reviewer_started(&newest.id).await.map_err(forge_error)?
                        }
                        None => false,
                    }
                }
            };
            let mut view = summarise_feedback(other, newest, &threads, &checks, queued);
            let theirs =
                reviews.iter().filter(|review| is_by_reviewer(review.author.as_ref(), other, unique));
            view.submissions = theirs.map(review_submission).collect();
            views.insert(other.name.clone(), view);
        }
        let again = client.pull_details().await.map_err(forge_error)?;
        if again.head.sha != pull.head.sha {
            return Ok(None);
        }
        let named = |state: CheckState| {
            checks.iter().filter(|check| check.state == state).map(|check| check.name.clone()).collect()
        };
        let snapshot = PullSnapshot {
            head: pull.head.sha,
            committed: if settles { now } else { UnixMillis(0) },
            base: pull.base_branch,
            state: pull.state,
            reviewer_feedback: views,
            threads: threads
                .iter()
                .filter_map(|thread| unresolved_thread(thread, external_reviewers, unique))
                .collect(),
            merge: if merge.has_conflicts == Some(true) { Mergeable::Dirty } else { merge.state },
            pending: named(CheckState::Pending),
            failed_checks: named(CheckState::Failed),
            lacks_review: merge.review_decision == Some(PullReviewDecision::Required),
        };
        Ok(Some(PullRequestObservation { snapshot, threads, reviews }))
    }

    /// Converts the comments of other reviewers to findings at the head.
    async fn convert_feedback(
        &self,
        feedback: &UnansweredFeedback,
        observation: &PullRequestObservation,
    ) -> Result<Vec<AuditorFinding>, ActError> {
        let mut claims = Vec::new();
        let listed: Vec<&ReviewerConfig> = external_reviewers(self.runner.config).collect();
        let unique = self.workspace.server.capability().has_unique_account_names;
        for thread in &observation.threads {
            if !thread.thread.as_ref().is_some_and(|known| feedback.threads.contains(&known.id)) {
                continue;
            }
            // Anyone can comment on a pull request, so a fixer receives only the text of configured
            // reviewers. Threads of other people stay open, so the pull request is not marked as ready.
            let author = thread.comments.first().and_then(|first| first.author.as_ref());
            if !listed.iter().any(|other| is_by_reviewer(author, other, unique)) {
                continue;
            }
            let (Some(first), Some(last)) = (thread.comments.first(), thread.comments.last()) else {
                continue;
            };
            let path = RepoPath::from_bytes(thread.path.as_bytes());
            let at = first.line.or(last.line);
            let text =
                self.runner.mirror.read_file(&observation.snapshot.head, &path).await?.unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let line = at.and_then(|at| text.lines().nth(usize::try_from(at).ok()?.checked_sub(1)?));
            let heard =
                thread.comments.iter().filter(|comment| is_relevant_comment(comment, &listed, unique));
            let bodies: Vec<&str> = heard.map(|comment| comment.body.as_str()).collect();
            let (rule, place) = (format!("{REVIEWER_RULE_PREFIX}{}", first.id), (path, at.unwrap_or(1)));
            claims.push(finding_from_comment(
                rule,
                place.0,
                place.1,
                line.unwrap_or_default(),
                &bodies.join("\n\n"),
            ));
        }
        for name in &feedback.reviews {
            let Some(reviewer) = listed.iter().find(|other| other.name == *name) else { continue };
            let PullRequestObservation { snapshot, threads, reviews } = observation;
            let newest = newest_head_review(reviews, threads, reviewer, &snapshot.head, unique);
            let Some(review) = newest.map(|newest| newest.review) else { continue };
            let place = (RepoPath::from_bytes(b"."), 1);
            claims.push(finding_from_comment(
                format!("{REVIEWER_RULE_PREFIX}{name}"),
                place.0,
                place.1,
                "",
                &review.body,
            ));
        }
        Ok(claims)
    }
}

impl ConvergeRunner<'_> {
    /// True if another reviewer is next in the configured order, before our own audit. After a push, the
    /// order begins again with the first reviewer.
    pub(super) fn has_reviewers_before_audit(&self) -> bool {
        let state = &self.record.detail.state;
        let is_first = matches!(self.config.reviewers.first(), Some(ConfiguredReviewer::Internal) | None);
        self.record.detail.is_pursued && !is_first && state.exit.is_none() && state.accepts_feedback()
    }
}

fn external_reviewers(config: &ConvergeConfig) -> impl Iterator<Item = &ReviewerConfig> {
    config.reviewers.iter().filter_map(|reviewer| match reviewer {
        ConfiguredReviewer::Internal => None,
        ConfiguredReviewer::External(other) => Some(other),
    })
}

/// True if the actor is one of the reviewer's accounts. If user names are not `unique`, only an id identifies
/// an account, and a name does not.
fn is_reviewer_account(actor: &Actor, reviewer: &ReviewerConfig, has_unique_names: bool) -> bool {
    reviewer.logins.iter().any(|called| actor.matches_name(called, has_unique_names))
}

/// True if the comment is by Truing or by a configured reviewer. Comments by other accounts are ignored.
fn is_relevant_comment(
    comment: &LineComment,
    external_reviewers: &[&ReviewerConfig],
    has_unique_names: bool,
) -> bool {
    is_own_comment(comment)
        || external_reviewers
            .iter()
            .any(|other| is_by_reviewer(comment.author.as_ref(), other, has_unique_names))
}

/// Returns the newest comment that calls a reviewer, if the reviewer may still be working on this call. The
/// author of the comment may be anyone. The comment is ignored if the reviewer answered after it, or if it is
/// our call for another head. `last_request` contains the number of our calls at the last request, and the
/// head at that time; `request_count` is the current number.
fn pending_review_request<'a>(
    comments: &'a [ConversationComment],
    last_answered_at: Option<UnixMillis>,
    last_request: &(usize, Sha),
    request_count: usize,
    head: &Sha,
) -> Option<&'a ConversationComment> {
    let newest = comments.last()?;
    let is_known =
        newest.author.as_ref().is_some_and(|author| author.is_own_account) && request_count <= last_request.0;
    let is_old =
        last_answered_at.is_some_and(|at| at >= newest.created) || is_known && last_request.1 != *head;
    (!is_old).then_some(newest)
}

fn is_by_reviewer(author: Option<&Actor>, reviewer: &ReviewerConfig, has_unique_names: bool) -> bool {
    author.is_some_and(|author| is_reviewer_account(author, reviewer, has_unique_names))
}
