//! Diagnostics on lines of text, as compilers print them: a path, a line, mostly a column, and a message.
//!
//! A [`LinePattern`] is a row of [`table`]: regular expressions with named groups, and what the numbers in them mean. A line
//! that no expression matches is no error: tools print headings, quoted source and summaries between their diagnostics.

use regex::{Captures, Regex};

use crate::output::decode;
use crate::output::diagnostic::{Diagnostic, DiagnosticLevel};
use crate::output::format::OutputContext;
use crate::output::level::level;
use crate::output::path::PathResolver;
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::{DiagnosticCollector, DiagnosticReport, ProblemKind};
use crate::output::text::without_escapes;

pub mod table;

/// The most characters of a line that are looked at.
const MAX_LINE_CHARS: usize = 8 << 10;

/// Lines of one form.
///
/// Groups of an expression: `path` and `message` have to match; `line` is from 1, and without it the diagnostic is about
/// the file; `column` is from 1 and `column0` from 0; `end_line` and `end_column` are from 1; `level` is a word
/// that the module `level` knows; `rule` and `title` are names.
#[derive(Debug)]
pub struct LinePattern {
    /// The name of the format in a configuration.
    pub name: &'static str,
    /// The tool that prints such lines, if it is a single one.
    pub tool: &'static str,
    /// Expressions for a whole line; the first one that matches counts.
    pub lines: &'static [&'static str],
    /// An expression for a line by which the tool says that it failed; empty if it prints none.
    pub failure: &'static str,
    /// Expressions for lines that the tool prints beside diagnostics: headings, totals. The group `total` is the number of diagnostics;
    /// the group `none` says that there are none.
    pub others: &'static [&'static str],
    /// Expressions for lines behind a diagnostic that show its code or explain it.
    pub quotes: &'static [&'static str],
    /// The unit of the columns.
    pub unit: ColumnUnit,
    /// Other units, by the beginning of the rule's name.
    pub units: &'static [(&'static str, ColumnUnit)],
    /// Is the end column the last one of the place, rather than the first one behind it?
    pub end_is_in: bool,
    /// The level of a line without a word for it.
    pub level: DiagnosticLevel,
    /// Does the first letter of the rule's name say the level?
    pub level_in_rule: bool,
    /// Do notes without a rule belong to the diagnostic before them? Then they are no diagnostics.
    pub notes_are_context: bool,
}

/// A line that points at a part of the line above, as compilers print it.
const MARKER: &str = r"^[\s|\d]*[\^~][\s^~|-]*$";

/// Expressions; one that is malformed is missing, which a test of the table refuses.
fn compiled(expressions: &[&str]) -> Vec<Regex> {
    expressions.iter().filter_map(|expression| Regex::new(expression).ok()).collect()
}

/// A text that is being read.
#[derive(Debug, Default)]
struct LineCounts {
    /// Lines that are understood, whatever they say.
    understood: u64,
    /// Notes that belong to a diagnostic, and no diagnostics of their own.
    notes: u64,
    /// The largest number of diagnostics that the tool says there are.
    total: Option<u64>,
}

impl LinePattern {
    /// The expressions for lines.
    pub fn expressions(&self) -> Vec<Regex> {
        compiled(self.lines)
    }

    /// The expression for a failure, if there is one.
    pub fn failing(&self) -> Option<Regex> {
        (!self.failure.is_empty()).then(|| Regex::new(self.failure).ok()).flatten()
    }

    /// Reads an output. A text of which no line is understood is a problem; so is a number of diagnostics by the tool itself that is
    /// larger than what is understood. Other lines are named ([`DiagnosticReport::other_lines`]).
    pub fn read(&self, bytes: &[u8], input: &OutputContext<'_>) -> DiagnosticReport {
        let mut collected = DiagnosticCollector::new();
        let text = decode::lines(bytes, &mut collected);
        let paths = PathResolver::new(input);
        let tool = input.tool_or(if self.tool.is_empty() { self.name } else { self.tool });
        let (expressions, failure) = (self.expressions(), self.failing());
        let (others, quotes, marker) =
            (compiled(self.others), compiled(self.quotes), Regex::new(MARKER).ok());
        let is_marker = |line: &str| marker.as_ref().is_some_and(|marker| marker.is_match(line.trim_end()));
        let mut counts = LineCounts::default();
        let mut lines = text.lines().map(|line| without_escapes(line, MAX_LINE_CHARS)).peekable();
        while let Some(line) = lines.next() {
            let line = line.trim_end();
            let groups = expressions.iter().find_map(|expression| expression.captures(line));
            let shows_code = |next: Option<&String>| {
                let is_above = next.is_some_and(|next| is_marker(next));
                is_above || is_marker(line) || quotes.iter().any(|quote| quote.is_match(line))
            };
            if line.is_empty() {
                continue;
            } else if let Some(groups) = groups {
                counts.understood += 1;
                counts.notes += u64::from(!self.take(&groups, tool, &paths, &mut collected));
            } else if failure.as_ref().is_some_and(|failure| failure.is_match(line)) {
                counts.understood += 1;
                collected.problem(ProblemKind::Tool, line);
            } else if let Some(groups) = others.iter().find_map(|other| other.captures(line)) {
                counts.add(&groups);
            } else if counts.understood == 0 || !shows_code(lines.peek()) {
                collected.other_line(line);
            }
        }
        if let Some(last) = text.lines().next_back().filter(|_| !text.ends_with('\n')) {
            collected.other_line(&format!("{last} (without an end: the text may be cut)"));
        }
        counts.check(&mut collected);
        collected.finish()
    }

    /// Collects the diagnostic of a line. False for a note that belongs to the diagnostic before it.
    fn take(
        &self,
        groups: &Captures<'_>,
        tool: &str,
        paths: &PathResolver,
        collected: &mut DiagnosticCollector,
    ) -> bool {
        let group =
            |name: &str| groups.name(name).map(|found| found.as_str().trim()).filter(|text| !text.is_empty());
        let rule = group("rule");
        let by_letter = || rule.filter(|_| self.level_in_rule).and_then(|rule| level(rule.get(..1)?));
        let level = group("level").and_then(level).or_else(by_letter).unwrap_or(self.level);
        if self.notes_are_context && level == DiagnosticLevel::Note && rule.is_none() {
            return false;
        }
        let written = group("path").unwrap_or_default();
        let path = match paths.path(written) {
            Ok(path) => path,
            Err(error) => {
                collected.unplaced(&error, &error.to_string());
                return true;
            }
        };
        let message = group("message").unwrap_or_default();
        let mut diagnostic = Diagnostic::new(tool, path, self.range(&group, rule), message);
        diagnostic.rule = rule.map(str::to_owned);
        diagnostic.title = group("title").map(str::to_owned);
        diagnostic.level = level;
        collected.push(diagnostic);
        true
    }

    /// The place that the groups of a line name. A number that is too large counts as none.
    fn range<'a>(&self, group: &impl Fn(&str) -> Option<&'a str>, rule: Option<&str>) -> DiagnosticRange {
        let number = |name: &str| group(name).and_then(|digits| digits.parse::<u32>().ok());
        let Some(line) = number("line") else { return DiagnosticRange::File };
        let column0 = || number("column0").map(|column| column.saturating_add(1));
        let column = number("column").or_else(column0).unwrap_or(0);
        let unit = self.units.iter().find(|(begins, _)| rule.is_some_and(|rule| rule.starts_with(begins)));
        let unit = unit.map_or(self.unit, |(_, unit)| *unit);
        match (number("end_line").unwrap_or(line), number("end_column").unwrap_or(0)) {
            (end_line, end) if end_line == line && end > 0 => {
                let end = end.saturating_add(u32::from(self.end_is_in));
                DiagnosticRange::between((line, column), (line, end), unit)
            }
            // An end on another line is that of a whole definition, whose first line is meant.
            (_, _) => DiagnosticRange::at(line, column, unit),
        }
    }
}

impl LineCounts {
    /// Notes a line that is no diagnostic, and known.
    fn add(&mut self, groups: &Captures<'_>) {
        let of_line = match (groups.name("total"), groups.name("none")) {
            (Some(total), _) => total.as_str().parse().ok(),
            (None, Some(_)) => Some(0),
            (None, None) => None,
        };
        // A tool that says how much it has found is understood; a heading may be of any text.
        self.understood += u64::from(of_line.is_some());
        self.total = self.total.max(of_line);
    }

    /// Names what may be missing.
    fn check(&self, collected: &mut DiagnosticCollector) {
        let entries = collected.entries().saturating_add(self.notes);
        if let Some(total) = self.total.filter(|total| *total > entries) {
            let text = format!("the tool counts {total} findings, and {entries} are understood");
            collected.problem(ProblemKind::Unreadable, &text);
        } else if self.understood == 0 {
            collected.refuse_other_lines();
        }
    }
}
