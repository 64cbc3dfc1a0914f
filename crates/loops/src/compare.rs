//! What a local change is: which two states are compared, where people name none or one of them.

use std::fmt;

use truing_core::id::Sha;
use truing_git::{BaseFrom, GitError, Index, Repository, WorktreeDiff};

use super::reading::Change;

/// Two states of a repository.
#[derive(Clone, Copy, Debug)]
pub struct Comparing<'a> {
    /// The repository.
    pub repository: &'a Repository,
    /// The commit to compare with, as the user names it; none: see [`Against`].
    pub base: Option<&'a str>,
    /// What is compared with it.
    pub head: Head<'a>,
}

/// What is compared with the base.
#[derive(Clone, Copy, Debug)]
pub enum Head<'a> {
    /// The working tree, with its new files.
    WorkingTree,
    /// A commit.
    Commit(&'a Sha),
    /// What the next commit would hold.
    Index(&'a Index),
    /// What this diff makes of the working tree, or has made of it.
    Diff(&'a [u8]),
}

/// Where a base comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Against {
    /// The user named it.
    Named(String),
    /// The merge base with this branch.
    MergeBase(String),
    /// The parent of the last commit, because nothing differed from the merge base with this branch.
    LastCommit(String),
    /// Nothing: the last commit is the first one, and nothing differed from the merge base with this branch.
    FirstCommit(String),
    /// The commit that is checked out.
    Head,
    /// Nothing: the user named the tree without entries.
    EmptyTree,
    /// Nothing: there is no commit yet.
    Unborn,
}

/// As it stands behind the base's id, in brackets.
impl fmt::Display for Against {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => write!(f, "{name}"),
            Self::MergeBase(branch) => write!(f, "merge base with {branch}"),
            Self::LastCommit(branch) => {
                write!(f, "parent of the last commit: nothing else differs from {branch}")
            }
            Self::FirstCommit(branch) => {
                write!(f, "the first commit: nothing else differs from {branch}")
            }
            Self::Head => write!(f, "HEAD"),
            Self::EmptyTree => write!(f, "the empty tree"),
            Self::Unborn => write!(f, "there is no commit yet"),
        }
    }
}

impl Comparing<'_> {
    /// The change, from the named base. Without one: the index and a given diff from the commit that is checked out,
    /// the rest from the merge base with the default branch, and where that leaves nothing, the last commit.
    ///
    /// # Errors
    /// Git's.
    #[truing_core::boxed_future]
    pub async fn compare(&self, checked_out: Option<&Sha>) -> Result<(Change, Against), GitError> {
        let head = match self.head {
            Head::Commit(head) => Some(head),
            Head::WorkingTree | Head::Index(_) | Head::Diff(_) => checked_out,
        };
        match (self.base, self.head, head) {
            (Some(name), _, head) => self.compare_named(name, head).await,
            (None, Head::Index(_) | Head::Diff(_), Some(head)) => {
                Ok((self.change(head.clone()).await?, Against::Head))
            }
            (None, _, Some(head)) => self.compare_default(head).await,
            (None, _, None) => Ok((self.change(self.repository.empty_tree()?).await?, Against::Unborn)),
        }
    }

    /// From where the head left the base that the user names. Git's id of the tree without entries, which is no
    /// commit, stands for nothing: that is how a script asks for all there is.
    async fn compare_named(&self, name: &str, head: Option<&Sha>) -> Result<(Change, Against), GitError> {
        let nothing = self.repository.empty_tree()?;
        if name == nothing.as_str() {
            return Ok((self.change(nothing).await?, Against::EmptyTree));
        }
        let named = self.repository.resolve(name).await?;
        // What the branch that is named gained since is none of this change: with it as it is, lines that
        // were deleted there would look added here. Without a common ancestor it is all there is.
        let ancestor = match head {
            Some(head) => self.repository.merge_base(&named, head).await?,
            None => None,
        };
        let left = ancestor.unwrap_or_else(|| named.clone());
        let against = if left == named { Against::Named } else { Against::MergeBase };
        Ok((self.change(left).await?, against(name.to_owned())))
    }

    /// From where the head left the default branch.
    async fn compare_default(&self, head: &Sha) -> Result<(Change, Against), GitError> {
        let base = self.repository.default_branch_base(head).await?;
        let branch = match base.from {
            BaseFrom::MergeBase(branch) => branch,
            BaseFrom::Parent | BaseFrom::Nothing => "the default branch".to_owned(),
        };
        let change = self.change(base.commit).await?;
        if !(change.diff.is_empty() && change.left_out.is_empty()) {
            return Ok((change, Against::MergeBase(branch)));
        }
        let base = self.repository.last_commit_base(head).await?;
        let against = match base.from {
            BaseFrom::Nothing => Against::FirstCommit(branch),
            BaseFrom::Parent | BaseFrom::MergeBase(_) => Against::LastCommit(branch),
        };
        Ok((self.change(base.commit).await?, against))
    }

    /// What differs between a commit and the head.
    async fn change(&self, base: Sha) -> Result<Change, GitError> {
        let found = match self.head {
            Head::Commit(head) => {
                let found = self.repository.commit_diff(&base, head).await?;
                return Ok(Change::between(base, head, found));
            }
            Head::WorkingTree => self.repository.worktree_diff(&base).await?,
            Head::Index(index) => index.diff(&base).await?,
            Head::Diff(diff) => WorktreeDiff { diff: diff.to_owned(), ..WorktreeDiff::default() },
        };
        Ok(Change {
            base,
            head: None,
            diff: found.diff,
            left_out: found.skipped,
            large: found.large,
            unseen: found.unseen,
        })
    }
}
