//! Lines of a slot's history, and the reasons why a step is refused.

use std::fmt;

use super::step::StepOutcome;
use super::{LoopKind, WaitReason};
use crate::id::{FencingToken, UnixMillis};

/// A line of a slot's history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SlotHistoryEntry {
    /// An event marked the slot. The slot is due at this time, and waits for this reason.
    MarkedDue(UnixMillis, WaitReason),
    /// A user requested this loop.
    Requested(LoopKind),
    /// The slot was leased for this loop.
    Leased(LoopKind, FencingToken),
    /// A review was computed. The number is the review's position in the current storm, from 1.
    Computed(u32),
    /// The step ended with this outcome.
    Finished(StepOutcome),
    /// The step failed, or its lease was lost. The fields are the number of failed attempts and the time of
    /// the retry.
    Failed(u32, UnixMillis),
    /// The slot is held after this number of failed attempts, until a new event or a retry.
    Parked(u32),
    /// The worker handed the lease back, or its server has restarted.
    Returned,
    /// A user paused, resumed, retried or dropped the slot.
    Manual(&'static str),
}

impl fmt::Display for SlotHistoryEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MarkedDue(_, why) => write!(f, "marked; waits for {}", why.as_str()),
            Self::Requested(of) => write!(f, "{} requested by a person", of.as_str()),
            Self::Leased(of, token) => write!(f, "{} leased (token {})", of.as_str(), token.0),
            Self::Computed(1) => write!(f, "computed: the first review in a series of events"),
            Self::Computed(_) => write!(f, "computed: a later review in a series of events"),
            Self::Finished(StepOutcome::Done) => write!(f, "finished"),
            Self::Finished(StepOutcome::DueAgain) => {
                write!(f, "finished; due again, because the head has changed")
            }
            Self::Finished(StepOutcome::DueAt(_, why)) => write!(f, "continues later ({})", why.as_str()),
            Self::Finished(StepOutcome::Held(why)) => write!(f, "held ({})", why.as_str()),
            Self::Failed(attempts, _) => write!(f, "attempt {attempts} failed; Truing will try again"),
            Self::Parked(attempts) => write!(f, "parked after {attempts} failed attempts"),
            Self::Returned => write!(f, "lease returned; due immediately"),
            Self::Manual(what) => write!(f, "{what} by hand"),
        }
    }
}

/// The reason why a step is refused. The slot does not change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SlotRefusal {
    /// The caller's token is not the token of the current lease. The caller has lost the slot and must stop.
    #[error("the lease is lost: another lease was granted, or no lease exists")]
    LeaseLost,
    /// The slot is not due yet, or is not in the state `Waiting`.
    #[error("not due")]
    NotDue,
    /// A worker holds the slot. The lease expires at this time, unless the worker renews the lease.
    #[error("a worker is processing the slot")]
    Leased(UnixMillis),
    /// The slot has no lease, run, pause or storm to which the command could apply.
    #[error("nothing to do")]
    NotApplicable,
    /// A converge run has begun or is requested. The run includes an audit, so a separate audit is not
    /// needed.
    #[error("a converge run is active or requested, and includes an audit")]
    Converging,
}
