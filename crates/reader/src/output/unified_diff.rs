//! Parses the unified diffs that formatters print. Each diagnostic is a group of lines that the formatter
//! would change; its fix contains the formatted lines.

use std::collections::BTreeMap;
use std::ops::Range;

use truing_core::markdown::code_block;
use truing_diff::{FileDiff, FileStatus, Hunk, LineKind, parse_files};

use crate::output::decode;
use crate::output::diagnostic::{DiagnosticLevel, ToolFix};
use crate::output::format::OutputContext;
use crate::output::json::reading::OutputReader;
use crate::output::range::{ColumnUnit, DiagnosticRange};
use crate::output::report::{DiagnosticReport, ProblemKind};
use crate::output::text;

/// Rule name of the diagnostics.
pub(crate) const FORMAT_RULE: &str = "format";
/// Maximum number of groups of changed lines in one diagnostic.
pub(crate) const MAX_GROUPS: usize = 20;
/// Maximum number of lines of a diff that the help text of a diagnostic shows.
const MAX_SHOWN_LINES: usize = 40;
/// Maximum number of characters of a line that the help text shows.
const MAX_SHOWN_CHARS: usize = 160;
/// Number of bytes at the beginning of an output in which the first file of a diff is searched.
const SEARCH_BYTES: usize = 4 << 10;
/// Endings that isort adds to the names of a file before and after the change.
const ISORT_ENDINGS: (&str, &str) = (":before", ":after");
/// Beginnings of the lines of a diff. Other lines are text that a formatter prints beside it.
const DIFF_LINE_BEGINNINGS: [&str; 8] = [" ", "+", "-", "\\", "@@", "diff ", "index ", "Index: "];

/// A group of removed and added lines without an unchanged line in between.
#[derive(Debug, Default)]
pub(crate) struct ChangeGroup<'a> {
    /// First removed line. If no line is removed, the line before which the lines are added.
    first_line: u32,
    removed: Vec<&'a str>,
    added: Vec<&'a str>,
    /// True if the group adds or removes the line feed at the end of the file.
    changes_last_line_feed: bool,
}

/// Counts of the words that a change adds, minus those that it removes. Words with the count 0 are left out.
#[derive(Debug, Default)]
struct WordBalance(BTreeMap<String, i64>);

impl WordBalance {
    fn add(&mut self, group: &ChangeGroup<'_>) {
        for (lines, step) in [(&group.added, 1), (&group.removed, -1)] {
            let words = lines.iter().flat_map(|line| line.split(|letter: char| !letter.is_alphanumeric()));
            for word in words.filter(|word| !word.is_empty()) {
                *self.0.entry(word.to_lowercase()).or_default() += step;
            }
        }
        self.0.retain(|_, count| *count != 0);
    }
}

impl ChangeGroup<'_> {
    /// Returns the first and the last line of the group's diagnostic. If lines are only added, these are the
    /// lines before and after them.
    fn lines(&self) -> (u32, u32) {
        match u32::try_from(self.removed.len()) {
            Ok(0) => (self.first_line.saturating_sub(1).max(1), self.first_line),
            Ok(count) => (self.first_line, self.first_line.saturating_add(count - 1)),
            Err(_) => (self.first_line, u32::MAX),
        }
    }

    /// Returns the range that the group replaces, and the new text.
    fn replacement(&self) -> (Option<DiagnosticRange>, String) {
        let added = self.added.iter().map(|line| line.trim_end_matches('\r')).collect::<Vec<_>>().join("\n");
        let (_, last) = self.lines();
        let unit = ColumnUnit::CodePoint;
        let whole = |end: u32| DiagnosticRange::from_exact_positions((self.first_line, 1), (end, 1), unit);
        match (self.removed.is_empty(), self.added.is_empty()) {
            (true, _) => (whole(self.first_line), added + "\n"),
            (false, true) => (whole(last.saturating_add(1)), String::new()),
            (false, false) => (Some(DiagnosticRange::from_lines(self.first_line, last)), added),
        }
    }

    /// Returns the group as lines of a diff.
    fn diff_lines(&self) -> impl Iterator<Item = String> {
        let heading = format!("@@ line {} @@", self.first_line);
        let removed = self.removed.iter().map(|line| format!("-{line}"));
        let added = self.added.iter().map(|line| format!("+{line}"));
        std::iter::once(heading).chain(removed).chain(added)
    }
}

/// Returns true if the beginning of an output contains the names of a file and a hunk of it, as a unified
/// diff does.
pub(crate) fn is_unified_diff(bytes: &[u8]) -> bool {
    let beginning = decode::decode_text(bytes.get(..SEARCH_BYTES).unwrap_or(bytes));
    let lines: Vec<&str> = beginning.lines().collect();
    lines.windows(3).any(|lines| {
        let begins = ["--- ", "+++ ", "@@ -"];
        lines.iter().zip(begins).all(|(line, beginning)| line.starts_with(beginning))
    })
}

/// Returns the message of a formatter's diagnostic.
pub(crate) fn format_message(tool: &str) -> String {
    format!("{tool} would format this file otherwise")
}

/// Parses the unified diffs in an output. The old side of a diff is the file in the tree.
pub(crate) fn read(bytes: &[u8], context: &OutputContext<'_>) -> DiagnosticReport {
    let mut reading = OutputReader::new("formatter", context);
    let text = decode::decode_lines(bytes, &mut reading.collector);
    report_error_lines(&mut reading, &text);
    let mut file_count = 0_usize;
    for file in parse_files(text.as_bytes()) {
        match file {
            Ok(file) => {
                file_count += 1;
                collect_file(&mut reading, &file);
            }
            Err(error) if file_count > 0 => {
                reading.collector.add_problem(ProblemKind::Unreadable, &error.to_string());
            }
            Err(_) => {
                text.lines()
                    .filter(|line| !line.trim().is_empty())
                    .for_each(|line| reading.collector.record_unparsed_line(line));
                reading.collector.report_unparsed_output();
            }
        }
    }
    reading.finish()
}

/// Adds a problem for each line beside the diffs in which a formatter reports an error.
fn report_error_lines(reading: &mut OutputReader<'_>, text: &str) {
    let is_text = |line: &&str| !DIFF_LINE_BEGINNINGS.iter().any(|beginning| line.starts_with(beginning));
    let is_error = |line: &&str| {
        let is_beginning = |word: &str| line.get(..word.len()).is_some_and(|l| l.eq_ignore_ascii_case(word));
        is_beginning("error: ") || is_beginning("[error]")
    };
    for line in text.lines().filter(is_text).filter(is_error) {
        reading.add_tool_failure(line);
    }
}

fn collect_file(reading: &mut OutputReader<'_>, file: &FileDiff<'_>) {
    let path = file_path(file);
    if matches!(file.status, FileStatus::Added | FileStatus::Deleted) || file.hunks.is_empty() {
        reading.add_malformed_entry(&format!("{path}: the diff changes no lines of an existing file"));
        return;
    }
    let groups: Vec<ChangeGroup<'_>> = file.hunks.iter().flat_map(change_groups).collect();
    collect_groups(reading, &path, &groups, file.hunks.len() == 1);
}

/// Collects the groups of changed lines of a file.
pub(crate) fn collect_groups(
    reading: &mut OutputReader<'_>,
    path: &str,
    groups: &[ChangeGroup<'_>],
    is_only_hunk: bool,
) {
    for (unit, is_complete) in independent_units(groups, is_only_hunk) {
        let Some(groups) = groups.get(unit) else { continue };
        let (Some(first), Some(last)) = (groups.first(), groups.last()) else { continue };
        let range = DiagnosticRange::from_lines(first.lines().0, last.lines().1);
        let message = format_message(reading.tool());
        let Some(mut diagnostic) = reading.build_diagnostic(path, range, &message) else { return };
        diagnostic.rule = Some(FORMAT_RULE.to_owned());
        diagnostic.level = DiagnosticLevel::Note;
        diagnostic.help = Some(diff_block(groups));
        if is_complete && !groups.iter().any(|group| group.changes_last_line_feed) {
            let edits = groups.iter().map(|group| {
                let (range, new_text) = group.replacement();
                reading.build_edit(path, range, &new_text)
            });
            let edits = edits.collect::<Option<Vec<_>>>();
            diagnostic.fixes = edits.map(|edits| ToolFix { message: None, edits }).into_iter().collect();
        }
        reading.collector.push(diagnostic);
        if reading.collector.is_full() {
            return;
        }
    }
}

/// Returns the name of the formatted file.
fn file_path(file: &FileDiff<'_>) -> String {
    let path = file.path.to_string();
    let (before, after) = ISORT_ENDINGS;
    let old = file.old_path.as_ref().map(ToString::to_string);
    let old = old.as_deref().and_then(|old| old.strip_suffix(before));
    match path.strip_suffix(after) {
        Some(name) if old == Some(name) => name.to_owned(),
        Some(_) | None => path,
    }
}

/// Returns the groups of changed lines of a hunk.
fn change_groups<'a>(hunk: &Hunk<'a>) -> Vec<ChangeGroup<'a>> {
    // If the hunk has no old line, its start is the line after which lines are added.
    let start = hunk.old_start.saturating_add(u32::from(hunk.old_lines == 0));
    let mut grouping = LineGrouping::new(start);
    for line in hunk.lines() {
        let text = std::str::from_utf8(line.text).unwrap_or_default();
        grouping.add_line(line.kind, text, line.has_line_feed);
    }
    grouping.groups
}

/// The groups of changed lines of a hunk, which is read line by line.
#[derive(Debug)]
pub(crate) struct LineGrouping<'a> {
    pub(crate) groups: Vec<ChangeGroup<'a>>,
    /// Number of the next line on the old side.
    next_line: u32,
    is_in_group: bool,
}

impl<'a> LineGrouping<'a> {
    /// Starts a hunk. `start` is the number of its first line on the old side.
    pub(crate) fn new(start: u32) -> Self {
        Self { groups: Vec::new(), next_line: start, is_in_group: false }
    }

    pub(crate) fn add_line(&mut self, kind: LineKind, text: &'a str, has_line_feed: bool) {
        if kind == LineKind::Context {
            self.is_in_group = false;
        } else {
            if !self.is_in_group {
                let group = ChangeGroup { first_line: self.next_line, ..ChangeGroup::default() };
                self.groups.push(group);
            }
            self.is_in_group = true;
            if let Some(group) = self.groups.last_mut() {
                let lines = if kind == LineKind::Deleted { &mut group.removed } else { &mut group.added };
                lines.push(text);
                group.changes_last_line_feed |= !has_line_feed;
            }
        }
        self.next_line = self.next_line.saturating_add(u32::from(kind != LineKind::Added));
    }
}

/// Splits the groups of a file into units, which can be applied one without the other. The words of a unit
/// stay the same, so it moves no line to another unit: an import that is removed from one place and added at
/// another one is a single unit. Returns true for each unit that is complete.
///
/// If the words change, the remaining groups are one unit if they are in the only hunk of the file.
/// Otherwise, a group of such words is not complete.
fn independent_units(groups: &[ChangeGroup<'_>], is_only_hunk: bool) -> Vec<(Range<usize>, bool)> {
    let mut units = Vec::new();
    let mut start = 0;
    while start < groups.len() {
        let mut balance = WordBalance::default();
        let unit = groups.get(start..).unwrap_or_default().iter().take(MAX_GROUPS);
        let length = unit.enumerate().find_map(|(index, group)| {
            balance.add(group);
            balance.0.is_empty().then_some(index + 1)
        });
        let remaining = groups.len() - start;
        let (length, is_complete) = match length {
            Some(length) => (length, true),
            None if is_only_hunk && remaining <= MAX_GROUPS => (remaining, true),
            None => (1, false),
        };
        units.push((start..start + length, is_complete));
        start += length;
    }
    units
}

/// Returns the groups as a code block. The block is cut if it is too long.
fn diff_block(groups: &[ChangeGroup<'_>]) -> String {
    let line_count: usize = groups.iter().map(|group| 1 + group.removed.len() + group.added.len()).sum();
    let lines = groups.iter().flat_map(ChangeGroup::diff_lines);
    let mut shown: Vec<String> = lines.take(MAX_SHOWN_LINES).map(|line| cut_line(&line)).collect();
    if line_count > MAX_SHOWN_LINES {
        shown.push(format!("… {} more lines", line_count - MAX_SHOWN_LINES));
    }
    code_block("diff", &shown.join("\n"))
}

/// Returns the beginning of a line without secrets.
fn cut_line(line: &str) -> String {
    if line.chars().count() <= MAX_SHOWN_CHARS {
        return line.to_owned();
    }
    text::redact_line_escapes(line, MAX_SHOWN_CHARS)
}
