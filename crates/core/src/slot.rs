//! The slot: one primitive for every loop (design.md section 2). The slot is the queue.
//!
//! A slot belongs to one pull request or one sync job. It remembers that something happened, decides when a loop
//! may act, and lends itself to one worker at a time. All of that is one pure function, [`Slot::step`]; stores
//! only keep what it returns.
//!
//! ```text
//!            event, request                  due: lease
//!   idle ───────────────────▶ waiting ──────────────────▶ leased ──▶ finish: idle, waiting or held
//!                                ▲                           │
//!      held ─────────────────────┴──── fail, lost, handed back
//!        (event, resume, retry)
//! ```
//!
//! A pause never waits and never takes a lease away: what is leased is paused when its step ends.
//!
//! Every state has an exit: waiting by its time, leased by its deadline, held by an event (parked, draft,
//! cancelled), a resume (paused) or an operator's retry, idle with a storm by the storm's end.

mod limits;
mod step;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::limits::Limits;
pub use self::step::{Command, Decision, Note, Refused, Then};
use crate::id::{Key, Millis, Token, Version};

/// One slot. Without a row in the store it is [`Slot::new`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Slot {
    /// Whose slot it is.
    pub key: Key,
    /// The version of the row it was read from; 0 if there was none.
    pub version: Version,
    /// What it is doing.
    pub state: State,
    /// The loop in progress, kept across the leases of its steps.
    pub owner: Option<Loop>,
    /// Events not yet served, by loop.
    pub pending: Pending,
    /// The storm of events, kept until it has ended.
    pub storm: Option<Storm>,
    /// Failed or lost leases since the last progress.
    pub attempts: u32,
    /// What a person wants of the next step of the converge loop, if it is something else than to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wish: Option<ConvergeRequest>,
}

/// What a person may want of a converge run besides that it goes on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvergeRequest {
    /// One audit, and no fix.
    Audit,
    /// That it ends before its next step, so that it can be resumed.
    Stop,
}

/// What a slot is doing.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum State {
    /// Nothing to do.
    Idle,
    /// Something to do at `at`.
    Waiting {
        /// When.
        at: Millis,
        /// Why not now.
        why: Why,
    },
    /// A worker has it.
    Leased {
        /// Fencing token: the version at which it was leased.
        token: Token,
        /// Without a heartbeat until then it is lost.
        deadline: Millis,
        /// The loop that was begun or continued.
        of: Loop,
        /// What was pending for that loop when it was leased; served by a finish, else pending again.
        serving: Option<Unserved>,
        /// A person paused it meanwhile: it is held as soon as the lease ends, however it ends.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pausing: bool,
    },
    /// Nothing will be done until something happens.
    Held {
        /// What it is held for.
        why: Hold,
    },
}

/// The loops.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loop {
    /// Audit, fix, verify, push.
    Converge,
    /// Follow an upstream package.
    Sync,
    /// Review.
    Review,
}

impl Loop {
    /// In the order in which a slot serves them: the long ones first, so that the review sees their result.
    pub const ALL: [Self; 3] = [Self::Converge, Self::Sync, Self::Review];

    /// The word used in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Converge => "converge",
            Self::Sync => "sync",
            Self::Review => "review",
        }
    }

    /// Does it run over several leases? Then it keeps the slot while a failed step waits to be tried again.
    fn has_steps(self) -> bool {
        match self {
            Self::Converge | Self::Sync => true,
            Self::Review => false,
        }
    }

    /// What it waits for when nothing but the time is in the way.
    fn natural_wait(self) -> Why {
        match self {
            Self::Converge | Self::Sync => Why::Scheduled,
            Self::Review => Why::Debounce,
        }
    }
}

/// Why a slot waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// For the pushes to pause: the leading review of a storm.
    Debounce,
    /// For the storm to end: its trailing review.
    Storm,
    /// After a failed or lost attempt.
    Backoff,
    /// Policy said later (budget).
    Deferred,
    /// For its time by the calendar.
    Scheduled,
    /// For the forge's rate limit.
    RateLimit,
    /// For a comment that may still become visible.
    Settling,
    /// For another reviewer's answer.
    Reviewer,
    /// For its turn: a loop of several steps goes on when others have had theirs.
    Step,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Debounce,
        Self::Storm,
        Self::Backoff,
        Self::Deferred,
        Self::Scheduled,
        Self::RateLimit,
        Self::Settling,
        Self::Reviewer,
        Self::Step,
    ];

    /// The word used in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debounce => "debounce",
            Self::Storm => "storm",
            Self::Backoff => "backoff",
            Self::Deferred => "deferred",
            Self::Scheduled => "scheduled",
            Self::RateLimit => "rate_limit",
            Self::Settling => "settling",
            Self::Reviewer => "reviewer",
            Self::Step => "step",
        }
    }

    /// Does the loop that finished with this wait stay the owner: is it in the middle of something?
    fn keeps_owner(self) -> bool {
        match self {
            Self::Settling | Self::Reviewer | Self::Step | Self::RateLimit => true,
            Self::Debounce | Self::Storm | Self::Backoff | Self::Deferred | Self::Scheduled => false,
        }
    }
}

/// What a slot is held for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// Too many failed attempts. A new event or an operator's retry un-parks it.
    Parked,
    /// A person said so.
    Paused,
    /// The pull request is a draft.
    Draft,
    /// The pull request is closed.
    Cancelled,
}

impl Hold {
    /// The word used in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Paused => "paused",
            Self::Draft => "draft",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Events not yet served, by loop.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Pending {
    /// For the review loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Unserved>,
    /// For the converge loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converge: Option<Unserved>,
    /// For the sync loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<Unserved>,
}

impl Pending {
    /// What one loop has pending.
    pub fn of(&self, of: Loop) -> Option<Unserved> {
        match of {
            Loop::Review => self.review,
            Loop::Converge => self.converge,
            Loop::Sync => self.sync,
        }
    }

    fn slot_of(&mut self, of: Loop) -> &mut Option<Unserved> {
        match of {
            Loop::Review => &mut self.review,
            Loop::Converge => &mut self.converge,
            Loop::Sync => &mut self.sync,
        }
    }

    /// Nothing for any loop?
    pub fn is_empty(&self) -> bool {
        Loop::ALL.iter().all(|of| self.of(*of).is_none())
    }
}

/// The first and the last event not yet served.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Unserved {
    /// The first.
    pub first: Millis,
    /// The last.
    pub last: Millis,
    /// When a person asked for it by name, which is served at once and even if nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Millis>,
}

impl Unserved {
    fn at(now: Millis) -> Self {
        Self { first: now, last: now, asked: None }
    }

    fn and(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            asked: self.asked.max(other.asked),
        }
    }
}

/// Events with gaps shorter than `quiet`, at most `storm_max` from the first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Storm {
    /// Its first event.
    pub start: Millis,
    /// Its last event.
    pub last: Millis,
    /// When it ends unless another event comes before.
    pub ends: Millis,
    /// Reviews computed in it.
    pub computed: u32,
}

impl Slot {
    /// The slot that nothing is remembered of.
    pub fn new(key: Key) -> Self {
        Self {
            key,
            version: Version(0),
            state: State::Idle,
            owner: None,
            pending: Pending::default(),
            storm: None,
            attempts: 0,
            wish: None,
        }
    }

    /// When it wants a step without being asked: [`Command::Lease`] if it waits, [`Command::Expire`] if it is
    /// leased, [`Command::Tidy`] if only an old storm is left.
    pub fn wakes_at(&self) -> Option<Millis> {
        match &self.state {
            State::Waiting { at, .. } => Some(*at),
            State::Leased { deadline, .. } => Some(*deadline),
            State::Idle => self.storm.map(|storm| storm.ends),
            State::Held { .. } => None,
        }
    }

    /// May its row be deleted?
    pub fn remembers_nothing(&self) -> bool {
        self.state == State::Idle
            && self.owner.is_none()
            && self.pending.is_empty()
            && self.storm.is_none()
            && self.attempts == 0
            && self.wish.is_none()
    }

    /// May a review be computed now, or would it be one too many for the storm? A lease granted in the middle
    /// of a storm whose leading review was computed already (after a failed publish, say) may only publish.
    pub fn may_compute(&self, now: Millis) -> bool {
        self.storm.is_none_or(|storm| storm.computed == 0 || now >= storm.ends)
    }

    /// The lease's token, if it is leased.
    pub fn token(&self) -> Option<Token> {
        match &self.state {
            State::Leased { token, .. } => Some(*token),
            State::Idle | State::Waiting { .. } | State::Held { .. } => None,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Idle => f.write_str("idle"),
            Self::Waiting { why, .. } => write!(f, "waiting ({})", why.as_str()),
            Self::Leased { of, pausing: false, .. } => write!(f, "leased ({})", of.as_str()),
            Self::Leased { of, pausing: true, .. } => {
                write!(f, "leased ({}), paused afterwards", of.as_str())
            }
            Self::Held { why } => write!(f, "held ({})", why.as_str()),
        }
    }
}
