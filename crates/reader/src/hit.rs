//! Matches of rules, before they are findings.

use std::ops::Range;

use crate::fix::ByteReplacement;
use crate::pack::PackRule;

/// One match of a rule, as byte offsets in the file.
pub(crate) struct RuleMatch<'packs> {
    pub(crate) rule: &'packs PackRule,
    pub(crate) matched: Range<usize>,
    /// Offset that must be in code, not within a string or a comment.
    pub(crate) code: Option<usize>,
    /// Dotted name that is called there, if the rule checks the import behind it.
    pub(crate) name: Option<String>,
    /// Range of the match that may not be shown.
    pub(crate) secret: Option<Range<usize>>,
    /// Fix of the match that the rule defines.
    pub(crate) fix: Option<ByteReplacement>,
}
