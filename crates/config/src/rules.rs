//! Section `rules` of the configuration: rule packs, exclusions, severities and the time limit.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use truing_core::severity::RuleSeverity;

use super::TypedSettings;
use super::problem::ConfigError;

/// Default time limit for reading all files of one review.
pub const DEFAULT_READING_TIME_LIMIT: Duration = Duration::from_secs(120);

/// Section `rules` of the configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RulesConfig {
    /// Globs of files that are not reviewed. [`compile_globs`](super::value::compile_globs) compiles the
    /// globs.
    pub ignored_paths: Vec<String>,
    /// Names of the rule packs to use.
    pub packs: Vec<String>,
    /// Rules, of packs or tools, whose findings are ignored.
    pub disabled_rules: Vec<String>,
    /// Rules, of packs or tools, whose findings get a different severity.
    pub severity_overrides: BTreeMap<String, Vec<RuleSeverity>>,
    /// Folder with further rule packs.
    pub pack_folder: Option<PathBuf>,
    /// Time limit for reading all files of one review.
    pub reading_time_limit: Duration,
}

impl Default for RulesConfig {
    /// Returns settings without packs and with the default time limit.
    fn default() -> Self {
        Self {
            ignored_paths: Vec::new(),
            packs: Vec::new(),
            disabled_rules: Vec::new(),
            severity_overrides: BTreeMap::new(),
            pack_folder: None,
            reading_time_limit: DEFAULT_READING_TIME_LIMIT,
        }
    }
}

pub(super) fn read_section(settings: &TypedSettings<'_>) -> Result<RulesConfig, ConfigError> {
    Ok(RulesConfig {
        ignored_paths: settings.list("rules.ignore")?,
        packs: settings.list("rules.packs")?,
        disabled_rules: settings.list("rules.off")?,
        severity_overrides: settings.severities("rules.severity")?,
        pack_folder: settings.path("rules.dir")?,
        reading_time_limit: settings.duration("rules.time")?,
    })
}
