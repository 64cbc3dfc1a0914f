//! Merges branches in a bare repository, as a forge does.

use std::process::Stdio;

use super::{
    COMMIT_INTERVAL_SECONDS, FIRST_COMMIT_TIME, FakeGitError, FakeGitRepository, git_command, run_command,
};

impl FakeGitRepository {
    /// Returns the files that would conflict if `theirs` were merged into `ours`. Creates no commit.
    pub(crate) fn conflicting_files(&self, ours: &str, theirs: &str) -> Result<Vec<String>, FakeGitError> {
        let what = || "git merge-tree".to_owned();
        let options =
            ["merge-tree", "--write-tree", "--no-messages", "--name-only", "-z", "--end-of-options"];
        let output = git_command(&self.dir)
            .args(options)
            .args([ours, theirs])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| FakeGitError::Io { operation: what(), error })?;
        match output.status.code() {
            Some(0) => Ok(Vec::new()),
            Some(1) => {
                let text = String::from_utf8_lossy(&output.stdout);
                // The first field of the output is the id of the merged tree; the conflicting files follow.
                let files = text.split('\0').skip(1).filter(|file| !file.is_empty());
                Ok(files.map(str::to_owned).collect())
            }
            _ => {
                let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                Err(FakeGitError::GitFailed { operation: what(), message })
            }
        }
    }

    /// Merges `theirs` into `ours`, and points every ref of `refs` at the merge commit. Returns `None` if
    /// there are conflicts.
    pub(crate) fn merge(
        &mut self,
        refs: &[&str],
        ours: &str,
        theirs: &str,
        message: &str,
    ) -> Result<Option<String>, FakeGitError> {
        let what = || "git merge-tree".to_owned();
        let mut command = git_command(&self.dir);
        let output = command
            .args(["merge-tree", "--write-tree", "--no-messages", "--end-of-options", ours, theirs])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| FakeGitError::Io { operation: what(), error })?;
        match output.status.code() {
            Some(0) => {}
            Some(1) => return Ok(None),
            _ => {
                let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(FakeGitError::GitFailed { operation: what(), message });
            }
        }
        let tree = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let date =
            FIRST_COMMIT_TIME + COMMIT_INTERVAL_SECONDS * i64::try_from(self.commits.len()).unwrap_or(0);
        let mut command = git_command(&self.dir);
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "forge")
                .env(format!("GIT_{who}_EMAIL"), "forge@example.invalid");
            command.env(format!("GIT_{who}_DATE"), format!("{date} +0000"));
        }
        let made =
            run_command(command.args(["commit-tree", &tree, "-p", ours, "-p", theirs, "-m", message]))?;
        let sha = String::from_utf8_lossy(&made).trim().to_owned();
        self.commits.insert(sha.clone(), Some(ours.to_owned()));
        for name in refs {
            self.set_ref(name, &sha)?;
        }
        Ok(Some(sha))
    }
}
