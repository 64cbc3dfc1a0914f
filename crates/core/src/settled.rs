//! Determines the revisions for which no further review is needed.

use crate::id::Sha;
use crate::outcome::ReviewOutcomeKind;
use crate::port::ReviewProgress;
use crate::run::RunStage;
use crate::slot::{Slot, SlotState};

/// Returns true if a review at this stage with this outcome leaves nothing to do for its revision. If not,
/// and the slot is lost, the revision must be reviewed again.
///
/// | Stage | End | Meaning | Settled |
/// |---|---|---|---|
/// | `published` | any | the forge shows the result | yes; records omit those that wait for budget |
/// | `computed`, `ended` | `skipped` | an operator has dropped the slot | yes, until another run begins |
/// | `computed`, `ended` | `failed` | it is retried or parked | no |
/// | `computed`, `ended` | `deferred` | it waits for its budget, or was interrupted | no |
/// | `prepared`, `computed` | none | it is in progress, or its process is dead | no |
///
/// A run whose revision is already published writes no end. A draft or a closed pull request has no run.
pub fn is_review_settled(stage: RunStage, outcome: Option<ReviewOutcomeKind>) -> bool {
    use ReviewOutcomeKind::{Deferred, Failed, Partial, Reviewed, Skipped};
    match (stage, outcome) {
        (RunStage::Published, _) | (RunStage::Computed | RunStage::Ended, Some(Skipped)) => true,
        (RunStage::Prepared, _)
        | (RunStage::Computed | RunStage::Ended, None | Some(Reviewed | Partial | Deferred | Failed)) => {
            false
        }
    }
}

/// Returns true if a head needs a review that no slot has pending. This happens after slots were lost, until
/// the next sweep.
///
/// `head` is the last known head; none for a closed pull request. An existing slot without any attempted
/// review belongs to another loop, or the reviews of its repository are disabled.
pub fn awaits_sweep(slot: &Slot, head: Option<&Sha>, reviews: &ReviewProgress) -> bool {
    let is_settled = |head: &Sha| reviews.last_settled.as_ref().is_some_and(|settled| settled.head == *head);
    slot.state == SlotState::Idle
        && (slot.version.0 == 0 || reviews.last_attempted.is_some())
        && head.is_some_and(|head| !is_settled(head))
}
