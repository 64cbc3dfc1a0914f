//! Filters the repositories to review by the operator's configuration. A token may have access to many more
//! repositories.

use std::collections::BTreeMap;

use globset::GlobSet;

/// The filter of repositories that an operator configures.
#[derive(Clone, Debug, Default)]
pub struct RepositoryFilter {
    /// Patterns for repository names, by the `NAME` of `[forge.NAME]`. For a forge without an entry, all
    /// repositories are admitted.
    forges: BTreeMap<String, GlobSet>,
    /// True if pull requests that were already open when the server first saw their repository are not
    /// reviewed until they change or a review is requested.
    leaves_existing: bool,
}

impl RepositoryFilter {
    /// Makes a filter of these patterns, which [`truing_config::value::compile_repository_globs`] compiles.
    /// For a forge without a pattern, all repositories are admitted.
    pub fn new(forges: BTreeMap<String, GlobSet>) -> Self {
        let forges = forges.into_iter().filter(|(_, names)| !names.is_empty()).collect();
        Self { forges, leaves_existing: false }
    }

    /// Makes the filter skip pull requests that were already open when the server first saw their repository.
    #[must_use]
    pub fn leaving_existing(self) -> Self {
        Self { leaves_existing: true, ..self }
    }

    /// Returns true if pull requests that were already open when the server first saw their repository are
    /// skipped until they change or a review is requested.
    pub fn skips_existing_pulls(&self) -> bool {
        self.leaves_existing
    }

    /// Returns true if the filter admits the repository with this name (`owner/name`).
    pub fn has(&self, forge: &str, name: &str) -> bool {
        self.forges.get(forge).is_none_or(|names| names.is_match(name))
    }
}
