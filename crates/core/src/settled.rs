//! The reviews that settle their revision, so that no other has to.

use crate::outcome::OutcomeKind;
use crate::run::Stage;

/// Does a review that has come to this stage, and ended so, leave nothing to do for its revision? If it does not and the slot is
/// lost, the revision has to be reviewed again.
///
/// | Stage | End | What it was | Settled |
/// |---|---|---|---|
/// | `published` | any | the forge shows the result | yes |
/// | `computed`, `ended` | `skipped` | an operator has dropped the slot | yes, until another run begins |
/// | `computed`, `ended` | `failed` | it is tried again, or parked | no |
/// | `computed`, `ended` | `deferred` | it waits for its budget, or was cut off | no |
/// | `prepared`, `computed` | none | it is under way, or its process is dead | no |
///
/// A run that finds its revision published before writes no end. A draft or a closed pull request has no run.
pub fn settles(stage: Stage, end: Option<OutcomeKind>) -> bool {
    match (stage, end) {
        (Stage::Published, _) | (Stage::Computed | Stage::Ended, Some(OutcomeKind::Skipped)) => true,
        (Stage::Prepared, _)
        | (
            Stage::Computed | Stage::Ended,
            None
            | Some(OutcomeKind::Reviewed | OutcomeKind::Partial | OutcomeKind::Deferred | OutcomeKind::Failed),
        ) => false,
    }
}
