//! Implements [`BranchWorkspace`] for a pull request.
//!
//! Each audit becomes one review, each finding one comment, and each fix one push. A push succeeds only if
//! the branch is still at the head that the fix was made for. Each finding of an audit gets one answer. The
//! answer "fixed" is written after a later audit no longer finds the defect.
//!
//! Each write is an effect that detects if it was already made, so repeating the write creates no duplicate.
//! If a review cannot be posted, one comment is posted instead. If this also fails, the run continues,
//! because its report contains all findings.

use async_trait::async_trait;
use truing_config::converge::{ConfiguredReviewer, ConvergeConfig, ReviewerTrigger};
use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeExit, ConvergeExitCode, FixCandidate};
use truing_core::effect::{Effect, EffectKind};
use truing_core::finding::{AnchorKind, Finding};
use truing_core::id::{CommentId, FindingId, Sha, TimeSpan, Topic, UnixMillis};
use truing_core::line;
use truing_core::port::{
    AuditMark, Clock as _, ConversationComment, ForgeError, ForgeRead as _, GateHalt, HeadRepository,
    LineComment, LineDraft, PullDetails, PullState, ReviewDraft, ReviewEvent, ReviewThread,
};
use truing_core::publish::ThreadState;
use truing_core::slot::WaitReason;
use truing_forge::effects::{EffectError, EffectExecutor};
use truing_forge::remote::{RemoteError, RemotePurpose};
use truing_forge::{AnyForgeServer, ForgeServer as _, RepositoryClient};
use truing_git::{GitError, Mirror, PushOutcome, PushRefusal, UnpushedCommit};

mod text;

use self::text::{finding_place, fixed_text, render_answer, render_comment, render_finding_line};
use super::reviewer_comments::REVIEWER_RULE_PREFIX;
use super::run_texts::{format_count, short_sha};
use super::{ActError, BranchWorkspace, PublishOutcome, StopRequests};
use crate::fetch;
use crate::machine::SystemClock;

/// The prefix of the topic of a finding's comment.
pub(crate) const FINDING_TOPIC_PREFIX: &str = Topic::FINDING_PREFIX;
/// The prefix of the topic of an answer to a finding, and the first word of an answer that reports a fix.
pub(super) const ANSWER_TOPIC_PREFIX: &str = "answer/";
pub(super) const FIX_REPORT_PREFIX: &str = "Fixed";
/// Maximum number of characters of a title and of a reason.
const MAX_LINE_CHARS: usize = 300;

/// The pull request that a run works on.
#[derive(Debug)]
pub struct PullRequestWorkspace<'a> {
    /// Client for the repository at the forge.
    pub forge: &'a RepositoryClient,
    /// Performs every write to the pull request, including pushes.
    pub effects: EffectExecutor<'a>,
    /// The mirror that contains the pull request's commits.
    pub mirror: &'a Mirror,
    /// Client for the forge's server.
    pub server: &'a AnyForgeServer,
    /// The id and the name of the repository that contains the pull request's branch.
    pub head_repository_ref: (&'a str, &'a str),
    /// The repository of the pull request's branch, as the forge reports it. The head is fetched from this
    /// repository.
    pub head_repository: Option<&'a HeadRepository>,
    /// The target branch of the pull request.
    pub target_branch: &'a str,
    /// The kind of review that is posted if an audit has findings.
    pub event: ReviewEvent,
    /// True if a finding's thread is resolved after the finding is fixed.
    pub resolves_fixed_threads: bool,
    /// The reason why nothing can be pushed; `None` if pushes are possible.
    pub read_only_reason: Option<String>,
    /// The comment that is written after each push; `None` if no comment is written: see
    /// [`comment_after_push`].
    pub post_push_comment: Option<&'static str>,
    /// Source of stop requests by people, checked before each act. `None` if the holder of the lease receives
    /// stop requests by other means.
    pub stop_requests: Option<&'a dyn StopRequests>,
}

/// The comment that makes Bugbot start a review. The comment must contain no other text.
const BUGBOT_TRIGGER_COMMENT: &str = "bugbot run";

/// Returns the comment that is written after each push; `None` if no such comment is configured. Also returns
/// `None` if the run already calls a configured reviewer with the same text.
pub fn comment_after_push(config: &ConvergeConfig) -> Option<&'static str> {
    let is_asked = config.reviewers.iter().any(|reviewer| match reviewer {
        ConfiguredReviewer::Internal => false,
        ConfiguredReviewer::External(other) => match &other.trigger {
            ReviewerTrigger::Comment(text) => text.trim() == BUGBOT_TRIGGER_COMMENT,
            ReviewerTrigger::Nothing | ReviewerTrigger::Request => false,
        },
    });
    (config.bugbot_retrigger && !is_asked).then_some(BUGBOT_TRIGGER_COMMENT)
}

/// The answer to a finding.
struct FindingReply<'a> {
    finding: &'a Finding,
    text: String,
    /// True if the answer reports that the finding is fixed.
    is_fixed: bool,
    /// Number of the fix that the answer refers to.
    fix_number: usize,
}

impl PullRequestWorkspace<'_> {
    /// Checks at the forge that the pull request is still open. This check is made before every write to the
    /// pull request.
    ///
    /// # Errors
    /// [`ActError::CannotContinue`] if the pull request is closed or merged.
    pub(super) async fn ensure_open(&self, record: &ConvergeRecord) -> Result<(), ActError> {
        let now = self.forge.pull_details().await.map_err(forge_error)?;
        self.check_details_open(record, &now).await
    }

    /// Checks that the pull request with these details is open.
    ///
    /// # Errors
    /// [`ActError::CannotContinue`] if the pull request is closed or merged. The error contains the fixes
    /// that were not merged.
    pub(super) async fn check_details_open(
        &self,
        record: &ConvergeRecord,
        details: &PullDetails,
    ) -> Result<(), ActError> {
        let is_merged = match details.state {
            PullState::Open | PullState::Draft => return Ok(()),
            PullState::Closed => false,
            PullState::Merged => true,
        };
        let state = &record.detail.state;
        let made = state.candidate.iter().map(|candidate| &candidate.commit);
        let mut unreached = Vec::new();
        for commit in state.commits.iter().chain(made) {
            let is_in_it = is_merged && self.head_contains(&details.head.sha, commit).await;
            if !(is_in_it || unreached.contains(commit)) {
                unreached.push(commit.clone());
            }
        }
        let mut reason = format!("{} is {}", details.url, if is_merged { "merged" } else { "closed" });
        if !unreached.is_empty() {
            let named: Vec<&str> = unreached.iter().map(short_sha).collect();
            let commits = format_count(unreached.len(), "commit");
            let how = if is_merged { "without" } else { "with" };
            reason += &format!(", {how} {commits} of this run that are not merged: {}", named.join(", "));
        }
        let exit = ConvergeExit::new(ConvergeExitCode::Closed, line::clean_line(&reason, MAX_LINE_CHARS));
        Err(ActError::CannotContinue { exit, unmerged_commits: unreached })
    }

    /// Returns an error if a person has stopped the run.
    ///
    /// # Errors
    /// [`ActError::StoppedByUser`]: a person has stopped the run.
    pub(super) async fn check_not_stopped(&self) -> Result<(), ActError> {
        let Some(stops) = self.stop_requests else { return Ok(()) };
        match stops.stop_requester().await.map_err(forge_error)? {
            Some(why) => Err(ActError::StoppedByUser(why)),
            None => Ok(()),
        }
    }

    /// Fetches a head from its repository, and other commits from the target repository.
    pub(super) async fn fetch(&self, head: &Sha, other_commits: &[Sha]) -> Result<(), GitError> {
        fetch::fetch_commits(self.server, self.mirror, head, self.head_repository, other_commits).await
    }

    /// True if a head contains this commit. If the history cannot be read, returns false.
    async fn head_contains(&self, head: &Sha, commit: &Sha) -> bool {
        if head == commit {
            return true;
        }
        if self.fetch(head, &[]).await.is_err() {
            return false;
        }
        self.mirror.merge_base(commit, head).await.is_ok_and(|base| base.as_ref() == Some(commit))
    }

    /// Writes the comment that makes a reviewer start. If there are more than `known_calls` comments in
    /// `own_comments`, an interrupted run has already written the comment, and nothing is written.
    pub(super) async fn trigger_reviewer(
        &self,
        text: &str,
        own_comments: &[ConversationComment],
        known_calls: usize,
    ) -> Result<(), EffectError> {
        if own_comments.len() > known_calls {
            return Ok(());
        }
        // `since` must be a time by the forge's clock, and must be later than the creation of all earlier
        // comments.
        let since = own_comments
            .last()
            .map_or(UnixMillis(0), |newest| UnixMillis(newest.created.0.saturating_add(1000)));
        self.effects.perform(&Effect::Trigger { text: text.to_owned(), since }).await.map(drop)
    }

    /// True if the reactions to a comment show that the reviewer has started. On forges without reactions,
    /// returns false.
    pub(super) async fn has_reviewer_started(&self, comment: &CommentId) -> Result<bool, ForgeError> {
        Ok(self.server.capability().reactions && !self.forge.eye_reactions(comment).await?.is_empty())
    }

    /// Writes a trigger comment, unless the reviewer has already started because of the newest trigger
    /// comment. The author of that comment may be anyone.
    async fn trigger_if_idle(&self, text: &str, known_calls: usize) -> Result<(), EffectError> {
        let matching = self.forge.matching_comments(text).await?;
        if let Some(newest) = matching.last()
            && self.has_reviewer_started(&newest.id).await?
        {
            return Ok(());
        }
        self.trigger_reviewer(text, &retain_own_comments(matching), known_calls).await
    }

    /// Answers the findings that fixers declined, and the findings of other reviewers. Our own findings that
    /// were fixed are answered later, after the next audit has checked the fix.
    async fn answer_findings(&self, record: &ConvergeRecord) -> Result<(), ActError> {
        let round = fix_number(record);
        let said =
            record.detail.state.findings.iter().map(|finding| (finding, render_answer(record, finding)));
        let now = said.filter(|(finding, (_, is_fixed))| {
            !is_fixed || finding.raw.rule.starts_with(REVIEWER_RULE_PREFIX)
        });
        let answers = now.map(|(finding, (text, is_fixed))| FindingReply {
            finding,
            text,
            is_fixed,
            fix_number: round,
        });
        let about = Topic::new(format!("answers/{}/{round}", record.run));
        self.reply_all(record, answers.collect(), about).await
    }

    /// Answers the findings that the newest audit no longer reports, and resolves their threads.
    async fn resolve_fixed_findings(&self, record: &ConvergeRecord) -> Result<(), ActError> {
        let upheld = record
            .detail
            .state
            .confirmed_fixes()
            .filter(|(finding, ..)| !finding.raw.rule.starts_with(REVIEWER_RULE_PREFIX));
        let answers = upheld.map(|(finding, commit, round)| FindingReply {
            finding,
            text: fixed_text(commit),
            is_fixed: true,
            fix_number: round,
        });
        let about = Topic::new(format!("upheld/{}/{}", record.run, record.detail.state.audit_count));
        self.reply_all(record, answers.collect(), about).await
    }

    /// Pushes a commit of the run to the pull request's branch, if the branch is still at the `expected`
    /// head.
    pub(super) async fn push(
        &self,
        record: &ConvergeRecord,
        commit: &UnpushedCommit,
        expected: &Sha,
    ) -> Result<PublishOutcome, ActError> {
        // The remote is resolved again, because its token may have expired since the start of the run.
        let (id, name) = self.head_repository_ref;
        let remote =
            self.server.resolve_remote(id, name, RemotePurpose::Push).await.map_err(|error| match error {
                RemoteError::Forge(error) => forge_error(error),
                RemoteError::Git(error) => error.into(),
            })?;
        let onto = (record.detail.branch.as_str(), Some(expected));
        Ok(match self.effects.push(commit, &remote, onto.0, onto.1).await.map_err(effect_error)? {
            PushOutcome::Pushed { commit: published_commit, remark } => {
                // The next audit reads the commit that is on the branch.
                self.mirror.with_remote(&remote).fetch(std::slice::from_ref(&published_commit)).await?;
                PublishOutcome::Published { commit: published_commit, warning: remark }
            }
            PushOutcome::Halted(reason) => {
                let what = format!("pushing {} to {}", short_sha(commit.sha()), record.detail.branch);
                return Err(ActError::Halted(GateHalt::before_write(what, reason)));
            }
            PushOutcome::BranchMoved { current_commit: Some(now) } => PublishOutcome::HeadChanged(now),
            PushOutcome::BranchMoved { current_commit: None } => {
                let why = format!("the branch {} was deleted", record.detail.branch);
                return Err(ActError::from_exit_code(ConvergeExitCode::Closed, why));
            }
            PushOutcome::RemoteRefused { reason: PushRefusal::HookOrUnknown, message } => {
                PublishOutcome::Blocked(message)
            }
            PushOutcome::RemoteRefused {
                reason: PushRefusal::ProtectedBranch | PushRefusal::MissingPermission,
                message,
            } => {
                let why = format!(
                    "cannot push to {}: {}",
                    record.detail.branch,
                    line::clean_line(&message, MAX_LINE_CHARS)
                );
                return Err(ActError::from_exit_code(ConvergeExitCode::ReadOnly, why));
            }
        })
    }

    /// Writes each of these answers in the thread of its finding. All findings without a thread are answered
    /// together in one comment with the topic `reply_topic`.
    async fn reply_all(
        &self,
        record: &ConvergeRecord,
        replies: Vec<FindingReply<'_>>,
        reply_topic: Topic,
    ) -> Result<(), ActError> {
        if replies.is_empty() {
            return Ok(());
        }
        let all = self.forge.threads().await.map_err(forge_error)?;
        let mut unplaced = Vec::new();
        for FindingReply { finding, text, is_fixed, fix_number: round } in replies {
            let is_here = |thread: &&ReviewThread| {
                // A finding of another reviewer is answered in the thread that reported the finding.
                thread.comments.first().is_some_and(|first| {
                    match finding.raw.rule.strip_prefix(REVIEWER_RULE_PREFIX) {
                        Some(comment) => first.id.as_str() == comment,
                        None => first.topic.as_ref() == Some(&finding_topic(&finding.id)),
                    }
                })
            };
            // If a finding was resolved and later found again, it has a second, open thread. The answer
            // belongs in this open thread.
            let open = all.iter().rfind(|thread| is_here(thread) && is_open(thread));
            // If one of our reviews already shows the finding, the run has posted no comment of its own (see
            // `post_review`), and the review resolves the thread.
            let shown = |thread: &&ReviewThread| {
                let is_it =
                    |first: &LineComment| first.finding_topic.as_ref() == Some(&finding_topic(&finding.id));
                finding.anchor == AnchorKind::Inline
                    && is_open(thread)
                    && thread.comments.first().is_some_and(is_it)
            };
            let Some((thread, first)) = open
                .or_else(|| all.iter().rfind(shown))
                .or_else(|| all.iter().rfind(is_here))
                .and_then(|thread| Some((thread, thread.comments.first()?)))
            else {
                unplaced.push(format!("- {}: {text}", finding_place(finding)));
                continue;
            };
            let reply_topic =
                Topic::new(format!("{ANSWER_TOPIC_PREFIX}{}/{round}/{}", record.run, finding.id));
            self.ensure_open(record).await?;
            let reply = Effect::Reply { first_comment: first.id.clone(), topic: reply_topic, body: text };
            self.effects.perform(&reply).await.map_err(effect_error)?;
            let ends = is_fixed && is_here(&thread) && is_open(thread);
            if let (true, true, Some(known)) = (ends, self.resolves_fixed_threads, &thread.thread) {
                self.ensure_open(record).await?;
                let resolve = Effect::Resolve { thread: known.id.clone() };
                match self.effects.perform(&resolve).await {
                    Err(error) if is_resolve_denied(&error, &self.effects) => {}
                    resolved => drop(resolved.map_err(effect_error)?),
                }
            }
        }
        if !unplaced.is_empty() {
            let text = format!(
                "## converge: loop {} answers\n\n{}",
                record.detail.state.audit_count,
                unplaced.join("\n")
            );
            self.ensure_open(record).await?;
            let comment = Effect::Comment { topic: reply_topic, body: text };
            self.effects.perform(&comment).await.map_err(effect_error)?;
        }
        Ok(())
    }
}

#[async_trait]
impl BranchWorkspace for PullRequestWorkspace<'_> {
    fn read_only_reason(&self) -> Option<String> {
        self.read_only_reason.clone()
    }

    async fn head(&self, record: &ConvergeRecord) -> Result<Sha, ActError> {
        let now = self.forge.pull_details().await.map_err(forge_error)?;
        self.check_details_open(record, &now).await?;
        self.check_not_stopped().await?;
        if now.base_branch != self.target_branch {
            let reason =
                format!("the base of {} is now {}: run converge again", record.detail.name, now.base_branch);
            return Err(ActError::from_exit_code(
                ConvergeExitCode::HeadMoved,
                line::clean_line(&reason, MAX_LINE_CHARS),
            ));
        }
        Ok(now.head.sha)
    }

    fn settle_time(&self) -> TimeSpan {
        self.forge.publish_limits().settle_delay
    }

    async fn fetch_head(&self, record: &ConvergeRecord, head: &Sha) -> Result<Sha, ActError> {
        let head = (head, self.head_repository);
        Ok(change_base(self.server, self.mirror, self.target_branch, &record.detail.base, head).await?)
    }

    async fn post_findings(&self, record: &ConvergeRecord) -> Result<Vec<String>, ActError> {
        let draft = build_review_draft(record, self.event);
        let mut warnings = match self.effects.perform(&Effect::Review(draft)).await {
            Ok(_) => Vec::new(),
            Err(error @ (EffectError::Refused(_) | EffectError::Unanswered { is_last: true, .. }))
                if !pauses_run(&error) =>
            {
                vec![format!(
                    "could not post the review of audit {}: {error}",
                    record.detail.state.audit_count
                )]
            }
            Err(error) => return Err(effect_error(error)),
        };
        match self.resolve_fixed_findings(record).await {
            Ok(()) => {}
            Err(ActError::Forge(why)) => {
                let audit = record.detail.state.audit_count;
                warnings.push(format!(
                    "could not answer the findings that audit {audit} confirms as fixed: {why}"
                ));
            }
            // A later call repeats the act, and detects the writes that were already made.
            Err(stop) => return Err(stop),
        }
        Ok(warnings)
    }

    async fn publish(
        &self,
        record: &ConvergeRecord,
        candidate: &FixCandidate,
    ) -> Result<PublishOutcome, ActError> {
        let commit = self.mirror.unpushed_commit(&candidate.commit);
        self.push(record, &commit, &record.detail.state.head).await
    }

    async fn count_reviewer_calls(&self) -> Result<Option<usize>, ActError> {
        let Some(text) = self.post_push_comment else { return Ok(None) };
        let matching = self.forge.matching_comments(text).await.map_err(forge_error)?;
        Ok(Some(retain_own_comments(matching).len()))
    }

    async fn call_reviewer(
        &self,
        record: &ConvergeRecord,
        known_calls: usize,
    ) -> Result<Vec<String>, ActError> {
        let Some(text) = self.post_push_comment else { return Ok(Vec::new()) };
        // If the pull request is closed or merged, no reviewer is called. The next act writes the answers,
        // and reports that the pull request is closed or merged.
        if matches!(self.ensure_open(record).await, Err(ActError::CannotContinue { .. })) {
            return Ok(Vec::new());
        }
        match self.trigger_if_idle(text, known_calls).await {
            Ok(()) => Ok(Vec::new()),
            Err(error @ EffectError::Refused(_)) if !pauses_run(&error) => {
                Ok(vec![format!("could not post the comment `{text}`: {error}")])
            }
            Err(error) => Err(effect_error(error)),
        }
    }

    async fn reply_to_findings(&self, record: &ConvergeRecord) -> Result<Vec<String>, ActError> {
        match self.answer_findings(record).await {
            Ok(()) => Ok(Vec::new()),
            Err(ActError::Forge(why)) => Ok(vec![format!(
                "could not answer the findings of audit {}: {why}",
                record.detail.state.audit_count
            )]),
            // A later call repeats the act, and detects the writes that were already made.
            Err(stop) => Err(stop),
        }
    }
}

/// True if the thread is unresolved. If the forge does not yet list the comment's thread, the thread counts
/// as unresolved.
fn is_open(thread: &ReviewThread) -> bool {
    thread.thread.as_ref().is_none_or(|known| known.state == ThreadState::Open)
}

/// Keeps only the comments that Truing wrote.
pub(super) fn retain_own_comments(mut comments: Vec<ConversationComment>) -> Vec<ConversationComment> {
    comments.retain(|comment| comment.author.as_ref().is_some_and(|author| author.is_own_account));
    comments
}

/// Returns the base of a change: the merge base of the head with the tip of the target branch. The base that
/// the forge reports may be an older commit. If the target branch no longer exists, `fallback_base` replaces
/// the branch's tip.
#[truing_core::boxed_future]
pub async fn change_base(
    server: &AnyForgeServer,
    mirror: &Mirror,
    target_branch: &str,
    fallback_base: &Sha,
    head: (&Sha, Option<&HeadRepository>),
) -> Result<Sha, GitError> {
    let tip = mirror.branch_tip(target_branch).await?.unwrap_or_else(|| fallback_base.clone());
    fetch::fetch_commits(server, mirror, head.0, head.1, std::slice::from_ref(&tip)).await?;
    Ok(mirror.merge_base(&tip, head.0).await?.unwrap_or(tip))
}

/// Returns the number of the newest fix. Fixes for an audit's findings and fixes for other reviewers'
/// findings have one common numbering.
fn fix_number(record: &ConvergeRecord) -> usize {
    record.detail.state.log.len()
}

/// True if the error pauses the whole run. A later call repeats the act and its write.
pub(super) fn pauses_run(error: &EffectError) -> bool {
    match error {
        EffectError::Refused(error) => matches!(error, ForgeError::RateLimited { .. }),
        EffectError::Halted(_) | EffectError::Settling { .. } | EffectError::Store(_) => true,
        EffectError::Unanswered { .. } | EffectError::Git(_) => false,
    }
}

/// True if the thread was not resolved because the login lacks the permission.
fn is_resolve_denied(error: &EffectError, effects: &EffectExecutor<'_>) -> bool {
    matches!(error, EffectError::Refused(_))
        && !pauses_run(error)
        && effects.denial_reason(EffectKind::Resolve).is_some()
}

/// Converts the error of an effect that failed, or of an effect with an unknown result.
pub(super) fn effect_error(error: EffectError) -> ActError {
    let message = error.to_string();
    match error {
        EffectError::Halted(halt) => ActError::Halted(halt),
        EffectError::Refused(error) | EffectError::Unanswered { error, .. } => forge_error(error),
        EffectError::Settling { until, .. } => {
            ActError::Wait { until, reason: WaitReason::Settling, message }
        }
        EffectError::Store(error) => error.into(),
        EffectError::Git(error) => error.into(),
    }
}

pub(super) fn forge_error(error: ForgeError) -> ActError {
    let message = error.to_string();
    match error {
        ForgeError::RateLimited { wait, .. } => {
            ActError::Wait { until: SystemClock.now() + wait, reason: WaitReason::RateLimit, message }
        }
        ForgeError::Unavailable { .. } => ActError::Unanswered(message),
        ForgeError::Halted(halt) => ActError::Halted(halt),
        ForgeError::Unauthorized { .. }
        | ForgeError::Forbidden { .. }
        | ForgeError::NotFound { .. }
        | ForgeError::Moved { .. }
        | ForgeError::Stale { .. }
        | ForgeError::Rejected { .. } => ActError::Forge(message),
    }
}

/// Returns the topic of a finding's comment.
pub(super) fn finding_topic(finding: &FindingId) -> Topic {
    Topic::for_finding(finding)
}

/// Creates the draft of the review that shows the newest audit.
pub fn build_review_draft(record: &ConvergeRecord, event: ReviewEvent) -> ReviewDraft {
    let state = &record.detail.state;
    let clean = state.findings.is_empty() && state.silent_auditors == 0;
    let scope = state.is_cleared_by_audit().then(|| record.scope());
    let (run, commit) = (record.run.clone(), state.head.clone());
    let mark = AuditMark { run, audit: state.audit_count, clean, commit, scope };
    let [a, b, c] = state.severity_counts();
    let mut body = format!("## converge: loop {} audit: {a}P0 / {b}P1 / {c}P2", state.audit_count);
    body += if clean { " → clean" } else { "" };
    if state.silent_auditors > 0 {
        body += &format!(
            "\n\nDegraded: {} gave no valid answer.",
            format_count(state.silent_auditors, "auditor")
        );
    }
    let (mut findings, mut unplaced) = (Vec::new(), Vec::new());
    for finding in &state.findings {
        let one = render_finding_line(record, finding);
        match finding.anchor {
            AnchorKind::Inline => findings.push(LineDraft {
                location: finding.comment_location.clone(),
                topic: finding_topic(&finding.id),
                body: render_comment(record, finding),
                line: one,
            }),
            AnchorKind::File | AnchorKind::Summary => unplaced.push(one),
        }
    }
    let event = match event {
        // If the audit has no findings, the run withdraws its earlier request for changes.
        ReviewEvent::RequestChanges | ReviewEvent::Withdraw if clean => ReviewEvent::Withdraw,
        ReviewEvent::Comment | ReviewEvent::RequestChanges | ReviewEvent::Withdraw => event,
    };
    ReviewDraft { mark, event, body, unplaced, findings }
}
