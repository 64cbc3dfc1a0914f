//! Formats in which tools print diagnostics, and the context that a reader gets beside the bytes.

use truing_diff::RepoPath;

use crate::output::report::DiagnosticReport;

/// Format of diagnostics.
///
/// [`OutputFormat::parse`] finds one by its name and
/// [`recognize_format`](crate::output::recognize::recognize_format) by the content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputFormat {
    /// SARIF 2.1.0, of OASIS.
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
/// The table is `output::known::NAMED`, and only `output::known` contains it. An entry consists of functions,
/// therefore [`OutputFormat`] does not depend on patterns or on the JSON of tools:
///
/// * `output::parse` looks a name up in the table after the formats that have a variant of their own.
/// * `output::read` calls `read`.
/// * `output::recognize` calls `is`, in the table's order, after the formats that have a variant of their
///   own.
#[derive(Debug)]
pub struct NamedFormat {
    /// Name in a configuration: ASCII lower case, digits and `-`. It is unique and differs from the names in
    /// [`OutputFormat::OWN`].
    pub name: &'static str,
    /// Name of the tool, if the format belongs to one tool. It is used for diagnostics where
    /// [`OutputContext::tool`] is empty.
    pub tool: &'static str,
    /// True if the format is lines of text that a pattern reads.
    pub is_lines: bool,
    /// Function that reads diagnostics. It does not panic on any bytes, and collects through
    /// [`DiagnosticCollector`](crate::output::report::DiagnosticCollector), which enforces the bounds.
    pub parse: fn(&[u8], &OutputContext<'_>) -> DiagnosticReport,
    /// Function that returns true for content of the format. It examines only the beginning of the bytes, or
    /// reads them in linear time. A format that cannot be distinguished from others returns false.
    pub matches: fn(&[u8]) -> bool,
}

impl PartialEq for NamedFormat {
    /// Compares the names, which are unique.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for NamedFormat {}

impl OutputFormat {
    /// Formats with a variant of their own.
    pub const OWN: [Self; 6] =
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
    /// Absolute roots of the tree on the machine where the tool ran, as that machine writes them. Of nested
    /// roots, the inner one applies.
    pub roots: &'a [String],
    /// Folder of the tree in which the tool ran, if it is not the root. Relative paths begin there.
    pub folder: Option<&'a RepoPath>,
    /// Name of the tool where the output names none. If it is empty, the format's own name is used.
    pub tool: &'a str,
    /// Files of the tree, for formats that name files without their folders. It is empty if they are not
    /// known.
    pub files: &'a [RepoPath],
    /// Files of the tree whose names look like another form of a path ([`unusual_names`]). The same text, or
    /// the same bytes in an address, refers to the file.
    ///
    /// [`unusual_names`]: crate::output::path::unusual_names
    pub unusual: &'a [RepoPath],
    /// True if the tool may have run on another machine. A root that the output names is then accepted, too.
    pub is_foreign: bool,
}

impl<'a> OutputContext<'a> {
    /// Returns the name of the tool, or `format` where none is known.
    pub fn tool_or(&self, format: &'a str) -> &'a str {
        if self.tool.trim().is_empty() { format } else { self.tool }
    }
}
