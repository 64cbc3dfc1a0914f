//! Diagnostics on lines of text, as compilers print them: a path, a line, mostly a column, and a message.
//!
//! A [`Pattern`] is a row of [`table`]: regular expressions with named groups, and what the numbers in them mean. A line
//! that no expression matches is no error: tools print headings, quoted source and summaries between their diagnostics.

use regex::{Captures, Regex};

use crate::output::decode;
use crate::output::diagnostic::{Diagnostic, Level};
use crate::output::format::Input;
use crate::output::level::level;
use crate::output::path::Paths;
use crate::output::range::{ColumnUnit, Range};
use crate::output::report::{Collected, ProblemKind, Report};
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
pub struct Pattern {
    /// The name of the format in a configuration.
    pub name: &'static str,
    /// The tool that prints such lines, if it is a single one.
    pub tool: &'static str,
    /// Expressions for a whole line; the first one that matches counts.
    pub lines: &'static [&'static str],
    /// An expression for a line by which the tool says that it failed; empty if it prints none.
    pub failure: &'static str,
    /// The unit of the columns.
    pub unit: ColumnUnit,
    /// Other units, by the beginning of the rule's name.
    pub units: &'static [(&'static str, ColumnUnit)],
    /// Is the end column the last one of the place, rather than the first one behind it?
    pub end_is_in: bool,
    /// The level of a line without a word for it.
    pub level: Level,
    /// Does the first letter of the rule's name say the level?
    pub level_in_rule: bool,
    /// Do notes without a rule belong to the diagnostic before them? Then they are no diagnostics.
    pub notes_are_context: bool,
}

/// The diagnostics of a text, and how many of its lines are something else.
#[derive(Debug)]
pub struct ReadLines {
    /// The diagnostics and problems.
    pub report: Report,
    /// Lines with text that are no diagnostic, whose content is not known.
    pub other_lines: u64,
}

impl Pattern {
    /// The expressions for lines; one that is malformed is missing, which a test of the table refuses.
    pub fn expressions(&self) -> Vec<Regex> {
        self.lines.iter().filter_map(|line| Regex::new(line).ok()).collect()
    }

    /// The expression for a failure, if there is one.
    pub fn failing(&self) -> Option<Regex> {
        (!self.failure.is_empty()).then(|| Regex::new(self.failure).ok()).flatten()
    }

    /// Reads an output.
    pub fn read(&self, bytes: &[u8], input: &Input<'_>) -> ReadLines {
        let mut collected = Collected::new();
        let text = decode::lines(bytes, &mut collected);
        let paths = Paths::new(input);
        let tool = input.tool_or(if self.tool.is_empty() { self.name } else { self.tool });
        let (lines, failure) = (self.expressions(), self.failing());
        let mut other_lines = 0;
        for line in text.lines() {
            let line = without_escapes(line, MAX_LINE_CHARS);
            let line = line.trim_end();
            if let Some(groups) = lines.iter().find_map(|expression| expression.captures(line)) {
                self.take(&groups, tool, &paths, &mut collected);
            } else if failure.as_ref().is_some_and(|failure| failure.is_match(line)) {
                collected.problem(ProblemKind::Tool, line);
            } else if !line.is_empty() {
                other_lines += 1;
            }
        }
        ReadLines { report: collected.finish(), other_lines }
    }

    /// Collects the diagnostic of a line.
    fn take(&self, groups: &Captures<'_>, tool: &str, paths: &Paths, collected: &mut Collected) {
        let group =
            |name: &str| groups.name(name).map(|found| found.as_str().trim()).filter(|text| !text.is_empty());
        let rule = group("rule");
        let by_letter = || rule.filter(|_| self.level_in_rule).and_then(|rule| level(rule.get(..1)?));
        let level = group("level").and_then(level).or_else(by_letter).unwrap_or(self.level);
        if self.notes_are_context && level == Level::Note && rule.is_none() {
            return;
        }
        let written = group("path").unwrap_or_default();
        let path = match paths.path(written) {
            Ok(path) => path,
            Err(error) => return collected.leave_out(ProblemKind::Place, &error.to_string()),
        };
        let message = group("message").unwrap_or_default();
        let mut diagnostic = Diagnostic::new(tool, path, self.range(&group, rule), message);
        diagnostic.rule = rule.map(str::to_owned);
        diagnostic.title = group("title").map(str::to_owned);
        diagnostic.level = level;
        collected.push(diagnostic);
    }

    /// The place that the groups of a line name. A number that is too large counts as none.
    fn range<'a>(&self, group: &impl Fn(&str) -> Option<&'a str>, rule: Option<&str>) -> Range {
        let number = |name: &str| group(name).and_then(|digits| digits.parse::<u32>().ok());
        let Some(line) = number("line") else { return Range::File };
        let column0 = || number("column0").map(|column| column.saturating_add(1));
        let column = number("column").or_else(column0).unwrap_or(0);
        let unit = self.units.iter().find(|(begins, _)| rule.is_some_and(|rule| rule.starts_with(begins)));
        let unit = unit.map_or(self.unit, |(_, unit)| *unit);
        match (number("end_line").unwrap_or(line), number("end_column").unwrap_or(0)) {
            (end_line, end) if end_line == line && end > 0 => {
                let end = end.saturating_add(u32::from(self.end_is_in));
                Range::between((line, column), (line, end), unit)
            }
            // An end on another line is that of a whole definition, whose first line is meant.
            (_, _) => Range::at(line, column, unit),
        }
    }
}
