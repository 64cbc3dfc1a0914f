//! Severities that a configuration sets for rules.

use serde::{Deserialize, Serialize};

use crate::finding::Severity;

/// Severity of a rule's findings in some files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSeverity {
    /// Globs of files; empty for all files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    pub severity: Severity,
}
