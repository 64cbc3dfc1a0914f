//! Formats in which tools print diagnostics, and the context that a format's reader gets in addition to the
//! bytes.

use truing_diff::RepoPath;

use crate::output::report::DiagnosticReport;

/// Format of diagnostics.
///
/// [`OutputFormat::parse`] finds a format by its name, and
/// [`recognize_format`](crate::output::recognize::recognize_format) finds it by the content of an output.
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
    /// XML report of JUnit, which test programs write.
    Junit,
    /// Format of one tool: a line pattern or the tool's own JSON.
    Named(&'static NamedFormat),
}

/// Format of one tool, as an entry of a table.
///
/// The table is `output::known::NAMED`, and only `output::known` contains it. An entry consists of functions.
/// [`OutputFormat`] therefore does not depend on patterns or on the JSON of tools:
///
/// * `output::parse` looks a name up in the table after the formats that have a variant of their own.
/// * `output::read` calls `read`.
/// * `output::recognize` calls `is`, in the table's order, after the formats that have a variant of their
///   own.
#[derive(Debug)]
pub struct NamedFormat {
    /// Name in a configuration: ASCII lower case, digits and `-`. The name is unique and differs from the
    /// names of the formats in [`OutputFormat::OWN`].
    pub name: &'static str,
    /// Name of the tool, if the format belongs to one tool. The name is used for diagnostics if
    /// [`OutputContext::tool`] is empty.
    pub tool: &'static str,
    /// True if the format consists of text lines that a pattern parses.
    pub is_lines: bool,
    /// Function that parses diagnostics. The function must not panic on any bytes. It collects diagnostics
    /// with [`DiagnosticCollector`](crate::output::report::DiagnosticCollector), which enforces the bounds.
    pub parse: fn(&[u8], &OutputContext<'_>) -> DiagnosticReport,
    /// Function that returns true for content of the format. The function examines only the beginning of the
    /// bytes, or needs linear time. The function of a format that cannot be distinguished from others always
    /// returns false.
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
    /// Formats with a variant of their own.
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
    /// Absolute paths of the tree's roots on the machine where the tool ran, in the form that this machine
    /// uses. If roots are nested, the inner root applies.
    pub roots: &'a [String],
    /// Folder of the tree in which the tool ran, if this is not the root. Relative paths in the output begin
    /// at this folder.
    pub folder: Option<&'a RepoPath>,
    /// Name of the tool, used if the output contains no tool name. If this field is empty, the format's own
    /// name is used.
    pub tool: &'a str,
    /// Files of the tree, for formats that name files without their folders. The list is empty if the files
    /// are unknown.
    pub files: &'a [RepoPath],
    /// Files of the tree whose names look like another form of a path ([`unusual_names`]). If the output
    /// contains the same text, or the same bytes in a URL, this refers to the file.
    ///
    /// [`unusual_names`]: crate::output::path::unusual_names
    pub unusual: &'a [RepoPath],
    /// True if the tool may have run on another machine. In this case, a root that the output itself names is
    /// also accepted.
    pub is_foreign: bool,
}

impl<'a> OutputContext<'a> {
    /// Returns the name of the tool, or `format` if the name is unknown.
    pub fn tool_or(&self, format: &'a str) -> &'a str {
        if self.tool.trim().is_empty() { format } else { self.tool }
    }
}
