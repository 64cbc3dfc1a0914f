//! Merges the base of a pull request into its branch. If the forge has no operation for this, the merge is
//! made with git and pushed.

use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeExit, ConvergeExitCode};
use truing_core::effect::Effect;
use truing_core::id::Sha;
use truing_core::line;
use truing_core::port::{Clock as _, ForgeError, ForgeRead as _};
use truing_forge::ForgeServer as _;
use truing_forge::effects::EffectError;
use truing_git::{MergeOutcome, NewCommit};

use super::fix::fixer_identity;
use super::pull::{PullRequestWorkspace, effect_error, forge_error};
use super::{ActError, PublishOutcome};
use crate::machine::SystemClock;

/// Maximum number of characters of a reason.
const MAX_REASON_CHARS: usize = 400;
/// Maximum number of files with conflicts that a reason names.
const MAX_NAMED_CONFLICTS: usize = 5;

impl PullRequestWorkspace<'_> {
    /// Merges the base into the branch, whose head is `head`. Returns the exit of the run if the merge is
    /// impossible. Returns None after a merge, or if another person has pushed. In both cases, the pull
    /// request must be checked again.
    pub(super) async fn update_branch(
        &self,
        record: &ConvergeRecord,
        head: &Sha,
    ) -> Result<Option<ConvergeExit>, ActError> {
        self.ensure_open(record).await?;
        if self.server.capability().can_update_branch {
            self.request_branch_update(head).await
        } else {
            self.update_with_git(record, head).await
        }
    }

    async fn request_branch_update(&self, head: &Sha) -> Result<Option<ConvergeExit>, ActError> {
        match self.effects.perform(&Effect::UpdateBranch { head: head.clone() }).await {
            Ok(_) => Ok(None),
            // Either another person has pushed in the meantime, or the base cannot be merged.
            Err(EffectError::Refused(error @ ForgeError::Rejected { .. })) => {
                let is_here = self.forge.pull_details().await.map_err(forge_error)?.head.sha == *head;
                Ok(is_here.then(|| self.unmerged_exit(&error.to_string())))
            }
            Err(error) => Err(effect_error(error)),
        }
    }

    async fn update_with_git(
        &self,
        record: &ConvergeRecord,
        head: &Sha,
    ) -> Result<Option<ConvergeExit>, ActError> {
        if let Some(reason) = &self.read_only_reason {
            return Ok(Some(ConvergeExit::new(ConvergeExitCode::ReadOnly, reason.clone())));
        }
        let Some(tip) = self.mirror.branch_tip(self.target_branch).await? else {
            return Ok(Some(self.unmerged_exit("it is gone")));
        };
        self.fetch(head, std::slice::from_ref(&tip)).await?;
        // The head already contains the base, so no merge is needed. The state that the forge reported
        // belongs to an older head or base.
        if self.mirror.merge_base(&tip, head).await?.as_ref() == Some(&tip) {
            return Ok(None);
        }
        let message = format!("Merge branch '{}' into {}", self.target_branch, record.detail.branch);
        let new = NewCommit {
            message,
            author: fixer_identity(),
            committer: fixer_identity(),
            commit_time: SystemClock.now(),
        };
        let commit = match self.mirror.merge(head, &tip, &new).await? {
            MergeOutcome::Merged(commit) => commit,
            MergeOutcome::Conflicts(paths) => {
                let mut named: Vec<String> =
                    paths.iter().take(MAX_NAMED_CONFLICTS).map(ToString::to_string).collect();
                if paths.len() > MAX_NAMED_CONFLICTS {
                    named.push(format!("{} more", paths.len() - MAX_NAMED_CONFLICTS));
                }
                let reason = format!("both branches change the same lines of {}", named.join(", "));
                return Ok(Some(self.unmerged_exit(&reason)));
            }
        };
        match self.push(record, &commit, head).await? {
            PublishOutcome::Published { .. } | PublishOutcome::HeadChanged(_) => Ok(None),
            PublishOutcome::Blocked(words) => Ok(Some(self.unmerged_exit(&words))),
        }
    }

    fn unmerged_exit(&self, reason: &str) -> ConvergeExit {
        let reason = format!("cannot merge {} into the branch: {reason}", self.target_branch);
        ConvergeExit::new(ConvergeExitCode::Mergeability, line::clean_line(&reason, MAX_REASON_CHARS))
    }
}
