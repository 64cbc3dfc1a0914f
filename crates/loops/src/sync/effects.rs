//! The writes of a run: each is an effect. A run that cannot make one comes to an error of its own.

use truing_core::effect::Effect;
use truing_core::port::{BranchPull, Halt, OwnIssue, Performed, PullDraft};
use truing_forge::effects::{EffectError, Effects};
use truing_git::Pushed;

use super::error::RunError;

impl From<EffectError> for RunError {
    fn from(error: EffectError) -> Self {
        match error {
            EffectError::Halted(halt) => Self::Halted(halt),
            EffectError::Refused(error) | EffectError::Unanswered { error, .. } => Self::Forge(error),
            EffectError::Settling { until, what } => Self::Settling { until, what },
            EffectError::Store(error) => Self::Store(error),
            EffectError::Git(error) => Self::Git(error),
        }
    }
}

/// Opens a pull request. The answer is the one that is open from its branch to its base.
pub(super) async fn open_pull(writes: &Effects<'_>, draft: PullDraft) -> Result<BranchPull, RunError> {
    let effect = Effect::OpenPull(draft);
    let Performed::Pull(pull) = writes.perform(&effect).await? else {
        return Err(unnumbered(writes, &effect));
    };
    Ok(*pull)
}

/// Opens an issue. The answer is the open one on its topic.
pub(super) async fn open_issue(writes: &Effects<'_>, effect: Effect) -> Result<OwnIssue, RunError> {
    let Performed::Issue(issue) = writes.perform(&effect).await? else {
        return Err(unnumbered(writes, &effect));
    };
    Ok(*issue)
}

/// Its number is not known: the next run looks for it.
fn unnumbered(writes: &Effects<'_>, effect: &Effect) -> RunError {
    RunError::Settling { until: writes.clock.now(), what: effect.intended().what }
}

/// The remote's answer to a push.
pub(super) fn pushed(pushed: Pushed, branch: &str) -> Result<(), RunError> {
    let branch = branch.to_owned();
    match pushed {
        Pushed::Done => Ok(()),
        Pushed::Moved { .. } => Err(RunError::Moved { branch }),
        Pushed::Halted(reason) => Err(Halt::before(format!("pushing to {branch}"), reason).into()),
        Pushed::Refused { why, message } => Err(RunError::Refused { branch, why, message }),
    }
}
