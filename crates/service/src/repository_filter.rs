//! Filters the repositories to review by the operator's configuration. A token can usually read more
//! repositories than the operator wants to review.

use std::collections::BTreeMap;

use globset::GlobSet;

/// The operator's filter for repositories.
#[derive(Clone, Debug, Default)]
pub struct RepositoryFilter {
    /// Patterns for repository names, by the `NAME` of `[forge.NAME]`. A forge without an entry has no
    /// restriction.
    globs_by_forge: BTreeMap<String, GlobSet>,
    /// True if the pull requests that were open at the server's first contact with a repository are skipped.
    /// A change or a requested review ends the skip.
    skips_existing_pulls: bool,
}

impl RepositoryFilter {
    /// Creates a filter from patterns that were compiled by
    /// [`truing_config::value::compile_repository_globs`]. A forge without a pattern has no restriction.
    pub fn new(forges: BTreeMap<String, GlobSet>) -> Self {
        let forges = forges.into_iter().filter(|(_, names)| !names.is_empty()).collect();
        Self { globs_by_forge: forges, skips_existing_pulls: false }
    }

    /// Makes the filter skip the pull requests that were open at the server's first contact with their
    /// repository.
    #[must_use]
    pub fn skipping_existing_pulls(self) -> Self {
        Self { skips_existing_pulls: true, ..self }
    }

    /// Returns true if pull requests that were open at the server's first contact are skipped. A change or a
    /// requested review ends the skip.
    pub fn skips_existing_pulls(&self) -> bool {
        self.skips_existing_pulls
    }

    /// Returns true if the filter admits the repository with this name (`owner/name`).
    pub fn admits_repository(&self, forge: &str, name: &str) -> bool {
        self.globs_by_forge.get(forge).is_none_or(|names| names.is_match(name))
    }
}
