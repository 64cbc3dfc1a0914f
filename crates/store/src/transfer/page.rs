//! The size of pages: so many rows at once that a round to a server is worth it, and so few bytes that memory stays within bounds.

use crate::sql::SqlRow;

use super::row;

/// Rows of a table's first page, whose size is not known.
pub(super) const FIRST: usize = 64;
/// Rows of a page at most.
const MOST: usize = 8_000;
/// Bytes of a page, about.
const BYTES: usize = 4 << 20;
/// Slots of a page.
pub(super) const SLOTS: usize = 256;

/// Rows of the page after one of so many, which had these.
pub(super) fn next(limit: usize, rows: &[SqlRow]) -> usize {
    let bytes: usize = rows.iter().map(row::size).sum();
    let each = bytes / rows.len().max(1);
    // Rows that follow may be larger than those before.
    (BYTES / each.max(1)).clamp(1, MOST).min(limit.saturating_mul(8))
}
