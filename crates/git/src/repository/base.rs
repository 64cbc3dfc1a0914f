//! Selects the base of a local review if the user does not name one.

use std::collections::HashMap;

use truing_core::id::Sha;

use super::LocalRepository;
use crate::GitError;
use crate::command::GitCommand;
use crate::isolated_git_dir::merge_base;

/// Refs that may be the default branch, in order of preference. The first ref is symbolic, so its target is
/// the candidate.
const DEFAULT_BRANCHES: [&str; 5] = [
    "refs/remotes/origin/HEAD",
    "refs/remotes/origin/main",
    "refs/remotes/origin/master",
    "refs/heads/main",
    "refs/heads/master",
];

/// The base (old side) of a comparison.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DefaultBase {
    /// Commit to compare with; the empty tree for [`DefaultBaseSource::EmptyTree`].
    pub commit: Sha,
    /// The rule by which this base was selected.
    pub source: DefaultBaseSource,
}

/// The rule by which a base was selected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DefaultBaseSource {
    /// The merge base of the head with this branch, as in `origin/main`.
    MergeBase(String),
    /// The parent of the head, so only the last commit is compared.
    Parent,
    /// The empty tree, because the head is the first commit.
    EmptyTree,
}

/// A branch that may be the default branch.
#[derive(Clone, Debug)]
pub(super) struct BranchCandidate {
    /// Short name of the branch, as in `origin/main`.
    name: String,
    tip: Sha,
}

/// Returns the candidates for the default branch, best first. `refs` is a `git for-each-ref` call without
/// arguments. Unreadable refs are omitted.
pub(super) async fn default_branch_candidates(
    for_each_ref: GitCommand,
) -> Result<Vec<BranchCandidate>, GitError> {
    let call = for_each_ref.arg("--format=%(refname)%00%(symref)%00%(objectname)").args(DEFAULT_BRANCHES);
    let answer = call.run().await?.stdout;
    let answer = String::from_utf8_lossy(&answer);
    let known: HashMap<&str, (&str, &str)> = answer
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('\0');
            Some((fields.next()?, (fields.next()?, fields.next()?)))
        })
        .collect();
    let branch = |candidate: &str| {
        let (target, tip) = known.get(candidate)?;
        let full = if target.is_empty() { candidate } else { target };
        let short = full.strip_prefix("refs/remotes/").or_else(|| full.strip_prefix("refs/heads/"));
        Some(BranchCandidate { name: short.unwrap_or(full).to_owned(), tip: Sha::parse(tip).ok()? })
    };
    Ok(DEFAULT_BRANCHES.iter().filter_map(|candidate| branch(candidate)).collect())
}

impl LocalRepository {
    /// Returns the merge base of a head with the default branch: `origin/HEAD`, else `origin/main`,
    /// `origin/master`, `main`, `master`. If the head is on the default branch itself, this merge base is the
    /// head or the last pushed commit. If the head does not differ from this merge base, the caller uses
    /// [`LocalRepository::parent_base`] instead.
    ///
    /// # Errors
    /// [`GitError::NoDefaultBranch`], [`GitError::NoCommonAncestor`], and [`GitError::MissingHistory`] in a
    /// shallow clone.
    #[truing_core::boxed_future]
    pub async fn default_branch_base(&self, head: &Sha) -> Result<DefaultBase, GitError> {
        let BranchCandidate { name: branch, tip } =
            self.default_branch_candidates.first().cloned().ok_or(GitError::NoDefaultBranch)?;
        if let Some(commit) = self.merge_base(head, &tip).await? {
            return Ok(DefaultBase { commit, source: DefaultBaseSource::MergeBase(branch) });
        }
        if self.is_shallow() {
            let missing = format!("the merge base of {} and {branch}", head.short_sha());
            return Err(GitError::MissingHistory { missing, command: "git fetch --unshallow origin".into() });
        }
        Err(GitError::NoCommonAncestor { head: head.clone(), branch })
    }

    /// Returns the best common ancestor of two commits. Returns `None` if their histories have no common
    /// commit, or if a shallow clone lacks all common commits.
    ///
    /// # Errors
    /// [`GitError::CommandFailed`] if the repository lacks a commit.
    #[truing_core::boxed_future]
    pub async fn merge_base(&self, a: &Sha, b: &Sha) -> Result<Option<Sha>, GitError> {
        if a == b {
            return Ok(Some(a.clone()));
        }
        merge_base(self.command("merge-base"), a, b).await
    }

    /// Returns the first parent of a head. If the default branch has no unpushed commits, only its last
    /// commit can be reviewed; then the parent of that commit is the base. Returns the empty tree if the head
    /// is the first commit.
    ///
    /// # Errors
    /// [`GitError::MissingHistory`] if a shallow clone ends at the head.
    #[truing_core::boxed_future]
    pub async fn parent_base(&self, head: &Sha) -> Result<DefaultBase, GitError> {
        // The commit object lists its parents even at the end of a shallow clone's history, where other git
        // commands show no parents.
        let call = self.command("cat-file").args(["commit", head.as_str()]);
        let commit = call.max_output(self.git.limits().listing_bytes).read_output().await?;
        let text = String::from_utf8_lossy(&commit);
        let parent =
            text.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix("parent "));
        let Some(parent) = parent else {
            return Ok(DefaultBase { commit: self.empty_tree()?, source: DefaultBaseSource::EmptyTree });
        };
        match self.find_commit(parent).await? {
            Some(commit) => Ok(DefaultBase { commit, source: DefaultBaseSource::Parent }),
            None => Err(GitError::MissingHistory {
                missing: format!("the parent of {}", head.short_sha()),
                command: "git fetch --deepen=1 origin".into(),
            }),
        }
    }
}
