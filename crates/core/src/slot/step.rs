//! What may happen to a slot, and what becomes of it: [`Slot::step`].

use super::note::{SlotNote, SlotRefusal};
use super::{
    ConvergeRequest, EventStorm, HoldReason, LoopKind, Slot, SlotLimits, SlotState, UnservedEvents,
    WaitReason,
};
use crate::id::{FencingToken, UnixMillis};
use crate::sync::job;

/// What may happen to a slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SlotCommand {
    /// The forge says that something changed. It only marks the slot: what changed is asked of the forge later,
    /// so a late, repeated or reordered event is harmless, and a lost one is made up for by the next.
    Event(LoopKind),
    /// A person asks for it by name: served at once, and even if nothing changed.
    Request(LoopKind),
    /// A person asks for one audit by the converge loop, without a fix.
    Audit,
    /// A person wants the converge run to end before its next step.
    Stop,
    /// A worker takes a due slot.
    Lease,
    /// The worker is alive.
    Heartbeat(FencingToken),
    /// The worker is about to record a computed review: it counts for the storm.
    Computed(FencingToken),
    /// The worker's step is done.
    Finish(FencingToken, StepOutcome),
    /// The worker's step failed, and is to be tried again; not before the given instant, if there is one (a
    /// create whose answer was lost is not looked for before its settle delay has passed).
    Fail(FencingToken, Option<UnixMillis>),
    /// The worker gives the lease back untouched (drain): no attempt is counted.
    HandBack(FencingToken),
    /// The deadline has passed: the lease is lost, which is a failed attempt.
    Expire,
    /// The only server of this store has restarted: whoever held the lease is dead. No attempt is counted.
    Restarted,
    /// A person pauses it; while a worker has it, from the end of the step on.
    Pause,
    /// A person resumes it; or takes a pause back that has not begun.
    Resume,
    /// An operator wants it tried now.
    Retry,
    /// An operator wants it forgotten.
    Drop,
    /// Forget a storm that has ended.
    Tidy,
}

/// How a step ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StepOutcome {
    /// Done: what was pending at the lease is served.
    Idle,
    /// Done, but the forge shows another revision by now: due again, as after an event.
    Again,
    /// Not done: go on then.
    DueAt(UnixMillis, WaitReason),
    /// Not to be done until something happens. If something happened during the lease it is due instead.
    Held(HoldReason),
}

/// A step's result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlotTransition {
    /// What to store; [`Slot::wakes_at`] tells when it wants the next step.
    pub slot: Slot,
    /// What to tell the log and `truing why`.
    pub note: Option<SlotNote>,
}

impl Slot {
    /// The one transition function. `now` is the store's; nothing else is read.
    ///
    /// # Errors
    /// [`SlotRefusal`] if the command does not fit the state; the slot is as it was.
    pub fn step(
        &self,
        command: SlotCommand,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> Result<SlotTransition, SlotRefusal> {
        let mut slot = self.clone();
        let note = match command {
            SlotCommand::Event(of) => slot.event(of, limits, now),
            SlotCommand::Request(of) => slot.request(of, limits, now),
            SlotCommand::Audit => Some(slot.audit(limits, now)?),
            SlotCommand::Stop => Some(slot.stop(limits, now)?),
            SlotCommand::Lease => Some(slot.lease(limits, now)?),
            SlotCommand::Heartbeat(token) => slot.heartbeat(token, limits, now)?,
            SlotCommand::Computed(token) => Some(slot.count(token, limits, now)?),
            SlotCommand::Finish(token, then) => Some(slot.finish(token, then, limits, now)?),
            SlotCommand::Fail(token, not_before) => {
                slot.held_by(token)?;
                Some(slot.attempt_failed(not_before, limits, now))
            }
            SlotCommand::HandBack(token) => {
                slot.held_by(token)?;
                Some(slot.hand_back(now))
            }
            SlotCommand::Expire => match slot.state {
                SlotState::Leased { deadline, .. } if deadline <= now => {
                    Some(slot.attempt_failed(None, limits, now))
                }
                SlotState::Leased { deadline, .. } => return Err(SlotRefusal::Leased(deadline)),
                SlotState::Idle | SlotState::Waiting { .. } | SlotState::Held { .. } => {
                    return Err(SlotRefusal::Nothing);
                }
            },
            SlotCommand::Restarted => match slot.state {
                SlotState::Leased { .. } => Some(slot.hand_back(now)),
                SlotState::Idle | SlotState::Waiting { .. } | SlotState::Held { .. } => {
                    return Err(SlotRefusal::Nothing);
                }
            },
            SlotCommand::Pause => Some(slot.pause()),
            SlotCommand::Resume => Some(slot.resume(limits, now)?),
            SlotCommand::Retry => Some(slot.retry(now)?),
            SlotCommand::Drop => {
                slot.free(now)?;
                slot = Slot { version: slot.version, ..Slot::new(slot.key) };
                Some(SlotNote::ByHand("dropped"))
            }
            SlotCommand::Tidy => match slot.storm {
                Some(storm) if slot.state == SlotState::Idle && storm.ends <= now => {
                    slot.storm = None;
                    None
                }
                Some(_) | None => return Err(SlotRefusal::Nothing),
            },
        };
        if !matches!(command, SlotCommand::Retry | SlotCommand::Drop) {
            slot.pause_after(self); // those two are people's last words
        }
        Ok(SlotTransition { slot, note })
    }

    /// [`SlotCommand::Event`], which no state refuses.
    pub fn on_event(&self, of: LoopKind, limits: &SlotLimits, now: UnixMillis) -> SlotTransition {
        let mut slot = self.clone();
        let note = slot.event(of, limits, now);
        SlotTransition { slot, note }
    }

    fn event(&mut self, of: LoopKind, limits: &SlotLimits, now: UnixMillis) -> Option<SlotNote> {
        if of == LoopKind::Review {
            self.extend_storm(limits, now);
        }
        self.mark(of, UnservedEvents::at(now));
        match self.state {
            SlotState::Leased { .. } | SlotState::Held { why: HoldReason::Paused } => None,
            SlotState::Waiting { why, .. } => {
                if Self::is_for_pending(why) {
                    self.wait_for_pending(limits, now);
                }
                None // one line of history for the first event, not for each of a storm
            }
            SlotState::Idle
            | SlotState::Held { why: HoldReason::Parked | HoldReason::Draft | HoldReason::Cancelled } => {
                self.attempts = 0;
                self.wait_for_pending(limits, now);
                self.marked()
            }
        }
    }

    /// Counts an event into the storm, or begins a new one with it.
    fn extend_storm(&mut self, limits: &SlotLimits, now: UnixMillis) {
        let storm = match self.storm {
            Some(storm) if now < storm.ends => EventStorm { last: storm.last.max(now), ..storm },
            Some(_) | None => EventStorm { start: now, last: now, ends: now, computed: 0 },
        };
        let ends = (storm.last + limits.quiet).min(storm.start + limits.storm_max);
        self.storm = Some(EventStorm { ends, ..storm });
    }

    /// Is the converge loop in the middle of something, or asked for?
    fn converges(&self) -> bool {
        let is_leased = matches!(self.state, SlotState::Leased { of: LoopKind::Converge, .. });
        is_leased || self.owner == Some(LoopKind::Converge) || self.pending.converge.is_some()
    }

    fn audit(&mut self, limits: &SlotLimits, now: UnixMillis) -> Result<SlotNote, SlotRefusal> {
        if self.converges() {
            return Err(SlotRefusal::Converging);
        }
        self.request(LoopKind::Converge, limits, now);
        self.wish = Some(ConvergeRequest::Audit);
        Ok(SlotNote::Asked(LoopKind::Converge))
    }

    /// What has begun ends with its next step, which is due at once; what has not is forgotten.
    fn stop(&mut self, limits: &SlotLimits, now: UnixMillis) -> Result<SlotNote, SlotRefusal> {
        if !self.converges() {
            return Err(SlotRefusal::Nothing);
        }
        let is_leased = matches!(self.state, SlotState::Leased { of: LoopKind::Converge, .. });
        if is_leased || self.owner == Some(LoopKind::Converge) {
            self.wish = Some(ConvergeRequest::Stop);
            self.stop_at_once(now);
        } else {
            (self.pending.converge, self.wish) = (None, None);
            if matches!(self.state, SlotState::Waiting { why, .. } if Self::is_for_pending(why)) {
                self.wait_for_pending(limits, now);
            }
        }
        Ok(SlotNote::ByHand("stopped"))
    }

    /// Whoever is to stop waits for nothing.
    fn stop_at_once(&mut self, now: UnixMillis) {
        let is_stopped = self.wish == Some(ConvergeRequest::Stop) && self.owner == Some(LoopKind::Converge);
        if let (true, SlotState::Waiting { at, why }) = (is_stopped, &mut self.state) {
            (*at, *why) = (now.min(*at), WaitReason::Step);
        }
    }

    fn request(&mut self, of: LoopKind, limits: &SlotLimits, now: UnixMillis) -> Option<SlotNote> {
        if of == LoopKind::Converge {
            self.wish = None; // what people say last is what they want
        }
        self.mark(of, UnservedEvents { asked: Some(now), ..UnservedEvents::at(now) });
        let blocked = match &mut self.state {
            SlotState::Leased { pausing, .. } => {
                *pausing = false; // what people say last is what they want
                true
            }
            SlotState::Waiting { .. } => self.owner.is_some_and(|owner| owner != of),
            SlotState::Idle | SlotState::Held { .. } => false,
        };
        if !blocked {
            self.attempts = 0;
            self.wait_for_pending(limits, now);
        }
        Some(SlotNote::Asked(of))
    }

    fn lease(&mut self, limits: &SlotLimits, now: UnixMillis) -> Result<SlotNote, SlotRefusal> {
        match self.state {
            SlotState::Waiting { at, .. } if at <= now => {}
            SlotState::Waiting { .. } | SlotState::Idle | SlotState::Held { .. } => {
                return Err(SlotRefusal::NotDue);
            }
            SlotState::Leased { deadline, .. } => return Err(SlotRefusal::Leased(deadline)),
        }
        let of = self.owner.unwrap_or_else(|| self.next_loop(limits, now));
        let serving = self.pending.slot_of(of).take();
        if of == LoopKind::Review && serving.is_some_and(|unserved| unserved.asked.is_some()) {
            self.storm = None;
            self.extend_storm(limits, now);
        }
        let token = FencingToken(self.version.0);
        self.owner = Some(of);
        self.state = SlotState::Leased { token, deadline: now + limits.lease, of, serving, pausing: false };
        Ok(SlotNote::Leased(of, token))
    }

    fn heartbeat(
        &mut self,
        held: FencingToken,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> Result<Option<SlotNote>, SlotRefusal> {
        self.held_by(held)?;
        if let SlotState::Leased { deadline, .. } = &mut self.state {
            *deadline = (*deadline).max(now + limits.lease);
        }
        Ok(None)
    }

    /// Counts a computed review. One for which no event ever came (lost, or retried by hand) begins a storm, so
    /// that whatever follows is bounded too.
    fn count(
        &mut self,
        token: FencingToken,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> Result<SlotNote, SlotRefusal> {
        self.held_by(token)?;
        if self.storm.is_none_or(|storm| storm.ends <= now && storm.computed >= 2) {
            self.extend_storm(limits, now);
        }
        Ok(SlotNote::Computed(self.storm.as_mut().map_or(1, |storm| {
            storm.computed = storm.computed.saturating_add(1);
            storm.computed
        })))
    }

    fn finish(
        &mut self,
        token: FencingToken,
        then: StepOutcome,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> Result<SlotNote, SlotRefusal> {
        let (of, serving) = self.held_by(token)?;
        match then {
            StepOutcome::Idle | StepOutcome::Again => {
                self.owner = None;
                self.attempts = 0;
                self.wait_for_pending(limits, now);
                if then == StepOutcome::Again {
                    self.event(of, limits, now);
                }
            }
            StepOutcome::DueAt(at, why) => {
                self.owner = why.keeps_owner().then_some(of);
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
                self.unserve(of, serving);
                self.state = SlotState::Waiting { at, why };
                if self.owner.is_none() && self.is_asked_besides(of) {
                    self.wait_for_pending(limits, now);
                }
            }
            StepOutcome::Held(why) => {
                self.owner = None;
                self.attempts = 0;
                let happened = self.pending.of(of).is_some() || self.is_asked_besides(of);
                match why {
                    HoldReason::Cancelled => {}
                    HoldReason::Parked | HoldReason::Paused | HoldReason::Draft => self.unserve(of, serving),
                }
                if happened {
                    self.wait_for_pending(limits, now);
                } else {
                    self.state = SlotState::Held { why };
                }
            }
        }
        if self.owner.is_none() && of == LoopKind::Converge {
            self.wish = None;
        }
        // The comment that tells of the stop cannot be made before the forge shows what was written last.
        if !matches!(then, StepOutcome::DueAt(_, WaitReason::Settling)) {
            self.stop_at_once(now);
        }
        self.drop_ended_storm(now);
        Ok(SlotNote::Finished(then))
    }

    /// A failed or lost lease: backoff, then parked.
    fn attempt_failed(
        &mut self,
        not_before: Option<UnixMillis>,
        limits: &SlotLimits,
        now: UnixMillis,
    ) -> SlotNote {
        if let SlotState::Leased { of, serving, .. } = self.state {
            self.unserve(of, serving);
            self.owner = Some(of).filter(|of| of.has_steps());
        }
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts >= limits.attempts {
            self.state = SlotState::Held { why: HoldReason::Parked };
            return SlotNote::Parked(self.attempts);
        }
        let retry = limits.retry_at(&self.key, self.attempts, now);
        let at = not_before.map_or(retry, |instant| instant.max(retry));
        self.state = SlotState::Waiting { at, why: WaitReason::Backoff };
        self.stop_at_once(now);
        SlotNote::Failed(self.attempts, at)
    }

    fn hand_back(&mut self, now: UnixMillis) -> SlotNote {
        if let SlotState::Leased { of, serving, .. } = self.state {
            self.unserve(of, serving);
            self.owner = Some(of); // the same loop goes on where its run stopped
            self.state = SlotState::Waiting { at: now, why: of.natural_wait() };
        }
        SlotNote::HandedBack
    }

    fn pause(&mut self) -> SlotNote {
        match &mut self.state {
            SlotState::Leased { pausing, .. } => {
                *pausing = true;
                SlotNote::ByHand("paused, once its step has ended,")
            }
            SlotState::Idle | SlotState::Waiting { .. } | SlotState::Held { .. } => {
                self.owner = None;
                self.state = SlotState::Held { why: HoldReason::Paused };
                SlotNote::ByHand("paused")
            }
        }
    }

    /// Holds what was to be paused when its lease, which `before` had, is over. What is pending stays so.
    fn pause_after(&mut self, before: &Self) {
        let pausing = matches!(before.state, SlotState::Leased { pausing: true, .. });
        if pausing && self.token().is_none() {
            self.owner = None;
            self.state = SlotState::Held { why: HoldReason::Paused };
        }
    }

    fn resume(&mut self, limits: &SlotLimits, now: UnixMillis) -> Result<SlotNote, SlotRefusal> {
        match &mut self.state {
            SlotState::Held { why: HoldReason::Paused } => {
                self.attempts = 0;
                self.wait_for_pending(limits, now);
                Ok(SlotNote::ByHand("resumed"))
            }
            SlotState::Leased { pausing: pausing @ true, .. } => {
                *pausing = false;
                Ok(SlotNote::ByHand("resumed"))
            }
            SlotState::Idle
            | SlotState::Waiting { .. }
            | SlotState::Leased { pausing: false, .. }
            | SlotState::Held { why: HoldReason::Parked | HoldReason::Draft | HoldReason::Cancelled } => {
                Err(SlotRefusal::Nothing)
            }
        }
    }

    fn retry(&mut self, now: UnixMillis) -> Result<SlotNote, SlotRefusal> {
        self.free(now)?;
        let of = self.owner.unwrap_or_else(|| self.natural_loop());
        if self.pending.is_empty() {
            self.mark(of, UnservedEvents::at(now));
        }
        self.attempts = 0;
        self.state = SlotState::Waiting { at: now, why: of.natural_wait() };
        Ok(SlotNote::ByHand("retried"))
    }

    /// The loop and the events of the lease that `token` holds.
    fn held_by(&self, token: FencingToken) -> Result<(LoopKind, Option<UnservedEvents>), SlotRefusal> {
        match self.state {
            SlotState::Leased { token: current, of, serving, .. } if current == token => Ok((of, serving)),
            SlotState::Leased { .. }
            | SlotState::Idle
            | SlotState::Waiting { .. }
            | SlotState::Held { .. } => Err(SlotRefusal::LeaseLost),
        }
    }

    /// Refused while somebody is at work on it; what an overdue lease was serving is pending again.
    fn free(&mut self, now: UnixMillis) -> Result<(), SlotRefusal> {
        match self.state {
            SlotState::Leased { deadline, .. } if deadline > now => Err(SlotRefusal::Leased(deadline)),
            SlotState::Leased { of, serving, .. } => {
                self.unserve(of, serving);
                Ok(())
            }
            SlotState::Idle | SlotState::Waiting { .. } | SlotState::Held { .. } => Ok(()),
        }
    }

    fn mark(&mut self, of: LoopKind, unserved: UnservedEvents) {
        let pending = self.pending.slot_of(of);
        *pending = Some(pending.map_or(unserved, |earlier| earlier.and(unserved)));
    }

    /// Has somebody asked for another loop meanwhile?
    fn is_asked_besides(&self, of: LoopKind) -> bool {
        let is_asked =
            |other: &LoopKind| self.pending.of(*other).is_some_and(|pending| pending.asked.is_some());
        LoopKind::ALL.iter().any(|other| *other != of && is_asked(other))
    }

    fn unserve(&mut self, of: LoopKind, serving: Option<UnservedEvents>) {
        if let Some(unserved) = serving {
            self.mark(of, unserved);
        }
    }

    /// Waits for the earliest pending loop, or is idle if nothing is pending.
    fn wait_for_pending(&mut self, limits: &SlotLimits, now: UnixMillis) {
        let due = LoopKind::ALL.iter().filter_map(|of| self.due(*of, limits, now)).min_by_key(|(at, _)| *at);
        self.state = due.map_or(SlotState::Idle, |(at, why)| SlotState::Waiting { at, why });
    }

    /// When a loop's pending events are due. The rules are design.md section 2, "Storm".
    fn due(&self, of: LoopKind, limits: &SlotLimits, now: UnixMillis) -> Option<(UnixMillis, WaitReason)> {
        let unserved = self.pending.of(of)?;
        if let Some(asked) = unserved.asked {
            return Some((asked, WaitReason::Debounce));
        }
        Some(match (of, self.storm) {
            (LoopKind::Converge | LoopKind::Sync, _) => (unserved.first, of.natural_wait()),
            (LoopKind::Review, Some(storm)) if storm.computed > 0 && now < storm.ends => {
                (storm.ends, WaitReason::Storm)
            }
            (LoopKind::Review, Some(_) | None) => {
                let paused = unserved.last + limits.debounce;
                (paused.min(unserved.first + limits.max_wait), WaitReason::Debounce)
            }
        })
    }

    /// Which loop a lease begins: the first in order among those that are due, else any that is pending.
    fn next_loop(&self, limits: &SlotLimits, now: UnixMillis) -> LoopKind {
        let due = |of: &&LoopKind| self.due(**of, limits, now).is_some_and(|(at, _)| at <= now);
        let pending = |of: &&LoopKind| self.pending.of(**of).is_some();
        let first = LoopKind::ALL.iter().find(due).or_else(|| LoopKind::ALL.iter().find(pending));
        first.copied().unwrap_or_else(|| self.natural_loop())
    }

    /// The loop that the key alone stands for.
    fn natural_loop(&self) -> LoopKind {
        if job::of_key(&self.key).is_some() { LoopKind::Sync } else { LoopKind::Review }
    }

    /// Is this a wait that new events may move? The others have their own reason to wait.
    fn is_for_pending(why: WaitReason) -> bool {
        match why {
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

    fn marked(&self) -> Option<SlotNote> {
        match self.state {
            SlotState::Waiting { at, why } => Some(SlotNote::Marked(at, why)),
            SlotState::Idle | SlotState::Leased { .. } | SlotState::Held { .. } => None,
        }
    }

    fn drop_ended_storm(&mut self, now: UnixMillis) {
        if self.state == SlotState::Idle && self.storm.is_some_and(|storm| storm.ends <= now) {
            self.storm = None;
        }
    }
}
