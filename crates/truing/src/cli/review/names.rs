//! Extends errors on unknown names with a hint on their other possible meanings.

use truing_git::GitError;

use super::ReviewCommand;
use super::arguments::is_commit;
use crate::cli::error::CliError;
use crate::wiring;

impl ReviewCommand {
    /// A bare number is a pull request even if a branch has this name; the error then has a hint on the
    /// branch.
    pub(super) async fn with_branch_hint(&self, number: &str, error: CliError) -> CliError {
        let branch = format!("refs/heads/{number}");
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        if self.args.publish || !is_number || !is_commit(&branch, &self.environment).await {
            return error;
        }
        let command = self.output.command_line(&format!("review {branch}"));
        error.hint(format!("a number is a pull request; to review the branch `{number}`: `{command}`"))
    }

    /// Returns the error for an unknown commit; a positional argument may have been meant as something else.
    pub(super) fn unknown_commit_error(&self, name: &str, error: GitError) -> CliError {
        let is_unknown = matches!(error, GitError::UnknownRevision { .. } | GitError::BadRevision(_));
        if !(self.args.is_bare_ref && is_unknown) {
            return wiring::git_error(error);
        }
        CliError::usage(
            "bad_target",
            format!("`{name}` is not a folder, a pull request or a commit of this repository"),
        )
        .hint("see the branches: `git branch --all`; a pull request is OWNER/NAME#NUMBER, NUMBER or its URL")
    }
}
