//! Reads the hunks of one file. The line counts in a hunk's header determine where the hunk ends.
//!
//! In a merge diff against all parents, a hunk has a range and a column of marks for each parent. Such hunks
//! are converted to hunks between the first parent and the result. Lines that exist only in other parents are
//! counted to find the end of the hunk, but not returned.

use crate::input_line::trim_line_end;

/// The number that git prints for a line count of -1. For a merge diff without context (`-U0`), git's counts
/// are too low by one if lines at the end of the file were removed.
const NEGATIVE_ONE_COUNT: u64 = u64::MAX;

/// The range `START,COUNT` of one side in a hunk header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HunkRange {
    pub(crate) start: u64,
    pub(crate) count: u64,
}

impl HunkRange {
    /// Returns the number of the line after the last line of the range. Returns an error if the range begins
    /// before line 1, or if a line number exceeds 32 bits.
    pub(crate) fn line_after(self) -> Result<u64, &'static str> {
        if self.start == 0 && self.count > 0 {
            return Err("the hunk has lines before line 1");
        }
        let end = self.start.saturating_add(self.count);
        if end > u64::from(u32::MAX) {
            return Err("the hunk is beyond line 4294967295");
        }
        Ok(end)
    }
}

/// The data of a hunk's header.
#[derive(Debug)]
pub(crate) struct HunkHeader<'a> {
    /// Number of mark characters at the beginning of each line: one for each parent.
    pub(crate) marker_width: usize,
    /// Range in the first parent.
    pub(crate) old: HunkRange,
    /// Ranges in the other parents of a merge.
    pub(crate) other_parent_ranges: Vec<HunkRange>,
    /// Range in the result.
    pub(crate) new: HunkRange,
    /// Text after the second `@@`.
    pub(crate) heading: &'a [u8],
}

/// Parses `@@ -START,COUNT +START,COUNT @@ SECTION`. For a merge of two parents, the form is `@@@
/// -START,COUNT -START,COUNT +START,COUNT @@@ SECTION`; each further parent adds an `@` and a range.
pub(crate) fn parse_hunk_header(line: &[u8]) -> Option<HunkHeader<'_>> {
    let marks = count_leading_at_signs(line).checked_sub(1).filter(|marks| *marks > 0)?;
    let (old, mut rest) = parse_range(line.get(marks + 1..)?.strip_prefix(b" -")?)?;
    let mut other_parents = Vec::new();
    for _ in 1..marks {
        let other;
        (other, rest) = parse_range(rest.strip_prefix(b" -")?)?;
        other_parents.push(other);
    }
    let (new, rest) = parse_range(rest.strip_prefix(b" +")?)?;
    let rest = rest.strip_prefix(b" ")?;
    let section = trim_line_end(rest.get(marks + 1..).filter(|_| count_leading_at_signs(rest) > marks)?);
    let section = section.strip_prefix(b" ").unwrap_or(section);
    let mut ranges =
        HunkHeader { marker_width: marks, old, other_parent_ranges: other_parents, new, heading: section };
    if marks > 1 {
        ranges.normalize_merge_ranges();
    }
    Some(ranges)
}

impl HunkHeader<'_> {
    /// Converts the ranges of a merge diff to the convention of other diffs.
    fn normalize_merge_ranges(&mut self) {
        let too_few = u64::from(self.new.count == NEGATIVE_ONE_COUNT);
        for range in [&mut self.old, &mut self.new].into_iter().chain(&mut self.other_parent_ranges) {
            range.count = range.count.wrapping_add(too_few);
            // The start of an empty range is the line after the range in a merge diff, but the line before
            // the range in other diffs.
            range.start = range.start.saturating_sub(u64::from(range.count == 0));
        }
    }
}

/// Returns true if the line is a hunk header of a diff that is not a merge diff.
pub(crate) fn is_two_way_hunk_header(line: &[u8]) -> bool {
    parse_hunk_header(line).is_some_and(|ranges| ranges.marker_width == 1)
}

/// Returns the number of `@` at the beginning of the line.
pub(crate) fn count_leading_at_signs(line: &[u8]) -> usize {
    line.iter().take_while(|byte| **byte == b'@').count()
}

/// Parses `START,COUNT`; a missing count is 1.
fn parse_range(text: &[u8]) -> Option<(HunkRange, &[u8])> {
    let (start, rest) = parse_number(text)?;
    match rest.strip_prefix(b",") {
        Some(rest) => parse_number(rest).map(|(count, rest)| (HunkRange { start, count }, rest)),
        None => Some((HunkRange { start, count: 1 }, rest)),
    }
}

/// Parses digits; a number that is too large becomes the maximum.
fn parse_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits).filter(|(number, _)| !number.is_empty())?;
    let value = number
        .iter()
        .fold(0_u64, |value, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some((value, rest))
}

/// A hunk whose lines are being read.
#[derive(Clone, Debug)]
pub(crate) struct HunkReader {
    marker_width: usize,
    /// Number of lines of the old side that have not been read yet.
    remaining_old: u64,
    remaining_other_parents: Vec<u64>,
    remaining_new: u64,
    /// Number of unread lines that are also in the previous hunk.
    remaining_shared: u64,
    /// Number of consecutive unchanged lines that were read last.
    pub(crate) trailing_context: u64,
    /// Number of added lines.
    pub(crate) added_lines: u32,
    /// Number of removed lines.
    pub(crate) deleted_lines: u32,
}

impl HunkReader {
    /// Creates a reader of the lines that follow a hunk header. The first `shared_lines` lines are also in
    /// the previous hunk.
    pub(crate) fn new(header: &HunkHeader<'_>, shared_lines: u64) -> Self {
        Self {
            marker_width: header.marker_width,
            remaining_old: header.old.count,
            remaining_other_parents: header.other_parent_ranges.iter().map(|other| other.count).collect(),
            remaining_new: header.new.count,
            remaining_shared: shared_lines,
            trailing_context: 0,
            added_lines: 0,
            deleted_lines: 0,
        }
    }

    /// Returns true if all lines have been read.
    pub(crate) fn is_done(&self) -> bool {
        self.remaining_old == 0
            && self.remaining_new == 0
            && self.remaining_other_parents.iter().all(|other| *other == 0)
    }

    /// Returns a text for error messages that gives the number of missing lines on each side.
    pub(crate) fn missing_lines_message(&self) -> String {
        let old = self
            .remaining_other_parents
            .iter()
            .fold(self.remaining_old.to_string(), |old, other| format!("{old} and {other}"));
        format!("{old} old and {} new lines", self.remaining_new)
    }

    /// Reads a line. The text "\ No newline at end of file" is not a line of the file; it describes the line
    /// before.
    pub(crate) fn read_line(&mut self, line: &[u8]) -> Result<(), String> {
        let columns = match line.first() {
            Some(b'\\') => return Ok(()),
            // Mail programs remove blanks at line ends, so an unchanged empty line of the hunk may lack its
            // marks.
            Some(b'\n') => &[],
            Some(_) | None => line.get(..self.marker_width).unwrap_or(b"?"),
        };
        let is_lost = columns.contains(&b'-');
        let fits = |mark: &u8| matches!((mark, is_lost), (b' ', _) | (b'+', false) | (b'-', true));
        if !columns.iter().all(fits) {
            return Err(format!(
                "{} of the hunk are missing: a line of a hunk begins with a blank, `+`, `-` or `\\`",
                self.missing_lines_message()
            ));
        }
        // A line of the result also exists in each parent whose column is blank. A removed line existed in
        // each parent whose column has the mark `-`.
        let has = |parent: usize| columns.get(parent).is_none_or(|mark| (*mark == b' ') != is_lost);
        let (is_old, is_new) = (has(0), !is_lost);
        let others = self
            .remaining_other_parents
            .iter()
            .enumerate()
            .any(|(parent, left)| has(parent + 1) && *left == 0);
        if is_old && self.remaining_old == 0 || is_new && self.remaining_new == 0 || others {
            return Err(format!(
                "the lines of the hunk do not match its header: {} should follow",
                self.missing_lines_message()
            ));
        }
        if self.remaining_shared > 0 && !(is_old && is_new) {
            return Err("this hunk changes the line, but the previous hunk shows it unchanged".to_owned());
        }
        self.remaining_shared = self.remaining_shared.saturating_sub(1);
        self.trailing_context = if is_old && is_new { self.trailing_context + 1 } else { 0 };
        (self.remaining_old, self.remaining_new) =
            (self.remaining_old - u64::from(is_old), self.remaining_new - u64::from(is_new));
        for (parent, left) in self.remaining_other_parents.iter_mut().enumerate() {
            *left -= u64::from(has(parent + 1));
        }
        // The line counts in the header fit in 32 bits, so the added and removed counts fit too.
        self.added_lines = self.added_lines.wrapping_add(u32::from(is_new & !is_old));
        self.deleted_lines = self.deleted_lines.wrapping_add(u32::from(is_old & !is_new));
        Ok(())
    }
}
