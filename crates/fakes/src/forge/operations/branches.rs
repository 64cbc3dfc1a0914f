//! Pushes to branches and updates the pull requests of these branches.

use crate::forge::error::FakeError;
use crate::forge::flavour::ForgeFlavour;
use crate::forge::operations::pulls::close_pull;
use crate::forge::state::event::PullChange;
use crate::forge::state::{ForgeInstance, StoredRepository, ref_name};
use crate::repo::CommitBuilder;

pub(crate) fn branch_tip(repo: &StoredRepository, branch: &str) -> Result<String, FakeError> {
    let missing = || FakeError::Missing(format!("branch {branch}"));
    repo.git.tip(&ref_name(branch)).map(str::to_owned).ok_or_else(missing)
}

pub(crate) fn open_pulls_from(repo: &StoredRepository, branch: &str) -> Vec<u64> {
    repo.pulls.values().filter(|pull| pull.open && pull.head_ref == branch).map(|pull| pull.number).collect()
}

/// Returns the refs that a push to a branch updates: the branch's own ref, and the refs of the open pull
/// requests from the branch.
pub(crate) fn refs_updated_by_push(repo: &StoredRepository, branch: &str) -> Vec<String> {
    let pulls = open_pulls_from(repo, branch).into_iter().map(|number| repo.flavour.pull_ref(number));
    std::iter::once(ref_name(branch)).chain(pulls).collect()
}

/// Adds a commit to a branch, and updates `refs/pull/{n}/head` of its pull requests.
pub(crate) fn push_commit(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    branch: &str,
    parent: &str,
    commit: &CommitBuilder,
) -> Result<String, FakeError> {
    if let Some((owner, _)) = branch.split_once(':')
        && !repo.forks.contains_key(owner)
    {
        forge.ensure_account(owner);
        repo.forks.insert(owner.to_owned(), Some(forge.next_id()));
    }
    let refs = refs_updated_by_push(repo, branch);
    let refs: Vec<&str> = refs.iter().map(String::as_str).collect();
    let sha = repo.git.commit(&refs, Some(parent), commit)?;
    if let Some((owner, _)) = branch.split_once(':') {
        repo.fork_commits.insert(sha.clone(), owner.to_owned());
    }
    record_push(forge, repo, branch, &sha, commit.author())?;
    Ok(sha)
}

/// Updates the open pull requests from and to a branch after a push.
pub(crate) fn record_push(
    forge: &mut ForgeInstance,
    repo: &mut StoredRepository,
    branch: &str,
    sha: &str,
    actor: &str,
) -> Result<(), FakeError> {
    repo.pushed_at = forge.now();
    for pull in repo.pulls.values_mut().filter(|pull| pull.open && pull.base_ref == branch) {
        pull.base = sha.to_owned();
    }
    for number in open_pulls_from(repo, branch) {
        let stale = forge.stale_head_reads;
        let Some(pull) = repo.pulls.get_mut(&number) else { continue };
        if pull.head == sha {
            continue;
        }
        let before = std::mem::replace(&mut pull.head, sha.to_owned());
        pull.stale_head = (stale > 0).then(|| (before.clone(), stale));
        forge.record_change(repo, number, actor, PullChange::Pushed { before, after: sha.to_owned() })?;
        // GitHub closes a pull request without commits, and it cannot be reopened.
        // https://github.com/dimikot/git-grok/pull/30
        let has_commits = repo.pulls.get(&number).is_none_or(|pull| !repo.git.is_ancestor(sha, &pull.base));
        if repo.flavour == ForgeFlavour::GitHub && !has_commits {
            close_pull(forge, repo, number, None)?;
        }
    }
    Ok(())
}
