//! Computes the size of pages. A page has enough rows to be worth a round trip, but is small enough to limit
//! the memory use.

use crate::sql::SqlRow;

use super::row;

/// Number of rows of a table's first page. The number is small, because the size of the table's rows is not
/// known yet.
pub(super) const FIRST_PAGE_ROWS: usize = 64;
/// Largest number of rows of a page.
const MAX_PAGE_ROWS: usize = 8_000;
/// Approximate size of a page in bytes.
const TARGET_PAGE_BYTES: usize = 4 << 20;
/// Number of slots of a page.
pub(super) const SLOTS_PER_PAGE: usize = 256;

/// Computes the maximum number of rows of the next page. `limit` and `rows` are those of the last page.
pub(super) fn next_page_limit(limit: usize, rows: &[SqlRow]) -> usize {
    let bytes: usize = rows.iter().map(row::estimate_bytes).sum();
    let each = bytes / rows.len().max(1);
    // The next rows may be much larger, so the limit grows by at most a factor of 8.
    (TARGET_PAGE_BYTES / each.max(1)).clamp(1, MAX_PAGE_ROWS).min(limit.saturating_mul(8))
}
