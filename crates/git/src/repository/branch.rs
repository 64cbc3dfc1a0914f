//! Branches of ours in somebody's repository: the one thing that is ever written there besides files of its working tree.

use truing_core::id::Sha;

use super::Repository;
use crate::view::{View, lay_out};
use crate::{GitError, Mirror, is_branch_name};

impl Repository {
    /// Brings a commit from a mirror to a branch of this repository, which must be at `expected` (none: must not be
    /// there). Neither the working tree nor the index nor what is checked out changes, and no hook runs. The answer: is
    /// the branch at the commit? If not, it is elsewhere, and stays there.
    ///
    /// # Errors
    /// [`GitError::BadBranch`]; [`GitError::Failed`] if the repository cannot be written.
    pub async fn take(
        &self,
        from: &Mirror,
        commit: &Sha,
        (branch, expected): (&str, Option<&Sha>),
    ) -> Result<bool, GitError> {
        if !is_branch_name(branch) {
            return Err(GitError::BadBranch(branch.chars().take(200).collect()));
        }
        // Objects alone: in a folder of ours, so that the repository's own configuration has no say.
        let folder = self.git.private_folder()?;
        lay_out(folder.path(), self.layout.format)?;
        let view = View::new(self.git.clone(), folder.path().to_owned(), self.layout.format);
        let call = view.call("fetch").env("GIT_OBJECT_DIRECTORY", &self.layout.objects).args([
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--no-recurse-submodules",
            "--end-of-options",
        ]);
        let call = call.arg(from.dir()).arg(commit.as_str()).config("core.fsync", "committed");
        call.config("fetch.unpackLimit", "1").network("file").read().await?;

        let reference = format!("refs/heads/{branch}");
        let none = "0".repeat(commit.as_str().len());
        let before = expected.map_or(none.as_str(), Sha::as_str);
        let call = self.call("update-ref").args(["-m", "truing", "--end-of-options", &reference]);
        let moved = call.arg(commit.as_str()).arg(before).config("core.fsync", "reference").run().await?;
        if moved.code() == Some(0) {
            return Ok(true);
        }
        // Who was there first is told by where the branch is.
        match self.tip(branch).await? {
            Some(tip) if tip == *commit => Ok(true),
            now if now.as_ref() != expected => Ok(false),
            _ => Err(moved.failure("update-ref")),
        }
    }

    /// Where a branch is; none if there is no such branch.
    ///
    /// # Errors
    /// Whatever git says.
    pub async fn tip(&self, branch: &str) -> Result<Option<Sha>, GitError> {
        self.commit_named(&format!("refs/heads/{branch}")).await
    }
}
