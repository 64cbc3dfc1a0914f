//! Types for a project's requirement: its location in a file, and its text.

use std::ops::Range as Span;
use std::path::Path;

use truing_core::registry::PackageRegistry;
use truing_core::version::RangeStyle;

/// The location of a project's requirement: the file, and the keys of the list or table.
#[derive(Clone, Copy, Debug)]
pub struct RequirementPlace<'a> {
    pub file: &'a Path,
    /// Keys of the list or table, with dots between them; empty if the file has no keys.
    pub key_path: &'a str,
    pub package: &'a str,
    /// The registry that publishes the package.
    pub registry: PackageRegistry,
    /// The style in which the project writes version ranges.
    pub style: RangeStyle,
}

/// A requirement in a file's text.
pub(super) struct RequirementText {
    /// The position of the version range in bytes. In Python files, the position of the whole requirement.
    pub(super) span: Span<usize>,
    /// The file's text at this span.
    pub(super) text: String,
}

/// The maximum depth of nested tables that are searched for requirements.
pub(super) const MAX_TABLE_DEPTH: usize = 4;

/// Returns true if each entry contains the package's name and the range, as in Python projects. In other
/// projects, an entry's value is only the range.
pub(super) fn entries_contain_package_name(place: &RequirementPlace<'_>) -> bool {
    place.registry == PackageRegistry::Pypi && place.style != RangeStyle::VendoredVersion
}

/// Returns the position of a string's content without the quotes, or none if the content contains escape
/// sequences.
pub(super) fn span_within_quotes(text: &str, span: Span<usize>, content: &str) -> Option<Span<usize>> {
    let raw = text.get(span.clone())?;
    let at = raw.find(content).filter(|_| !content.is_empty())?;
    let (before, after) = (raw.get(..at)?, raw.get(at + content.len()..)?);
    let are_quotes = |side: &str| !side.is_empty() && side.chars().all(|quote| matches!(quote, '"' | '\''));
    let start = span.start + at;
    (are_quotes(before) && are_quotes(after)).then_some(start..start + content.len())
}
