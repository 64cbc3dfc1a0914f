//! Adds hints to the errors for unknown names. A name may mean a branch, a folder, a pull request or a
//! commit.

use truing_git::GitError;

use super::ReviewCommand;
use super::arguments::is_commit;
use crate::cli::error::CliError;
use crate::wiring;

impl ReviewCommand {
    /// Adds a hint to the error if a branch has the number as its name. A bare number always means a pull
    /// request.
    pub(super) async fn with_branch_hint(&self, number: &str, error: CliError) -> CliError {
        let branch = format!("refs/heads/{number}");
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        if self.args.publish || !is_number || !is_commit(&branch, &self.environment).await {
            return error;
        }
        let command = self.output.command_line(&format!("review {branch}"));
        error.hint(format!(
            "`{number}` selects a pull request; to review a branch with this name, run `{command}`"
        ))
    }

    /// Returns the error for an unknown commit. For a positional argument, the error also names the other
    /// possible meanings.
    pub(super) fn unknown_commit_error(&self, name: &str, error: GitError) -> CliError {
        let is_unknown = matches!(error, GitError::UnknownRevision { .. } | GitError::BadRevision(_));
        if !(self.args.is_bare_ref && is_unknown) {
            return wiring::git_error(error);
        }
        CliError::usage(
            "bad_target",
            format!("`{name}` is not a folder, a pull request or a commit of this repository"),
        )
        .hint(
            "to list the branches: `git branch --all`; specify a pull request by OWNER/NAME#NUMBER, \
            NUMBER or its URL",
        )
    }
}
