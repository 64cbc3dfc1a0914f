//! Places that a rule of this kind finds.

use std::ops::Range;

use crate::fix::ByteReplacement;

/// Place that a rule finds, with its fix.
pub(crate) struct FlowMatch {
    pub(crate) range: Range<usize>,
    pub(crate) fix: Option<ByteReplacement>,
    /// Imports that the finding depends on. If a change adds one of them and not the place itself, the
    /// finding is placed on the import.
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
