//! Warnings about the settings of a review that users may not expect.

use truing_config::REPOSITORY_FILE;
use truing_core::id::Sha;
use truing_git::LocalRepository;
use truing_loops::compare::{ComparisonRequest, HeadSource};

use super::ReviewCommand;
use super::repository_settings::denied_keys_warning;
use crate::cli::error::CliError;
use crate::wiring;

/// The pack whose rules find secrets.
const CORE_PACK: &str = "core";

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
                "the reviewed commit has another {REPOSITORY_FILE}: this review uses the configuration of \
                the base, commit {}; to try the other file, check out the commit and omit --head",
                commit.short_sha()
            ));
        }
        Ok(commit)
    }

    /// Warns about settings that change what the review finds: keys of the repository's own file that the
    /// operator does not permit, and packs without `core`.
    pub(super) fn warn_of_settings(&self, denied_keys: &[String], packs: &[String]) {
        if let Some(warning) = denied_keys_warning(denied_keys) {
            self.output.warn(warning);
        }
        if packs.iter().any(|pack| pack == CORE_PACK) {
            return;
        }
        let remedy = match self.args.packs.is_empty() {
            true => "add `core` to `rules.packs`",
            false => "add `--pack core`",
        };
        self.output.warn(format_args!(
            "the pack `{CORE_PACK}` is not used, so the review does not search for secrets: {remedy}"
        ));
    }
}
