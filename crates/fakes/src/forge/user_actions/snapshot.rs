//! Takes and restores snapshots of a repository. A test can restore a snapshot several times, to start from
//! the same state each time.

use std::collections::BTreeMap;

use crate::forge::error::FakeError;
use crate::forge::state::CommitStatus;
use crate::forge::state::bots::FakeBot;
use crate::forge::state::checks::FakeCheckRun;
use crate::forge::state::issues::StoredIssue;
use crate::forge::state::pulls::StoredPull;
use crate::forge::state::reports::CommitReport;
use crate::forge::user_actions::FakeRepo;

/// The branches, pull requests with all comments, issues, labels, statuses, check runs, and the remaining
/// steps of bots.
#[derive(Clone, Debug)]
pub struct FakeRepoSnapshot {
    refs: BTreeMap<String, String>,
    pulls: BTreeMap<u64, StoredPull>,
    issues: BTreeMap<u64, StoredIssue>,
    labels: BTreeMap<String, u64>,
    statuses: Vec<CommitStatus>,
    checks: Vec<FakeCheckRun>,
    reports: Vec<CommitReport>,
    bots: Vec<FakeBot>,
}

impl FakeRepo {
    /// Returns a snapshot of the repository.
    ///
    /// # Errors
    /// There is no such repository.
    pub async fn take_snapshot(&self) -> Result<FakeRepoSnapshot, FakeError> {
        self.with_repository(|_, repo| {
            Ok(FakeRepoSnapshot {
                refs: repo.git.refs("").map(|(name, sha)| (name.to_owned(), sha.to_owned())).collect(),
                pulls: repo.pulls.clone(),
                issues: repo.issues.clone(),
                labels: repo.labels.clone(),
                statuses: repo.statuses.clone(),
                checks: repo.checks.clone(),
                reports: repo.reports.clone(),
                bots: repo.bots.clone(),
            })
        })
        .await
    }

    /// Restores a snapshot without sending events. Commits, the counter of ids and the log of calls are not
    /// restored, so new objects get ids that were never used.
    ///
    /// # Errors
    /// Returns an error if the repository does not exist, or if its branches cannot be written.
    pub async fn restore_snapshot(&self, snapshot: &FakeRepoSnapshot) -> Result<(), FakeError> {
        let snapshot = snapshot.clone();
        self.with_repository(move |_, repo| {
            let now: Vec<String> = repo.git.refs("").map(|(name, _)| name.to_owned()).collect();
            for name in now.iter().filter(|name| !snapshot.refs.contains_key(*name)) {
                repo.git.delete_ref(name)?;
            }
            for (name, sha) in &snapshot.refs {
                if repo.git.tip(name) != Some(sha.as_str()) {
                    repo.git.set_ref(name, sha)?;
                }
            }
            (repo.pulls, repo.issues, repo.labels) = (snapshot.pulls, snapshot.issues, snapshot.labels);
            (repo.statuses, repo.checks, repo.bots) = (snapshot.statuses, snapshot.checks, snapshot.bots);
            repo.reports = snapshot.reports;
            Ok(())
        })
        .await
    }
}
