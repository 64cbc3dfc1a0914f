//! The slot: the unit of work that all loops use. The slots together are the work queue.
//!
//! A slot belongs to one pull request or one sync job. It records events, decides when a loop may act, and
//! grants a lease to one worker at a time. One pure function, [`Slot::apply_command`], makes all these
//! decisions; stores only persist the resulting slot.
//!
//! ```text
//!            event, request                  due: lease
//!   idle ───────────────────▶ waiting ──────────────────▶ leased ──▶ finish: idle, waiting or held
//!                                ▲                           │
//!      held ─────────────────────┴──── fail, lost, handed back
//!        (event, resume, retry)
//! ```
//!
//! If the slot is not leased, a pause takes effect immediately; otherwise, the pause takes effect when the
//! step ends.
//!
//! No state is permanent. A wait ends at its due time, and a lease ends at its deadline. An event releases a
//! parked, draft or cancelled slot, a resume releases a paused slot, and an operator's retry releases every
//! held slot. The storm of an idle slot is removed when the storm ends.

mod history_entry;
mod limits;
mod step;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::history_entry::{SlotHistoryEntry, SlotRefusal};
pub use self::limits::SlotLimits;
pub use self::step::{SlotCommand, SlotTransition, StepOutcome};
use crate::id::{FencingToken, SlotKey, SlotVersion, UnixMillis};

/// One slot. A slot without a row in the store equals [`Slot::new`].
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Slot {
    pub key: SlotKey,
    /// Version of the row from which the slot was read; 0 if there is no row.
    pub version: SlotVersion,
    pub state: SlotState,
    /// Loop in progress; `None` if no run is in progress. The value is kept between the leases for the loop's
    /// steps.
    #[serde(rename = "owner")]
    pub active_loop: Option<LoopKind>,
    /// Events that no run has served yet, by loop.
    pub pending: PendingEvents,
    /// Current storm of events. The storm may already have ended without being removed.
    pub storm: Option<EventStorm>,
    /// Number of failed or lost leases since the last successful step.
    pub attempts: u32,
    /// A person's request that changes the next step of the converge run; `None` if there is no such request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "wish")]
    pub converge_request: Option<ConvergeRequest>,
}

/// A person's request for the next step of a converge run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvergeRequest {
    /// Run one audit without a fix.
    Audit,
    /// Stop before the next step. The run can be resumed.
    Stop,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum SlotState {
    /// No work is pending.
    Idle,
    /// Work is due at `at`.
    Waiting {
        #[serde(rename = "at")]
        due_at: UnixMillis,
        /// Reason for the wait.
        #[serde(rename = "why")]
        reason: WaitReason,
    },
    /// A worker holds the lease.
    Leased {
        /// Fencing token: the version at which the slot was leased.
        token: FencingToken,
        /// Time at which the lease expires, unless a heartbeat extends the lease.
        deadline: UnixMillis,
        /// Loop whose step the worker performs.
        #[serde(rename = "of")]
        loop_kind: LoopKind,
        /// Events that were pending for this loop when the slot was leased. If the step completes the loop's
        /// work, these events count as served. Otherwise they become pending again.
        #[serde(rename = "serving")]
        claimed_events: Option<PendingEventTimes>,
        /// True if a person has paused the slot during the lease. In this case, the slot becomes held when
        /// the lease ends for any reason.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        #[serde(rename = "pausing")]
        pause_requested: bool,
    },
    /// No work is done until an event or a command releases the slot.
    Held {
        #[serde(rename = "why")]
        reason: HoldReason,
    },
}

/// Kinds of loops that a slot serves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoopKind {
    /// Converge: audit, fix, verify, push.
    Converge,
    /// Sync: follow an upstream package.
    Sync,
    /// Review of a pull request.
    Review,
}

impl LoopKind {
    /// All loops in the order in which a slot serves them. Converge and sync come first, because a review
    /// should include their changes.
    pub const ALL: [Self; 3] = [Self::Converge, Self::Sync, Self::Review];

    /// Returns the word used in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Converge => "converge",
            Self::Sync => "sync",
            Self::Review => "review",
        }
    }

    /// Returns true for a loop whose run takes several leases. Such a loop remains the slot's active loop
    /// while a failed step waits for its retry.
    fn spans_several_leases(self) -> bool {
        match self {
            Self::Converge | Self::Sync => true,
            Self::Review => false,
        }
    }

    /// Returns the wait reason for this loop if the loop only waits for its due time.
    fn default_wait_reason(self) -> WaitReason {
        match self {
            Self::Converge | Self::Sync => WaitReason::Scheduled,
            Self::Review => WaitReason::Debounce,
        }
    }
}

/// The reason why a slot waits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// Waits before the first (leading) review of a storm until there are no pushes for a while.
    Debounce,
    /// Waits before the second (trailing) review of a storm until the storm ends.
    Storm,
    /// Waits after a failed or lost attempt.
    Backoff,
    /// Waits because of a policy, such as the budget.
    Deferred,
    /// Waits for its scheduled time.
    Scheduled,
    /// Waits for the forge's rate limit.
    RateLimit,
    /// Waits until the forge shows all comments that may have been posted.
    Settling,
    /// Waits for another reviewer's answer.
    Reviewer,
    /// Waits between two steps of a loop, to let other slots be served first.
    Step,
}

impl WaitReason {
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

    /// Returns the word used in text and JSON.
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

    /// Returns true if the loop remains the slot's active loop during this wait, because its run is
    /// unfinished.
    fn keeps_active_loop(self) -> bool {
        match self {
            Self::Settling | Self::Reviewer | Self::Step | Self::RateLimit => true,
            Self::Debounce | Self::Storm | Self::Backoff | Self::Deferred | Self::Scheduled => false,
        }
    }
}

/// The reason why a slot is held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// Too many attempts failed. A new event or an operator's retry releases the slot.
    Parked,
    /// A person paused the slot.
    Paused,
    /// The pull request is a draft.
    Draft,
    /// The pull request is closed.
    Cancelled,
}

impl HoldReason {
    /// Returns the word used in text and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parked => "parked",
            Self::Paused => "paused",
            Self::Draft => "draft",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Events that no run has served yet, by loop.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct PendingEvents {
    /// Events for the review loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<PendingEventTimes>,
    /// Events for the converge loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub converge: Option<PendingEventTimes>,
    /// Events for the sync loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<PendingEventTimes>,
}

impl PendingEvents {
    /// Returns the pending events of one loop.
    pub fn for_loop(&self, loop_kind: LoopKind) -> Option<PendingEventTimes> {
        match loop_kind {
            LoopKind::Review => self.review,
            LoopKind::Converge => self.converge,
            LoopKind::Sync => self.sync,
        }
    }

    fn events_mut(&mut self, loop_kind: LoopKind) -> &mut Option<PendingEventTimes> {
        match loop_kind {
            LoopKind::Review => &mut self.review,
            LoopKind::Converge => &mut self.converge,
            LoopKind::Sync => &mut self.sync,
        }
    }

    /// Returns true if no loop has pending events.
    pub fn is_empty(&self) -> bool {
        LoopKind::ALL.iter().all(|of| self.for_loop(*of).is_none())
    }
}

/// Times of the first and the last unserved event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct PendingEventTimes {
    pub first: UnixMillis,
    pub last: UnixMillis,
    /// Time of a person's explicit request, if there is one. A request is due immediately, even if nothing
    /// has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "asked")]
    pub requested_at: Option<UnixMillis>,
}

impl PendingEventTimes {
    fn new(now: UnixMillis) -> Self {
        Self { first: now, last: now, requested_at: None }
    }

    fn merge_with(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            requested_at: self.requested_at.max(other.requested_at),
        }
    }
}

/// A series of events in close succession. A storm ends when the time `quiet` passes without an event, and at
/// the latest when `storm_max` has passed since its first event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct EventStorm {
    /// Time of the storm's first event.
    pub start: UnixMillis,
    /// Time of the storm's last event.
    #[serde(rename = "last")]
    pub last_event_at: UnixMillis,
    /// End of the storm. An event before this time may postpone the end.
    #[serde(rename = "ends")]
    pub end: UnixMillis,
    /// Number of reviews that were computed in the storm.
    #[serde(rename = "computed")]
    pub review_count: u32,
}

impl Slot {
    /// Creates a slot without any state.
    pub fn new(key: SlotKey) -> Self {
        Self {
            key,
            version: SlotVersion(0),
            state: SlotState::Idle,
            active_loop: None,
            pending: PendingEvents::default(),
            storm: None,
            attempts: 0,
            converge_request: None,
        }
    }

    /// Returns the time of the slot's next automatic step: [`SlotCommand::Lease`] if the slot waits,
    /// [`SlotCommand::ExpireLease`] if it is leased, and [`SlotCommand::RemoveEndedStorm`] if it is idle with
    /// a storm.
    pub fn wake_time(&self) -> Option<UnixMillis> {
        match &self.state {
            SlotState::Waiting { due_at: at, .. } => Some(*at),
            SlotState::Leased { deadline, .. } => Some(*deadline),
            SlotState::Idle => self.storm.map(|storm| storm.end),
            SlotState::Held { .. } => None,
        }
    }

    /// Returns true if the slot's row may be deleted, because the slot has no state except its version.
    pub fn is_deletable(&self) -> bool {
        self.state == SlotState::Idle
            && self.active_loop.is_none()
            && self.pending.is_empty()
            && self.storm.is_none()
            && self.attempts == 0
            && self.converge_request.is_none()
    }

    /// Returns true if the storm permits computing a review now. During a storm, only the leading review may
    /// be computed. A later lease during the storm may only publish, for example after an earlier attempt to
    /// publish failed.
    pub fn may_compute_review(&self, now: UnixMillis) -> bool {
        self.storm.is_none_or(|storm| storm.review_count == 0 || now >= storm.end)
    }

    /// Returns true if a worker holds a lease that has not expired at the time `now`. An expired lease stays
    /// in the slot until a server applies [`SlotCommand::ExpireLease`] or [`SlotCommand::ServerRestarted`].
    pub fn is_in_flight(&self, now: UnixMillis) -> bool {
        matches!(self.state, SlotState::Leased { deadline, .. } if deadline > now)
    }

    /// Returns true if a server can act on the slot at the time `now`: the slot's wait has ended, or its
    /// lease has expired.
    pub fn is_due(&self, now: UnixMillis) -> bool {
        match self.state {
            SlotState::Waiting { due_at: at, .. } | SlotState::Leased { deadline: at, .. } => at <= now,
            SlotState::Idle | SlotState::Held { .. } => false,
        }
    }

    /// Returns the token of the current lease, if any.
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
            Self::Waiting { reason: why, .. } => write!(f, "waiting ({})", why.as_str()),
            Self::Leased { loop_kind: of, pause_requested: false, .. } => {
                write!(f, "leased ({})", of.as_str())
            }
            Self::Leased { loop_kind: of, pause_requested: true, .. } => {
                write!(f, "leased ({}), paused afterwards", of.as_str())
            }
            Self::Held { reason: why } => write!(f, "held ({})", why.as_str()),
        }
    }
}
