//! Writes Truing's branches in a user's repository. Apart from these branches and files of the working tree,
//! Truing writes nothing in that repository.

use rustix::fs::Access;
use truing_core::id::Sha;

use super::LocalRepository;
use crate::isolated_git_dir::{IsolatedGitDir, create_git_folder};
use truing_core::branch_name::is_branch_name;

use crate::{GitError, Mirror};

impl LocalRepository {
    /// Copies a commit from a mirror to a branch of this repository. The branch must be at `expected`; if
    /// `expected` is none, the branch must not exist. This repository must have `existing_commit` with its
    /// complete history and content; only newer objects are copied. The working tree, the index and the
    /// checked out branch stay unchanged, and no hook runs. Returns true if the branch is now at the commit.
    /// Returns false if the branch was not at `expected`; the branch is then unchanged.
    ///
    /// # Errors
    /// [`GitError::BadBranch`]; [`GitError::CommandFailed`] if the repository cannot be written, or lacks
    /// `existing_commit`.
    #[truing_core::boxed_future]
    pub async fn import_commit(
        &self,
        from: &Mirror,
        existing_commit: &Sha,
        commit: &Sha,
        branch: &str,
        expected: Option<&Sha>,
    ) -> Result<bool, GitError> {
        if !is_branch_name(branch) {
            return Err(GitError::BadBranch(branch.chars().take(200).collect()));
        }
        // The objects are copied by git in a private folder, so the repository's own configuration has no
        // effect on the copy.
        let folder = self.git.create_private_folder()?;
        create_git_folder(folder.path(), self.isolated_dir.object_format())?;
        let view = IsolatedGitDir::new(
            self.git.clone(),
            folder.path().to_owned(),
            self.isolated_dir.object_format(),
        );
        let (objects, revisions) =
            (&self.layout.objects, [commit.to_string(), format!("^{existing_commit}")]);
        view.copy_objects(&from.dir().join("objects"), objects, "committed", &revisions).await?;
        // Checks that the repository's own object store now has all objects.
        let call =
            view.command("rev-list").env("GIT_OBJECT_DIRECTORY", objects).args(["--objects", "--quiet"]);
        call.args(&revisions).arg("--").read_output().await?;

        let reference = format!("refs/heads/{branch}");
        let none = "0".repeat(commit.as_str().len());
        let before = expected.map_or(none.as_str(), Sha::as_str);
        let call = self.command("update-ref").args(["-m", "truing", "--end-of-options", &reference]);
        let moved = call.arg(commit.as_str()).arg(before).config("core.fsync", "reference").run().await?;
        if moved.code() == Some(0) {
            return Ok(true);
        }
        // The branch was not updated. The branch's current commit shows if another process has changed the
        // branch.
        match self.branch_tip(branch).await? {
            Some(tip) if tip == *commit => Ok(true),
            now if now.as_ref() != expected => Ok(false),
            _ => Err(moved.into_error("update-ref")),
        }
    }

    /// Returns the error message if [`LocalRepository::import_commit`] could not write this branch, otherwise
    /// `None`. This repository must have `commit`. Git prepares the write and aborts it, so nothing changes.
    ///
    /// # Errors
    /// [`GitError::BadBranch`], or a failure of git while it looks up the branch.
    #[truing_core::boxed_future]
    pub async fn branch_write_error(&self, branch: &str, commit: &Sha) -> Result<Option<String>, GitError> {
        if !is_branch_name(branch) {
            return Err(GitError::BadBranch(branch.chars().take(200).collect()));
        }
        let packs = self.layout.objects.join("pack");
        if let Err(error) = rustix::fs::access(&packs, Access::WRITE_OK | Access::EXEC_OK) {
            return Ok(Some(format!("{}: {}", packs.display(), std::io::Error::from(error))));
        }
        let was = self.branch_tip(branch).await?;
        let none = "0".repeat(commit.as_str().len());
        let (new, old) =
            was.as_ref().map_or((commit.as_str(), none.as_str()), |tip| (tip.as_str(), tip.as_str()));
        let asked = format!("start\nupdate refs/heads/{branch} {new} {old}\nprepare\nabort\n");
        let call = self.command("update-ref").arg("--stdin").with_input(asked.into_bytes());
        let tried = call.run().await?;
        Ok((tried.code() != Some(0)).then_some(tried.stderr_message))
    }

    /// Returns the branches below `folder/` that are not checked out in any working tree, each with its tip.
    ///
    /// # Errors
    /// Any failure of git.
    #[truing_core::boxed_future]
    pub async fn list_branches_in(&self, folder: &str) -> Result<Vec<(String, Sha)>, GitError> {
        let call =
            self.command("for-each-ref").arg("--format=%(refname:short)%00%(objectname)%00%(worktreepath)");
        let answer = call.arg(format!("refs/heads/{folder}/")).read_output().await?;
        let answer = String::from_utf8_lossy(&answer);
        let branch = |line: &str| {
            let mut fields = line.split('\0');
            let (name, tip, there) = (fields.next()?, fields.next()?, fields.next()?);
            there.is_empty().then(|| Some((name.to_owned(), Sha::parse(tip).ok()?))).flatten()
        };
        Ok(answer.lines().filter_map(branch).collect())
    }

    /// Deletes a branch that is at this commit. Returns true if the branch was deleted. Returns false if the
    /// branch is at another commit; the branch is then unchanged.
    ///
    /// # Errors
    /// [`GitError::BadBranch`] for an invalid name.
    #[truing_core::boxed_future]
    pub async fn delete_branch(&self, branch: &str, expected: &Sha) -> Result<bool, GitError> {
        if !is_branch_name(branch) {
            return Err(GitError::BadBranch(branch.chars().take(200).collect()));
        }
        let reference = format!("refs/heads/{branch}");
        let call = self.command("update-ref").args(["-d", "--end-of-options", &reference, expected.as_str()]);
        Ok(call.run().await?.code() == Some(0))
    }

    /// Returns the commit of a branch; none if the branch does not exist.
    ///
    /// # Errors
    /// Any failure of git.
    #[truing_core::boxed_future]
    pub async fn branch_tip(&self, branch: &str) -> Result<Option<Sha>, GitError> {
        self.find_commit(&format!("refs/heads/{branch}")).await
    }
}
