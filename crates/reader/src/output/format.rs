//! The formats in which tools print diagnostics, and what a reader is told beside the bytes.

use truing_diff::RepoPath;

use crate::output::report::DiagnosticReport;

/// A format of diagnostics.
///
/// [`OutputFormat::parse`] finds one by its name and [`recognize`](crate::output::recognize::recognize) by the content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutputFormat {
    /// SARIF 2.1.0, of OASIS.
    Sarif,
    /// Reviewdog's JSON: a `DiagnosticResult`.
    Rdjson,
    /// Reviewdog's JSON Lines: a `Diagnostic` on each line.
    Rdjsonl,
    /// Checkstyle's XML.
    Checkstyle,
    /// GitLab's code quality report, in JSON.
    Gitlab,
    /// JUnit's XML.
    Junit,
    /// A format of one tool: a line pattern or the tool's own JSON.
    Named(&'static NamedFormat),
}

/// A format of one tool, as an entry of a table.
///
/// The table is `output::known::NAMED`, and `output::known` alone holds it. An entry is built from functions, so that
/// [`OutputFormat`] knows neither patterns nor the JSON of tools:
///
/// * `output::parse` looks a name up in the table after the formats that have a variant of their own.
/// * `output::read` calls `read`.
/// * `output::recognize` asks `is`, in the table's order, after the formats that have a variant of their own.
#[derive(Debug)]
pub struct NamedFormat {
    /// The name in a configuration: ASCII lower case, digits and `-`. It is unique, and none of [`OutputFormat::OWN`].
    pub name: &'static str,
    /// The name of the tool, if the format is of one tool; it is the diagnostics' tool where [`OutputContext::tool`] is empty.
    pub tool: &'static str,
    /// Is it lines of text, read by a pattern?
    pub is_lines: bool,
    /// Reads diagnostics. It does not panic on any bytes, and collects by
    /// [`DiagnosticCollector`](crate::output::report::DiagnosticCollector), which keeps the bounds.
    pub read: fn(&[u8], &OutputContext<'_>) -> DiagnosticReport,
    /// Is this content of the format? It looks at the beginning of the bytes alone, or reads them in linear time. A
    /// format that cannot be told from others says no.
    pub is: fn(&[u8]) -> bool,
}

impl PartialEq for NamedFormat {
    /// Names are unique.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for NamedFormat {}

impl OutputFormat {
    /// Those with a variant of their own.
    pub const OWN: [Self; 6] =
        [Self::Sarif, Self::Rdjson, Self::Rdjsonl, Self::Checkstyle, Self::Gitlab, Self::Junit];

    /// The name by which a configuration names it.
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

/// Facts that the bytes do not tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputContext<'a> {
    /// Absolute roots of the tree on the machine where the tool ran, as that machine writes them. Where one is within
    /// another, the inner one counts.
    pub roots: &'a [String],
    /// The folder of the tree in which the tool ran, if it is not the root: relative paths begin there.
    pub folder: Option<&'a RepoPath>,
    /// The name of the tool where the output names none; empty: the format's own name.
    pub tool: &'a str,
    /// The files of the tree, for formats that name files without their folders; empty: they are not known.
    pub files: &'a [RepoPath],
    /// Files of the tree whose names look like another form of a path ([`unusual_names`]): the same text, or the same
    /// bytes in an address, names the file.
    ///
    /// [`unusual_names`]: crate::output::path::unusual_names
    pub unusual: &'a [RepoPath],
    /// May the tool have run on another machine? Then a root that the output names counts, too.
    pub is_foreign: bool,
}

impl<'a> OutputContext<'a> {
    /// The name of the tool, or `format` where none is known.
    pub fn tool_or(&self, format: &'a str) -> &'a str {
        if self.tool.trim().is_empty() { format } else { self.tool }
    }
}
