//! The diagnostics of one output, collected within bounds.

use std::collections::BTreeSet;

use truing_core::line::{clean, counted};
use truing_diff::RepoPath;

use crate::output::diagnostic::{Diagnostic, MAX_NAME_CHARS};
use crate::output::path::PathError;
use crate::output::text;

/// The most bytes of one output that are read.
pub const MAX_INPUT_BYTES: usize = 64 << 20;
/// The most diagnostics of one output.
pub const MAX_DIAGNOSTICS: usize = 100_000;
/// The most bytes of text that the diagnostics of one output hold together.
pub const MAX_TEXT_BYTES: usize = 128 << 20;
/// The most tools that an output names.
pub const MAX_TOOLS: usize = 100;
/// The most problems of one output that are named.
pub const MAX_PROBLEMS: usize = 20;
/// The most lines of an output that are named because they are not understood.
pub const MAX_OTHER_LINES: usize = 3;
/// The most paths outside of the tree that are kept.
pub const MAX_OUTSIDE: usize = 1000;
/// The most files that a tool has not looked at which are kept.
pub const MAX_IGNORED: usize = 10_000;
/// The most characters of a problem.
pub const MAX_PROBLEM_CHARS: usize = 300;

/// The diagnostics that could be read of an output, and the problems with the rest.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DiagnosticReport {
    /// The diagnostics, in the order of the output.
    pub diagnostics: Vec<Diagnostic>,
    /// The tools that the output names, also those that have found nothing: [`MAX_TOOLS`] at most.
    pub tools: BTreeSet<String>,
    /// The first [`MAX_PROBLEMS`] problems.
    pub problems: Vec<ReportProblem>,
    /// The number of problems beside those.
    pub more_problems: u64,
    /// The number of entries that are not among the diagnostics: malformed ones, those without a place in the tree, and
    /// those beyond a bound. An entry that cannot be told from the rest of a damaged output is not counted.
    pub left_out: u64,
    /// Lines of text that are not understood: the first [`MAX_OTHER_LINES`].
    pub other_lines: Vec<String>,
    /// The number of lines beside those.
    pub more_lines: u64,
    /// The first [`MAX_OUTSIDE`] paths outside of the tree, as the tool wrote them.
    pub outside: Vec<String>,
    /// The first [`MAX_IGNORED`] files that the tool says it has not looked at.
    pub ignored: BTreeSet<RepoPath>,
}

/// A reason for which a report may not hold everything that the tool found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportProblem {
    /// The kind.
    pub kind: ProblemKind,
    /// One visible line that names the thing.
    pub text: String,
}

/// The kinds of problems.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ProblemKind {
    /// The output, or what follows a place of it, could not be read.
    Unreadable,
    /// No line of a text could be understood.
    NoLine,
    /// An entry, or a part of it, was malformed and is left out.
    Entry,
    /// An entry is about no file.
    Place,
    /// An entry is about a file outside of the tree, as far as that is known.
    Outside,
    /// A bound was reached.
    Bound,
    /// The tool says that it failed.
    Tool,
}

/// A report that is being made. It bounds and cleans whatever is put in.
#[derive(Debug, Default)]
pub struct DiagnosticCollector {
    report: DiagnosticReport,
    text_bytes: usize,
    beyond: u64,
    /// The number of diagnostics that the tool says there are.
    expected: u64,
}

impl DiagnosticCollector {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a diagnostic, with its texts cleaned and bounded. One without message, or whose path is not in the tree, is
    /// left out and named.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if self.is_full() {
            return self.push_beyond();
        }
        let diagnostic = text::cleaned(diagnostic);
        if !diagnostic.path.may_be_written() {
            return self.leave_out(ProblemKind::Place, &format!("{} is not in the tree", diagnostic.path));
        }
        if diagnostic.message.is_empty() {
            let line = diagnostic.range.first_line().map(|line| format!(":{line}")).unwrap_or_default();
            let place = format!("{}{line}: no message", diagnostic.path);
            return self.leave_out(ProblemKind::Entry, &place);
        }
        self.text_bytes = self.text_bytes.saturating_add(text::bytes(&diagnostic));
        self.tool(&diagnostic.tool);
        self.report.diagnostics.push(diagnostic);
    }

    /// Notes that the output is of this tool.
    pub fn tool(&mut self, name: &str) {
        let name = clean(&text::without_escapes(name, MAX_NAME_CHARS), MAX_NAME_CHARS);
        if !name.is_empty() && self.report.tools.len() < MAX_TOOLS {
            self.report.tools.insert(name);
        }
    }

    /// Counts a diagnostic that there is no room for, without making it.
    pub fn push_beyond(&mut self) {
        self.beyond += 1;
    }

    /// Names a problem that costs no entry.
    pub fn problem(&mut self, kind: ProblemKind, text: &str) {
        if self.report.problems.len() == MAX_PROBLEMS {
            self.report.more_problems += 1;
        } else {
            let text = clean(&text::without_escapes(text, MAX_PROBLEM_CHARS), MAX_PROBLEM_CHARS);
            self.report.problems.push(ReportProblem { kind, text });
        }
    }

    /// Names an entry that is left out.
    pub fn leave_out(&mut self, kind: ProblemKind, text: &str) {
        self.report.left_out += 1;
        self.problem(kind, text);
    }

    /// Names an entry that is left out because of its path.
    pub fn unplaced(&mut self, error: &PathError, text: &str) {
        let outside = match error {
            PathError::Outside(path) | PathError::NoRoot(path) => Some(path),
            PathError::Missing | PathError::TooLong | PathError::Address(_) | PathError::NoFile(_) => None,
        };
        if let Some(path) = outside.filter(|_| self.report.outside.len() < MAX_OUTSIDE) {
            self.report.outside.push(path.clone());
        }
        let kind = if outside.is_some() { ProblemKind::Outside } else { ProblemKind::Place };
        self.leave_out(kind, text);
    }

    /// Notes a file that the tool says it has not looked at.
    pub fn ignored(&mut self, path: RepoPath) {
        if self.report.ignored.len() < MAX_IGNORED {
            self.report.ignored.insert(path);
        }
    }

    /// Notes a line that is not understood.
    pub fn other_line(&mut self, line: &str) {
        if self.report.other_lines.len() < MAX_OTHER_LINES {
            self.report
                .other_lines
                .push(clean(&text::without_escapes(line, MAX_PROBLEM_CHARS), MAX_PROBLEM_CHARS));
        } else {
            self.report.more_lines += 1;
        }
    }

    /// Notes the number of diagnostics that the tool says there are.
    pub fn expect(&mut self, total: u64) {
        self.expected = self.expected.max(total);
    }

    /// Names it as a problem that no line is understood, if there are lines.
    pub fn refuse_other_lines(&mut self) {
        if self.report.other_lines.is_empty() {
            return;
        }
        let lines = self.report.other_lines.len() as u64 + self.report.more_lines;
        let first =
            self.report.other_lines.iter().map(|line| format!("`{line}`")).collect::<Vec<_>>().join(", ");
        self.problem(
            ProblemKind::NoLine,
            &format!("none of {} is understood: {first}", counted(lines, "line")),
        );
    }

    /// The number of entries that were read, also of those that are left out.
    pub fn entries(&self) -> u64 {
        self.report.diagnostics.len() as u64 + self.report.left_out + self.beyond
    }

    /// Is there no room for another diagnostic? What is pushed then is counted alone.
    pub fn is_full(&self) -> bool {
        self.report.diagnostics.len() >= MAX_DIAGNOSTICS || self.text_bytes >= MAX_TEXT_BYTES
    }

    /// The number of diagnostics.
    pub fn len(&self) -> usize {
        self.report.diagnostics.len()
    }

    /// Are there no diagnostics?
    pub fn is_empty(&self) -> bool {
        self.report.diagnostics.is_empty()
    }

    /// The report.
    pub fn finish(mut self) -> DiagnosticReport {
        let (expected, entries) = (self.expected, self.entries());
        if expected > entries {
            let text = format!("the tool counts {expected} findings, and {entries} are understood");
            self.problem(ProblemKind::Unreadable, &text);
        }
        if self.beyond > 0 {
            let (beyond, kept) = (counted(self.beyond, "diagnostic"), self.report.diagnostics.len());
            // It is told even where there is no room for another problem: it is the one that matters most.
            if self.report.problems.len() == MAX_PROBLEMS {
                self.report.problems.pop();
                self.report.more_problems += 1;
            }
            self.problem(ProblemKind::Bound, &format!("{beyond} left out: the first {kept} are kept"));
            self.report.left_out += self.beyond;
        }
        self.report
    }
}
