//! Performs every effect in the same steps: asks the gate, records the intent with the lease's token, makes
//! the call, and records the result. If a response was lost or the process was killed, the effect may exist
//! although the forge does not show it yet. No call is made until the settle delay has passed. Then the
//! executor searches the forge for the effect. If it exists, it is adopted; otherwise the call is repeated.
//! The executor never waits: [`EffectError::Settling`] contains the time at which the caller must try again.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use truing_core::effect::{BranchPush, Effect, EffectIntent, EffectKind, IntentPart, MAX_LOST_RESPONSES};
use truing_core::id::{CommentId, Sha, TimeSpan, Topic, UnixMillis};
use truing_core::port::{
    Clock, EffectEntry, EffectEntryChange, EffectEntryState, EffectLog, EffectOutcome, EffectOwner,
    ForgeError, ForgeWrite, GateHalt, HaltReason, StoreError, WriteGate, WritePermit,
};
use truing_core::publish::{CommentSubject, UnconfirmedComment};
use truing_git::{GitError, PushOutcome, Remote, UnpushedCommit};

use crate::write_monitor::{WriteMonitor, dry_run_outcome};

/// Performs the effects of one writer on one pull request or one repository.
pub struct EffectExecutor<'a> {
    /// Write access to the forge.
    pub forge: &'a dyn ForgeWrite,
    /// Log of intents and results.
    pub log: &'a dyn EffectLog,
    /// Gate that is asked before each write.
    pub gate: &'a Arc<dyn WriteGate>,
    pub clock: &'a dyn Clock,
    /// Owner of the effects in the log.
    pub owner: EffectOwner,
    /// Monitor that records the writes. In a dry run, no write is made.
    pub monitor: &'a WriteMonitor,
}

impl fmt::Debug for EffectExecutor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EffectExecutor").field("writer", &self.owner).finish_non_exhaustive()
    }
}

/// The reason why an effect was not performed, or may not have been performed. Performing the effect again is
/// always safe.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// The gate is closed or the lease is lost: nothing more is written.
    #[error(transparent)]
    Halted(GateHalt),
    /// The forge certainly did not perform the effect.
    #[error(transparent)]
    Refused(ForgeError),
    /// There was no response, so the effect may exist.
    #[error("{error}")]
    Unanswered {
        /// Error that occurred instead of a response.
        error: ForgeError,
        /// True if this was the last attempt: [`MAX_LOST_RESPONSES`] responses were lost, and the effect has
        /// no fallback.
        is_last: bool,
    },
    /// A write on the same topic was made or begun, and the forge may not show it yet.
    #[error("{description}: waiting until the forge shows an earlier write")]
    Settling {
        /// Time at which the caller must try again.
        until: UnixMillis,
        /// Description of the write.
        description: String,
    },
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(StoreError),
    /// Git failed, and the result of the push is not known.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl From<ForgeError> for EffectError {
    fn from(error: ForgeError) -> Self {
        convert_forge_error(error, false)
    }
}

/// The state of an effect before the call.
enum EffectPresence {
    Present(EffectOutcome),
    Missing(MissingEffect),
}

/// An effect that does not exist at the forge and must be performed.
struct MissingEffect {
    permit: Arc<WritePermit>,
    /// Log entries of the effect's parts.
    entries: Vec<Option<EffectEntry>>,
    /// Number of lost responses since the first intent.
    lost_responses: u32,
}

/// The state of one part of an effect according to its log entry.
enum EffectPartState {
    /// There is no entry, or the entry is so old that the forge's lists certainly show its write.
    NoRecentEntry,
    /// The same content was written less than the settle delay ago.
    JustWritten(Option<CommentId>),
    /// The forge may not show the write before this time.
    Settling(UnixMillis),
    /// Like `Settling`, but the time of the entry is in the future, because the clock that set it was ahead.
    InFuture,
    /// The write was begun, and the settle delay has passed, so the forge shows the write if it succeeded.
    /// `lost_responses` is the number of lost responses.
    SettleDelayPassed { lost_responses: u32 },
}

impl EffectExecutor<'_> {
    /// Returns the reason why effects of this kind are skipped: the forge is known to reject them, and a run
    /// can continue without them. Otherwise returns `None`.
    pub fn denial_reason(&self, kind: EffectKind) -> Option<&'static str> {
        self.forge.denial_reason(kind)
    }

    /// Performs an effect once. If the forge rejects the effect, or too many responses are lost, the effect's
    /// fallback is performed.
    ///
    /// # Errors
    /// [`EffectError`]
    #[truing_core::boxed_future]
    pub async fn perform(&self, effect: &Effect) -> Result<EffectOutcome, EffectError> {
        let mut effect = effect.clone();
        loop {
            let intended = effect.intent();
            if let Some(why) = self.forge.unsupported_reason(intended.kind) {
                let message = format!("this forge does not support this operation: {why}");
                return Err(EffectError::Refused(ForgeError::Rejected {
                    request: intended.description,
                    message,
                }));
            }
            let MissingEffect { permit, entries: known, lost_responses } =
                match self.check_presence(&intended, || self.forge.find_effect(&effect)).await? {
                    EffectPresence::Present(performed) => return Ok(performed),
                    EffectPresence::Missing(missing) => missing,
                };
            if let Some(other) = effect.fallback().filter(|_| lost_responses >= MAX_LOST_RESPONSES) {
                effect = other;
                continue;
            }
            let entries = self.record_intent(&intended, known, lost_responses).await?;
            let answer = self.call_forge(&effect, &permit).await;
            match (self.record_result(&intended, entries, lost_responses, answer).await, effect.fallback()) {
                // A rate limit does not reject the content, so the fallback is not used.
                (Err(EffectError::Refused(error)), Some(other))
                    if !matches!(error, ForgeError::RateLimited { .. }) =>
                {
                    effect = other;
                }
                (ended, _) => return ended,
            }
        }
    }

    /// Makes the call, unless this is a dry run.
    async fn call_forge(
        &self,
        effect: &Effect,
        permit: &Arc<WritePermit>,
    ) -> Result<EffectOutcome, ForgeError> {
        let span = self.monitor.begin_span(effect);
        let answer = if self.monitor.dry_run {
            Ok(dry_run_outcome(effect))
        } else {
            self.forge.perform(effect, permit).await
        };
        match (&answer, span) {
            (Ok(_), _) => self.monitor.record_effect(effect),
            (Err(error), Some(span)) => span.record_failure(&error.to_string()),
            (Err(_), None) => {}
        }
        answer
    }

    /// If an earlier effect on the same topics was begun and its log entry is still open, records the result
    /// of this effect. Returns `None` if there is no open entry, or if the forge does not show the effect.
    /// Writes nothing at the forge.
    ///
    /// # Errors
    /// [`EffectError`]
    #[truing_core::boxed_future]
    pub async fn recover_unfinished_effect(
        &self,
        effect: &Effect,
    ) -> Result<Option<EffectOutcome>, EffectError> {
        let intended = effect.intent();
        let entries = self.recorded_entries(&intended).await?;
        let is_open = |entry: &EffectEntry| matches!(entry.state, EffectEntryState::Open { .. });
        if !entries.iter().flatten().any(is_open) {
            return Ok(None);
        }
        match self.check_presence(&intended, || self.forge.find_effect(effect)).await? {
            EffectPresence::Present(performed) => Ok(Some(performed)),
            EffectPresence::Missing(MissingEffect { entries, .. }) => {
                let ends = vec![None; entries.len()];
                self.record_part_states(&intended, entries, ends).await.map(|()| None)
            }
        }
    }

    /// Returns the comments that may have been created but are not confirmed. If the time of a log entry is
    /// in the future because a clock was ahead, its settle delay begins now.
    ///
    /// # Errors
    /// [`StoreError`]
    #[truing_core::boxed_future]
    pub async fn pending_comments(&self) -> Result<Vec<UnconfirmedComment>, StoreError> {
        let now = self.clock.now();
        let (mut pending, mut ahead) = (Vec::new(), Vec::new());
        for (topic, entry) in self.log.open_entries(&self.owner).await? {
            let Some(item) = CommentSubject::from_topic(&topic) else { continue };
            pending.push(UnconfirmedComment { subject: item, last_attempt_at: entry.last_event_at.min(now) });
            if entry.last_event_at > now {
                let new = Some(EffectEntry { last_event_at: now, ..entry.clone() });
                ahead.push(EffectEntryChange { topic, expected_entry: Some(entry), new_entry: new });
            }
        }
        if !ahead.is_empty() {
            self.log.compare_and_set_entries(&self.owner, &ahead).await?;
        }
        Ok(pending)
    }

    /// Pushes a commit to a branch if the branch is at the expected commit. In a dry run, nothing is pushed.
    ///
    /// # Errors
    /// [`EffectError`]
    #[truing_core::boxed_future]
    pub async fn push(
        &self,
        commit: &UnpushedCommit,
        remote: &Remote,
        branch: &str,
        expected_tip: Option<&Sha>,
    ) -> Result<PushOutcome, EffectError> {
        let push = BranchPush {
            branch: branch.into(),
            commit: commit.sha().clone(),
            expected: expected_tip.cloned(),
        };
        let intended = push.intent();
        // The forge is not searched for the result, because the push itself checks the current commit of the
        // branch.
        let MissingEffect { permit, entries: known, lost_responses } =
            match self.check_presence(&intended, || std::future::ready(Ok(None))).await? {
                // The log does not contain the id of the commit on the branch, so the next attempt reads the
                // branch.
                EffectPresence::Present(_) => {
                    let until = self.clock.now();
                    return Err(EffectError::Settling { until, description: intended.description });
                }
                EffectPresence::Missing(missing) => missing,
            };
        let entries = self.record_intent(&intended, known, lost_responses).await?;
        let span = self.monitor.begin_push();
        let pushed = if self.monitor.dry_run {
            Ok(PushOutcome::pushed(commit.sha()))
        } else {
            commit.push(remote, branch, expected_tip, &permit).await
        };
        match (&span, &pushed) {
            (Some(span), Ok(PushOutcome::BranchMoved { .. })) => span.record_failure("the branch has moved"),
            (Some(span), Ok(PushOutcome::RemoteRefused { .. })) => {
                span.record_failure("the forge refused the push");
            }
            (Some(span), Ok(PushOutcome::Halted(_))) => span.record_failure("the write gate is closed"),
            (Some(span), Err(error)) => span.record_failure(&error.to_string()),
            (Some(_), Ok(PushOutcome::Pushed { .. })) | (None, _) => {}
        }
        drop(span);
        let end = match &pushed {
            Ok(PushOutcome::Pushed { .. }) => Some(EffectEntryState::Done { comment: None }),
            Ok(
                PushOutcome::BranchMoved { .. } | PushOutcome::RemoteRefused { .. } | PushOutcome::Halted(_),
            ) => None,
            Err(GitError::Api(error)) if error.has_no_effect() => None,
            Err(_) => Some(EffectEntryState::Open { lost_responses: lost_responses.saturating_add(1) }),
        };
        self.record_part_states(&intended, entries, vec![end]).await?;
        let is_last = lost_responses.saturating_add(1) >= MAX_LOST_RESPONSES;
        pushed.map_err(|error| {
            if let GitError::Api(error) = error {
                convert_forge_error(error, is_last)
            } else {
                EffectError::Git(error)
            }
        })
    }

    /// Asks the gate, and then determines from the log whether the effect exists. If the log does not show
    /// this, searches the forge.
    async fn check_presence<F>(
        &self,
        intent: &EffectIntent,
        observe: impl FnOnce() -> F,
    ) -> Result<EffectPresence, EffectError>
    where
        F: Future<Output = Result<Option<EffectOutcome>, ForgeError>>,
    {
        let halted = |reason| EffectError::Halted(GateHalt::before_write(&intent.description, reason));
        let permit = WritePermit::request_from(self.gate, self.clock.now()).await.map_err(halted)?;
        let entries = self.recorded_entries(intent).await?;
        let (now, settle) = (self.clock.now(), intent.kind.settle_time(self.forge.visibility_delay()));
        let settling = |until| Err(EffectError::Settling { until, description: intent.description.clone() });
        let (mut made, mut until, mut begun, mut is_ahead) = (Vec::new(), None, None, false);
        for (part, entry) in intent.parts.iter().zip(&entries) {
            match part_state(part, entry.as_ref(), now, settle) {
                EffectPartState::NoRecentEntry => {}
                EffectPartState::JustWritten(comment) => made.push((part, comment)),
                EffectPartState::Settling(shown) => until = until.max(Some(shown)),
                EffectPartState::InFuture => is_ahead = true,
                EffectPartState::SettleDelayPassed { lost_responses } => {
                    begun = begun.max(Some(lost_responses));
                }
            }
        }
        if is_ahead {
            let dated = |entry: &Option<EffectEntry>| {
                entry
                    .clone()
                    .map(|entry| EffectEntry { last_event_at: entry.last_event_at.min(now), ..entry })
            };
            let dated = entries.iter().map(dated).collect();
            self.replace_entries(intent, entries, dated).await?;
            return settling(now + settle);
        }
        if let Some(until) = until {
            return settling(until);
        }
        if !made.is_empty() {
            let shown =
                entries.iter().flatten().map(|entry| entry.last_event_at + settle).max().unwrap_or(now);
            if made.len() < intent.parts.len() {
                return settling(shown);
            }
            if intent.kind.needs_assigned_number() {
                return observe()
                    .await?
                    .map_or_else(|| settling(shown), |found| Ok(EffectPresence::Present(found)));
            }
            return Ok(EffectPresence::Present(outcome_from_parts(made)));
        }
        let Some(lost_responses) = begun else {
            return Ok(EffectPresence::Missing(MissingEffect { permit, entries, lost_responses: 0 }));
        };
        let Some(found) = observe().await? else {
            permit.expire();
            return Ok(EffectPresence::Missing(MissingEffect { permit, entries, lost_responses }));
        };
        // The comment that was found may have a different text, so the effect does not count as performed.
        // The next publish plan observes the comment and adopts it.
        if intent.kind.is_observed_by_plan() {
            return settling(now);
        }
        let end = EffectEntryState::Done { comment: found.comment().cloned() };
        let ends = vec![Some(end); entries.len()];
        self.record_part_states(intent, entries, ends).await?;
        Ok(EffectPresence::Present(found))
    }

    /// Returns the log entries of the effect's parts.
    async fn recorded_entries(&self, intent: &EffectIntent) -> Result<Vec<Option<EffectEntry>>, EffectError> {
        let topics: Vec<Topic> = intent.parts.iter().map(|part| part.topic.clone()).collect();
        self.log.entries(&self.owner, &topics).await.map_err(|error| convert_store_error(intent, error))
    }

    /// Records the intent in the log. If two processes do this for the same effect, only one succeeds and
    /// makes the call.
    async fn record_intent(
        &self,
        intent: &EffectIntent,
        expected_entries: Vec<Option<EffectEntry>>,
        lost_responses: u32,
    ) -> Result<Vec<Option<EffectEntry>>, EffectError> {
        let now = self.clock.now();
        let open = |part: &IntentPart| {
            let content = part.content_digest.clone();
            Some(EffectEntry {
                content_digest: content,
                last_event_at: now,
                state: EffectEntryState::Open { lost_responses },
            })
        };
        let new: Vec<Option<EffectEntry>> = intent.parts.iter().map(open).collect();
        if self.replace_entries(intent, expected_entries, new.clone()).await? {
            return Ok(new);
        }
        let until = now + intent.kind.settle_time(self.forge.visibility_delay());
        Err(EffectError::Settling { until, description: intent.description.clone() })
    }

    /// Records the result of a call. If a publish plan requested a comment, its log entry stays open until
    /// `RunStore::store_comments` stores the comment's id. Until then, the comment counts as pending.
    async fn record_result(
        &self,
        intent: &EffectIntent,
        entries: Vec<Option<EffectEntry>>,
        lost_responses: u32,
        result: Result<EffectOutcome, ForgeError>,
    ) -> Result<EffectOutcome, EffectError> {
        let lost_responses = lost_responses.saturating_add(1);
        let every = |end: Option<EffectEntryState>| vec![end; entries.len()];
        let ends = match &result {
            Ok(_) if intent.kind.is_observed_by_plan() => return Ok(result?),
            Ok(EffectOutcome::Superseded) => every(None),
            Ok(made) => every(Some(EffectEntryState::Done { comment: made.comment().cloned() })),
            // The effect consists of several calls, and earlier calls may have succeeded.
            Err(ForgeError::RateLimited { .. } | ForgeError::Halted(_))
                if intent.kind.takes_several_calls() =>
            {
                every(Some(EffectEntryState::Open { lost_responses: lost_responses.saturating_sub(1) }))
            }
            Err(error) if error.has_no_effect() => every(None),
            Err(_) => every(Some(EffectEntryState::Open { lost_responses })),
        };
        self.record_part_states(intent, entries, ends).await?;
        let is_last = lost_responses >= MAX_LOST_RESPONSES && intent.kind.fallback().is_none();
        result.map_err(|error| convert_forge_error(error, is_last))
    }

    /// Replaces `expected_entries` by the results of the parts, with the current time. The value `None` for a
    /// part means that it does not exist and no write is open. If another process has replaced an entry,
    /// nothing is changed, because that process records the result.
    async fn record_part_states(
        &self,
        intent: &EffectIntent,
        expected_entries: Vec<Option<EffectEntry>>,
        part_states: Vec<Option<EffectEntryState>>,
    ) -> Result<(), EffectError> {
        let at = self.clock.now();
        let new = intent.parts.iter().zip(part_states);
        let new = new.map(|(part, end)| {
            end.map(|state| EffectEntry {
                content_digest: part.content_digest.clone(),
                last_event_at: at,
                state,
            })
        });
        self.replace_entries(intent, expected_entries, new.collect()).await.map(drop)
    }

    async fn replace_entries(
        &self,
        intent: &EffectIntent,
        expected_entries: Vec<Option<EffectEntry>>,
        new_entries: Vec<Option<EffectEntry>>,
    ) -> Result<bool, EffectError> {
        let entries = intent.parts.iter().zip(expected_entries).zip(new_entries);
        let changes: Vec<EffectEntryChange> = entries
            .map(|((part, expected), new)| EffectEntryChange {
                topic: part.topic.clone(),
                expected_entry: expected,
                new_entry: new,
            })
            .collect();
        let replaced = self.log.compare_and_set_entries(&self.owner, &changes).await;
        replaced.map_err(|error| convert_store_error(intent, error))
    }
}

/// Returns the state of one part according to its log entry.
fn part_state(
    part: &IntentPart,
    entry: Option<&EffectEntry>,
    now: UnixMillis,
    settle_delay: TimeSpan,
) -> EffectPartState {
    let Some(entry) = entry else { return EffectPartState::NoRecentEntry };
    // The clock that set the entry's time was ahead. The settle delay therefore begins now.
    if entry.last_event_at > now && settle_delay > TimeSpan(0) {
        return EffectPartState::InFuture;
    }
    let shown = entry.last_event_at + settle_delay;
    let is_recent = entry.last_event_at <= now && now < shown;
    match &entry.state {
        // The forge's lists may not show a recent write yet.
        EffectEntryState::Done { comment } if is_recent => {
            let is_same = entry.content_digest == part.content_digest && !entry.content_digest.is_empty();
            if is_same {
                EffectPartState::JustWritten(comment.clone())
            } else {
                EffectPartState::Settling(shown)
            }
        }
        EffectEntryState::Done { .. } => EffectPartState::NoRecentEntry,
        EffectEntryState::Open { .. } if is_recent => EffectPartState::Settling(shown),
        EffectEntryState::Open { lost_responses: lost } => {
            EffectPartState::SettleDelayPassed { lost_responses: *lost }
        }
    }
}

/// Returns the outcome of an effect whose parts were all written a short time ago.
fn outcome_from_parts(created_parts: Vec<(&IntentPart, Option<CommentId>)>) -> EffectOutcome {
    let item = |(part, comment): &(&IntentPart, Option<CommentId>)| {
        Some((CommentSubject::from_topic(&part.topic)?, comment.clone()?))
    };
    let comments: Vec<(CommentSubject, CommentId)> = created_parts.iter().filter_map(item).collect();
    if !comments.is_empty() {
        return EffectOutcome::Comments(comments);
    }
    created_parts
        .into_iter()
        .find_map(|(_, comment)| comment)
        .map_or(EffectOutcome::Applied, EffectOutcome::Comment)
}

/// Converts an error of the forge. `is_last` is true if no further attempt is made after a lost response.
fn convert_forge_error(error: ForgeError, is_last: bool) -> EffectError {
    if let ForgeError::Halted(halt) = error {
        return EffectError::Halted(halt);
    }
    if error.has_no_effect() {
        EffectError::Refused(error)
    } else {
        EffectError::Unanswered { error, is_last }
    }
}

/// Converts an error of the store. If a newer lease caused the error, the result is a halt because this lease
/// is lost.
fn convert_store_error(intent: &EffectIntent, error: StoreError) -> EffectError {
    match error {
        StoreError::Fenced { greatest_token: last, .. } => EffectError::Halted(GateHalt::before_write(
            &intent.description,
            HaltReason::LeaseLost { greatest_token: last },
        )),
        error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_)) => EffectError::Store(error),
    }
}
