//! The hunks of one file: read by the counts in their headers, never by what a line looks like.
//!
//! One pass that keeps no list of lines: [`Hunk::lines`] walks them again when they are wanted. `diffy` reads the
//! same lines into lists, which costs more than finding them, and stops short of what git prints in places; the tests
//! and `cargo xtask bench diff` compare with it.

use crate::model::{Hunk, first_line};

/// What is wrong at which byte of the input.
#[derive(Debug)]
pub(crate) struct Malformed {
    /// Offset in the input.
    pub(crate) byte: usize,
    /// What is wrong.
    pub(crate) what: String,
}

impl Malformed {
    /// Something wrong at a byte.
    pub(crate) fn new(byte: usize, what: impl Into<String>) -> Self {
        Self { byte, what: what.into() }
    }
}

/// The hunks of one file, and how much text they change.
#[derive(Debug, Default)]
pub(crate) struct Hunks<'a> {
    /// In order.
    pub(crate) hunks: Vec<Hunk<'a>>,
    /// Added lines.
    pub(crate) added: u32,
    /// Removed lines.
    pub(crate) deleted: u32,
    /// Offset in the input of what follows.
    pub(crate) end: usize,
}

/// Reads the hunks that begin at offset `start`.
pub(crate) fn read(input: &[u8], start: usize) -> Result<Hunks<'_>, Malformed> {
    let mut read = Hunks { end: start, ..Hunks::default() };
    // The first lines that the next hunk may have.
    let (mut free_old, mut free_new) = (0, 0);
    while let Some((header, _)) = input.get(read.end..).and_then(first_line) {
        if !header.starts_with(b"@@ ") {
            break;
        }
        let at = read.end;
        let Some((old, new, section)) = ranges(header) else {
            return Err(Malformed::new(at, "a hunk header must read `@@ -LINE,COUNT +LINE,COUNT @@`"));
        };
        if old.start < free_old || new.start < free_new {
            return Err(Malformed::new(at, "the hunk overlaps the one before it, or should stand before it"));
        }
        (free_old, free_new) = (old.end(at)?, new.end(at)?);
        let body = at + header.len();
        let changed = walk(input, body, old.count, new.count)?;
        let too_many = || Malformed::new(at, "the file changes more than 4294967295 lines");
        read.added = read.added.checked_add(changed.added).ok_or_else(too_many)?;
        read.deleted = read.deleted.checked_add(changed.deleted).ok_or_else(too_many)?;
        read.end = changed.end;
        // Their sums have been found to fit, so they do.
        let fit = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        read.hunks.push(Hunk {
            old_start: fit(old.start),
            old_lines: fit(old.count),
            new_start: fit(new.start),
            new_lines: fit(new.count),
            section,
            body: input.get(body..changed.end).unwrap_or_default(),
        });
    }
    Ok(read)
}

/// Does the line begin a hunk?
pub(crate) fn is_header(line: &[u8]) -> bool {
    ranges(line).is_some()
}

/// One side's `START,COUNT` in a hunk header.
#[derive(Clone, Copy)]
struct Range {
    start: u64,
    count: u64,
}

impl Range {
    /// The line after the last one. Lines are counted from 1, and we keep their numbers in 32 bits.
    fn end(self, at: usize) -> Result<u64, Malformed> {
        if self.start == 0 && self.count > 0 {
            return Err(Malformed::new(at, "the hunk has lines before line 1"));
        }
        let end = self.start.saturating_add(self.count);
        if end > u64::from(u32::MAX) {
            return Err(Malformed::new(at, "the hunk is beyond line 4294967295"));
        }
        Ok(end)
    }
}

/// Reads `@@ -START,COUNT +START,COUNT @@ SECTION`.
fn ranges(line: &[u8]) -> Option<(Range, Range, &[u8])> {
    let (old, rest) = range(line.strip_prefix(b"@@ -")?)?;
    let (new, rest) = range(rest.strip_prefix(b" +")?)?;
    let section = crate::header::trimmed(rest.strip_prefix(b" @@")?);
    Some((old, new, section.strip_prefix(b" ").unwrap_or(section)))
}

/// Reads `START,COUNT`; without a count it is 1.
fn range(text: &[u8]) -> Option<(Range, &[u8])> {
    let (start, rest) = number(text)?;
    match rest.strip_prefix(b",") {
        Some(rest) => number(rest).map(|(count, rest)| (Range { start, count }, rest)),
        None => Some((Range { start, count: 1 }, rest)),
    }
}

/// Reads digits; a number that is too great stays as great as can be.
fn number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at_checked(digits).filter(|(number, _)| !number.is_empty())?;
    let value = number
        .iter()
        .fold(0_u64, |value, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    Some((value, rest))
}

/// What the lines of one hunk change, and where they end.
struct Changed {
    added: u32,
    deleted: u32,
    end: usize,
}

/// Walks the lines of a hunk, which begin at offset `at`: so many of the old and the new side.
fn walk(input: &[u8], mut at: usize, mut old: u64, mut new: u64) -> Result<Changed, Malformed> {
    let (mut added, mut deleted) = (0_u32, 0_u32);
    while old > 0 || new > 0 {
        let Some((line, _)) = input.get(at..).and_then(first_line) else {
            let what = format!("the input ends inside a hunk: {old} old and {new} new lines are missing");
            return Err(Malformed::new(input.len(), what));
        };
        let (is_old, is_new) = match line.first() {
            Some(b' ' | b'\n') => (true, true),
            Some(b'-') => (true, false),
            Some(b'+') => (false, true),
            Some(b'\\') => (false, false),
            Some(_) | None => {
                let what = format!(
                    "{old} old and {new} new lines of the hunk are missing: a line of a hunk begins with a \
                     blank, `+`, `-` or `\\`"
                );
                return Err(Malformed::new(at, what));
            }
        };
        if is_old && old == 0 || is_new && new == 0 {
            let what = format!(
                "the hunk has other lines than its header says: {old} old and {new} new ones should follow"
            );
            return Err(Malformed::new(at, what));
        }
        (old, new) = (old - u64::from(is_old), new - u64::from(is_new));
        // The counts fit in 32 bits, and so do their parts.
        added = added.wrapping_add(u32::from(is_new & !is_old));
        deleted = deleted.wrapping_add(u32::from(is_old & !is_new));
        at += line.len();
    }
    // "\ No newline at end of file" is about the line before it.
    while let Some(line) = input.get(at..).filter(|rest| rest.starts_with(b"\\")).and_then(first_line) {
        at += line.0.len();
    }
    Ok(Changed { added, deleted, end: at })
}
