//! Lines followed by what the diff shows of their file, for files that are not read.

use crate::{FileDiff, LineKind};

/// The first and last line of what is left of lines `start..=end`, and whether that is all of it, together; none
/// if nothing is left.
pub(super) fn track(change: &FileDiff<'_>, start: u32, end: u32) -> Option<(u32, u32, bool)> {
    let asked = u64::from(start)..=u64::from(end);
    let (mut first, mut last) = (u64::from(start), u64::from(end));
    let mut deleted = Vec::new();
    for (old, kind) in changes(change) {
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
    let (new_first, new_last) = (shifted(change, first)?, shifted(change, last)?);
    let whole = deleted.is_empty() && new_last - new_first == end - start;
    Some((new_first, new_last, whole))
}

/// The number on the new side of an old line that was not deleted.
fn shifted(change: &FileDiff<'_>, line: u64) -> Option<u32> {
    let (mut added, mut deleted) = (0_u64, 0_u64);
    for (old, kind) in changes(change) {
        match kind {
            LineKind::Added if old <= line => added += 1,
            LineKind::Deleted if old < line => deleted += 1,
            LineKind::Added | LineKind::Deleted | LineKind::Context => {}
        }
    }
    u32::try_from((line + added).saturating_sub(deleted)).ok()
}

/// The lines of all hunks: each with its old number, an added one with that of the old line it stands before.
fn changes<'a>(change: &'a FileDiff<'_>) -> impl Iterator<Item = (u64, LineKind)> + 'a {
    change.hunks.iter().flat_map(|hunk| {
        // Without an old line, the hunk begins after the one that its header names.
        let mut next = u64::from(hunk.old_start) + u64::from(hunk.old_lines == 0);
        hunk.lines().map(move |line| {
            let old = next;
            next += u64::from(line.kind != LineKind::Added);
            (old, line.kind)
        })
    })
}
