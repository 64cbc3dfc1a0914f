//! Collects the diagnostics of one output, with limits on their number and size.
//!
//! Every text of an output passes through [`DiagnosticCollector`], which removes secrets with a known format
//! before a text is shortened: the rest of a secret that was cut could not be recognised later.

use std::collections::{BTreeSet, HashMap};

use truing_core::line::format_count;
use truing_diff::RepoPath;

use crate::output::diagnostic::{Diagnostic, MAX_NAME_CHARS};
use crate::output::known::{FailureSearch, find_tool};
use crate::output::path::PathError;
use crate::output::text;

/// Maximum number of bytes that are read from one output.
pub const MAX_INPUT_BYTES: usize = 64 << 20;
/// Maximum number of diagnostics of one output.
pub const MAX_DIAGNOSTICS: usize = 100_000;
/// Maximum total size of the texts in all diagnostics of one output, in bytes.
pub const MAX_TEXT_BYTES: usize = 128 << 20;
/// Maximum number of tools that are recorded for one output.
pub const MAX_TOOLS: usize = 100;
/// Maximum number of problems that are recorded for one output; further problems are counted.
pub const MAX_PROBLEMS: usize = 20;
/// Maximum number of lines that are listed as not understood.
pub const MAX_UNPARSED_LINES: usize = 3;
/// Maximum number of paths outside of the tree that are recorded for one output.
pub const MAX_OUTSIDE_PATHS: usize = 1000;
/// Maximum number of files that are listed as not examined by the tool.
pub const MAX_IGNORED_FILES: usize = 10_000;
/// Maximum length of a problem's text, in characters.
pub const MAX_PROBLEM_CHARS: usize = 300;
/// Maximum number of names of tools and rules that are searched for secrets only once for one output.
const MAX_REMEMBERED_NAMES: usize = 1000;

/// The diagnostics of an output, and the problems with parts that could not be parsed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DiagnosticReport {
    /// Diagnostics in the order of the output.
    pub diagnostics: Vec<Diagnostic>,
    /// Tools that the output mentions, even without findings; at most [`MAX_TOOLS`].
    pub tools: BTreeSet<String>,
    /// The first [`MAX_PROBLEMS`] problems.
    pub problems: Vec<ReportProblem>,
    /// Number of further problems.
    pub more_problems: u64,
    /// Number of entries that are not in `diagnostics`: malformed entries, entries without a location in the
    /// tree, and entries beyond a limit. If an output is damaged, entries after the damage are not counted,
    /// because their boundaries are unknown.
    pub left_out_count: u64,
    /// Lines of text that are not understood: the first [`MAX_UNPARSED_LINES`].
    pub unparsed_lines: Vec<String>,
    /// Number of further lines that are not understood.
    pub more_unparsed_lines: u64,
    /// The first [`MAX_OUTSIDE_PATHS`] paths outside of the tree, as the tool wrote them.
    pub outside_paths: Vec<String>,
    /// The first [`MAX_IGNORED_FILES`] files that the tool reports as not examined.
    pub ignored_files: BTreeSet<RepoPath>,
    /// True if the tool reports that it examined no file, or applied no rule.
    pub is_nothing_examined: bool,
}

/// A reason why a report may be incomplete.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportProblem {
    pub kind: ProblemKind,
    /// Description of the problem, as one line of visible characters.
    pub text: String,
}

/// Kinds of problems with an output.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ProblemKind {
    /// The output could not be read, or only its beginning could be read.
    Unreadable,
    /// None of the lines was understood.
    NothingParsed,
    /// An entry or a part of it is malformed, and is left out.
    MalformedEntry,
    /// An entry refers to no file.
    NoFile,
    /// An entry refers to a file that is outside of the known roots of the tree.
    OutsideTree,
    /// A bound was reached.
    LimitReached,
    /// The tool reports that it failed.
    ToolFailed,
}

/// Builds a report from the parts of an output. Cleans all texts, removes secrets from them, and limits the
/// number of entries.
#[derive(Debug, Default)]
pub struct DiagnosticCollector {
    report: DiagnosticReport,
    text_bytes: usize,
    excess_count: u64,
    /// Number of diagnostics that the tool reports.
    expected_count: u64,
    /// Cleaned names of tools and rules, by the name that the tool wrote.
    clean_names: HashMap<String, String>,
    failure_search: FailureSearch,
}

impl DiagnosticCollector {
    /// Creates an empty report.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates an empty report of a tool. If the table of tools lists the tool, the lines that are not
    /// understood are searched for the tool's own texts about failures, too.
    pub fn for_tool(name: &str) -> Self {
        let failure_texts = find_tool(name).map_or(&[][..], |tool| tool.failures.as_slice());
        Self { failure_search: FailureSearch::new(failure_texts), ..Self::default() }
    }

    /// Adds a diagnostic with cleaned and shortened texts. A diagnostic without a message, or with a path
    /// outside of the tree, is left out and reported as a problem.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.is_full() {
            return self.count_beyond_limit();
        }
        let diagnostic = Diagnostic {
            tool: self.clean_name(&diagnostic.tool),
            rule: diagnostic.rule.as_deref().map(|rule| self.clean_name(rule)),
            ..diagnostic
        };
        let diagnostic = text::clean_diagnostic(diagnostic);
        if !diagnostic.path.is_safe_to_write() {
            return self
                .add_skipped_entry(ProblemKind::NoFile, &format!("{} is not in the tree", diagnostic.path));
        }
        if diagnostic.message.is_empty() {
            let line = diagnostic.range.first_line().map(|line| format!(":{line}")).unwrap_or_default();
            let place = format!("{}{line}: no message", diagnostic.path);
            return self.add_skipped_entry(ProblemKind::MalformedEntry, &place);
        }
        self.text_bytes = self.text_bytes.saturating_add(text::count_text_bytes(&diagnostic));
        self.add_tool(&diagnostic.tool);
        self.report.diagnostics.push(diagnostic);
    }

    /// Records that the output is from this tool.
    pub fn add_tool(&mut self, name: &str) {
        let name = self.clean_name(name);
        if !name.is_empty() && self.report.tools.len() < MAX_TOOLS {
            self.report.tools.insert(name);
        }
    }

    /// Returns the name of a tool or a rule as one line without secrets.
    fn clean_name(&mut self, name: &str) -> String {
        let name = text::text_start(name, MAX_NAME_CHARS);
        if let Some(known) = self.clean_names.get(name) {
            return known.clone();
        }
        let clean = text::redact_line_escapes(name, MAX_NAME_CHARS);
        if self.clean_names.len() < MAX_REMEMBERED_NAMES {
            self.clean_names.insert(name.to_owned(), clean.clone());
        }
        clean
    }

    /// Counts a diagnostic beyond the limits without storing it.
    pub fn count_beyond_limit(&mut self) {
        self.excess_count += 1;
    }

    /// Adds a problem, but does not count a left-out entry.
    pub fn add_problem(&mut self, kind: ProblemKind, text: &str) {
        if self.report.problems.len() == MAX_PROBLEMS {
            self.report.more_problems += 1;
        } else {
            let text = text::redact_line_escapes(text, MAX_PROBLEM_CHARS);
            self.report.problems.push(ReportProblem { kind, text });
        }
    }

    /// Adds a problem for an entry, and counts the entry as left out.
    pub fn add_skipped_entry(&mut self, kind: ProblemKind, text: &str) {
        self.report.left_out_count += 1;
        self.add_problem(kind, text);
    }

    /// Adds a problem for an entry with an unusable path, and counts the entry as left out.
    pub fn skip_unplaced_entry(&mut self, error: &PathError, text: &str) {
        let outside = match error {
            PathError::OutsideTree(path) | PathError::UnknownRoot(path) => Some(path),
            PathError::Missing | PathError::TooLong | PathError::NonFileUrl(_) | PathError::NotAFile(_) => {
                None
            }
        };
        if let Some(path) = outside.filter(|_| self.report.outside_paths.len() < MAX_OUTSIDE_PATHS) {
            self.report.outside_paths.push(path.clone());
        }
        let kind = if outside.is_some() { ProblemKind::OutsideTree } else { ProblemKind::NoFile };
        self.add_skipped_entry(kind, text);
    }

    /// Records a file that the tool reports as not examined.
    pub fn add_ignored_file(&mut self, path: RepoPath) {
        if self.report.ignored_files.len() < MAX_IGNORED_FILES {
            self.report.ignored_files.insert(path);
        }
    }

    /// Records that the tool examined no file, or applied no rule.
    pub fn record_nothing_examined(&mut self) {
        self.report.is_nothing_examined = true;
    }

    /// Adds a problem if a line that is no diagnostic says that the tool failed.
    pub fn check_failure_line(&mut self, line: &str) {
        if self.failure_search.is_reason(line) {
            self.add_problem(ProblemKind::ToolFailed, line);
        }
    }

    /// Records a line that is not understood.
    pub fn record_unparsed_line(&mut self, line: &str) {
        self.check_failure_line(line);
        if self.report.unparsed_lines.len() < MAX_UNPARSED_LINES {
            self.report.unparsed_lines.push(text::redact_line_escapes(line, MAX_PROBLEM_CHARS));
        } else {
            self.report.more_unparsed_lines += 1;
        }
    }

    /// Records the number of diagnostics that the tool reports.
    pub fn record_expected_total(&mut self, total: u64) {
        self.expected_count = self.expected_count.max(total);
    }

    /// Adds a problem if the output has lines, but no line is understood.
    pub fn report_unparsed_output(&mut self) {
        if self.report.unparsed_lines.is_empty() {
            return;
        }
        let lines = self.report.unparsed_lines.len() as u64 + self.report.more_unparsed_lines;
        let first =
            self.report.unparsed_lines.iter().map(|line| format!("`{line}`")).collect::<Vec<_>>().join(", ");
        self.add_problem(
            ProblemKind::NothingParsed,
            &format!("none of {} could be parsed: {first}", format_count(lines, "line")),
        );
    }

    /// Returns the number of entries that were read, including those that are left out.
    pub fn entry_count(&self) -> u64 {
        self.report.diagnostics.len() as u64 + self.report.left_out_count + self.excess_count
    }

    /// Returns true if the maximum number or the maximum size of diagnostics is reached. In that case,
    /// further diagnostics are only counted.
    pub fn is_full(&self) -> bool {
        self.report.diagnostics.len() >= MAX_DIAGNOSTICS || self.text_bytes >= MAX_TEXT_BYTES
    }

    pub fn len(&self) -> usize {
        self.report.diagnostics.len()
    }

    pub fn is_empty(&self) -> bool {
        self.report.diagnostics.is_empty()
    }

    /// Completes the report and returns it.
    pub fn finish(mut self) -> DiagnosticReport {
        if self.failure_search.ends_in_traceback() {
            self.add_problem(ProblemKind::ToolFailed, "the output ends within the traceback of an exception");
        }
        let (expected, entries) = (self.expected_count, self.entry_count());
        if expected > entries {
            let expected = format_count(expected, "finding");
            let text = format!("the tool reports {expected}, but only {entries} could be parsed");
            self.add_problem(ProblemKind::Unreadable, &text);
        }
        if self.excess_count > 0 {
            let (beyond, kept) =
                (format_count(self.excess_count, "diagnostic"), self.report.diagnostics.len());
            // If the list of problems is full, the problem of the exceeded limit replaces the last problem,
            // because the exceeded limit is the most important problem.
            if self.report.problems.len() == MAX_PROBLEMS {
                self.report.problems.pop();
                self.report.more_problems += 1;
            }
            self.add_problem(
                ProblemKind::LimitReached,
                &format!("{beyond} left out: the first {kept} are kept"),
            );
            self.report.left_out_count += self.excess_count;
        }
        self.report
    }
}
