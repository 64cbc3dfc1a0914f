//! Reads commits from the output of `git log`: a single commit, or the commits between two commits.

use super::{FakeGitError, FakeGitRepository, git_command, run_command};

/// Git format with the fields of [`CommitObject`].
const LOG_FORMAT: &str = "--format=%H%x00%P%x00%T%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B%x01";

/// A commit as git shows it.
#[derive(Clone, Debug)]
pub(crate) struct CommitObject {
    pub(crate) sha: String,
    pub(crate) parents: Vec<String>,
    pub(crate) tree: String,
    pub(crate) author: FakeCommitIdentity,
    pub(crate) committer: FakeCommitIdentity,
    pub(crate) message: String,
}

/// The author or committer of a commit, with the time in seconds since 1970.
#[derive(Clone, Debug)]
pub(crate) struct FakeCommitIdentity {
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) timestamp: i64,
}

impl FakeGitRepository {
    /// Returns the commits that are reachable from `head` and not from `base`, oldest first.
    pub(crate) fn commits_between(&self, base: &str, head: &str) -> Result<Vec<CommitObject>, FakeGitError> {
        let range = format!("{base}..{head}");
        self.read_log(&["--reverse", "--topo-order", &range])
    }

    /// Returns the commit with this id; `None` if the commit does not exist.
    pub(crate) fn find_commit(&self, sha: &str) -> Result<Option<CommitObject>, FakeGitError> {
        if !self.contains(sha) {
            return Ok(None);
        }
        Ok(self.read_log(&["--max-count=1", sha])?.pop())
    }

    /// Returns the commits that `git log` lists for these arguments.
    fn read_log(&self, log_args: &[&str]) -> Result<Vec<CommitObject>, FakeGitError> {
        let log = run_command(git_command(&self.dir).args(["log", LOG_FORMAT]).args(log_args).arg("--"))?;
        let log = String::from_utf8_lossy(&log);
        let entries = log.split('\u{1}').map(str::trim_start).filter(|entry| !entry.is_empty());
        let read = |entry: &str| {
            let mut fields = entry.splitn(10, '\0').map(str::to_owned);
            let mut next = || fields.next().unwrap_or_default();
            let (sha, parents, tree) = (next(), next(), next());
            let mut who =
                || FakeCommitIdentity { name: next(), email: next(), timestamp: next().parse().unwrap_or(0) };
            let (author, committer) = (who(), who());
            let parents = parents.split_whitespace().map(str::to_owned).collect();
            CommitObject { sha, parents, tree, author, committer, message: next().trim_end().to_owned() }
        };
        Ok(entries.map(read).collect())
    }
}
