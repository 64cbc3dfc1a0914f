//! A branch of a local repository as a [`Workspace`]: nobody else is there to see reviews, and fixes go to a branch of the run's
//! own, `truing/run/ID`. What is checked out stays as it is.

use async_trait::async_trait;
use truing_core::converge::record::Record;
use truing_core::converge::{Candidate, Code};
use truing_core::id::{Key, RunId, Sha};
use truing_git::{GitError, Mirror, Repository};

use super::{Published, Stop, Workspace};

/// A local repository.
#[derive(Debug)]
pub struct Local<'a> {
    /// The repository.
    pub repository: &'a Repository,
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
pub fn key(repository: &Repository, branch: &str) -> Key {
    Key::new(format!("converge/local/{}@{branch}", repository.root().display()))
}

/// The key of audits of a branch outside of runs.
pub fn audit_key(repository: &Repository, branch: &str) -> Key {
    Key::new(format!("audit/local/{}@{branch}", repository.root().display()))
}

/// Stands for a branch where none is checked out.
pub(crate) const DETACHED: &str = "HEAD";

/// The branch that is checked out, as its runs are known by it; `HEAD` where none is.
///
/// # Errors
/// Whatever git says.
#[truing_core::boxed_future]
pub async fn checked_out(repository: &Repository) -> Result<String, GitError> {
    Ok(repository.branch().await?.unwrap_or_else(|| DETACHED.to_owned()))
}

impl Local<'_> {
    /// Where the run's branch is; before its first fix, there is none.
    async fn tip(&self, record: &Record) -> Result<Option<Sha>, Stop> {
        Ok(self.repository.tip(&record.detail.branch).await?)
    }
}

#[async_trait]
impl Workspace for Local<'_> {
    async fn head(&self, record: &Record) -> Result<Sha, Stop> {
        Ok(self.tip(record).await?.unwrap_or_else(|| record.detail.state.starting.clone()))
    }

    async fn follow(&self, record: &Record, head: &Sha) -> Result<Sha, Stop> {
        self.mirror.fetch(std::slice::from_ref(head)).await?;
        Ok(record.detail.base.clone())
    }

    async fn post(&self, _: &Record) -> Result<Vec<String>, Stop> {
        Ok(Vec::new())
    }

    async fn publish(&self, record: &Record, candidate: &Candidate) -> Result<Published, Stop> {
        let state = &record.detail.state;
        let expected = (!state.commits.is_empty()).then_some(&state.head);
        let commits = (&state.head, &candidate.commit);
        if self.repository.take(self.mirror, commits, (&record.detail.branch, expected)).await? {
            return Ok(Published::Done);
        }
        match self.tip(record).await? {
            Some(tip) => Ok(Published::Moved(tip)),
            None => Err(Stop::over(
                Code::Infrastructure,
                format!("somebody deletes the branch {} while the run is at work", record.detail.branch),
            )),
        }
    }

    async fn reply(&self, _: &Record) -> Result<Vec<String>, Stop> {
        Ok(Vec::new())
    }
}
