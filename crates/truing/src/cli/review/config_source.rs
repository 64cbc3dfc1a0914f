//! Selects and reads the repository's own configuration for a local review.

use truing_config::REPOSITORY_FILE;
use truing_config::layer::SourceFile;
use truing_core::id::Sha;
use truing_git::LocalRepository;
use truing_loops::checkout;
use truing_loops::compare::{ComparisonRequest, HeadSource};
use truing_loops::local::LocalReviewError;

use super::ReviewCommand;
use crate::cli::error::CliError;
use crate::wiring;

impl ReviewCommand {
    /// Returns the commit whose configuration applies to the review of the commit `head`. Warns if `head` has
    /// another configuration.
    pub(super) async fn config_commit(
        &self,
        repository: &LocalRepository,
        head: &Sha,
    ) -> Result<Sha, CliError> {
        let comparison =
            ComparisonRequest { repository, base: self.args.base.as_deref(), head: HeadSource::Commit(head) };
        let commit = comparison.config_commit(head).await.map_err(wiring::git_error)?;
        let applied = repository.list_files(&commit, &[REPOSITORY_FILE]).await.map_err(wiring::git_error)?;
        if applied != repository.list_files(head, &[REPOSITORY_FILE]).await.map_err(wiring::git_error)? {
            self.output.warn(format_args!(
                "the change edits {REPOSITORY_FILE}: this review uses the file of the base, commit {}; to try \
                the edited file, check out the commit and omit --head",
                commit.short_sha()
            ));
        }
        Ok(commit)
    }
}

/// Reads the repository's own configuration from a commit. If `commit` is `None`, reads it from the working
/// tree.
pub(in crate::cli) async fn read_repository_config(
    repository: &LocalRepository,
    commit: Option<&Sha>,
) -> Result<Option<SourceFile>, CliError> {
    let Some(commit) = commit else {
        return Ok(truing_config::read_repository_file(repository.root())?);
    };
    let folder = truing_git::PrivateFolder::new().map_err(LocalReviewError::TemporaryFolder)?;
    let only = [REPOSITORY_FILE.into()];
    let exported = repository.export(commit, folder.path(), Some(&only)).await.map_err(wiring::git_error)?;
    Ok(checkout::read_exported_config(&exported, &folder, commit)?)
}
