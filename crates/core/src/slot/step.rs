//! What may happen to a slot, and what becomes of it: [`Slot::step`].

use std::fmt;

use super::{ConvergeRequest, Hold, Limits, Loop, Slot, State, Storm, Unserved, Why};
use crate::id::{Millis, Token};
use crate::sync::job;

/// What may happen to a slot.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Command {
    /// The forge says that something changed. It only marks the slot: what changed is asked of the forge later,
    /// so a late, repeated or reordered event is harmless, and a lost one is made up for by the next.
    Event(Loop),
    /// A person asks for it by name: served at once, and even if nothing changed.
    Request(Loop),
    /// A person asks for one audit by the converge loop, without a fix.
    Audit,
    /// A person wants the converge run to end before its next step.
    Stop,
    /// A worker takes a due slot.
    Lease,
    /// The worker is alive.
    Heartbeat(Token),
    /// The worker is about to record a computed review: it counts for the storm.
    Computed(Token),
    /// The worker's step is done.
    Finish(Token, Then),
    /// The worker's step failed, and is to be tried again; not before the given instant, if there is one (a
    /// create whose answer was lost is not looked for before its settle delay has passed).
    Fail(Token, Option<Millis>),
    /// The worker gives the lease back untouched (drain): no attempt is counted.
    HandBack(Token),
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
pub enum Then {
    /// Done: what was pending at the lease is served.
    Idle,
    /// Done, but the forge shows another revision by now: due again, as after an event.
    Again,
    /// Not done: go on then.
    DueAt(Millis, Why),
    /// Not to be done until something happens. If something happened during the lease it is due instead.
    Held(Hold),
}

/// A step's result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Decision {
    /// What to store; [`Slot::wakes_at`] tells when it wants the next step.
    pub slot: Slot,
    /// What to tell the log and `truing why`.
    pub note: Option<Note>,
}

/// A line of history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Note {
    /// Marked: due then.
    Marked(Millis, Why),
    /// A person asked for this loop.
    Asked(Loop),
    /// Leased for this loop.
    Leased(Loop, Token),
    /// A review was computed: the how-manieth of its storm.
    Computed(u32),
    /// Ended.
    Finished(Then),
    /// Failed or lost, how often by now, and when it is tried again.
    Failed(u32, Millis),
    /// Failed too often: held until a new event or a retry.
    Parked(u32),
    /// The lease was given back, or its holder died with its server.
    HandedBack,
    /// Paused, resumed, retried or dropped by a person.
    ByHand(&'static str),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marked(_, why) => write!(f, "marked; waits for {}", why.as_str()),
            Self::Asked(of) => write!(f, "{} asked for by a person", of.as_str()),
            Self::Leased(of, token) => write!(f, "{} leased (token {})", of.as_str(), token.0),
            Self::Computed(1) => write!(f, "computed: the leading review of the storm"),
            Self::Computed(_) => write!(f, "computed: the trailing review of the storm"),
            Self::Finished(Then::Idle) => write!(f, "finished"),
            Self::Finished(Then::Again) => write!(f, "finished; the head has moved, due again"),
            Self::Finished(Then::DueAt(_, why)) => write!(f, "goes on later ({})", why.as_str()),
            Self::Finished(Then::Held(why)) => write!(f, "held ({})", why.as_str()),
            Self::Failed(attempts, _) => write!(f, "attempt {attempts} failed; will be tried again"),
            Self::Parked(attempts) => write!(f, "parked after {attempts} failed attempts"),
            Self::HandedBack => write!(f, "lease given back; due at once"),
            Self::ByHand(what) => write!(f, "{what} by hand"),
        }
    }
}

/// Why a step is not possible. Nothing changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// The token is not the lease's: the caller lost the slot and must stop.
    #[error("the lease is lost: another one was granted, or none is")]
    LeaseLost,
    /// Not due yet, or not waiting at all.
    #[error("not due")]
    NotDue,
    /// A worker has it, until then unless it renews its lease.
    #[error("a worker is at work on it")]
    Leased(Millis),
    /// There is nothing of the kind to do.
    #[error("nothing to do")]
    Nothing,
    /// A converge run has begun or is asked for: it audits by itself.
    #[error("a converge run is at work or asked for, and audits by itself")]
    Converging,
}

impl Slot {
    /// The one transition function. `now` is the store's; nothing else is read.
    ///
    /// # Errors
    /// [`Refused`] if the command does not fit the state; the slot is as it was.
    pub fn step(&self, command: Command, limits: &Limits, now: Millis) -> Result<Decision, Refused> {
        let mut slot = self.clone();
        let note = match command {
            Command::Event(of) => slot.event(of, limits, now),
            Command::Request(of) => slot.request(of, limits, now),
            Command::Audit => Some(slot.audit(limits, now)?),
            Command::Stop => Some(slot.stop(limits, now)?),
            Command::Lease => Some(slot.lease(limits, now)?),
            Command::Heartbeat(token) => slot.heartbeat(token, limits, now)?,
            Command::Computed(token) => Some(slot.count(token, limits, now)?),
            Command::Finish(token, then) => Some(slot.finish(token, then, limits, now)?),
            Command::Fail(token, not_before) => {
                slot.held_by(token)?;
                Some(slot.attempt_failed(not_before, limits, now))
            }
            Command::HandBack(token) => {
                slot.held_by(token)?;
                Some(slot.hand_back(now))
            }
            Command::Expire => match slot.state {
                State::Leased { deadline, .. } if deadline <= now => {
                    Some(slot.attempt_failed(None, limits, now))
                }
                State::Leased { deadline, .. } => return Err(Refused::Leased(deadline)),
                State::Idle | State::Waiting { .. } | State::Held { .. } => return Err(Refused::Nothing),
            },
            Command::Restarted => match slot.state {
                State::Leased { .. } => Some(slot.hand_back(now)),
                State::Idle | State::Waiting { .. } | State::Held { .. } => return Err(Refused::Nothing),
            },
            Command::Pause => Some(slot.pause()),
            Command::Resume => Some(slot.resume(limits, now)?),
            Command::Retry => Some(slot.retry(now)?),
            Command::Drop => {
                slot.free(now)?;
                slot = Slot { version: slot.version, ..Slot::new(slot.key) };
                Some(Note::ByHand("dropped"))
            }
            Command::Tidy => match slot.storm {
                Some(storm) if slot.state == State::Idle && storm.ends <= now => {
                    slot.storm = None;
                    None
                }
                Some(_) | None => return Err(Refused::Nothing),
            },
        };
        if !matches!(command, Command::Retry | Command::Drop) {
            slot.pause_after(self); // those two are people's last words
        }
        Ok(Decision { slot, note })
    }

    /// [`Command::Event`], which no state refuses.
    pub fn on_event(&self, of: Loop, limits: &Limits, now: Millis) -> Decision {
        let mut slot = self.clone();
        let note = slot.event(of, limits, now);
        Decision { slot, note }
    }

    fn event(&mut self, of: Loop, limits: &Limits, now: Millis) -> Option<Note> {
        if of == Loop::Review {
            self.extend_storm(limits, now);
        }
        self.mark(of, Unserved::at(now));
        match self.state {
            State::Leased { .. } | State::Held { why: Hold::Paused } => None,
            State::Waiting { why, .. } => {
                if Self::is_for_pending(why) {
                    self.wait_for_pending(limits, now);
                }
                None // one line of history for the first event, not for each of a storm
            }
            State::Idle | State::Held { why: Hold::Parked | Hold::Draft | Hold::Cancelled } => {
                self.attempts = 0;
                self.wait_for_pending(limits, now);
                self.marked()
            }
        }
    }

    /// Counts an event into the storm, or begins a new one with it.
    fn extend_storm(&mut self, limits: &Limits, now: Millis) {
        let storm = match self.storm {
            Some(storm) if now < storm.ends => Storm { last: storm.last.max(now), ..storm },
            Some(_) | None => Storm { start: now, last: now, ends: now, computed: 0 },
        };
        let ends = (storm.last + limits.quiet).min(storm.start + limits.storm_max);
        self.storm = Some(Storm { ends, ..storm });
    }

    /// Is the converge loop in the middle of something, or asked for?
    fn converges(&self) -> bool {
        let is_leased = matches!(self.state, State::Leased { of: Loop::Converge, .. });
        is_leased || self.owner == Some(Loop::Converge) || self.pending.converge.is_some()
    }

    fn audit(&mut self, limits: &Limits, now: Millis) -> Result<Note, Refused> {
        if self.converges() {
            return Err(Refused::Converging);
        }
        self.request(Loop::Converge, limits, now);
        self.wish = Some(ConvergeRequest::Audit);
        Ok(Note::Asked(Loop::Converge))
    }

    /// What has begun ends with its next step, which is due at once; what has not is forgotten.
    fn stop(&mut self, limits: &Limits, now: Millis) -> Result<Note, Refused> {
        if !self.converges() {
            return Err(Refused::Nothing);
        }
        let is_leased = matches!(self.state, State::Leased { of: Loop::Converge, .. });
        if is_leased || self.owner == Some(Loop::Converge) {
            self.wish = Some(ConvergeRequest::Stop);
            self.stop_at_once(now);
        } else {
            (self.pending.converge, self.wish) = (None, None);
            if matches!(self.state, State::Waiting { why, .. } if Self::is_for_pending(why)) {
                self.wait_for_pending(limits, now);
            }
        }
        Ok(Note::ByHand("stopped"))
    }

    /// Whoever is to stop waits for nothing.
    fn stop_at_once(&mut self, now: Millis) {
        let is_stopped = self.wish == Some(ConvergeRequest::Stop) && self.owner == Some(Loop::Converge);
        if let (true, State::Waiting { at, why }) = (is_stopped, &mut self.state) {
            (*at, *why) = (now.min(*at), Why::Step);
        }
    }

    fn request(&mut self, of: Loop, limits: &Limits, now: Millis) -> Option<Note> {
        if of == Loop::Converge {
            self.wish = None; // what people say last is what they want
        }
        self.mark(of, Unserved { asked: Some(now), ..Unserved::at(now) });
        let blocked = match &mut self.state {
            State::Leased { pausing, .. } => {
                *pausing = false; // what people say last is what they want
                true
            }
            State::Waiting { .. } => self.owner.is_some_and(|owner| owner != of),
            State::Idle | State::Held { .. } => false,
        };
        if !blocked {
            self.attempts = 0;
            self.wait_for_pending(limits, now);
        }
        Some(Note::Asked(of))
    }

    fn lease(&mut self, limits: &Limits, now: Millis) -> Result<Note, Refused> {
        match self.state {
            State::Waiting { at, .. } if at <= now => {}
            State::Waiting { .. } | State::Idle | State::Held { .. } => return Err(Refused::NotDue),
            State::Leased { deadline, .. } => return Err(Refused::Leased(deadline)),
        }
        let of = self.owner.unwrap_or_else(|| self.next_loop(limits, now));
        let serving = self.pending.slot_of(of).take();
        if of == Loop::Review && serving.is_some_and(|unserved| unserved.asked.is_some()) {
            self.storm = None;
            self.extend_storm(limits, now);
        }
        let token = Token(self.version.0);
        self.owner = Some(of);
        self.state = State::Leased { token, deadline: now + limits.lease, of, serving, pausing: false };
        Ok(Note::Leased(of, token))
    }

    fn heartbeat(&mut self, held: Token, limits: &Limits, now: Millis) -> Result<Option<Note>, Refused> {
        self.held_by(held)?;
        if let State::Leased { deadline, .. } = &mut self.state {
            *deadline = (*deadline).max(now + limits.lease);
        }
        Ok(None)
    }

    /// Counts a computed review. One for which no event ever came (lost, or retried by hand) begins a storm, so
    /// that whatever follows is bounded too.
    fn count(&mut self, token: Token, limits: &Limits, now: Millis) -> Result<Note, Refused> {
        self.held_by(token)?;
        if self.storm.is_none_or(|storm| storm.ends <= now && storm.computed >= 2) {
            self.extend_storm(limits, now);
        }
        Ok(Note::Computed(self.storm.as_mut().map_or(1, |storm| {
            storm.computed = storm.computed.saturating_add(1);
            storm.computed
        })))
    }

    fn finish(&mut self, token: Token, then: Then, limits: &Limits, now: Millis) -> Result<Note, Refused> {
        let (of, serving) = self.held_by(token)?;
        match then {
            Then::Idle | Then::Again => {
                self.owner = None;
                self.attempts = 0;
                self.wait_for_pending(limits, now);
                if then == Then::Again {
                    self.event(of, limits, now);
                }
            }
            Then::DueAt(at, why) => {
                self.owner = why.keeps_owner().then_some(of);
                match why {
                    Why::Settling | Why::RateLimit | Why::Backoff | Why::Debounce | Why::Storm => {}
                    Why::Deferred | Why::Scheduled | Why::Reviewer | Why::Step => self.attempts = 0,
                }
                self.unserve(of, serving);
                self.state = State::Waiting { at, why };
                if self.owner.is_none() && self.is_asked_besides(of) {
                    self.wait_for_pending(limits, now);
                }
            }
            Then::Held(why) => {
                self.owner = None;
                self.attempts = 0;
                let happened = self.pending.of(of).is_some() || self.is_asked_besides(of);
                match why {
                    Hold::Cancelled => {}
                    Hold::Parked | Hold::Paused | Hold::Draft => self.unserve(of, serving),
                }
                if happened {
                    self.wait_for_pending(limits, now);
                } else {
                    self.state = State::Held { why };
                }
            }
        }
        if self.owner.is_none() && of == Loop::Converge {
            self.wish = None;
        }
        // The comment that tells of the stop cannot be made before the forge shows what was written last.
        if !matches!(then, Then::DueAt(_, Why::Settling)) {
            self.stop_at_once(now);
        }
        self.drop_ended_storm(now);
        Ok(Note::Finished(then))
    }

    /// A failed or lost lease: backoff, then parked.
    fn attempt_failed(&mut self, not_before: Option<Millis>, limits: &Limits, now: Millis) -> Note {
        if let State::Leased { of, serving, .. } = self.state {
            self.unserve(of, serving);
            self.owner = Some(of).filter(|of| of.has_steps());
        }
        self.attempts = self.attempts.saturating_add(1);
        if self.attempts >= limits.attempts {
            self.state = State::Held { why: Hold::Parked };
            return Note::Parked(self.attempts);
        }
        let retry = limits.retry_at(&self.key, self.attempts, now);
        let at = not_before.map_or(retry, |instant| instant.max(retry));
        self.state = State::Waiting { at, why: Why::Backoff };
        self.stop_at_once(now);
        Note::Failed(self.attempts, at)
    }

    fn hand_back(&mut self, now: Millis) -> Note {
        if let State::Leased { of, serving, .. } = self.state {
            self.unserve(of, serving);
            self.owner = Some(of); // the same loop goes on where its run stopped
            self.state = State::Waiting { at: now, why: of.natural_wait() };
        }
        Note::HandedBack
    }

    fn pause(&mut self) -> Note {
        match &mut self.state {
            State::Leased { pausing, .. } => {
                *pausing = true;
                Note::ByHand("paused, once its step has ended,")
            }
            State::Idle | State::Waiting { .. } | State::Held { .. } => {
                self.owner = None;
                self.state = State::Held { why: Hold::Paused };
                Note::ByHand("paused")
            }
        }
    }

    /// Holds what was to be paused when its lease, which `before` had, is over. What is pending stays so.
    fn pause_after(&mut self, before: &Self) {
        let pausing = matches!(before.state, State::Leased { pausing: true, .. });
        if pausing && self.token().is_none() {
            self.owner = None;
            self.state = State::Held { why: Hold::Paused };
        }
    }

    fn resume(&mut self, limits: &Limits, now: Millis) -> Result<Note, Refused> {
        match &mut self.state {
            State::Held { why: Hold::Paused } => {
                self.attempts = 0;
                self.wait_for_pending(limits, now);
                Ok(Note::ByHand("resumed"))
            }
            State::Leased { pausing: pausing @ true, .. } => {
                *pausing = false;
                Ok(Note::ByHand("resumed"))
            }
            State::Idle
            | State::Waiting { .. }
            | State::Leased { pausing: false, .. }
            | State::Held { why: Hold::Parked | Hold::Draft | Hold::Cancelled } => Err(Refused::Nothing),
        }
    }

    fn retry(&mut self, now: Millis) -> Result<Note, Refused> {
        self.free(now)?;
        let of = self.owner.unwrap_or_else(|| self.natural_loop());
        if self.pending.is_empty() {
            self.mark(of, Unserved::at(now));
        }
        self.attempts = 0;
        self.state = State::Waiting { at: now, why: of.natural_wait() };
        Ok(Note::ByHand("retried"))
    }

    /// The loop and the events of the lease that `token` holds.
    fn held_by(&self, token: Token) -> Result<(Loop, Option<Unserved>), Refused> {
        match self.state {
            State::Leased { token: current, of, serving, .. } if current == token => Ok((of, serving)),
            State::Leased { .. } | State::Idle | State::Waiting { .. } | State::Held { .. } => {
                Err(Refused::LeaseLost)
            }
        }
    }

    /// Refused while somebody is at work on it; what an overdue lease was serving is pending again.
    fn free(&mut self, now: Millis) -> Result<(), Refused> {
        match self.state {
            State::Leased { deadline, .. } if deadline > now => Err(Refused::Leased(deadline)),
            State::Leased { of, serving, .. } => {
                self.unserve(of, serving);
                Ok(())
            }
            State::Idle | State::Waiting { .. } | State::Held { .. } => Ok(()),
        }
    }

    fn mark(&mut self, of: Loop, unserved: Unserved) {
        let pending = self.pending.slot_of(of);
        *pending = Some(pending.map_or(unserved, |earlier| earlier.and(unserved)));
    }

    /// Has somebody asked for another loop meanwhile?
    fn is_asked_besides(&self, of: Loop) -> bool {
        let is_asked = |other: &Loop| self.pending.of(*other).is_some_and(|pending| pending.asked.is_some());
        Loop::ALL.iter().any(|other| *other != of && is_asked(other))
    }

    fn unserve(&mut self, of: Loop, serving: Option<Unserved>) {
        if let Some(unserved) = serving {
            self.mark(of, unserved);
        }
    }

    /// Waits for the earliest pending loop, or is idle if nothing is pending.
    fn wait_for_pending(&mut self, limits: &Limits, now: Millis) {
        let due = Loop::ALL.iter().filter_map(|of| self.due(*of, limits, now)).min_by_key(|(at, _)| *at);
        self.state = due.map_or(State::Idle, |(at, why)| State::Waiting { at, why });
    }

    /// When a loop's pending events are due. The rules are design.md section 2, "Storm".
    fn due(&self, of: Loop, limits: &Limits, now: Millis) -> Option<(Millis, Why)> {
        let unserved = self.pending.of(of)?;
        if let Some(asked) = unserved.asked {
            return Some((asked, Why::Debounce));
        }
        Some(match (of, self.storm) {
            (Loop::Converge | Loop::Sync, _) => (unserved.first, of.natural_wait()),
            (Loop::Review, Some(storm)) if storm.computed > 0 && now < storm.ends => (storm.ends, Why::Storm),
            (Loop::Review, Some(_) | None) => {
                let paused = unserved.last + limits.debounce;
                (paused.min(unserved.first + limits.max_wait), Why::Debounce)
            }
        })
    }

    /// Which loop a lease begins: the first in order among those that are due, else any that is pending.
    fn next_loop(&self, limits: &Limits, now: Millis) -> Loop {
        let due = |of: &&Loop| self.due(**of, limits, now).is_some_and(|(at, _)| at <= now);
        let pending = |of: &&Loop| self.pending.of(**of).is_some();
        let first = Loop::ALL.iter().find(due).or_else(|| Loop::ALL.iter().find(pending));
        first.copied().unwrap_or_else(|| self.natural_loop())
    }

    /// The loop that the key alone stands for.
    fn natural_loop(&self) -> Loop {
        if job::of_key(&self.key).is_some() { Loop::Sync } else { Loop::Review }
    }

    /// Is this a wait that new events may move? The others have their own reason to wait.
    fn is_for_pending(why: Why) -> bool {
        match why {
            Why::Debounce | Why::Storm => true,
            Why::Backoff
            | Why::Deferred
            | Why::Scheduled
            | Why::RateLimit
            | Why::Settling
            | Why::Reviewer
            | Why::Step => false,
        }
    }

    fn marked(&self) -> Option<Note> {
        match self.state {
            State::Waiting { at, why } => Some(Note::Marked(at, why)),
            State::Idle | State::Leased { .. } | State::Held { .. } => None,
        }
    }

    fn drop_ended_storm(&mut self, now: Millis) {
        if self.state == State::Idle && self.storm.is_some_and(|storm| storm.ends <= now) {
            self.storm = None;
        }
    }
}
