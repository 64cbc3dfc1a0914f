//! Implements [`BranchWorkspace`] for a branch of a local repository. There are no other reviewers, and fixes
//! are written to a separate branch of the run, `truing/run/ID`. The checked-out branch stays unchanged.

use async_trait::async_trait;
use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeExitCode, FixCandidate};
use truing_core::id::{RunId, Sha, SlotKey};
use truing_git::{GitError, LocalRepository, Mirror};

use super::{ActError, BranchWorkspace, PublishOutcome};

/// The local repository that a run works in.
#[derive(Debug)]
pub struct LocalWorkspace<'a> {
    /// The repository of the branch.
    pub repository: &'a LocalRepository,
    /// The mirror with the run's commits.
    pub mirror: &'a Mirror,
}

/// The prefix of the branches that runs create.
pub const RUN_BRANCH_PREFIX: &str = "truing/run";

/// Returns the name of a run's branch.
pub fn run_branch(run: &RunId) -> String {
    format!("{RUN_BRANCH_PREFIX}/{run}")
}

/// Returns the key for runs on a branch of a repository.
pub fn branch_runs_key(repository: &LocalRepository, branch: &str) -> SlotKey {
    SlotKey::new(format!("converge/local/{}@{branch}", repository.root().display()))
}

/// Returns the key for audits of a branch that do not belong to a run.
pub fn audit_key(repository: &LocalRepository, branch: &str) -> SlotKey {
    SlotKey::new(format!("audit/local/{}@{branch}", repository.root().display()))
}

/// Name that replaces the branch name if no branch is checked out.
pub(crate) const DETACHED_HEAD_NAME: &str = "HEAD";

/// Returns the name of the checked-out branch; `HEAD` if no branch is checked out.
///
/// # Errors
/// [`GitError`]
#[truing_core::boxed_future]
pub async fn checked_out_branch(repository: &LocalRepository) -> Result<String, GitError> {
    Ok(repository.current_branch().await?.unwrap_or_else(|| DETACHED_HEAD_NAME.to_owned()))
}

impl LocalWorkspace<'_> {
    /// Returns the tip of the run's branch; none before the run's first fix.
    async fn branch_tip(&self, record: &ConvergeRecord) -> Result<Option<Sha>, ActError> {
        Ok(self.repository.branch_tip(&record.detail.branch).await?)
    }
}

#[async_trait]
impl BranchWorkspace for LocalWorkspace<'_> {
    async fn head(&self, record: &ConvergeRecord) -> Result<Sha, ActError> {
        Ok(self.branch_tip(record).await?.unwrap_or_else(|| record.detail.state.starting_head.clone()))
    }

    async fn fetch_head(&self, record: &ConvergeRecord, head: &Sha) -> Result<Sha, ActError> {
        self.mirror.fetch(std::slice::from_ref(head)).await?;
        Ok(record.detail.base.clone())
    }

    async fn post_findings(&self, _: &ConvergeRecord) -> Result<Vec<String>, ActError> {
        Ok(Vec::new())
    }

    async fn publish(
        &self,
        record: &ConvergeRecord,
        candidate: &FixCandidate,
    ) -> Result<PublishOutcome, ActError> {
        let state = &record.detail.state;
        let expected = (!state.commits.is_empty()).then_some(&state.head);
        let commits = (&state.head, &candidate.commit);
        if self
            .repository
            .import_commit(self.mirror, commits.0, commits.1, &record.detail.branch, expected)
            .await?
        {
            return Ok(PublishOutcome::Published { commit: candidate.commit.clone(), warning: None });
        }
        match self.branch_tip(record).await? {
            Some(tip) => Ok(PublishOutcome::HeadChanged(tip)),
            None => Err(ActError::from_exit_code(
                ConvergeExitCode::Infrastructure,
                format!("the branch {} was deleted during the run", record.detail.branch),
            )),
        }
    }

    async fn reply_to_findings(&self, _: &ConvergeRecord) -> Result<Vec<String>, ActError> {
        Ok(Vec::new())
    }
}
