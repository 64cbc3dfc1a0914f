//! Reads diagnostics from lines of text, as compilers print them: a path, a line number, usually a column,
//! and a message.
//!
//! A [`LinePattern`] is a row of [`table`], with regular expressions and with the units of columns. It
//! contains regular expressions with named groups, and the units of the columns in these groups. A line that
//! no expression matches is not an error, because tools also print headings, source code and summaries.

use regex::{Captures, Regex};
use truing_core::line::format_count;

use crate::output::decode;
use crate::output::diagnostic::{Diagnostic, DiagnosticLevel};
use crate::output::format::OutputContext;
use crate::output::level::parse_level;
use crate::output::notebook::NotebookCell;
use crate::output::path::PathResolver;
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::{DiagnosticCollector, DiagnosticReport, ProblemKind};
use crate::output::text::strip_escapes;

pub mod table;

/// Maximum number of characters of a line that are examined.
const MAX_LINE_CHARS: usize = 8 << 10;

/// The regular expressions for the lines of one format.
///
/// An expression for diagnostics has the following groups. Only `path` and `message` are required. `line`
/// counts from 1; without `line`, the diagnostic is about the whole file. `column` counts from 1, and
/// `column0` counts from 0; `end_line` and `end_column` count from 1. `level` is a word in the table of the
/// module `level`; `rule` and `title` are the rule's name and title.
#[derive(Debug)]
pub struct LinePattern {
    /// Name of the format in a configuration.
    pub name: &'static str,
    /// Tool that prints such lines; empty if several tools do.
    pub tool: &'static str,
    /// Expressions for a whole line with a diagnostic. The first one that matches applies.
    pub line_expressions: &'static [&'static str],
    /// Expression for a line with which the tool reports its own failure; empty if the tool prints no such
    /// line.
    pub failure_line_expression: &'static str,
    /// Expressions for lines that the tool prints in addition to diagnostics, such as headings and totals.
    /// The group `total` matches the number of diagnostics according to the tool. The group `none` matches if
    /// there are no diagnostics.
    pub summary_expressions: &'static [&'static str],
    /// Expressions for lines after a diagnostic that show its code or explain it.
    pub excerpt_expressions: &'static [&'static str],
    pub unit: ColumnUnit,
    /// Units of columns that differ from `unit` for certain rules, by the beginning of the rule's name.
    pub units_by_rule_prefix: &'static [(&'static str, ColumnUnit)],
    /// True if the end column is inclusive.
    pub end_is_inclusive: bool,
    /// Level of a diagnostic if its line contains no level.
    pub default_level: DiagnosticLevel,
    /// True if the first letter of a rule's name represents the level.
    pub has_level_in_rule: bool,
    /// True if a note without a rule is a part of the previous diagnostic, not a separate diagnostic.
    pub notes_are_context: bool,
}

/// Expression for a line such as ` ^~~~`, with which compilers mark a part of the preceding line.
const MARKER_LINE_EXPRESSION: &str = r"^[\s|\d]*[\^~][\s^~|-]*$";

/// Compiles expressions. A malformed expression is left out; a test of the table detects this.
fn compile_expressions(expressions: &[&str]) -> Vec<Regex> {
    expressions.iter().filter_map(|expression| Regex::new(expression).ok()).collect()
}

/// Counts of lines and diagnostics while an output is parsed.
#[derive(Debug, Default)]
struct LineCounts {
    /// Number of lines that are understood: diagnostics, failures and totals.
    parsed_lines: u64,
    /// Number of notes that belong to another diagnostic, and are not diagnostics themselves.
    notes: u64,
    /// Largest number of diagnostics that the tool itself states.
    total: Option<u64>,
}

impl LinePattern {
    /// Returns the compiled expressions for lines.
    pub fn compile_line_expressions(&self) -> Vec<Regex> {
        compile_expressions(self.line_expressions)
    }

    /// Returns the expression for a failure, if there is one.
    pub fn failure_expression(&self) -> Option<Regex> {
        (!self.failure_line_expression.is_empty())
            .then(|| Regex::new(self.failure_line_expression).ok())
            .flatten()
    }

    /// Reads an output. The report contains a problem if no line is understood, or if the tool states a
    /// higher number of diagnostics than are understood. Lines that are not understood are listed in
    /// [`DiagnosticReport::unparsed_lines`].
    pub fn read(&self, bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
        let tool = context.tool_name_or(if self.tool.is_empty() { self.name } else { self.tool });
        let mut collected = DiagnosticCollector::for_tool(tool);
        let text = decode::decode_lines(bytes, &mut collected);
        let paths = PathResolver::new(context);
        let (expressions, failure) = (self.compile_line_expressions(), self.failure_expression());
        let (others, quotes, marker) = (
            compile_expressions(self.summary_expressions),
            compile_expressions(self.excerpt_expressions),
            Regex::new(MARKER_LINE_EXPRESSION).ok(),
        );
        let is_marker = |line: &str| marker.as_ref().is_some_and(|marker| marker.is_match(line.trim_end()));
        let mut counts = LineCounts::default();
        let mut lines = text.lines().map(|line| strip_escapes(line, MAX_LINE_CHARS)).peekable();
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
                counts.parsed_lines += 1;
                counts.notes += u64::from(!self.collect_line(&groups, tool, &paths, &mut collected));
            } else if failure.as_ref().is_some_and(|failure| failure.is_match(line)) {
                counts.parsed_lines += 1;
                collected.add_problem(ProblemKind::ToolFailed, line);
            } else if let Some(groups) = others.iter().find_map(|other| other.captures(line)) {
                counts.record_summary_line(&groups);
            } else if counts.parsed_lines == 0 || !shows_code(lines.peek()) {
                collected.record_unparsed_line(line);
            }
        }
        if let Some(last) = text.lines().next_back().filter(|_| !text.ends_with('\n')) {
            collected.record_unparsed_line(&format!("{last} (without a line end: the text may be cut)"));
        }
        counts.report_missing_diagnostics(&mut collected);
        collected.finish()
    }

    /// Collects the diagnostic of a line. Returns false if the line is a note that belongs to the previous
    /// diagnostic.
    fn collect_line(
        &self,
        groups: &Captures<'_>,
        tool: &str,
        paths: &PathResolver,
        collector: &mut DiagnosticCollector,
    ) -> bool {
        let group =
            |name: &str| groups.name(name).map(|found| found.as_str().trim()).filter(|text| !text.is_empty());
        let rule = group("rule");
        let by_letter =
            || rule.filter(|_| self.has_level_in_rule).and_then(|rule| parse_level(rule.get(..1)?));
        let level = group("level").and_then(parse_level).or_else(by_letter).unwrap_or(self.default_level);
        if self.notes_are_context && level == DiagnosticLevel::Note && rule.is_none() {
            return false;
        }
        let (written, cell) = split_cell(group("path").unwrap_or_default());
        let path = match paths.resolve(written) {
            Ok(path) => path,
            Err(error) => {
                collector.skip_unplaced_entry(&error, &error.to_string());
                return true;
            }
        };
        let message = group("message").unwrap_or_default();
        let mut diagnostic = Diagnostic::new(tool, path, self.range(&group, rule), message);
        diagnostic.rule = rule.map(str::to_owned);
        diagnostic.title = group("title").map(str::to_owned);
        diagnostic.level = level;
        diagnostic.cell = cell;
        collector.push(diagnostic);
        true
    }

    /// Returns the range of a diagnostic from the groups that match its line and columns. Numbers that are
    /// too large are ignored.
    fn range<'a>(&self, group: &impl Fn(&str) -> Option<&'a str>, rule: Option<&str>) -> DiagnosticRange {
        let number = |name: &str| group(name).and_then(|digits| digits.parse::<u32>().ok());
        let Some(line) = number("line") else { return DiagnosticRange::WholeFile };
        let column0 = || number("column0").map(|column| column.saturating_add(1));
        let column = number("column").or_else(column0).unwrap_or(0);
        let unit = self
            .units_by_rule_prefix
            .iter()
            .find(|(begins, _)| rule.is_some_and(|rule| rule.starts_with(begins)));
        let unit = unit.map_or(self.unit, |(_, unit)| *unit);
        match (number("end_line").unwrap_or(line), number("end_column").unwrap_or(0)) {
            (end_line, end) if end_line == line && end > 0 => {
                let end = end.saturating_add(u32::from(self.end_is_inclusive));
                DiagnosticRange::from_positions((line, column), (line, end), unit)
            }
            // An end on another line is ignored, because it is the end of a whole definition and the
            // diagnostic concerns the first line.
            (_, _) => DiagnosticRange::from_position(line, column, unit),
        }
    }
}

/// Splits the mark of a cell from the path of a notebook, as nbQA writes it: `a.ipynb:cell_3`.
fn split_cell(path: &str) -> (&str, Option<NotebookCell>) {
    let split = path.rsplit_once(":cell_").filter(|(notebook, _)| notebook.ends_with(".ipynb"));
    match split.and_then(|(notebook, number)| Some((notebook, number.parse().ok()?))) {
        Some((notebook, number)) => (notebook, Some(NotebookCell::Code(number))),
        None => (path, None),
    }
}

impl LineCounts {
    /// Records a known line that is not a diagnostic.
    fn record_summary_line(&mut self, groups: &Captures<'_>) {
        let of_line = match (groups.name("total"), groups.name("none")) {
            (Some(total), _) => total.as_str().parse().ok(),
            (None, Some(_)) => Some(0),
            (None, None) => None,
        };
        // A line with the tool's total counts as understood. A heading does not count as understood, because
        // similar lines may occur in any text.
        self.parsed_lines += u64::from(of_line.is_some());
        self.total = self.total.max(of_line);
    }

    /// Adds problems for diagnostics that may be missing.
    fn report_missing_diagnostics(&self, collector: &mut DiagnosticCollector) {
        let entries = collector.entry_count().saturating_add(self.notes);
        if let Some(total) = self.total.filter(|total| *total > entries) {
            let total = format_count(total, "finding");
            let text = format!("the tool reports {total}, but only {entries} could be parsed");
            collector.add_problem(ProblemKind::Unreadable, &text);
        } else if self.parsed_lines == 0 {
            collector.report_unparsed_output();
        }
    }
}
