//! The hunks of one file: `diffy` reads them, and this finds where they lie in the input.
//!
//! Gaps of `diffy` 0.5.2 that are closed here: it does not tell where it stopped, nor where an error is (except
//! in words); it refuses names it cannot read, even though the hunks are fine; and it takes a line that begins
//! with `-` after a hunk that is complete (the signature of a mail) for a line too many if the hunk said
//! "No newline at end of file". So when it refuses something, [`extent`] walks the same lines by the counts in
//! the hunk headers: it finds the error, or else the end, and `diffy` reads what lies before.

use diffy::Patch;
use diffy::patch_set::{ParseOptions, PatchSet};

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

/// Reads hunks.
///
/// The `---` line begins at offset `names`, the first hunk at `start`.
pub(crate) fn read(input: &[u8], names: usize, start: usize) -> Result<Hunks<'_>, Malformed> {
    let from = |at: usize| input.get(at..).unwrap_or_default();
    // Its iterator stops behind the hunks of one file, so this costs what that file costs, not what follows.
    if let Some(Ok(file)) = PatchSet::parse_bytes(from(names), ParseOptions::unidiff()).next()
        && let Some(patch) = file.patch().as_text()
    {
        return place(input, start, patch);
    }
    let end = extent(input, start)?;
    let hunks = input.get(start..end).unwrap_or_default();
    let patch = Patch::from_bytes(hunks).map_err(|error| Malformed::new(start, error.to_string()))?;
    place(input, start, &patch)
}

/// Our hunks, which lie in the input from `at` on, of those of `diffy`.
fn place<'a>(input: &'a [u8], start: usize, patch: &Patch<'_, [u8]>) -> Result<Hunks<'a>, Malformed> {
    let mut read = Hunks { hunks: Vec::with_capacity(patch.hunks().len()), end: start, ..Hunks::default() };
    for hunk in patch.hunks() {
        let at = read.end;
        let (header, after) = first_line(input.get(at..).unwrap_or_default())
            .ok_or_else(|| Malformed::new(at, "the input ends before a hunk"))?;
        let body = at + header.len();
        let last = match hunk.lines().last() {
            Some(diffy::Line::Context(line) | diffy::Line::Delete(line) | diffy::Line::Insert(line)) => {
                offset_in(after, line).map_or(0, |offset| offset + line.len().saturating_sub(1))
            }
            None => 0,
        };
        let mut rest = after.get(last..).unwrap_or_default();
        if !hunk.lines().is_empty() {
            rest = first_line(rest).map_or(rest, |(_, rest)| rest);
        }
        while rest.starts_with(b"\\") {
            rest = first_line(rest).map_or(rest, |(_, rest)| rest);
        }
        read.end = input.len() - rest.len();
        let added = hunk.lines().iter().filter(|line| matches!(line, diffy::Line::Insert(_))).count();
        let (old, new) = (hunk.old_range(), hunk.new_range());
        let deleted = (old.len() + added).saturating_sub(new.len());
        let place = Hunk {
            old_start: number(at, old.start(), old.len())?,
            old_lines: number(at, old.len(), 0)?,
            new_start: number(at, new.start(), new.len())?,
            new_lines: number(at, new.len(), 0)?,
            section: section(header),
            body: input.get(body..read.end).unwrap_or_default(),
        };
        read.added = sum(at, read.added, added)?;
        read.deleted = sum(at, read.deleted, deleted)?;
        read.hunks.push(place);
    }
    Ok(read)
}

/// A line number or count that can be added to `len`, as we keep it. Lines are counted from 1.
fn number(at: usize, value: usize, len: usize) -> Result<u32, Malformed> {
    let too_big = || Malformed::new(at, "the hunk is beyond line 4294967295");
    if value == 0 && len > 0 {
        return Err(Malformed::new(at, "the hunk has lines before line 1"));
    }
    let last = u32::try_from(value.saturating_add(len)).map_err(|_| too_big())?;
    u32::try_from(len).ok().and_then(|len| last.checked_sub(len)).ok_or_else(too_big)
}

fn sum(at: usize, sum: u32, more: usize) -> Result<u32, Malformed> {
    let more = u32::try_from(more).ok();
    more.and_then(|more| sum.checked_add(more))
        .ok_or_else(|| Malformed::new(at, "the file changes more than 4294967295 lines"))
}

/// Where `inner`, a part of `outer`, begins in it.
fn offset_in(outer: &[u8], inner: &[u8]) -> Option<usize> {
    let offset = (inner.as_ptr() as usize).checked_sub(outer.as_ptr() as usize)?;
    (offset <= outer.len()).then_some(offset)
}

/// The text behind the ranges of a hunk header.
fn section(header: &[u8]) -> &[u8] {
    let header = header.strip_suffix(b"\n").unwrap_or(header);
    let header = header.strip_suffix(b"\r").unwrap_or(header);
    let Some(end) = header.windows(3).position(|three| three == b" @@") else { return b"" };
    let section = header.get(end + 3..).unwrap_or_default();
    section.strip_prefix(b" ").unwrap_or(section)
}

/// Does the line begin a hunk?
pub(crate) fn is_header(line: &[u8]) -> bool {
    header_counts(line).is_some()
}

/// Start and count on the old and the new side.
fn header_counts(line: &[u8]) -> Option<[(usize, usize); 2]> {
    let ranges = line.strip_prefix(b"@@ -")?;
    let end = ranges.windows(3).position(|three| three == b" @@")?;
    let ranges = std::str::from_utf8(ranges.get(..end)?).ok()?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |range: &str| match range.split_once(',') {
        Some((start, len)) => Some((start.parse().ok()?, len.parse().ok()?)),
        None => Some((range.parse().ok()?, 1)),
    };
    Some([range(old)?, range(new)?])
}

/// Where the hunks that begin at `start` end, or where they are wrong.
fn extent(input: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut rest = input.get(start..).unwrap_or_default();
    let at = |rest: &[u8]| input.len() - rest.len();
    // The first lines that the next hunk may have.
    let (mut free_old, mut free_new) = (0, 0);
    while let Some((header, mut lines)) = first_line(rest).filter(|(line, _)| line.starts_with(b"@@ ")) {
        let hunk = at(rest);
        let Some([(old_start, old_lines), (new_start, new_lines)]) = header_counts(header) else {
            return Err(Malformed::new(hunk, "a hunk header must read `@@ -LINE,COUNT +LINE,COUNT @@`"));
        };
        if old_start < free_old || new_start < free_new {
            return Err(Malformed::new(
                hunk,
                "the hunk overlaps the one before it, or should stand before it",
            ));
        }
        (free_old, free_new) = (old_start.saturating_add(old_lines), new_start.saturating_add(new_lines));
        let (mut old, mut new) = (old_lines, new_lines);
        while old > 0 || new > 0 {
            let Some((line, after)) = first_line(lines) else {
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
                    return Err(Malformed::new(at(lines), what));
                }
            };
            if is_old && old == 0 || is_new && new == 0 {
                let what = format!(
                    "the hunk has other lines than its header says: {old} old and {new} new ones should follow"
                );
                return Err(Malformed::new(at(lines), what));
            }
            (old, new) = (old - usize::from(is_old), new - usize::from(is_new));
            lines = after;
        }
        while let Some((_, after)) = first_line(lines).filter(|(line, _)| line.starts_with(b"\\")) {
            lines = after;
        }
        rest = lines;
    }
    Ok(at(rest))
}
