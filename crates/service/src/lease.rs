//! A lease of a slot, with the data that the loop needs.

use truing_core::id::{FencingToken, SlotKey, UnixMillis};
use truing_core::slot::{ConvergeRequest, LoopKind, Slot, SlotState};

/// A lease that has been granted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The slot that is leased.
    pub key: SlotKey,
    /// The fencing token of the lease.
    pub token: FencingToken,
    pub loop_kind: LoopKind,
    /// True if a person requested this step.
    pub is_requested: bool,
    /// True if the slot is parked after a failure of this attempt.
    pub is_last_attempt: bool,
    /// Time of the last event that the step processes.
    pub last_event_at: Option<UnixMillis>,
    /// A person's request to audit or to stop; `None` if a converge run must only continue.
    pub converge_request: Option<ConvergeRequest>,
    /// True if an operator leased the slot to retract comments. A retraction does not review, and is allowed
    /// while the kill switch is on.
    pub is_retraction: bool,
}

/// Returns the lease of `slot`, or `None` if the slot is not leased.
pub(super) fn lease_from_slot(slot: Slot, max_attempts: u32) -> Option<Lease> {
    let SlotState::Leased { token, loop_kind, claimed_events: serving, .. } = slot.state else {
        return None;
    };
    Some(Lease {
        key: slot.key,
        token,
        loop_kind,
        is_requested: serving.is_some_and(|served| served.requested_at.is_some()),
        is_last_attempt: slot.attempts.saturating_add(1) >= max_attempts,
        last_event_at: serving.map(|served| served.last),
        converge_request: slot.converge_request,
        is_retraction: false,
    })
}
