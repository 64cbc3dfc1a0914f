//! The place of a requirement in a file, and its text there.

use std::ops::Range as Span;
use std::path::Path;

use truing_core::registry::PackageRegistry;
use truing_core::version::RangeStyle;

/// The place of a project's requirement.
#[derive(Clone, Copy, Debug)]
pub struct RequirementPlace<'a> {
    pub file: &'a Path,
    /// Keys in the file, with dots between them; empty: the whole file.
    pub key_path: &'a str,
    pub package: &'a str,
    /// The registry that publishes the package.
    pub registry: PackageRegistry,
    /// The form of the requirement.
    pub style: RangeStyle,
}

/// A requirement in a file's text.
pub(super) struct RequirementText {
    /// The bytes of the range or, in Python, of the whole requirement.
    pub(super) span: Span<usize>,
    /// The text of those bytes.
    pub(super) text: String,
}

/// The greatest depth of nested tables in which requirements are searched.
pub(super) const MAX_TABLES: usize = 4;

/// Returns true if the entries at the place are whole requirements that include the package's name, as in
/// Python projects.
pub(super) fn has_whole_requirements(place: &RequirementPlace<'_>) -> bool {
    place.registry == PackageRegistry::Pypi && place.style != RangeStyle::VendoredVersion
}

/// Returns the bytes of a string's content within its quotes, if it is written without escapes.
pub(super) fn span_within_quotes(text: &str, span: Span<usize>, content: &str) -> Option<Span<usize>> {
    let raw = text.get(span.clone())?;
    let at = raw.find(content).filter(|_| !content.is_empty())?;
    let (before, after) = (raw.get(..at)?, raw.get(at + content.len()..)?);
    let are_quotes = |side: &str| !side.is_empty() && side.chars().all(|quote| matches!(quote, '"' | '\''));
    let start = span.start + at;
    (are_quotes(before) && are_quotes(after)).then_some(start..start + content.len())
}
