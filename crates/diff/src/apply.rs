//! Compares a file's diff with the file's text. Checks if the text equals the old or the new side of the
//! diff, and converts the old side to the new side.
//!
//! Each line of the diff must be at exactly its line number in the text. A diff of another version of the
//! file is rejected, even if `git apply` would find the lines at other line numbers.

use std::ops::RangeInclusive;

use crate::parsed_diff::split_first_line;
use crate::{DiffSide, FileDiff, Hunk, HunkLine, LineKind};

/// Returns the text after the change, computed from the text before it. Returns `None` if a hunk does not
/// match the text, which means that the diff was made from a different text. The old text of a new file is
/// empty.
///
/// Content outside the hunks is not checked. The text of a binary file, for example, is returned unchanged.
/// For a merge diff against all parents, the old text is that of the first parent. Such a diff contains all
/// changes only in git's `-c` format. In other formats, the result may be incomplete.
///
/// ```
/// use truing_diff::{apply, parse};
/// let parsed = parse(b"--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
/// let file = parsed.files.first().unwrap();
/// assert_eq!(apply(file, b"one\ntwo\nthree\n").unwrap(), b"one\n2\nthree\n");
/// assert_eq!(apply(file, b"zero\none\ntwo\n"), None);
/// ```
pub fn apply(file: &FileDiff<'_>, old: &[u8]) -> Option<Vec<u8>> {
    reconstruct_other_side(&file.hunks, DiffSide::Old, old)
}

/// Returns true if `text`, as this side of the file, matches all lines of the hunks.
pub fn matches_side(file: &FileDiff<'_>, side: DiffSide, text: &[u8]) -> bool {
    reconstruct_other_side(&file.hunks, side, text).is_some()
}

/// Returns the text after the change, but with the changed lines nearest to some lines as they were before.
/// `old_lines` is the first and the last of these lines on the old side, 1-based. A change is a group of
/// removed and added lines without an unchanged line in between. If several changes are equally near, all of
/// them are undone. Returns `None` if a hunk does not match the text `new`, or if the diff has no hunk.
///
/// ```
/// use truing_diff::{parse, undo_nearest_changes};
/// let parsed = parse(b"--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n-one\n+1\n two\n-three\n+3\n");
/// let file = parsed.files.first().unwrap();
/// assert_eq!(undo_nearest_changes(file, b"1\ntwo\n3\n", 3..=3).unwrap(), b"1\ntwo\nthree\n");
/// ```
pub fn undo_nearest_changes(
    file: &FileDiff<'_>,
    new: &[u8],
    old_lines: RangeInclusive<u32>,
) -> Option<Vec<u8>> {
    if !matches_side(file, DiffSide::New, new) {
        return None;
    }
    let changes = changed_line_groups(file);
    let nearest = changes.iter().map(|change| change.distance_to(&old_lines)).min()?;
    let mut cursor = PatchCursor { rest: new, next_line_number: 1, output: Vec::with_capacity(new.len()) };
    for change in changes.iter().filter(|change| change.distance_to(&old_lines) == nearest) {
        while cursor.next_line_number < change.new_start {
            let line = cursor.next_line()?;
            cursor.output.extend_from_slice(line);
        }
        for _ in 0..change.new_lines {
            cursor.next_line()?;
        }
        cursor.output.extend_from_slice(&change.old_text);
    }
    cursor.output.extend_from_slice(cursor.rest);
    Some(cursor.output)
}

/// A group of removed and added lines without an unchanged line in between.
struct ChangedLines {
    /// Number of the first removed line, or of the line before which lines are added.
    old_start: u32,
    old_lines: u32,
    /// Number of the first added line, or of the line before which lines are removed.
    new_start: u32,
    new_lines: u32,
    /// The removed lines with their line ends.
    old_text: Vec<u8>,
}

impl ChangedLines {
    /// Returns the number of lines between this change and the lines; 0 if they touch.
    fn distance_to(&self, lines: &RangeInclusive<u32>) -> u32 {
        let end = self.old_start.saturating_add(self.old_lines.max(1) - 1);
        lines.start().saturating_sub(end).max(self.old_start.saturating_sub(*lines.end()))
    }
}

fn changed_line_groups(file: &FileDiff<'_>) -> Vec<ChangedLines> {
    let mut groups: Vec<ChangedLines> = Vec::new();
    for hunk in &file.hunks {
        let mut old_next = hunk.old_start.saturating_add(u32::from(hunk.old_lines == 0));
        let mut new_next = hunk.new_start.saturating_add(u32::from(hunk.new_lines == 0));
        let mut is_open = false;
        for line in hunk.lines() {
            let old_count = u32::from(line.old_line.is_some());
            let new_count = u32::from(line.new_line.is_some());
            if line.kind != LineKind::Context && !is_open {
                groups.push(ChangedLines {
                    old_start: old_next,
                    old_lines: 0,
                    new_start: new_next,
                    new_lines: 0,
                    old_text: Vec::new(),
                });
            }
            is_open = line.kind != LineKind::Context;
            if is_open && let Some(group) = groups.last_mut() {
                group.old_lines = group.old_lines.saturating_add(old_count);
                group.new_lines = group.new_lines.saturating_add(new_count);
                if line.kind == LineKind::Deleted {
                    group.old_text.extend_from_slice(line.text);
                    group.old_text.extend_from_slice(if line.has_line_feed { b"\n" } else { b"" });
                }
            }
            old_next = old_next.saturating_add(old_count);
            new_next = new_next.saturating_add(new_count);
        }
    }
    groups
}

/// Returns the text of the side opposite to `from`; `None` if `text` does not match the hunks.
fn reconstruct_other_side(hunks: &[Hunk<'_>], from: DiffSide, text: &[u8]) -> Option<Vec<u8>> {
    let mut turning = PatchCursor { rest: text, next_line_number: 1, output: Vec::with_capacity(text.len()) };
    let mut before = None;
    for hunk in hunks {
        let (start, lines, gone) = match from {
            DiffSide::Old => (hunk.old_start, hunk.old_lines, LineKind::Added),
            DiffSide::New => (hunk.new_start, hunk.new_lines, LineKind::Deleted),
        };
        // If a hunk has no lines on this side, its header gives the number of the line that precedes the
        // hunk.
        let first = if lines == 0 { start.saturating_add(1) } else { start };
        while turning.next_line_number < first {
            let line = turning.next_line()?;
            turning.write_lines(line, b"")?;
        }
        let shared = usize::try_from(turning.next_line_number - first).ok()?;
        if shared > 0 && !before.is_some_and(|before| ends_with_next_start(before, hunk, shared)) {
            return None;
        }
        before = Some(hunk);
        for HunkLine { kind, text, has_line_feed: ended, .. } in hunk.lines().skip(shared) {
            let end: &[u8] = if ended { b"\n" } else { b"" };
            if kind != gone && turning.next_line()?.strip_suffix(end) != Some(text) {
                return None;
            }
            if kind == LineKind::Context || kind == gone {
                turning.write_lines(text, end)?;
            }
        }
    }
    let rest = turning.rest;
    turning.write_lines(rest, b"")?;
    Some(turning.output)
}

/// Returns true if the last `lines` lines of a hunk equal the first `lines` lines of the next hunk.
fn ends_with_next_start(hunk: &Hunk<'_>, next: &Hunk<'_>, lines: usize) -> bool {
    let all = hunk.lines().count();
    let end = hunk.lines().skip(all.saturating_sub(lines)).map(|line| line.text);
    end.eq(next.lines().take(lines).map(|line| line.text))
}

/// The state of a conversion: the converted text, and the remaining text.
struct PatchCursor<'a> {
    rest: &'a [u8],
    /// Number of the first line of `rest`.
    next_line_number: u32,
    output: Vec<u8>,
}

impl<'a> PatchCursor<'a> {
    /// Returns the next line with its line end; `None` at the end of the text.
    fn next_line(&mut self) -> Option<&'a [u8]> {
        let (line, rest) = split_first_line(self.rest)?;
        self.rest = rest;
        self.next_line_number = self.next_line_number.checked_add(1)?;
        Some(line)
    }

    /// Appends a text and a line end. Only the last line of a file may lack a line end, so `None` is returned
    /// if the previous line has no line end.
    fn write_lines(&mut self, text: &[u8], line_end: &[u8]) -> Option<()> {
        let nothing = text.is_empty() && line_end.is_empty();
        if !nothing && self.output.last().is_some_and(|byte| *byte != b'\n') {
            return None;
        }
        self.output.extend_from_slice(text);
        self.output.extend_from_slice(line_end);
        Some(())
    }
}
