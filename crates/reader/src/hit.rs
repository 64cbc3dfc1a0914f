//! Matches of rules, before they are converted to findings.

use std::ops::Range;

use crate::fix::ByteReplacement;
use crate::pack::PackRule;

/// One match of a rule, as byte offsets in the file.
pub(crate) struct RuleMatch<'packs> {
    pub(crate) rule: &'packs PackRule,
    pub(crate) range: Range<usize>,
    /// Offset that must be in code. The match is dropped if the offset is in a string or a comment.
    pub(crate) code_offset: Option<usize>,
    /// Dotted name that is called at the offset in `code`. `None` if the rule does not check which import the
    /// name refers to.
    pub(crate) called_name: Option<String>,
    /// Range of the secret in the match, which must not be shown.
    pub(crate) secret_range: Option<Range<usize>>,
    /// Fix of the match that the rule defines.
    pub(crate) fix: Option<ByteReplacement>,
}
