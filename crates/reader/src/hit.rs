//! Matches of rules, before they are findings.

use std::ops::Range;

use crate::fix::ByteReplacement;
use crate::pack::PackRule;

/// One match of a rule, as byte offsets.
pub(crate) struct RuleMatch<'packs> {
    pub(crate) rule: &'packs PackRule,
    pub(crate) matched: Range<usize>,
    /// A place of it that must be code: not within a text or a comment.
    pub(crate) code: Option<usize>,
    /// The dotted name that is called there, if the rule asks what it stands for.
    pub(crate) name: Option<String>,
    /// The part that may not be shown.
    pub(crate) secret: Option<Range<usize>>,
    /// The rule's own fix of it.
    pub(crate) fix: Option<ByteReplacement>,
}
