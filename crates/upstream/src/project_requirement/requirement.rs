//! Types for a project's requirement: its location in a file, its text, and the sources that it names.

use std::ops::Range as Span;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use truing_core::registry::PackageRegistry;
use truing_core::version::RangeStyle;

use crate::index::PackageIndex;
use crate::range::VersionRange;

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

/// A project's requirement of a package, every part of which is understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProjectRequirement {
    pub range: VersionRange,
    /// The indexes, besides the user's own, that the project searches for the package.
    pub indexes: Vec<DeclaredIndex>,
    /// The settings of the project's package manager that hide young releases.
    pub age_limits: Vec<ReleaseAgeLimit>,
    /// True if the requirement lists the digests of the permitted archives (`--hash`).
    pub has_hashes: bool,
}

impl ProjectRequirement {
    /// Returns the first index that the project declares and that is not `index`. The project may take the
    /// package from it, so `index` may have a foreign package of the same name.
    pub fn other_index(&self, index: &PackageIndex) -> Option<&DeclaredIndex> {
        self.indexes.iter().find(|declared| !index.serves(&declared.address))
    }
}

/// An index that a project's file declares.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeclaredIndex {
    /// Address of the index, as the project writes it.
    pub address: String,
    /// The file and the key that declare the index.
    pub declared_by: String,
}

/// A setting of the project's package manager that hides young releases.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseAgeLimit {
    pub cutoff: ReleaseCutoff,
    /// The setting as the project writes it, and its file.
    pub declared_by: String,
}

/// The time from which on releases are hidden.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReleaseCutoff {
    /// A time that the setting names.
    Time(Timestamp),
    /// The minimum age of a release.
    Age(SignedDuration),
}

impl ReleaseAgeLimit {
    /// Returns true if the package manager installs a release that was published at this time.
    pub fn admits(&self, published_at: Timestamp, now: Timestamp) -> bool {
        match self.cutoff {
            ReleaseCutoff::Time(end) => published_at < end,
            ReleaseCutoff::Age(age) => now.duration_since(published_at) >= age,
        }
    }
}

/// The notation of a requirement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RequirementNotation {
    /// A name and a range (PEP 508).
    Pep508,
    /// A range in the notation of the registry.
    Range,
    /// A range in the notation of Poetry.
    Poetry,
    /// A version, because the project contains a copy of the package.
    Version,
}

/// A requirement in a file's text.
#[derive(Debug)]
pub(super) struct RequirementText {
    /// The position of the requirement, in bytes. In [`RequirementNotation::Pep508`] it includes the name.
    pub(super) span: Span<usize>,
    /// The requirement as the project writes it, with the source that it names.
    pub(super) text: String,
    pub(super) notation: RequirementNotation,
    /// The reason why the requirement is not wholly understood.
    pub(super) doubt: Option<String>,
    /// The position of the options `--hash` after the requirement.
    pub(super) hashes: Option<Span<usize>>,
}

impl RequirementText {
    pub(super) fn new(span: Span<usize>, text: String, notation: RequirementNotation) -> Self {
        Self { span, text, notation, doubt: None, hashes: None }
    }

    /// Creates a requirement that is not understood.
    pub(super) fn not_understood(text: String, doubt: String) -> Self {
        Self { doubt: Some(doubt), ..Self::new(0..0, text, RequirementNotation::Range) }
    }
}

/// The maximum depth of nested tables that are searched for requirements.
pub(super) const MAX_TABLE_DEPTH: usize = 6;

/// Returns the position of a string's content without the quotes, or none if the content contains escape
/// sequences.
pub(super) fn span_within_quotes(text: &str, span: Span<usize>, content: &str) -> Option<Span<usize>> {
    let raw = text.get(span.clone())?;
    if content.is_empty() {
        let is_plain = matches!(raw, "\"\"" | "''");
        return is_plain.then_some(span.start + 1..span.start + 1);
    }
    let position = raw.find(content)?;
    let before = raw.get(..position)?;
    let after = raw.get(position + content.len()..)?;
    let are_quotes = |side: &str| !side.is_empty() && side.chars().all(|quote| matches!(quote, '"' | '\''));
    let start = span.start + position;
    (are_quotes(before) && are_quotes(after)).then_some(start..start + content.len())
}
