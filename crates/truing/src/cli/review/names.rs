//! Names that are not what they were taken for: the error says what they may be.

use truing_git::GitError;

use super::ReviewCommand;
use super::arguments::is_commit;
use crate::cli::error::CliError;
use crate::wiring;

impl ReviewCommand {
    /// A number alone is a pull request, also where a branch is called so.
    pub(super) async fn or_branch(&self, number: &str, error: CliError) -> CliError {
        let branch = format!("refs/heads/{number}");
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        if self.args.publish || !is_number || !is_commit(&branch, &self.environment).await {
            return error;
        }
        let command = self.output.command(&format!("review {branch}"));
        error.hint(format!("a number is a pull request; to review the branch `{number}`: `{command}`"))
    }

    /// A name without a flag may have been meant for something else than a commit.
    pub(super) fn no_commit(&self, name: &str, error: GitError) -> CliError {
        let is_unknown = matches!(error, GitError::UnknownRevision { .. } | GitError::BadRevision(_));
        if !(self.args.is_bare_ref && is_unknown) {
            return wiring::git_error(error);
        }
        CliError::usage(
            "bad_target",
            format!("`{name}` is no folder, no pull request and no commit of this repository"),
        )
        .hint("see the branches: `git branch --all`; a pull request is OWNER/NAME#NUMBER, NUMBER or its URL")
    }
}
