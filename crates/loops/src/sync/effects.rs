//! The writes of a run that create pull requests and issues, and the results of pushes. All writes are
//! effects, and the failure of an effect is converted to an error of the run.

use truing_core::effect::Effect;
use truing_core::port::{BranchPull, EffectOutcome, GateHalt, OwnIssue, PullDraft};
use truing_forge::effects::{EffectError, EffectExecutor};
use truing_git::PushOutcome;

use super::error::SyncRunError;

impl From<EffectError> for SyncRunError {
    fn from(error: EffectError) -> Self {
        match error {
            EffectError::Halted(halt) => Self::Halted(halt),
            EffectError::Refused(error) | EffectError::Unanswered { error, .. } => Self::Forge(error),
            EffectError::Settling { until, description } => Self::Settling { until, description },
            EffectError::Store(error) => Self::Store(error),
            EffectError::Git(error) => Self::Git(error),
        }
    }
}

/// Opens a pull request. If there is already an open pull request from the same branch to the same base,
/// returns this pull request.
pub(super) async fn open_pull(
    executor: &EffectExecutor<'_>,
    draft: PullDraft,
) -> Result<BranchPull, SyncRunError> {
    let effect = Effect::OpenPull(draft);
    let EffectOutcome::Pull(pull) = executor.perform(&effect).await? else {
        return Err(missing_number_error(executor, &effect));
    };
    Ok(*pull)
}

/// Opens an issue. If there is already an open issue on the same topic, returns this issue.
pub(super) async fn open_issue(
    executor: &EffectExecutor<'_>,
    effect: Effect,
) -> Result<OwnIssue, SyncRunError> {
    let EffectOutcome::Issue(issue) = executor.perform(&effect).await? else {
        return Err(missing_number_error(executor, &effect));
    };
    Ok(*issue)
}

/// Returns the error for an effect that created a pull request or an issue, but whose result does not contain
/// the number. The next run searches for the created pull request or issue.
fn missing_number_error(executor: &EffectExecutor<'_>, effect: &Effect) -> SyncRunError {
    SyncRunError::Settling { until: executor.clock.now(), description: effect.intent().description }
}

/// Converts the outcome of a push: returns an error unless the branch was pushed. Returns a remark for the
/// run's reason, which is empty unless the forge's API could not create the commit.
pub(super) fn check_push_outcome(outcome: PushOutcome, branch: &str) -> Result<String, SyncRunError> {
    let branch = branch.to_owned();
    match outcome {
        PushOutcome::Pushed { commit: _, remark } => {
            Ok(remark.map(|remark| format!("; {remark}")).unwrap_or_default())
        }
        PushOutcome::BranchMoved { .. } => Err(SyncRunError::BranchMoved { branch }),
        PushOutcome::Halted(reason) => {
            Err(GateHalt::before_write(format!("pushing to {branch}"), reason).into())
        }
        PushOutcome::RemoteRefused { reason: why, message } => {
            Err(SyncRunError::PushRefused { branch, reason: why, message })
        }
    }
}
