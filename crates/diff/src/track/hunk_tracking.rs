//! Tracks lines by the hunks of their file's diff, for files that are not compared line by line.

use crate::{FileDiff, LineKind};

/// Returns the new numbers of the first and the last line of `start..=end` that still exist. The flag is true
/// if all lines still exist in one block. Returns `None` if all these lines were deleted.
pub(super) fn track_range(change: &FileDiff<'_>, start: u32, end: u32) -> Option<(u32, u32, bool)> {
    let asked = u64::from(start)..=u64::from(end);
    let (mut first, mut last) = (u64::from(start), u64::from(end));
    let mut deleted = Vec::new();
    for (old, kind) in lines_with_old_numbers(change) {
        if kind == LineKind::Deleted && asked.contains(&old) {
            deleted.push(old);
        }
    }
    for old in &deleted {
        first += u64::from(*old == first);
    }
    for old in deleted.iter().rev() {
        last -= u64::from(*old == last);
    }
    if first > last {
        return None;
    }
    let (new_first, new_last) = (new_line_number(change, first)?, new_line_number(change, last)?);
    let whole = deleted.is_empty() && new_last - new_first == end - start;
    Some((new_first, new_last, whole))
}

/// Returns the line number, on the new side, of an old line that was not deleted.
fn new_line_number(change: &FileDiff<'_>, line: u64) -> Option<u32> {
    let (mut added, mut deleted) = (0_u64, 0_u64);
    for (old, kind) in lines_with_old_numbers(change) {
        match kind {
            LineKind::Added if old <= line => added += 1,
            LineKind::Deleted if old < line => deleted += 1,
            LineKind::Added | LineKind::Deleted | LineKind::Context => {}
        }
    }
    u32::try_from((line + added).saturating_sub(deleted)).ok()
}

/// Returns the old line number and the kind of each line of all hunks. For an added line, this is the number
/// of the next old line.
fn lines_with_old_numbers<'a>(change: &'a FileDiff<'_>) -> impl Iterator<Item = (u64, LineKind)> + 'a {
    change.hunks.iter().flat_map(|hunk| {
        // If a hunk has no old lines, its header gives the number of the old line that precedes the hunk.
        let mut next = u64::from(hunk.old_start) + u64::from(hunk.old_lines == 0);
        hunk.lines().map(move |line| {
            let old = next;
            next += u64::from(line.kind != LineKind::Added);
            (old, line.kind)
        })
    })
}
