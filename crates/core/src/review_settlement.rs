//! Determines which revisions need no further review.

use crate::id::Sha;
use crate::outcome::ReviewOutcomeKind;
use crate::port::ReviewProgress;
use crate::run::RunStage;
use crate::slot::{Slot, SlotState};

/// Reason recorded for the head of a pull request whose slot an operator has dropped.
pub const DROP_REASON: &str = "dropped by an operator";

/// Returns true if a revision needs no further review after a run with this stage and outcome. For any other
/// stage and outcome, the revision must be reviewed again if its slot is lost.
///
/// | Stage | End | Meaning | Settled |
/// |---|---|---|---|
/// | `published` | any | the forge shows the result | yes; records omit those that wait for budget |
/// | `computed`, `ended` | `skipped` | an operator has dropped the slot | yes, until another run begins |
/// | `computed`, `ended` | `failed` | it is retried or parked | no |
/// | `computed`, `ended` | `deferred` | it waits for its budget, or was interrupted | no |
/// | `prepared`, `computed` | none | it is in progress, or its process is dead | no |
///
/// A run on an already published revision records no outcome. Drafts and closed pull requests have no runs.
pub fn is_review_settled(stage: RunStage, outcome: Option<ReviewOutcomeKind>) -> bool {
    use ReviewOutcomeKind::{Deferred, Failed, Partial, Reviewed, Skipped};
    match (stage, outcome) {
        (RunStage::Published, _) | (RunStage::Computed | RunStage::EndedUnpublished, Some(Skipped)) => true,
        (RunStage::Prepared, _)
        | (
            RunStage::Computed | RunStage::EndedUnpublished,
            None | Some(Reviewed | Partial | Deferred | Failed),
        ) => false,
    }
}

/// Returns true if a head needs a review, but no slot will start the review before the next sweep. This
/// happens after slots were lost.
///
/// `head` is the last known head; `None` for a closed pull request. A stored slot on which no review was ever
/// attempted needs no sweep: the slot serves another loop, or its repository has reviews disabled.
pub fn awaits_sweep(slot: &Slot, head: Option<&Sha>, reviews: &ReviewProgress) -> bool {
    let is_settled = |head: &Sha| reviews.last_settled.as_ref().is_some_and(|settled| settled.head == *head);
    slot.state == SlotState::Idle
        && !reviews.is_dropped_without_head()
        && (slot.version.0 == 0 || reviews.last_attempted.is_some())
        && head.is_some_and(|head| !is_settled(head))
}
