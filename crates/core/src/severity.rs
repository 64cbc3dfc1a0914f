//! Severities that are configured for rules.

use serde::{Deserialize, Serialize};

use crate::finding::Severity;

/// The severity of a rule's findings in some files.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSeverity {
    /// Globs of files; empty: all files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// The severity of findings there.
    pub severity: Severity,
}
