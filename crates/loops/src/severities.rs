//! The configured severities for findings of rules, by path.

use std::collections::BTreeMap;
use std::path::Path;

use globset::GlobSet;
use truing_config::value::compile_globs;
use truing_core::finding::Severity;
use truing_core::severity::RuleSeverity;

/// The configured severities by rule. A configured severity replaces the severity from the rule's pack or
/// tool.
#[derive(Clone, Debug, Default)]
pub struct RuleSeverities(BTreeMap<String, Vec<PathSeverity>>);

#[derive(Clone, Debug)]
struct PathSeverity {
    /// Globs of the files that the severity applies to; `None` for all files.
    paths: Option<GlobSet>,
    severity: Severity,
}

impl RuleSeverities {
    /// Compiles the configured patterns.
    ///
    /// # Errors
    /// Fails if a pattern is not a glob.
    pub fn new(configured: &BTreeMap<String, Vec<RuleSeverity>>) -> Result<Self, globset::Error> {
        let compile = |entry: &RuleSeverity| {
            let paths = if entry.paths.is_empty() { None } else { Some(compile_globs(&entry.paths)?) };
            Ok(PathSeverity { paths, severity: entry.severity })
        };
        let all = configured.iter().map(|(rule, entries)| {
            Ok((rule.clone(), entries.iter().map(compile).collect::<Result<Vec<_>, globset::Error>>()?))
        });
        all.collect::<Result<_, globset::Error>>().map(Self)
    }

    /// Returns the severity for a finding of this rule: the first entry that matches the file applies. `None`
    /// if no entry matches.
    pub fn severity_for(&self, rule: &str, path: &Path) -> Option<Severity> {
        let of_path = |entry: &&PathSeverity| entry.paths.as_ref().is_none_or(|paths| paths.is_match(path));
        self.0.get(rule)?.iter().find(of_path).map(|entry| entry.severity)
    }
}
