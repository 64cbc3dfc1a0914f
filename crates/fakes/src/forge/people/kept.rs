//! What a repository holds at one moment, so that a test can begin there again and again.

use std::collections::BTreeMap;

use crate::forge::error::FakeError;
use crate::forge::people::Repo;
use crate::forge::state::Status;
use crate::forge::state::bots::Bot;
use crate::forge::state::checks::CheckRun;
use crate::forge::state::issues::Issue;
use crate::forge::state::pulls::Pull;
use crate::forge::state::reports::Report;

/// Branches, pull requests with all that was said on them, issues, labels, statuses, check runs and what bots have
/// still to say.
#[derive(Clone, Debug)]
pub struct Kept {
    refs: BTreeMap<String, String>,
    pulls: BTreeMap<u64, Pull>,
    issues: BTreeMap<u64, Issue>,
    labels: BTreeMap<String, u64>,
    statuses: Vec<Status>,
    checks: Vec<CheckRun>,
    reports: Vec<Report>,
    bots: Vec<Bot>,
}

impl Repo {
    /// What the repository holds now.
    ///
    /// # Errors
    /// There is no such repository.
    pub async fn keep(&self) -> Result<Kept, FakeError> {
        self.with(|_, repo| {
            Ok(Kept {
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

    /// Makes it hold that again, and tells nobody. Ids, commits and the log of calls go on: what comes gets no id that
    /// anything had.
    ///
    /// # Errors
    /// There is no such repository, or it cannot write its branches.
    pub async fn put_back(&self, kept: &Kept) -> Result<(), FakeError> {
        let kept = kept.clone();
        self.with(move |_, repo| {
            let now: Vec<String> = repo.git.refs("").map(|(name, _)| name.to_owned()).collect();
            for name in now.iter().filter(|name| !kept.refs.contains_key(*name)) {
                repo.git.delete_ref(name)?;
            }
            for (name, sha) in &kept.refs {
                if repo.git.tip(name) != Some(sha.as_str()) {
                    repo.git.set_ref(name, sha)?;
                }
            }
            (repo.pulls, repo.issues, repo.labels) = (kept.pulls, kept.issues, kept.labels);
            (repo.statuses, repo.checks, repo.bots) = (kept.statuses, kept.checks, kept.bots);
            repo.reports = kept.reports;
            Ok(())
        })
        .await
    }
}
