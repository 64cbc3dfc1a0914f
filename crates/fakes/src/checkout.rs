//! Creates a developer's checkout: a clone with a remote and a checked-out branch. Also lists commits as git
//! shows them.

use std::path::Path;

use crate::forge::{FakeError, FakeRepo};
use crate::repo::{FakeGitError, git_command, run_command};

/// A commit as `git log` shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GitLogEntry {
    /// Full id of the commit.
    pub commit: String,
    /// Id of the parent commit.
    pub parent: String,
    /// Author of the commit.
    pub author: String,
    /// First line of the message.
    pub subject: String,
    /// Removed and added lines, each with its sign.
    pub changed_lines: Vec<String>,
}

/// Lists the commits that are reachable from `head` and not from `base`, oldest first. The repository may be
/// bare or checked out.
///
/// # Errors
/// Returns an error if git fails.
pub fn commit_log(dir: &Path, base: &str, head: &str) -> Result<Vec<GitLogEntry>, FakeGitError> {
    let format = "--format=%x01%H%x00%P%x00%an%x00%s%x00";
    let range = format!("{base}..{head}");
    let log = run_command(git_command(dir).args([
        "log",
        "--reverse",
        "--patch",
        "--unified=0",
        format,
        &range,
        "--",
    ]))?;
    let log = String::from_utf8_lossy(&log);
    let entries = log.split('\u{1}').filter(|entry| !entry.is_empty());
    let read = |entry: &str| {
        let mut fields = entry.splitn(5, '\0').map(str::to_owned);
        let mut next = || fields.next().unwrap_or_default();
        let (commit, parent, author, subject, patch) = (next(), next(), next(), next(), next());
        let is_changed = |line: &&str| {
            line.starts_with(['+', '-']) && !(line.starts_with("+++ ") || line.starts_with("--- "))
        };
        let lines = patch.lines().filter(is_changed).map(str::to_owned).collect();
        GitLogEntry { commit, parent, author, subject, changed_lines: lines }
    };
    Ok(entries.map(read).collect())
}

/// Returns the id of the commit to which a name refers.
///
/// # Errors
/// Returns an error if the commit does not exist.
pub fn resolve_commit(dir: &Path, name: &str) -> Result<String, FakeGitError> {
    let tip =
        run_command(git_command(dir).args(["rev-parse", "--verify", "--quiet", "--end-of-options", name]))?;
    Ok(String::from_utf8_lossy(&tip).trim().to_owned())
}

impl FakeRepo {
    /// Clones the repository to `dest`, which must not exist, with this branch checked out.
    ///
    /// # Errors
    /// Returns an error if git fails.
    pub async fn clone_branch(&self, branch: &str, dest: &Path) -> Result<(), FakeError> {
        let from = self.dir().await?;
        let mut command = git_command(&from);
        command.args(["clone", "--quiet", "--no-hardlinks", "--branch", branch, "--"]).arg(&from).arg(dest);
        run_command(&mut command)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forge::{FakeForge, FakeForgeOptions};
    use crate::repo::CommitBuilder;

    #[tokio::test]
    async fn a_clone_has_the_branch_checked_out_and_its_log_has_the_lines() {
        let forge = FakeForge::start(FakeForgeOptions::default()).await.unwrap();
        let first = CommitBuilder::new("Begin").write("a.py", "a\nb\n");
        let repo = forge.create_repository("acme", "shop", first).await.unwrap();
        let head = repo
            .push("topic", CommitBuilder::new("Change").with_author("ann").write("a.py", "a\nc\n"))
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let dest = folder.path().join("shop");
        repo.clone_branch("topic", &dest).await.unwrap();
        assert_eq!(std::fs::read_to_string(dest.join("a.py")).unwrap(), "a\nc\n");
        assert_eq!(resolve_commit(&dest, "topic").unwrap(), head);
        assert!(resolve_commit(&dest, "main").is_err(), "the others are the remote's");
        let shown = GitLogEntry {
            commit: head,
            parent: repo.tip("main").await.unwrap(),
            author: "ann".into(),
            subject: "Change".into(),
            changed_lines: vec!["-b".into(), "+c".into()],
        };
        assert_eq!(commit_log(&dest, "origin/main", "topic").unwrap(), std::slice::from_ref(&shown));
        assert_eq!(commit_log(&repo.dir().await.unwrap(), "main", "topic").unwrap(), [shown]);
    }
}
