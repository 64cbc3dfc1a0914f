//! A file's diff laid against the file's text: which side of it the text is, and the old side turned into the new.
//!
//! Nothing is searched for: every line must stand at the number that the diff says. A diff of another version of the
//! file, which `git apply` might still place somewhere, does not fit.

use crate::model::first_line;
use crate::{DiffSide, FileDiff, Hunk, HunkLine, LineKind};

/// The text after the change, made from the text before it; none if that is not what the diff was made from, as far
/// as the diff shows it. Of a file that is new, the text before it is empty.
///
/// Says nothing of content that a diff shows otherwise than by hunks: of a binary file it gives the text as it was. Of
/// a merge shown against all its parents the text before it is the first parent's, and only with `-c` all is shown.
///
/// ```
/// use truing_diff::{apply, parse};
/// let parsed = parse(b"--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
/// let file = parsed.files.first().unwrap();
/// assert_eq!(apply(file, b"one\ntwo\nthree\n").unwrap(), b"one\n2\nthree\n");
/// assert_eq!(apply(file, b"zero\none\ntwo\n"), None);
/// ```
pub fn apply(file: &FileDiff<'_>, old: &[u8]) -> Option<Vec<u8>> {
    turn(&file.hunks, DiffSide::Old, old)
}

/// Is `text` this side of the diff, as far as the diff shows it?
pub fn fits(file: &FileDiff<'_>, side: DiffSide, text: &[u8]) -> bool {
    turn(&file.hunks, side, text).is_some()
}

/// The other side of a text.
fn turn(hunks: &[Hunk<'_>], from: DiffSide, text: &[u8]) -> Option<Vec<u8>> {
    let mut turning = PatchCursor { rest: text, next: 1, turned: Vec::with_capacity(text.len()) };
    let mut before = None;
    for hunk in hunks {
        let (start, lines, gone) = match from {
            DiffSide::Old => (hunk.old_start, hunk.old_lines, LineKind::Added),
            DiffSide::New => (hunk.new_start, hunk.new_lines, LineKind::Deleted),
        };
        // Without lines of its own, a hunk stands behind the line that it names.
        let first = if lines == 0 { start.saturating_add(1) } else { start };
        while turning.next < first {
            let line = turning.take()?;
            turning.put(line, b"")?;
        }
        let shared = usize::try_from(turning.next - first).ok()?;
        if shared > 0 && !before.is_some_and(|before| ends_as_begins(before, hunk, shared)) {
            return None;
        }
        before = Some(hunk);
        for HunkLine { kind, text, ended, .. } in hunk.lines().skip(shared) {
            let end: &[u8] = if ended { b"\n" } else { b"" };
            if kind != gone && turning.take()?.strip_suffix(end) != Some(text) {
                return None;
            }
            if kind == LineKind::Context || kind == gone {
                turning.put(text, end)?;
            }
        }
    }
    let rest = turning.rest;
    turning.put(rest, b"")?;
    Some(turning.turned)
}

/// Does a hunk end with the lines that the one behind it begins with?
fn ends_as_begins(hunk: &Hunk<'_>, next: &Hunk<'_>, lines: usize) -> bool {
    let all = hunk.lines().count();
    let end = hunk.lines().skip(all.saturating_sub(lines)).map(|line| line.text);
    end.eq(next.lines().take(lines).map(|line| line.text))
}

/// A text, half turned.
struct PatchCursor<'a> {
    rest: &'a [u8],
    /// The number of the first line of `rest`.
    next: u32,
    turned: Vec<u8>,
}

impl<'a> PatchCursor<'a> {
    /// The next line with its end; none at the end of the text.
    fn take(&mut self) -> Option<&'a [u8]> {
        let (line, rest) = first_line(self.rest)?;
        self.rest = rest;
        self.next = self.next.checked_add(1)?;
        Some(line)
    }

    /// Writes lines; none behind a line that is the last one, because it has no end.
    fn put(&mut self, text: &[u8], end: &[u8]) -> Option<()> {
        let nothing = text.is_empty() && end.is_empty();
        if !nothing && self.turned.last().is_some_and(|byte| *byte != b'\n') {
            return None;
        }
        self.turned.extend_from_slice(text);
        self.turned.extend_from_slice(end);
        Some(())
    }
}
