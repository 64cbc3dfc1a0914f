//! Which repositories the operator wants reviewed: a token may see many more.

use std::collections::BTreeMap;

use globset::GlobSet;

/// The choice of an operator.
#[derive(Clone, Debug, Default)]
pub struct RepositoryFilter {
    /// By the `NAME` of `[forge.NAME]`, what the names of its repositories match; of a forge without an entry all.
    forges: BTreeMap<String, GlobSet>,
    /// Pull requests that were open before the first contact are left until they change, or somebody asks.
    leaves_existing: bool,
}

impl RepositoryFilter {
    /// These; [`truing_config::value::repositories`] compiles the patterns of a forge. No pattern: all.
    pub fn new(forges: BTreeMap<String, GlobSet>) -> Self {
        let forges = forges.into_iter().filter(|(_, names)| !names.is_empty()).collect();
        Self { forges, leaves_existing: false }
    }

    /// The same, whose pull requests that were open before the first contact are left.
    #[must_use]
    pub fn leaving_existing(self) -> Self {
        Self { leaves_existing: true, ..self }
    }

    /// True: pull requests that were open before the first contact are left.
    pub fn leaves_existing(&self) -> bool {
        self.leaves_existing
    }

    /// Is the repository that people call `name` (`owner/name`) one of them?
    pub fn has(&self, forge: &str, name: &str) -> bool {
        self.forges.get(forge).is_none_or(|names| names.is_match(name))
    }
}
