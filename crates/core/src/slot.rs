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
mod note;
mod step;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::limits::SlotLimits;
pub use self::note::{SlotNote, SlotRefusal};
pub use self::step::{SlotCommand, SlotTransition, StepOutcome};
use crate::id::{FencingToken, SlotKey, SlotVersion, UnixMillis};

/// One slot. Without a row in the store it is [`Slot::new`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Slot {
    /// Whose slot it is.
    pub key: SlotKey,
    /// The version of the row it was read from; 0 if there was none.
    pub version: SlotVersion,
    /// What it is doing.
    pub state: SlotState,
    /// The loop in progress, kept across the leases of its steps.
    pub owner: Option<LoopKind>,
    /// Events not yet served, by loop.
    pub pending: PendingEvents,
    /// The storm of events, kept until it has ended.
    pub storm: Option<EventStorm>,
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
pub enum SlotState {
    /// Nothing to do.
    Idle,
    /// Something to do at `at`.
    Waiting {
        /// When.
        at: UnixMillis,
        /// Why not now.
        why: WaitReason,
    },
    /// A worker has it.
    Leased {
        /// Fencing token: the version at which it was leased.
        token: FencingToken,
        /// Without a heartbeat until then it is lost.
        deadline: UnixMillis,
        /// The loop that was begun or continued.
        of: LoopKind,
        /// What was pending for that loop when it was leased; served by a finish, else pending again.
        serving: Option<UnservedEvents>,
        /// A person paused it meanwhile: it is held as soon as the lease ends, however it ends.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pausing: bool,
    },
    /// Nothing will be done until something happens.
    Held {
        /// What it is held for.
        why: HoldReason,
    },
}

/// The loops.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoopKind {
    /// Audit, fix, verify, push.
    Converge,
    /// Follow an upstream package.
    Sync,
    /// Review.
    Review,
}

impl LoopKind {
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
    fn natural_wait(self) -> WaitReason {
        match self {
            Self::Converge | Self::Sync => WaitReason::Scheduled,
            Self::Review => WaitReason::Debounce,
        }
    }
}

/// Why a slot waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
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

impl WaitReason {
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
pub enum HoldReason {
    /// Too many failed attempts. A new event or an operator's retry un-parks it.
    Parked,
    /// A person said so.
    Paused,
    /// The pull request is a draft.
    Draft,
    /// The pull request is closed.
    Cancelled,
}

impl HoldReason {
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
pub struct PendingEvents {
    /// For the review loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<UnservedEvents>,
    /// For the converge loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converge: Option<UnservedEvents>,
    /// For the sync loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<UnservedEvents>,
}

impl PendingEvents {
    /// What one loop has pending.
    pub fn of(&self, of: LoopKind) -> Option<UnservedEvents> {
        match of {
            LoopKind::Review => self.review,
            LoopKind::Converge => self.converge,
            LoopKind::Sync => self.sync,
        }
    }

    fn slot_of(&mut self, of: LoopKind) -> &mut Option<UnservedEvents> {
        match of {
            LoopKind::Review => &mut self.review,
            LoopKind::Converge => &mut self.converge,
            LoopKind::Sync => &mut self.sync,
        }
    }

    /// Nothing for any loop?
    pub fn is_empty(&self) -> bool {
        LoopKind::ALL.iter().all(|of| self.of(*of).is_none())
    }
}

/// The first and the last event not yet served.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct UnservedEvents {
    /// The first.
    pub first: UnixMillis,
    /// The last.
    pub last: UnixMillis,
    /// When a person asked for it by name, which is served at once and even if nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<UnixMillis>,
}

impl UnservedEvents {
    fn at(now: UnixMillis) -> Self {
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
pub struct EventStorm {
    /// Its first event.
    pub start: UnixMillis,
    /// Its last event.
    pub last: UnixMillis,
    /// When it ends unless another event comes before.
    pub ends: UnixMillis,
    /// Reviews computed in it.
    pub computed: u32,
}

impl Slot {
    /// The slot that nothing is remembered of.
    pub fn new(key: SlotKey) -> Self {
        Self {
            key,
            version: SlotVersion(0),
            state: SlotState::Idle,
            owner: None,
            pending: PendingEvents::default(),
            storm: None,
            attempts: 0,
            wish: None,
        }
    }

    /// When it wants a step without being asked: [`SlotCommand::Lease`] if it waits, [`SlotCommand::Expire`] if it is
    /// leased, [`SlotCommand::Tidy`] if only an old storm is left.
    pub fn wakes_at(&self) -> Option<UnixMillis> {
        match &self.state {
            SlotState::Waiting { at, .. } => Some(*at),
            SlotState::Leased { deadline, .. } => Some(*deadline),
            SlotState::Idle => self.storm.map(|storm| storm.ends),
            SlotState::Held { .. } => None,
        }
    }

    /// May its row be deleted?
    pub fn remembers_nothing(&self) -> bool {
        self.state == SlotState::Idle
            && self.owner.is_none()
            && self.pending.is_empty()
            && self.storm.is_none()
            && self.attempts == 0
            && self.wish.is_none()
    }

    /// May a review be computed now, or would it be one too many for the storm? A lease granted in the middle
    /// of a storm whose leading review was computed already (after a failed publish, say) may only publish.
    pub fn may_compute(&self, now: UnixMillis) -> bool {
        self.storm.is_none_or(|storm| storm.computed == 0 || now >= storm.ends)
    }

    /// The lease's token, if it is leased.
    pub fn token(&self) -> Option<FencingToken> {
        match &self.state {
            SlotState::Leased { token, .. } => Some(*token),
            SlotState::Idle | SlotState::Waiting { .. } | SlotState::Held { .. } => None,
        }
    }
}

impl fmt::Display for SlotState {
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
