//! A lease of a slot, as its holder has it.

use truing_core::id::{FencingToken, SlotKey, UnixMillis};
use truing_core::slot::{ConvergeRequest, LoopKind, Slot, SlotState};

/// A granted lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The slot.
    pub key: SlotKey,
    /// Its fencing token.
    pub token: FencingToken,
    /// The loop to run.
    pub of: LoopKind,
    /// Did a person ask for it?
    pub asked: bool,
    /// If this attempt fails the slot is parked.
    pub last_attempt: bool,
    /// The time at which the last event came that it serves.
    pub marked: Option<UnixMillis>,
    /// A person's wish for a converge run, if it is not that it goes on.
    pub wish: Option<ConvergeRequest>,
    /// An operator takes comments back: nothing is reviewed, and the kill switch does not stop it.
    pub is_retraction: bool,
}

/// The lease that a slot is held by, if it is.
pub(super) fn lease_of(slot: Slot, attempts: u32) -> Option<Lease> {
    let SlotState::Leased { token, of, serving, .. } = slot.state else { return None };
    Some(Lease {
        key: slot.key,
        token,
        of,
        asked: serving.is_some_and(|served| served.asked.is_some()),
        last_attempt: slot.attempts.saturating_add(1) >= attempts,
        marked: serving.map(|served| served.last),
        wish: slot.wish,
        is_retraction: false,
    })
}
