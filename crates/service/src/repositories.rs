//! Which repositories the operator wants reviewed: a token may see many more.

use std::collections::BTreeMap;

use globset::GlobSet;

/// By the `NAME` of `[forge.NAME]`, what the names of its repositories match; of a forge without an entry all.
#[derive(Clone, Debug, Default)]
pub struct Repositories(BTreeMap<String, GlobSet>);

impl Repositories {
    /// These; [`truing_config::value::repositories`] compiles the patterns of a forge. No pattern: all.
    pub fn new(forges: BTreeMap<String, GlobSet>) -> Self {
        Self(forges.into_iter().filter(|(_, names)| !names.is_empty()).collect())
    }

    /// Is the repository that people call `name` (`owner/name`) one of them?
    pub fn has(&self, forge: &str, name: &str) -> bool {
        self.0.get(forge).is_none_or(|names| names.is_match(name))
    }
}
