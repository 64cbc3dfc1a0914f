//! Fixes before they are proven, and edits before they are applied.

use std::ops::Range;

use truing_core::finding::RawFinding;

/// The change that a `fix` makes: these bytes become this text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fix {
    pub(crate) range: Range<usize>,
    pub(crate) replacement: String,
}

/// A suggestion that is to be applied to its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// The first line that is replaced, from 1.
    pub first: u32,
    /// The last line that is replaced.
    pub last: u32,
    /// The text in place of the lines, without the last line end; empty: they go, line ends and all.
    pub replacement: String,
}

impl Edit {
    /// The suggestion of a finding, if it has one.
    pub fn of(finding: &RawFinding) -> Option<Self> {
        let replacement = finding.suggestion.as_ref()?.replacement.clone();
        Some(Self { first: finding.place.start_line, last: finding.place.end_line, replacement })
    }
}
