//! Determines the two states whose difference is a local change. The user may name the base, the head, or
//! neither.

use std::fmt;

use truing_core::id::Sha;
use truing_git::{DefaultBaseSource, GitError, IndexSnapshot, LocalRepository, WorktreeDiff};

use super::reading::ReviewedChange;

/// Two states of a repository.
#[derive(Clone, Copy, Debug)]
pub struct ComparisonRequest<'a> {
    /// The repository of both states.
    pub repository: &'a LocalRepository,
    /// The base commit as the user named it. If it is none, a base is selected: see [`BaseOrigin`].
    pub base: Option<&'a str>,
    /// The state that is compared with the base.
    pub head: HeadSource<'a>,
}

/// The state that is compared with the base.
#[derive(Clone, Copy, Debug)]
pub enum HeadSource<'a> {
    /// The working tree, including new files.
    WorkingTree,
    /// The state of a commit.
    Commit(&'a Sha),
    /// The content of the index, which the next commit would contain.
    Index(&'a IndexSnapshot),
    /// The result of applying this diff to the working tree. The working tree may already contain the
    /// changes.
    Diff(&'a [u8]),
}

/// The way in which a base was selected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BaseOrigin {
    /// The user named the base revision.
    NamedRevision(String),
    /// The merge base with this branch.
    MergeBase(String),
    /// The parent of the last commit, because the head did not differ from its merge base with this branch.
    LastCommit(String),
    /// The empty tree, because the head did not differ from its merge base with this branch, and the last
    /// commit has no parent.
    FirstCommit(String),
    /// The commit that is checked out.
    Head,
    /// The empty tree, which the user named.
    EmptyTree,
    /// The empty tree, because there is no commit yet.
    Unborn,
}

/// Formats the origin as text that is shown in brackets after the id of the base.
impl fmt::Display for BaseOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NamedRevision(name) => write!(f, "{name}"),
            Self::MergeBase(branch) => write!(f, "merge base with {branch}"),
            Self::LastCommit(branch) => {
                write!(
                    f,
                    "parent of the last commit, because the head does not differ from its merge \
                    base with {branch}"
                )
            }
            Self::FirstCommit(branch) => {
                write!(
                    f,
                    "before the first commit, because the head does not differ from its merge base \
                    with {branch}"
                )
            }
            Self::Head => write!(f, "HEAD"),
            Self::EmptyTree => write!(f, "the empty tree"),
            Self::Unborn => write!(f, "there is no commit yet"),
        }
    }
}

impl ComparisonRequest<'_> {
    /// Returns the change from the named base. Without a named base, the base of an index or a given diff is
    /// the commit that is checked out. For a commit or the working tree, the base is the merge base with the
    /// default branch. If the head does not differ from this merge base, the base is the parent of the last
    /// commit.
    ///
    /// # Errors
    /// [`GitError`]
    #[truing_core::boxed_future]
    pub async fn compare(&self, checked_out: Option<&Sha>) -> Result<(ReviewedChange, BaseOrigin), GitError> {
        let head = match self.head {
            HeadSource::Commit(head) => Some(head),
            HeadSource::WorkingTree | HeadSource::Index(_) | HeadSource::Diff(_) => checked_out,
        };
        match (self.base, self.head, head) {
            (Some(name), _, head) => self.compare_named(name, head).await,
            (None, HeadSource::Index(_) | HeadSource::Diff(_), Some(head)) => {
                Ok((self.change_since(head.clone()).await?, BaseOrigin::Head))
            }
            (None, _, Some(head)) => self.compare_default(head).await,
            (None, _, None) => {
                Ok((self.change_since(self.repository.empty_tree()?).await?, BaseOrigin::Unborn))
            }
        }
    }

    /// Returns the commit whose configuration applies to a review of the commit `head`: the named base, or
    /// the merge base with the default branch. The author of a change could otherwise disable its review. The
    /// merge base with the named base does not decide, because the author chooses the commit at which a
    /// branch begins. Returns `head` if the base is the empty tree.
    ///
    /// # Errors
    /// [`GitError`]
    #[truing_core::boxed_future]
    pub async fn config_commit(&self, head: &Sha) -> Result<Sha, GitError> {
        let base = match self.base {
            Some(name) if name == self.repository.empty_tree()?.as_str() => return Ok(head.clone()),
            Some(name) => return self.repository.resolve_commit(name).await,
            None => self.repository.default_branch_base(head).await?,
        };
        let base = if base.commit == *head { self.repository.parent_base(head).await? } else { base };
        Ok(match base.source {
            DefaultBaseSource::EmptyTree => head.clone(),
            DefaultBaseSource::Parent | DefaultBaseSource::MergeBase(_) => base.commit,
        })
    }

    /// Compares with the merge base of the head and the named base. If the name is git's id of the empty
    /// tree, all content of the head counts as added. Scripts use the id of the empty tree to review all
    /// content.
    async fn compare_named(
        &self,
        name: &str,
        head: Option<&Sha>,
    ) -> Result<(ReviewedChange, BaseOrigin), GitError> {
        match self.named_base(name, head).await? {
            Some((base, origin)) => Ok((self.change_since(base).await?, origin)),
            None => Ok((self.change_since(self.repository.empty_tree()?).await?, BaseOrigin::EmptyTree)),
        }
    }

    /// Returns the merge base of the head and the named base, with its origin; `None` if the name is git's id
    /// of the empty tree.
    async fn named_base(
        &self,
        name: &str,
        head: Option<&Sha>,
    ) -> Result<Option<(Sha, BaseOrigin)>, GitError> {
        if name == self.repository.empty_tree()?.as_str() {
            return Ok(None);
        }
        let named = self.repository.resolve_commit(name).await?;
        // Commits that the named branch received later are not part of this change. If the tip of the named
        // branch were the base, lines that this branch deleted would look like lines that the change added.
        // If there is no common ancestor, the named commit itself is the base.
        let ancestor = match head {
            Some(head) => self.repository.merge_base(&named, head).await?,
            None => None,
        };
        let base = ancestor.unwrap_or_else(|| named.clone());
        let origin = if base == named { BaseOrigin::NamedRevision } else { BaseOrigin::MergeBase };
        Ok(Some((base, origin(name.to_owned()))))
    }

    /// Compares the head with its merge base with the default branch. If there is no difference, compares the
    /// last commit with its parent.
    async fn compare_default(&self, head: &Sha) -> Result<(ReviewedChange, BaseOrigin), GitError> {
        let base = self.repository.default_branch_base(head).await?;
        let branch = match base.source {
            DefaultBaseSource::MergeBase(branch) => branch,
            DefaultBaseSource::Parent | DefaultBaseSource::EmptyTree => "the default branch".to_owned(),
        };
        let change = self.change_since(base.commit).await?;
        if !(change.diff.is_empty() && change.omitted_files.is_empty()) {
            return Ok((change, BaseOrigin::MergeBase(branch)));
        }
        let base = self.repository.parent_base(head).await?;
        let against = match base.source {
            DefaultBaseSource::EmptyTree => BaseOrigin::FirstCommit(branch),
            DefaultBaseSource::Parent | DefaultBaseSource::MergeBase(_) => BaseOrigin::LastCommit(branch),
        };
        Ok((self.change_since(base.commit).await?, against))
    }

    /// Returns the difference between a commit and the head.
    pub(crate) async fn change_since(&self, base: Sha) -> Result<ReviewedChange, GitError> {
        let found = match self.head {
            HeadSource::Commit(head) => {
                let found = self.repository.diff_with_omissions(&base, head).await?;
                return Ok(ReviewedChange::from_commit_diff(base, head, found));
            }
            HeadSource::WorkingTree => self.repository.worktree_diff(&base).await?,
            HeadSource::Index(index) => index.diff(&base).await?,
            HeadSource::Diff(diff) => WorktreeDiff { diff: diff.to_owned(), ..WorktreeDiff::default() },
        };
        Ok(ReviewedChange {
            base,
            head: None,
            diff: found.diff,
            omitted_files: found.skipped_files,
            large_new_files: found.large_new_files,
            index_content_paths: found.changed_unchecked_paths,
        })
    }
}
