//! Compares two stores, one part at a time. The rows of both stores are read in the order of their keys,
//! counted, and compared after conversion to a common format.

use std::collections::VecDeque;

use crate::sql::{ColumnKind, SqlRow, SqlValue, TableColumn};
use crate::store::Store;

use super::endpoints::is_postgres;
use super::fault::TransferError;
use super::progress::StorePart;
use super::row::{self, UnfitValue};
use super::table_comparison::TableComparison;
use super::table_list::TableSchema;
use super::{page, slots};

/// Compares the parts of two stores, and stops at the first difference. Returns none if there is a
/// difference.
pub(super) async fn compare_until_difference(
    one: &Store,
    other: &Store,
) -> Result<Option<Vec<TableComparison>>, TransferError> {
    let mut compared = Vec::new();
    for part in StorePart::all_parts() {
        let next = compare(part, one, other).await?;
        if !next.is_equal() {
            return Ok(None);
        }
        compared.push(next);
    }
    Ok(Some(compared))
}

/// Compares every part of both stores.
pub(super) async fn compare_all(one: &Store, other: &Store) -> Result<Vec<TableComparison>, TransferError> {
    let mut compared = Vec::new();
    for part in StorePart::all_parts() {
        compared.push(compare(part, one, other).await?);
    }
    Ok(compared)
}

async fn compare(part: StorePart, one: &Store, other: &Store) -> Result<TableComparison, TransferError> {
    // If either store uses PostgreSQL, zero characters are replaced before the comparison, because PostgreSQL
    // cannot store them.
    let replace = is_postgres(one) || is_postgres(other);
    let (mut left, mut right) =
        (StorePartRows::new(one, part, replace), StorePartRows::new(other, part, replace));
    let (mut rows, mut first) = ((0, 0), None);
    loop {
        let pair = (left.next_row().await?, right.next_row().await?);
        if pair == (None, None) {
            break;
        }
        rows.0 += u64::from(pair.0.is_some());
        rows.1 += u64::from(pair.1.is_some());
        if first.is_none() && pair.0 != pair.1 {
            first = Some(first_difference(part, pair.0.as_ref(), pair.1.as_ref()));
        }
    }
    Ok(TableComparison { table: part.name(), row_counts: rows, first_difference: first })
}

/// Describes the first of two different rows. If the keys of the two rows differ, the first row is the row
/// with the smaller key.
fn first_difference(part: StorePart, one: Option<&SqlRow>, other: Option<&SqlRow>) -> String {
    let (fields, count): (&[TableColumn], usize) = match part {
        StorePart::Slots => (&[SLOT_KEY], 1),
        StorePart::Table(table) => (table.key(), table.key_len),
        StorePart::End => (&[], 0),
    };
    let key = |row: &SqlRow| row.0.iter().take(count).cloned().collect::<Vec<_>>();
    let key = match (one.map(key), other.map(key)) {
        (Some(one), Some(other)) => {
            if is_key_before(&other, &one) {
                other
            } else {
                one
            }
        }
        (Some(key), None) | (None, Some(key)) => key,
        (None, None) => Vec::new(),
    };
    row::key_condition(fields, &key)
}

/// The key column of a slot.
const SLOT_KEY: TableColumn = TableColumn { name: "key", kind: ColumnKind::Text };

/// Returns true if the first key is before the second key in the order of the table.
fn is_key_before(one: &[SqlValue], other: &[SqlValue]) -> bool {
    let differ = one.iter().zip(other).find(|(one, other)| one != other);
    match differ {
        Some((SqlValue::Integer(one), SqlValue::Integer(other))) => one < other,
        Some((SqlValue::Text(one), SqlValue::Text(other))) => one < other,
        Some(_) | None => false,
    }
}

/// An iterator over the rows of a part of a store.
struct StorePartRows<'a> {
    store: &'a Store,
    part: StorePart,
    replaces_nul_chars: bool,
    limit: usize,
    buffered_rows: VecDeque<SqlRow>,
    last_key: Option<Vec<SqlValue>>,
    is_last: bool,
}

impl<'a> StorePartRows<'a> {
    fn new(store: &'a Store, part: StorePart, replaces_nul_chars: bool) -> Self {
        let limit = page::FIRST_PAGE_ROWS;
        Self {
            store,
            part,
            replaces_nul_chars,
            limit,
            buffered_rows: VecDeque::new(),
            last_key: None,
            is_last: false,
        }
    }

    async fn next_row(&mut self) -> Result<Option<SqlRow>, TransferError> {
        while self.buffered_rows.is_empty() && !self.is_last {
            match self.part {
                StorePart::Slots => self.read_slots().await?,
                StorePart::Table(table) => self.read_table(table).await?,
                StorePart::End => self.is_last = true,
            }
        }
        Ok(self.buffered_rows.pop_front())
    }

    async fn read_slots(&mut self) -> Result<(), TransferError> {
        let after = match self.last_key.as_deref() {
            Some([SqlValue::Text(name)]) => Some(name.clone()),
            Some(_) | None => None,
        };
        let page = slots::load_slot_page(self.store, after, page::SLOTS_PER_PAGE).await?;
        self.is_last = page.is_last;
        self.last_key = page.last_name.map(|name| vec![SqlValue::Text(name)]);
        for slot in &page.slots {
            self.buffered_rows.push_back(slots::slot_to_row(self.store, slot)?);
        }
        Ok(())
    }

    async fn read_table(&mut self, table: &'static TableSchema) -> Result<(), TransferError> {
        let (after, limit) = (self.last_key.take(), self.limit);
        let read = self.store.read(move |connection| table.read_page(connection, after.as_deref(), limit));
        let rows = read.await?;
        self.is_last = table.key_len == 0 || rows.len() < limit;
        self.limit = page::next_page_limit(limit, &rows);
        // The key is saved before zero characters are replaced, because the next page begins after the stored
        // key.
        self.last_key = rows.last().map(|row| table.row_key(row).to_vec());
        for mut row in rows {
            if let Some(misfit) = row::find_unfit_value(table, &row, None) {
                return Err(unfit_value_error(self.store, table, &row, misfit));
            }
            if self.replaces_nul_chars {
                row::replace_nul_chars(&mut row);
            }
            self.buffered_rows.push_back(row);
        }
        Ok(())
    }
}

/// Creates the error for a value that cannot be transferred. The error names the row.
pub(super) fn unfit_value_error(
    store: &Store,
    table: &'static TableSchema,
    row: &SqlRow,
    misfit: UnfitValue,
) -> TransferError {
    let UnfitValue { column, reason, advice } = misfit;
    let row = row::key_condition(table.key(), table.row_key(row));
    TransferError::UnfitValue { store: store.name(), table: table.name, column, reason, row, advice }
}
