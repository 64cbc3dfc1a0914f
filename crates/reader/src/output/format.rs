//! Defines the formats in which tools print diagnostics, and the facts about an output that its bytes do not
//! contain.

use truing_diff::RepoPath;

use crate::output::report::DiagnosticReport;

/// Format of diagnostics.
///
/// [`OutputFormat::parse`] returns the format with a given name, and
/// [`recognize_format`](crate::output::recognize::recognize_format) recognises the format of an output by the
/// content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputFormat {
    /// SARIF 2.1.0, a standard of OASIS.
    Sarif,
    /// Reviewdog's JSON: a `DiagnosticResult`.
    Rdjson,
    /// Reviewdog's JSON Lines: a `Diagnostic` on each line.
    Rdjsonl,
    /// XML report of Checkstyle, which other tools write too.
    Checkstyle,
    /// GitLab's code quality report, in JSON.
    Gitlab,
    /// JUnit's XML report, which many test programs write.
    Junit,
    /// Format of one tool: a line pattern or the tool's own JSON.
    Named(&'static NamedFormat),
}

/// Format of one tool, as an entry of a table.
///
/// The table is `output::known::NAMED_FORMATS`. The entries of the table refer to functions, so
/// [`OutputFormat`] does not depend on the modules that parse patterns and tools' JSON:
///
/// * `output::parse` searches a name first among the formats with their own variant, and then in the table.
/// * `output::read` calls `parse`.
/// * `output::recognize` first checks the formats with their own variant. It then calls each entry's
///   `matches` in the table's order.
#[derive(Debug)]
pub struct NamedFormat {
    /// Name in a configuration: ASCII lower case, digits and `-`. The name is unique and differs from the
    /// names of the formats in [`OutputFormat::TOOL_INDEPENDENT_FORMATS`].
    pub name: &'static str,
    /// Name of the tool to which the format belongs; empty if the format does not belong to one tool. The
    /// name is used for diagnostics if [`OutputContext::tool`] is empty.
    pub tool: &'static str,
    /// True if the format consists of text lines that a pattern parses.
    pub is_line_based: bool,
    /// Parses an output in this format. Must not panic for any bytes. Collects diagnostics with
    /// [`DiagnosticCollector`](crate::output::report::DiagnosticCollector), which enforces the bounds.
    pub parse: fn(&[u8], &OutputContext<'_>) -> DiagnosticReport,
    /// Returns true if an output is in this format. Examines only the beginning of the output, or needs
    /// linear time. Always returns false for a format that cannot be distinguished from other formats.
    pub matches: fn(&[u8]) -> bool,
}

impl PartialEq for NamedFormat {
    /// Compares only the names, because they are unique.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for NamedFormat {}

impl OutputFormat {
    /// Formats that have their own variant in this enum.
    pub const TOOL_INDEPENDENT_FORMATS: [Self; 6] =
        [Self::Sarif, Self::Rdjson, Self::Rdjsonl, Self::Checkstyle, Self::Gitlab, Self::Junit];

    /// Returns the name used in a configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sarif => "sarif",
            Self::Rdjson => "rdjson",
            Self::Rdjsonl => "rdjsonl",
            Self::Checkstyle => "checkstyle",
            Self::Gitlab => "gitlab",
            Self::Junit => "junit",
            Self::Named(named) => named.name,
        }
    }
}

/// Facts about an output that its bytes do not contain.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputContext<'a> {
    /// Absolute paths of the tree's roots on the machine where the tool ran. If a path is inside of several
    /// roots, the innermost root applies.
    pub roots: &'a [String],
    /// Folder in which the tool ran, relative to the root of the tree. `None` if the tool ran at the root.
    /// Relative paths in the output refer to this folder.
    pub working_folder: Option<&'a RepoPath>,
    /// Name of the tool for diagnostics if the output itself contains no tool name. If this field is empty,
    /// the format's own name is used.
    pub tool: &'a str,
    /// Files of the tree. The list is needed for formats that contain file names without folders. The list is
    /// empty if the files are unknown.
    pub files: &'a [RepoPath],
    /// Files of the tree whose names look like another path ([`unusual_names`]). If the output contains
    /// exactly such a name, as text or in a URL, the name refers to this file.
    ///
    /// [`unusual_names`]: crate::output::path::unusual_names
    pub unusual_paths: &'a [RepoPath],
    /// True if the tool may have run on another machine. In that case, a root that the output states is also
    /// accepted.
    pub is_from_other_machine: bool,
}

impl<'a> OutputContext<'a> {
    /// Returns the name of the tool, or `default_name` if the name is unknown.
    pub fn tool_name_or(&self, default_name: &'a str) -> &'a str {
        if self.tool.trim().is_empty() { default_name } else { self.tool }
    }
}
