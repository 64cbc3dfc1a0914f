//! A slot's history, line by line, and the reasons why a step is not possible.

use std::fmt;

use super::step::StepOutcome;
use super::{LoopKind, WaitReason};
use crate::id::{FencingToken, UnixMillis};

/// A line of history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotNote {
    /// Marked: due then.
    Marked(UnixMillis, WaitReason),
    /// A person asked for this loop.
    Asked(LoopKind),
    /// Leased for this loop.
    Leased(LoopKind, FencingToken),
    /// A review was computed: the how-manieth of its storm.
    Computed(u32),
    /// Ended.
    Finished(StepOutcome),
    /// Failed or lost, how often by now, and when it is tried again.
    Failed(u32, UnixMillis),
    /// Failed too often: held until a new event or a retry.
    Parked(u32),
    /// The lease was given back, or its holder died with its server.
    HandedBack,
    /// Paused, resumed, retried or dropped by a person.
    ByHand(&'static str),
}

impl fmt::Display for SlotNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Marked(_, why) => write!(f, "marked; waits for {}", why.as_str()),
            Self::Asked(of) => write!(f, "{} asked for by a person", of.as_str()),
            Self::Leased(of, token) => write!(f, "{} leased (token {})", of.as_str(), token.0),
            Self::Computed(1) => write!(f, "computed: the leading review of the storm"),
            Self::Computed(_) => write!(f, "computed: the trailing review of the storm"),
            Self::Finished(StepOutcome::Idle) => write!(f, "finished"),
            Self::Finished(StepOutcome::Again) => write!(f, "finished; the head has moved, due again"),
            Self::Finished(StepOutcome::DueAt(_, why)) => write!(f, "goes on later ({})", why.as_str()),
            Self::Finished(StepOutcome::Held(why)) => write!(f, "held ({})", why.as_str()),
            Self::Failed(attempts, _) => write!(f, "attempt {attempts} failed; will be tried again"),
            Self::Parked(attempts) => write!(f, "parked after {attempts} failed attempts"),
            Self::HandedBack => write!(f, "lease given back; due at once"),
            Self::ByHand(what) => write!(f, "{what} by hand"),
        }
    }
}

/// Why a step is not possible. Nothing changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SlotRefusal {
    /// The token is not the lease's: the caller lost the slot and must stop.
    #[error("the lease is lost: another one was granted, or none is")]
    LeaseLost,
    /// Not due yet, or not waiting at all.
    #[error("not due")]
    NotDue,
    /// A worker has it, until then unless it renews its lease.
    #[error("a worker is at work on it")]
    Leased(UnixMillis),
    /// There is nothing of the kind to do.
    #[error("nothing to do")]
    Nothing,
    /// A converge run has begun or is asked for: it audits by itself.
    #[error("a converge run is at work or asked for, and audits by itself")]
    Converging,
}
