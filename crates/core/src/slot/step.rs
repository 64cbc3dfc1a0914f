//! The transitions of a slot for each command: [`Slot::apply_command`].

use super::history_entry::{SlotHistoryEntry, SlotRefusal};
use super::{
    ConvergeRequest, EventStorm, HoldReason, LoopKind, PendingEventTimes, Slot, SlotLimits, SlotState,
    WaitReason,
};
use crate::id::{FencingToken, UnixMillis};
use crate::sync::job;

/// A command to a slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SlotCommand {
    /// The forge reports a change. The event only marks the slot; a run later reads the change itself from
    /// the forge. Late, repeated or reordered events are therefore harmless, and any later event replaces a
    /// lost event.
    Event(LoopKind),
    /// A user explicitly requests this loop. The loop is due immediately, even if nothing has changed.
    Request(LoopKind),
    /// A user requests one audit by the converge loop, without a fix.
    Audit,
    /// A user requests that the converge run end before its next step.
    Stop,
    /// A worker takes a due slot.
    Lease,
    /// The worker reports that it is alive.
    Heartbeat(FencingToken),
    /// The worker is about to record a computed review, which is counted in the current storm.
    CountReview(FencingToken),
    /// The worker's step has ended.
    Finish(FencingToken, StepOutcome),
    /// The worker's step failed and must be retried. The retry does not begin before the given time. A time
    /// is given, for example, if the response to a create request was lost and the forge's settle delay must
    /// pass.
    Fail(FencingToken, Option<UnixMillis>),
    /// The worker hands the lease back without performing the step, for example because its server shuts
    /// down. No attempt is counted.
    HandBack(FencingToken),
    /// The lease's deadline has passed. The lost lease counts as a failed attempt.
    ExpireLease,
    /// The only server of this store has restarted, so the lease's holder no longer runs. No attempt is
    /// counted.
    ServerRestarted,
    /// A user pauses the slot. If the slot is leased, the pause begins when the lease ends.
    Pause,
    /// A user resumes the slot, or cancels a pause that has not begun.
    Resume,
    /// An operator requests an immediate retry.
    Retry,
    /// An operator requests that the slot's state be deleted.
    Drop,
    /// Removes a storm that has ended.
    RemoveEndedStorm,
}

/// The outcome of a step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StepOutcome {
    /// The step is done. All events that were pending at the time of the lease are served.
    Done,
    /// The step is done, but the pull request has had a new revision since then. The slot becomes due again,
    /// as after an event.
    DueAgain,
    /// The step is not done and continues at this time.
    DueAt(UnixMillis, WaitReason),
    /// The slot is held for this reason. However, if an event for this loop or a request for another loop
    /// arrived during the lease, the slot is not held, but waits for its due time.
    Held(HoldReason),
}

/// The result of a transition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotTransition {
    /// Slot to be stored; [`Slot::wake_time`] returns the time of its next step.
    pub slot: Slot,
    /// Line for the log and for the output of `truing why`; `None` if nothing is to be recorded.
    pub note: Option<SlotHistoryEntry>,
}

impl Slot {
    /// Applies a command and returns the new slot. This function computes every transition of a slot. `now`
    /// is the store's time. The result depends only on the arguments.
    ///
    /// # Errors
    /// [`SlotRefusal`] if the command does not fit the state; the slot is unchanged.
    pub fn apply_command(
        &self,
        command: SlotCommand,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> Result<SlotTransition, SlotRefusal> {
        let mut slot = self.clone();
        let note = match command {
            SlotCommand::Event(of) => slot.add_event(of, limits, now),
            SlotCommand::Request(of) => slot.request(of, limits, now),
            SlotCommand::Audit => Some(slot.request_audit(limits, now)?),
            SlotCommand::Stop => Some(slot.stop_run(limits, now)?),
            SlotCommand::Lease => Some(slot.lease(limits, now)?),
            SlotCommand::Heartbeat(token) => slot.heartbeat(token, limits, now)?,
            SlotCommand::CountReview(token) => Some(slot.count_review(token, limits, now)?),
            SlotCommand::Finish(token, then) => Some(slot.finish(token, then, limits, now)?),
            SlotCommand::Fail(token, not_before) => {
                slot.lease_of_token(token)?;
                Some(slot.handle_failed_attempt(not_before, limits, now))
            }
            SlotCommand::HandBack(token) => {
                slot.lease_of_token(token)?;
                Some(slot.return_lease(now))
            }
            SlotCommand::ExpireLease => match slot.state {
                SlotState::Leased { deadline, .. } if deadline <= now => {
                    Some(slot.handle_failed_attempt(None, limits, now))
                }
                SlotState::Leased { deadline, .. } => return Err(SlotRefusal::Leased(deadline)),
                SlotState::Idle | SlotState::Waiting { .. } | SlotState::Held { .. } => {
                    return Err(SlotRefusal::NotApplicable);
                }
            },
            SlotCommand::ServerRestarted => match slot.state {
                SlotState::Leased { .. } => Some(slot.return_lease(now)),
                SlotState::Idle | SlotState::Waiting { .. } | SlotState::Held { .. } => {
                    return Err(SlotRefusal::NotApplicable);
                }
            },
            SlotCommand::Pause => Some(slot.pause()),
            SlotCommand::Resume => Some(slot.resume(limits, now)?),
            SlotCommand::Retry => Some(slot.retry(now)?),
            SlotCommand::Drop => {
                slot.reclaim_overdue_lease(now)?;
                slot = Slot { version: slot.version, ..Slot::new(slot.key) };
                Some(SlotHistoryEntry::Manual("dropped"))
            }
            SlotCommand::RemoveEndedStorm => match slot.storm {
                Some(storm) if slot.state == SlotState::Idle && storm.end <= now => {
                    slot.storm = None;
                    None
                }
                Some(_) | None => return Err(SlotRefusal::NotApplicable),
            },
        };
        if !matches!(command, SlotCommand::Retry | SlotCommand::Drop) {
            slot.apply_pending_pause(self); // those two are people's last words
        }
        Ok(SlotTransition { slot, note })
    }

    /// Applies [`SlotCommand::Event`], which succeeds in every state.
    pub fn apply_event(&self, loop_kind: LoopKind, limits: &SlotLimits, now: UnixMillis) -> SlotTransition {
        let mut slot = self.clone();
        let note = slot.add_event(loop_kind, limits, now);
        SlotTransition { slot, note }
    }

    fn add_event(
        &mut self,
        loop_kind: LoopKind,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> Option<SlotHistoryEntry> {
        if loop_kind == LoopKind::Review {
            self.extend_storm(limits, now);
        }
        self.add_pending(loop_kind, PendingEventTimes::new(now));
        match self.state {
            SlotState::Leased { .. } | SlotState::Held { reason: HoldReason::Paused } => None,
            SlotState::Waiting { reason: why, .. } => {
                if Self::is_movable_by_events(why) {
                    self.schedule_pending_events(limits, now);
                }
                None // one line of history for the first event, not for each of a storm
            }
            SlotState::Idle
            | SlotState::Held { reason: HoldReason::Parked | HoldReason::Draft | HoldReason::Cancelled } => {
                self.attempts = 0;
                self.schedule_pending_events(limits, now);
                self.waiting_note()
            }
        }
    }

    /// Adds an event to the current storm, or begins a new storm with the event.
    fn extend_storm(&mut self, limits: &SlotLimits, now: UnixMillis) {
        let storm = match self.storm {
            Some(storm) if now < storm.end => {
                EventStorm { last_event_at: storm.last_event_at.max(now), ..storm }
            }
            Some(_) | None => EventStorm { start: now, last_event_at: now, end: now, review_count: 0 },
        };
        let quiet = storm.last_event_at + limits.storm_quiet_time;
        let ends = quiet.min(storm.start + limits.max_storm_duration);
        self.storm = Some(EventStorm { end: ends, ..storm });
    }

    /// Returns true if a converge run is in progress or requested.
    fn has_converge_work(&self) -> bool {
        let is_leased = matches!(self.state, SlotState::Leased { loop_kind: LoopKind::Converge, .. });
        is_leased || self.active_loop == Some(LoopKind::Converge) || self.pending.converge.is_some()
    }

    fn request_audit(
        &mut self,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> Result<SlotHistoryEntry, SlotRefusal> {
        if self.has_converge_work() {
            return Err(SlotRefusal::Converging);
        }
        self.request(LoopKind::Converge, limits, now);
        self.converge_request = Some(ConvergeRequest::Audit);
        Ok(SlotHistoryEntry::Requested(LoopKind::Converge))
    }

    /// Stops a converge run. If the run has begun, its next step becomes due immediately and ends the run. If
    /// the run is only requested, the request is dropped.
    fn stop_run(&mut self, limits: &SlotLimits, now: UnixMillis) -> Result<SlotHistoryEntry, SlotRefusal> {
        if !self.has_converge_work() {
            return Err(SlotRefusal::NotApplicable);
        }
        let is_leased = matches!(self.state, SlotState::Leased { loop_kind: LoopKind::Converge, .. });
        if is_leased || self.active_loop == Some(LoopKind::Converge) {
            self.converge_request = Some(ConvergeRequest::Stop);
            self.end_wait_if_stopping(now);
        } else {
            (self.pending.converge, self.converge_request) = (None, None);
            if matches!(self.state, SlotState::Waiting { reason, .. } if Self::is_movable_by_events(reason)) {
                self.schedule_pending_events(limits, now);
            }
        }
        Ok(SlotHistoryEntry::Manual("stopped"))
    }

    /// Makes the next step of a converge run due immediately if the run is to be stopped.
    fn end_wait_if_stopping(&mut self, now: UnixMillis) {
        let is_stopped = self.converge_request == Some(ConvergeRequest::Stop)
            && self.active_loop == Some(LoopKind::Converge);
        if let (true, SlotState::Waiting { due_at: at, reason: why }) = (is_stopped, &mut self.state) {
            (*at, *why) = (now.min(*at), WaitReason::Step);
        }
    }

    fn request(
        &mut self,
        loop_kind: LoopKind,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> Option<SlotHistoryEntry> {
        if loop_kind == LoopKind::Converge {
            self.converge_request = None; // what people say last is what they want
        }
        self.add_pending(
            loop_kind,
            PendingEventTimes { requested_at: Some(now), ..PendingEventTimes::new(now) },
        );
        let blocked = match &mut self.state {
            SlotState::Leased { pause_requested: pausing, .. } => {
                *pausing = false; // what people say last is what they want
                true
            }
            SlotState::Waiting { .. } => self.active_loop.is_some_and(|owner| owner != loop_kind),
            SlotState::Idle | SlotState::Held { .. } => false,
        };
        if !blocked {
            self.attempts = 0;
            self.schedule_pending_events(limits, now);
        }
        Some(SlotHistoryEntry::Requested(loop_kind))
    }

    fn lease(&mut self, limits: &SlotLimits, now: UnixMillis) -> Result<SlotHistoryEntry, SlotRefusal> {
        match self.state {
            SlotState::Waiting { due_at: at, .. } if at <= now => {}
            SlotState::Waiting { .. } | SlotState::Idle | SlotState::Held { .. } => {
                return Err(SlotRefusal::NotDue);
            }
            SlotState::Leased { deadline, .. } => return Err(SlotRefusal::Leased(deadline)),
        }
        let of = self.active_loop.unwrap_or_else(|| self.next_loop(limits, now));
        let serving = self.pending.events_mut(of).take();
        if of == LoopKind::Review && serving.is_some_and(|unserved| unserved.requested_at.is_some()) {
            self.storm = None;
            self.extend_storm(limits, now);
        }
        let token = FencingToken(self.version.0);
        self.active_loop = Some(of);
        self.state = SlotState::Leased {
            token,
            deadline: now + limits.lease_duration,
            loop_kind: of,
            claimed_events: serving,
            pause_requested: false,
        };
        Ok(SlotHistoryEntry::Leased(of, token))
    }

    fn heartbeat(
        &mut self,
        token: FencingToken,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> Result<Option<SlotHistoryEntry>, SlotRefusal> {
        self.lease_of_token(token)?;
        if let SlotState::Leased { deadline, .. } = &mut self.state {
            *deadline = (*deadline).max(now + limits.lease_duration);
        }
        Ok(None)
    }

    /// Counts a computed review in the current storm. If there is no storm (an event was lost, or a person
    /// retried), the review begins a storm, which limits further reviews.
    fn count_review(
        &mut self,
        token: FencingToken,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> Result<SlotHistoryEntry, SlotRefusal> {
        self.lease_of_token(token)?;
        if self.storm.is_none_or(|storm| storm.end <= now && storm.review_count >= 2) {
            self.extend_storm(limits, now);
        }
        Ok(SlotHistoryEntry::Computed(self.storm.as_mut().map_or(1, |storm| {
            storm.review_count = storm.review_count.saturating_add(1);
            storm.review_count
        })))
    }

    fn finish(
        &mut self,
        token: FencingToken,
        outcome: StepOutcome,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> Result<SlotHistoryEntry, SlotRefusal> {
        let (of, serving) = self.lease_of_token(token)?;
        match outcome {
            StepOutcome::Done | StepOutcome::DueAgain => {
                self.active_loop = None;
                self.attempts = 0;
                self.schedule_pending_events(limits, now);
                if outcome == StepOutcome::DueAgain {
                    self.add_event(of, limits, now);
                }
            }
            StepOutcome::DueAt(at, why) => {
                self.active_loop = why.keeps_active_loop().then_some(of);
                match why {
                    WaitReason::Settling
                    | WaitReason::RateLimit
                    | WaitReason::Backoff
                    | WaitReason::Debounce
                    | WaitReason::Storm => {}
                    WaitReason::Deferred
                    | WaitReason::Scheduled
                    | WaitReason::Reviewer
                    | WaitReason::Step => self.attempts = 0,
                }
                self.restore_pending(of, serving);
                self.state = SlotState::Waiting { due_at: at, reason: why };
                if self.active_loop.is_none() && self.has_other_request(of) {
                    self.schedule_pending_events(limits, now);
                }
            }
            StepOutcome::Held(why) => {
                self.active_loop = None;
                self.attempts = 0;
                let happened = self.pending.for_loop(of).is_some() || self.has_other_request(of);
                match why {
                    HoldReason::Cancelled => {}
                    HoldReason::Parked | HoldReason::Paused | HoldReason::Draft => {
                        self.restore_pending(of, serving);
                    }
                }
                if happened {
                    self.schedule_pending_events(limits, now);
                } else {
                    self.state = SlotState::Held { reason: why };
                }
            }
        }
        if self.active_loop.is_none() && of == LoopKind::Converge {
            self.converge_request = None;
        }
        // A stop does not shorten a `Settling` wait, because the comment that reports the stop can be created
        // only after the forge shows the previous write.
        if !matches!(outcome, StepOutcome::DueAt(_, WaitReason::Settling)) {
            self.end_wait_if_stopping(now);
        }
        self.drop_ended_storm(now);
        Ok(SlotHistoryEntry::Finished(outcome))
    }

    /// Handles a failed step or a lost lease: the slot waits for a retry, or too many attempts park it.
    fn handle_failed_attempt(
        &mut self,
        not_before: Option<UnixMillis>,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> SlotHistoryEntry {
        if let SlotState::Leased { loop_kind: of, claimed_events: serving, .. } = self.state {
            self.restore_pending(of, serving);
            self.active_loop = Some(of).filter(|of| of.spans_several_leases());
        }
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts >= limits.max_attempts {
            self.state = SlotState::Held { reason: HoldReason::Parked };
            return SlotHistoryEntry::Parked(self.attempts);
        }
        let retry = limits.retry_at(&self.key, self.attempts, now);
        let at = not_before.map_or(retry, |instant| instant.max(retry));
        self.state = SlotState::Waiting { due_at: at, reason: WaitReason::Backoff };
        self.end_wait_if_stopping(now);
        SlotHistoryEntry::Failed(self.attempts, at)
    }

    fn return_lease(&mut self, now: UnixMillis) -> SlotHistoryEntry {
        if let SlotState::Leased { loop_kind: of, claimed_events: serving, .. } = self.state {
            self.restore_pending(of, serving);
            self.active_loop = Some(of); // the same loop goes on where its run stopped
            self.state = SlotState::Waiting { due_at: now, reason: of.default_wait_reason() };
        }
        SlotHistoryEntry::Returned
    }

    fn pause(&mut self) -> SlotHistoryEntry {
        match &mut self.state {
            SlotState::Leased { pause_requested: pausing, .. } => {
                *pausing = true;
                SlotHistoryEntry::Manual("paused after its current step,")
            }
            SlotState::Idle | SlotState::Waiting { .. } | SlotState::Held { .. } => {
                self.active_loop = None;
                self.state = SlotState::Held { reason: HoldReason::Paused };
                SlotHistoryEntry::Manual("paused")
            }
        }
    }

    /// Pauses the slot if this command has ended a lease during which a pause was requested. `before` is the
    /// slot before the command. Pending events stay pending.
    fn apply_pending_pause(&mut self, previous_slot: &Self) {
        let pausing = matches!(previous_slot.state, SlotState::Leased { pause_requested: true, .. });
        if pausing && self.token().is_none() {
            self.active_loop = None;
            self.state = SlotState::Held { reason: HoldReason::Paused };
        }
    }

    fn resume(&mut self, limits: &SlotLimits, now: UnixMillis) -> Result<SlotHistoryEntry, SlotRefusal> {
        match &mut self.state {
            SlotState::Held { reason: HoldReason::Paused } => {
                self.attempts = 0;
                self.schedule_pending_events(limits, now);
                Ok(SlotHistoryEntry::Manual("resumed"))
            }
            SlotState::Leased { pause_requested: pausing @ true, .. } => {
                *pausing = false;
                Ok(SlotHistoryEntry::Manual("resumed"))
            }
            SlotState::Idle
            | SlotState::Waiting { .. }
            | SlotState::Leased { pause_requested: false, .. }
            | SlotState::Held { reason: HoldReason::Parked | HoldReason::Draft | HoldReason::Cancelled } => {
                Err(SlotRefusal::NotApplicable)
            }
        }
    }

    fn retry(&mut self, now: UnixMillis) -> Result<SlotHistoryEntry, SlotRefusal> {
        self.reclaim_overdue_lease(now)?;
        let of = self.active_loop.unwrap_or_else(|| self.default_loop());
        if self.pending.is_empty() {
            self.add_pending(of, PendingEventTimes::new(now));
        }
        self.attempts = 0;
        self.state = SlotState::Waiting { due_at: now, reason: of.default_wait_reason() };
        Ok(SlotHistoryEntry::Manual("retried"))
    }

    /// Returns the loop and the events of the current lease. Returns an error if the lease has another token.
    fn lease_of_token(
        &self,
        token: FencingToken,
    ) -> Result<(LoopKind, Option<PendingEventTimes>), SlotRefusal> {
        match self.state {
            SlotState::Leased { token: current, loop_kind: of, claimed_events: serving, .. }
                if current == token =>
            {
                Ok((of, serving))
            }
            SlotState::Leased { .. }
            | SlotState::Idle
            | SlotState::Waiting { .. }
            | SlotState::Held { .. } => Err(SlotRefusal::LeaseLost),
        }
    }

    /// If the slot's lease has expired, makes the events of the lease pending again. Returns an error if the
    /// lease is still valid.
    fn reclaim_overdue_lease(&mut self, now: UnixMillis) -> Result<(), SlotRefusal> {
        match self.state {
            SlotState::Leased { deadline, .. } if deadline > now => Err(SlotRefusal::Leased(deadline)),
            SlotState::Leased { loop_kind: of, claimed_events: serving, .. } => {
                self.restore_pending(of, serving);
                Ok(())
            }
            SlotState::Idle | SlotState::Waiting { .. } | SlotState::Held { .. } => Ok(()),
        }
    }

    fn add_pending(&mut self, loop_kind: LoopKind, events: PendingEventTimes) {
        let pending = self.pending.events_mut(loop_kind);
        *pending = Some(pending.map_or(events, |earlier| earlier.merge_with(events)));
    }

    /// Returns true if a user's request for a loop other than `loop_kind` is pending.
    fn has_other_request(&self, loop_kind: LoopKind) -> bool {
        let is_asked = |other: &LoopKind| {
            self.pending.for_loop(*other).is_some_and(|pending| pending.requested_at.is_some())
        };
        LoopKind::ALL.iter().any(|other| *other != loop_kind && is_asked(other))
    }

    fn restore_pending(&mut self, loop_kind: LoopKind, claimed_events: Option<PendingEventTimes>) {
        if let Some(unserved) = claimed_events {
            self.add_pending(loop_kind, unserved);
        }
    }

    /// Sets the slot's state. If there are pending events, the slot waits until the first loop with such
    /// events is due. Otherwise the slot is idle.
    fn schedule_pending_events(&mut self, limits: &SlotLimits, now: UnixMillis) {
        let due =
            LoopKind::ALL.iter().filter_map(|of| self.due_time(*of, limits, now)).min_by_key(|(at, _)| *at);
        self.state = due.map_or(SlotState::Idle, |(at, reason)| SlotState::Waiting { due_at: at, reason });
    }

    /// Returns the time at which a loop's pending events are due, and the reason for waiting until then. A
    /// storm delays reviews within its limits.
    fn due_time(
        &self,
        loop_kind: LoopKind,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> Option<(UnixMillis, WaitReason)> {
        let unserved = self.pending.for_loop(loop_kind)?;
        if let Some(asked) = unserved.requested_at {
            return Some((asked, WaitReason::Debounce));
        }
        Some(match (loop_kind, self.storm) {
            (LoopKind::Converge | LoopKind::Sync, _) => (unserved.first, loop_kind.default_wait_reason()),
            (LoopKind::Review, Some(storm)) if storm.review_count > 0 && now < storm.end => {
                (storm.end, WaitReason::Storm)
            }
            (LoopKind::Review, Some(_) | None) => {
                let paused = unserved.last + limits.debounce;
                (paused.min(unserved.first + limits.max_debounce), WaitReason::Debounce)
            }
        })
    }

    /// Returns the loop for a new lease: the first loop that is due; otherwise, the first loop with pending
    /// events.
    fn next_loop(&self, limits: &SlotLimits, now: UnixMillis) -> LoopKind {
        let due = |kind: &&LoopKind| self.due_time(**kind, limits, now).is_some_and(|(at, _)| at <= now);
        let pending = |kind: &&LoopKind| self.pending.for_loop(**kind).is_some();
        let first = LoopKind::ALL.iter().find(due).or_else(|| LoopKind::ALL.iter().find(pending));
        first.copied().unwrap_or_else(|| self.default_loop())
    }

    /// Returns the loop that the slot's key implies: sync for the key of a job, review for any other key.
    fn default_loop(&self) -> LoopKind {
        if job::job_from_key(&self.key).is_some() { LoopKind::Sync } else { LoopKind::Review }
    }

    /// Returns true if a new event may change the end of a wait with this reason.
    fn is_movable_by_events(reason: WaitReason) -> bool {
        match reason {
            WaitReason::Debounce | WaitReason::Storm => true,
            WaitReason::Backoff
            | WaitReason::Deferred
            | WaitReason::Scheduled
            | WaitReason::RateLimit
            | WaitReason::Settling
            | WaitReason::Reviewer
            | WaitReason::Step => false,
        }
    }

    fn waiting_note(&self) -> Option<SlotHistoryEntry> {
        match self.state {
            SlotState::Waiting { due_at: at, reason: why } => Some(SlotHistoryEntry::MarkedDue(at, why)),
            SlotState::Idle | SlotState::Leased { .. } | SlotState::Held { .. } => None,
        }
    }

    fn drop_ended_storm(&mut self, now: UnixMillis) {
        if self.state == SlotState::Idle && self.storm.is_some_and(|storm| storm.end <= now) {
            self.storm = None;
        }
    }
}
