//! Publishes commits by a forge's API instead of a push. The forge signs such commits, so people see that
//! they are verified.
//!
//! The forge determines the id of the new commit. A commit that is already on the branch is therefore
//! recognised by its parent and its tree.

use std::sync::Arc;

use truing_core::id::Sha;
use truing_core::port::{ForgeError, WritePermit};

use crate::commit_draft::{CommitApi, CommitDraft};
use crate::commit_object::CommitObject;
use crate::export::split_listing;
use crate::isolated_git_dir::{IsolatedGitDir, create_git_folder, unknown_output_error, write_alternates};
use crate::push::{RemoteRefs, classify_refusal};
use crate::{GitError, PushOutcome, Remote, UnpushedCommit, network};

/// Maximum total size of the files in a commit that is created by an API. Larger commits are pushed.
const MAX_API_COMMIT_BYTES: usize = 20 << 20;

/// Mode of a file that is neither executable nor a link. An API creates only such files.
const PLAIN_FILE_MODE: &[u8] = b"100644";
/// Mode of the missing file in the listing of an added or deleted file.
const ABSENT_MODE: &[u8] = b"000000";

/// Number of hexadecimal digits that distinguish a temporary branch.
const TEMPORARY_BRANCH_DIGITS: usize = 12;

/// The access with which one commit is published.
pub(crate) struct ApiPublisher<'a> {
    pub(crate) api: &'a dyn CommitApi,
    pub(crate) remote: &'a Remote,
    pub(crate) permit: &'a Arc<WritePermit>,
}

impl UnpushedCommit {
    /// Returns this commit as a draft, or the reason for which no API can create it.
    pub(crate) async fn to_commit_draft(
        &self,
        branch: &str,
    ) -> Result<Result<CommitDraft, String>, GitError> {
        let CommitObject { parents, message, .. } = self.isolated_dir().read_commit(self.sha()).await?;
        let [parent] = parents.as_slice() else {
            return Ok(Err("the commit is a merge".to_owned()));
        };
        let call = self.isolated_dir().command("diff-tree").args(["-r", "--raw", "-z", "--no-renames"]);
        let call = call.args([parent.as_str(), self.sha().as_str()]);
        let listing = call.max_output(self.isolated_dir().git().limits().listing_bytes).read_output().await?;
        let mut draft = CommitDraft {
            branch: branch.to_owned(),
            parent: parent.clone(),
            message: String::from_utf8_lossy(&message).into_owned(),
            written_files: Vec::new(),
            deleted_paths: Vec::new(),
        };
        let mut free_bytes = MAX_API_COMMIT_BYTES;
        let mut fields = split_listing(&listing);
        while let Some(entry_header) = fields.next() {
            let unknown = || unknown_output_error("diff-tree", entry_header);
            let path = fields.next().ok_or_else(unknown)?;
            let entry = entry_header.strip_prefix(b":").ok_or_else(unknown)?;
            let [old_mode, new_mode, _, blob, _] =
                <[&[u8]; 5]>::try_from(entry.split(|byte| *byte == b' ').collect::<Vec<_>>())
                    .map_err(|_| unknown())?;
            let Ok(path) = std::str::from_utf8(path) else {
                return Ok(Err("a path is not UTF-8".to_owned()));
            };
            if new_mode == ABSENT_MODE {
                draft.deleted_paths.push(path.to_owned());
                continue;
            }
            if new_mode != PLAIN_FILE_MODE || ![PLAIN_FILE_MODE, ABSENT_MODE].contains(&old_mode) {
                return Ok(Err(format!("{path} is executable, or a link, or changes its mode")));
            }
            let blob = String::from_utf8_lossy(blob);
            let call = self.isolated_dir().command("cat-file").args(["blob", &blob]);
            let content = match call.max_output(free_bytes).read_output().await {
                Err(GitError::TooLarge { .. }) => {
                    return Ok(Err(format!("its files have more than {} MiB", MAX_API_COMMIT_BYTES >> 20)));
                }
                content => content?,
            };
            free_bytes = free_bytes.saturating_sub(content.len());
            draft.written_files.push((path.to_owned(), content));
        }
        Ok(Ok(draft))
    }

    /// Fetches a commit of the remote into a private folder, which borrows the objects of this commit.
    /// Returns `None` if the tree or the parents of the two commits differ.
    async fn fetch_equal_commit(
        &self,
        remote: &Remote,
        remote_commit: &Sha,
    ) -> Result<Option<Self>, GitError> {
        let own_dir = self.isolated_dir();
        let folder = own_dir.git().create_private_folder()?;
        create_git_folder(folder.path(), own_dir.object_format())?;
        write_alternates(folder.path(), &own_dir.object_store())?;
        let dir =
            IsolatedGitDir::new(own_dir.git().clone(), folder.path().to_owned(), own_dir.object_format());
        let call = dir.command("fetch").args([
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
        ]);
        let call = call.args(["--end-of-options", remote.url(), remote_commit.as_str()]);
        network::read_remote_output(dir.git(), remote, call).await?;
        let own_commit = own_dir.read_commit(self.sha()).await?;
        let CommitObject { tree, parents, .. } = dir.read_commit(remote_commit).await?;
        let is_equal = tree == own_commit.tree && parents == own_commit.parents;
        Ok(is_equal.then(|| Self::in_private_folder(dir, folder, remote_commit.clone())))
    }
}

impl ApiPublisher<'_> {
    /// Has the forge create the commit on the draft's branch, if the branch is at the expected commit.
    ///
    /// An API only adds commits to a branch. To replace a branch that is not at the draft's parent, the
    /// commit is created on a temporary branch, and then pushed to the branch: a forge closes a pull request
    /// whose branch is moved to its base, even for a moment.
    pub(crate) async fn publish(
        &self,
        commit: &UnpushedCommit,
        draft: CommitDraft,
        before: &RemoteRefs,
        expected_tip: Option<&Sha>,
    ) -> Result<PushOutcome, GitError> {
        let is_at_parent = before.tip.as_ref() == Some(&draft.parent);
        let temporary_branch = temporary_branch(&draft.branch, commit.sha());
        // A new branch is first created at the parent, so the parent is a state of an earlier attempt.
        let is_expected = before.tip.as_ref() == expected_tip || expected_tip.is_none() && is_at_parent;
        if !is_expected {
            let outcome = self.classify_tip(commit, before).await?;
            if matches!(outcome, PushOutcome::Pushed { .. }) {
                self.delete_branch(commit, &temporary_branch).await?;
            }
            return Ok(outcome);
        }
        if before.tip.is_none() || is_at_parent {
            let outcome = self.create_on_branch(commit, &draft, before).await?;
            if before.tip.is_none() && matches!(outcome, PushOutcome::RemoteRefused { .. }) {
                commit.delete_ref(self.remote, &before.reference, &draft.parent, self.permit).await?;
            }
            return Ok(outcome);
        }
        let draft = CommitDraft { branch: temporary_branch, ..draft };
        let outcome = self.replace_branch(commit, &draft, before, expected_tip).await?;
        self.delete_branch(commit, &draft.branch).await?;
        Ok(outcome)
    }

    /// Has the forge create the commit on the draft's temporary branch, and pushes it to the branch that it
    /// replaces.
    async fn replace_branch(
        &self,
        commit: &UnpushedCommit,
        draft: &CommitDraft,
        replaced: &RemoteRefs,
        expected_tip: Option<&Sha>,
    ) -> Result<PushOutcome, GitError> {
        let temporary = self.query(commit, &draft.branch).await?;
        let created_outcome = self.create_on_branch(commit, draft, &temporary).await?;
        let PushOutcome::Pushed { commit: created_id, .. } = created_outcome else {
            return Ok(created_outcome);
        };
        let Some(created) = commit.fetch_equal_commit(self.remote, &created_id).await? else {
            return Ok(PushOutcome::BranchMoved { current_commit: Some(created_id) });
        };
        created.push_ref(self.remote, &replaced.reference, expected_tip, self.permit).await
    }

    /// Has the forge create the commit on a branch that is at the draft's parent, is missing, or has the
    /// commit from an earlier attempt.
    async fn create_on_branch(
        &self,
        commit: &UnpushedCommit,
        draft: &CommitDraft,
        before: &RemoteRefs,
    ) -> Result<PushOutcome, GitError> {
        match &before.tip {
            Some(tip) if *tip == draft.parent => {}
            Some(_) => return self.classify_tip(commit, before).await,
            None => {
                let parent = commit.with_id(draft.parent.clone());
                let outcome = parent.push_ref(self.remote, &before.reference, None, self.permit).await?;
                if !matches!(outcome, PushOutcome::Pushed { .. }) {
                    return Ok(outcome);
                }
            }
        }
        let message = match self.api.create_commit(draft, self.permit).await {
            // Another client may have pushed, or a lost response may have belonged to a success.
            Ok(_) | Err(ForgeError::Stale { .. }) => None,
            Err(ForgeError::Rejected { message, .. } | ForgeError::Forbidden { message, .. }) => {
                Some(message)
            }
            Err(ForgeError::Halted(halt)) => return Ok(PushOutcome::Halted(halt.reason)),
            Err(error) => return Err(error.into()),
        };
        let current = self.query(commit, &draft.branch).await?;
        match message {
            Some(message) if current.tip.as_ref() == Some(&draft.parent) => {
                Ok(PushOutcome::RemoteRefused { reason: classify_refusal(&message), message })
            }
            _ => self.classify_tip(commit, &current).await,
        }
    }

    /// Returns the outcome for a branch that the commit may have been created on.
    async fn classify_tip(
        &self,
        commit: &UnpushedCommit,
        branch: &RemoteRefs,
    ) -> Result<PushOutcome, GitError> {
        if let Some(tip) = &branch.tip
            && commit.fetch_equal_commit(self.remote, tip).await?.is_some()
        {
            return Ok(PushOutcome::pushed(tip));
        }
        Ok(PushOutcome::BranchMoved { current_commit: branch.tip.clone() })
    }

    async fn query(&self, commit: &UnpushedCommit, branch: &str) -> Result<RemoteRefs, GitError> {
        commit.query_remote(self.remote, &format!("refs/heads/{branch}")).await
    }

    /// Deletes a temporary branch, if it exists.
    async fn delete_branch(&self, commit: &UnpushedCommit, branch: &str) -> Result<(), GitError> {
        let refs = self.query(commit, branch).await?;
        let Some(tip) = refs.tip else { return Ok(()) };
        commit.delete_ref(self.remote, &refs.reference, &tip, self.permit).await
    }
}

/// Returns the name of the branch on which a commit is created before it replaces another branch.
fn temporary_branch(branch: &str, commit: &Sha) -> String {
    format!("{branch}-{}", commit.as_str().get(..TEMPORARY_BRANCH_DIGITS).unwrap_or_default())
}
