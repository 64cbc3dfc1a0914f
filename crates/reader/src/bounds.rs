//! The bounds of what a reader says of files, on both sides of the protocol.

/// The most findings of one answer: the worst are kept.
pub const MAX_FINDINGS: usize = 5_000;
/// The most text of all findings of one answer, in bytes: the worst are kept.
pub const MAX_FINDINGS_BYTES: usize = 4 << 20;
/// The most comments of one answer that suppress nothing, and the most findings that a comment suppresses.
pub const MAX_SUPPRESSIONS: usize = 500;
/// The most text of the findings of one answer that a comment suppresses, in bytes.
pub const MAX_SUPPRESSED_BYTES: usize = 1 << 20;
/// The longest reason of a comment that suppresses a finding, in bytes.
pub const MAX_REASON_BYTES: usize = 1 << 10;
/// Names of rules in a report.
pub const MAX_RULES: usize = 10_000;
/// The longest name of a rule, in bytes.
pub const MAX_RULE_BYTES: usize = 200;
/// The longest title, in bytes.
pub const MAX_TITLE_BYTES: usize = 500;
/// The longest body, in bytes.
pub const MAX_BODY_BYTES: usize = 16 << 10;
/// The longest snippet, in bytes.
pub const MAX_SNIPPET_BYTES: usize = 16 << 10;
/// The longest suggested replacement, in bytes.
pub const MAX_SUGGESTION_BYTES: usize = 64 << 10;
