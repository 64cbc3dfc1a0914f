//! Compares two heads of a branch: lists the added commits, or how a rewrite changed the branch's commits.

use truing_core::id::Sha;
use truing_core::increment::BranchHistory;

use crate::GitError;
use crate::isolated_git_dir::{IsolatedGitDir, merge_base, unknown_output_error};

/// Maximum number of commits on each side of a comparison. Pairing more commits would take too long.
const MAX_COMMITS: usize = 200;

impl IsolatedGitDir {
    /// Determines how a branch changed from `old_range` to `new_range`. Each range is a pair: the fork point
    /// from the target branch, and the head. `None` if there are too many commits to compare. This git folder
    /// must contain both histories.
    pub(crate) async fn branch_history(
        &self,
        old_range: (&Sha, &Sha),
        new_range: (&Sha, &Sha),
    ) -> Result<Option<BranchHistory>, GitError> {
        let ((_, before_head), (base, head)) = (old_range, new_range);
        if merge_base(self.command("merge-base"), before_head, head).await?.as_ref() == Some(before_head) {
            let new = self.commits_excluding(&[base, before_head], head).await?;
            return Ok((new.len() <= MAX_COMMITS).then_some(BranchHistory::Grown { new_commits: new }));
        }
        for (base, head) in [old_range, new_range] {
            if self.commits_excluding(&[base], head).await?.len() > MAX_COMMITS {
                return Ok(None);
            }
        }
        let ranges = [old_range, new_range].map(|(base, head)| format!("{base}..{head}"));
        let call = self.command("range-diff").args(["--no-patch", "--no-color", "--no-abbrev"]);
        // Git before 2.41 ignores the flag `--no-abbrev` of `range-diff`, so this setting is needed too.
        let call = call.config("core.abbrev", "no");
        let log_output = call.args(ranges).arg("--").read_output().await?;
        let mut rewritten = (vec![], vec![], 0, 0);
        for line in log_output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let (fate, sha) =
                parse_range_diff_line(line).ok_or_else(|| unknown_output_error("range-diff", line))?;
            let (new, changed, same, gone) = &mut rewritten;
            match (fate, sha) {
                (b'>', Some(sha)) => new.push(sha),
                (b'!', Some(sha)) => changed.push(sha),
                (b'=', Some(_)) => *same += 1,
                (b'<', _) => *gone += 1,
                (_, _) => return Err(unknown_output_error("range-diff", line)),
            }
        }
        let (new, changed, same, gone) = rewritten;
        Ok(Some(BranchHistory::Rewritten {
            new_commits: new,
            changed_commits: changed,
            unchanged_count: same,
            removed_count: gone,
        }))
    }

    /// Returns the commits of `head` that are in none of `excluded`, newest first, without merges. Returns at
    /// most `MAX_COMMITS` + 1 commits.
    pub(crate) async fn commits_excluding(
        &self,
        excluded: &[&Sha],
        head: &Sha,
    ) -> Result<Vec<Sha>, GitError> {
        let call =
            self.command("rev-list").args(["--no-merges", &format!("--max-count={}", MAX_COMMITS + 1)]);
        let call = call.arg(head.as_str()).args(excluded.iter().map(|sha| format!("^{sha}")));
        let log_output = call.arg("--").read_output().await?;
        let ids =
            std::str::from_utf8(&log_output).map_err(|_| unknown_output_error("rev-list", &log_output))?;
        ids.lines()
            .map(|id| Sha::parse(id).map_err(|_| unknown_output_error("rev-list", &log_output)))
            .collect()
    }
}

/// Parses a line of `git range-diff`: `1: ID ! 2: ID subject`. Returns the mark (here `!`) and the new
/// commit, if the line contains one.
fn parse_range_diff_line(line: &[u8]) -> Option<(u8, Option<Sha>)> {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (_, _, fate, _, new) = (words.next()?, words.next()?, words.next()?, words.next()?, words.next()?);
    let [fate] = fate else { return None };
    Some((*fate, std::str::from_utf8(new).ok().and_then(|new| Sha::parse(new).ok())))
}
