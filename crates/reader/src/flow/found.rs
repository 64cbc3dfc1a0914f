//! Places that a rule finds.

use std::ops::Range;

use crate::fix::ByteReplacement;

/// A place that a rule finds, and what is to be done about it.
pub(crate) struct FlowMatch {
    pub(crate) range: Range<usize>,
    pub(crate) fix: Option<ByteReplacement>,
    /// The imports that make it what it is: if a change adds one of these and not the place, it is said there.
    pub(crate) imports: Vec<Range<usize>>,
}

impl FlowMatch {
    pub(super) fn at(node: tree_sitter::Node<'_>) -> Self {
        Self::within(node.byte_range())
    }

    pub(super) fn within(range: Range<usize>) -> Self {
        Self { range, fix: None, imports: Vec::new() }
    }
}
