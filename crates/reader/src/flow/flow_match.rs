//! Matches of flow rules.

use std::ops::Range;

use crate::fix::ByteReplacement;

/// A match of a flow rule, with its fix.
pub(crate) struct FlowMatch {
    pub(crate) range: Range<usize>,
    pub(crate) fix: Option<ByteReplacement>,
    /// Imports that the finding depends on. If a change adds one of these imports but not the matched code,
    /// the finding is reported on the import.
    pub(crate) imports: Vec<Range<usize>>,
}

impl FlowMatch {
    pub(super) fn from_node(node: tree_sitter::Node<'_>) -> Self {
        Self::from_range(node.byte_range())
    }

    pub(super) fn from_range(range: Range<usize>) -> Self {
        Self { range, fix: None, imports: Vec::new() }
    }
}
