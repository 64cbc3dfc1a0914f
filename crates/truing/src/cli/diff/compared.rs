//! Compares two commits of a repository, and creates the error for a malformed diff.

use std::path::Path;

use truing_core::id::Sha;
use truing_git::LocalRepository;

use crate::cli::CommandContext;
use crate::cli::error::CliError;
use crate::wiring;

/// Two commits of a repository, and the diff between them.
pub(super) struct ComparedCommits {
    pub(super) repository: LocalRepository,
    pub(super) old: Sha,
    pub(super) new: Sha,
    pub(super) diff: Vec<u8>,
}

impl ComparedCommits {
    pub(super) async fn open(
        old: &str,
        new: &str,
        path: &Path,
        context: &CommandContext,
    ) -> Result<Self, CliError> {
        let git = wiring::open_git(&context.environment).await?;
        let path = context.environment.directory().join(path);
        let repository = git.open(&path).await.map_err(wiring::git_error)?;
        let old = repository.resolve_commit(old).await.map_err(wiring::git_error)?;
        let new = repository.resolve_commit(new).await.map_err(wiring::git_error)?;
        let diff = repository.unlimited_diff(&old, &new).await.map_err(wiring::git_error)?;
        Ok(Self { repository, old, new, diff })
    }
}

/// Returns the error for a malformed diff from the source `name`.
pub(in crate::cli) fn malformed_diff_error(name: &str, error: &truing_diff::ParseError) -> CliError {
    CliError::usage("malformed_diff", format!("{name}: {error}")).hint(
        "check that the diff is complete and is unchanged output of git, without colours, word diffs or \
            `--graph`",
    )
}
