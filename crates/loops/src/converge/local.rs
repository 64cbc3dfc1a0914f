//! A branch of a local repository as a [`BranchWorkspace`]: nobody else is there to see reviews, and fixes go to a branch of the run's
//! own, `truing/run/ID`. What is checked out stays as it is.

use async_trait::async_trait;
use truing_core::converge::record::ConvergeRecord;
use truing_core::converge::{ConvergeExitCode, FixCandidate};
use truing_core::id::{RunId, Sha, SlotKey};
use truing_git::{GitError, LocalRepository, Mirror};

use super::{ActError, BranchWorkspace, PublishOutcome};

/// A local repository.
#[derive(Debug)]
pub struct LocalWorkspace<'a> {
    /// The repository.
    pub repository: &'a LocalRepository,
    /// Where its commits are kept for the run.
    pub mirror: &'a Mirror,
}

/// What the names of runs' branches begin with.
pub const RUNS: &str = "truing/run";

/// The branch of a run.
pub fn branch(run: &RunId) -> String {
    format!("{RUNS}/{run}")
}

/// The key of the runs on a branch of a repository.
pub fn key(repository: &LocalRepository, branch: &str) -> SlotKey {
    SlotKey::new(format!("converge/local/{}@{branch}", repository.root().display()))
}

/// The key of audits of a branch outside of runs.
pub fn audit_key(repository: &LocalRepository, branch: &str) -> SlotKey {
    SlotKey::new(format!("audit/local/{}@{branch}", repository.root().display()))
}

/// Stands for a branch where none is checked out.
pub(crate) const DETACHED: &str = "HEAD";

/// The branch that is checked out, as its runs are known by it; `HEAD` where none is.
///
/// # Errors
/// Whatever git says.
#[truing_core::boxed_future]
pub async fn checked_out(repository: &LocalRepository) -> Result<String, GitError> {
    Ok(repository.branch().await?.unwrap_or_else(|| DETACHED.to_owned()))
}

impl LocalWorkspace<'_> {
    /// Where the run's branch is; before its first fix, there is none.
    async fn tip(&self, record: &ConvergeRecord) -> Result<Option<Sha>, ActError> {
        Ok(self.repository.tip(&record.detail.branch).await?)
    }
}

#[async_trait]
impl BranchWorkspace for LocalWorkspace<'_> {
    async fn head(&self, record: &ConvergeRecord) -> Result<Sha, ActError> {
        Ok(self.tip(record).await?.unwrap_or_else(|| record.detail.state.starting.clone()))
    }

    async fn follow(&self, record: &ConvergeRecord, head: &Sha) -> Result<Sha, ActError> {
        self.mirror.fetch(std::slice::from_ref(head)).await?;
        Ok(record.detail.base.clone())
    }

    async fn post(&self, _: &ConvergeRecord) -> Result<Vec<String>, ActError> {
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
        if self.repository.take(self.mirror, commits, (&record.detail.branch, expected)).await? {
            return Ok(PublishOutcome::Done);
        }
        match self.tip(record).await? {
            Some(tip) => Ok(PublishOutcome::Moved(tip)),
            None => Err(ActError::over(
                ConvergeExitCode::Infrastructure,
                format!("somebody deletes the branch {} while the run is at work", record.detail.branch),
            )),
        }
    }

    async fn reply(&self, _: &ConvergeRecord) -> Result<Vec<String>, ActError> {
        Ok(Vec::new())
    }
}
