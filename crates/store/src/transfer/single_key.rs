//! Copies the slot and the rows of one key to another store, for a dry run.

use truing_core::id::SlotKey;
use truing_core::port::SlotStore as _;

use crate::sql::{SqlRow, SqlTransaction, column_names};
use crate::store::Store;
use crate::tables::write_versioned_slots;

use super::fault::TransferError;
use super::table_list::{TABLES, TableSchema};

/// The column by which rows are selected.
const KEY_COLUMN: &str = "key";
/// Tables whose column `key` is not the key of a slot.
const TABLES_WITH_OTHER_KEY: [&str; 2] = ["notice", "level"];

/// Copies the slot and the rows of a key to a store that has no data of that key. All rows are read in one
/// snapshot.
pub(super) async fn copy_key(from: &Store, to: &Store, key: &SlotKey) -> Result<(), TransferError> {
    let of_key = || TABLES.iter().filter(|table| has_key_column(table));
    let wanted = key.clone();
    let read = move |connection: &SqlTransaction| {
        of_key().map(|table| rows_of_key(connection, table, &wanted).map(|rows| (table, rows))).collect()
    };
    let found: Vec<(&'static TableSchema, Vec<SqlRow>)> = from.read(read).await?;
    let slots = from.load_slots(std::slice::from_ref(key)).await?;
    let kept: Vec<_> = slots.into_iter().filter(|slot| !slot.is_deletable()).collect();
    let write = move |connection: &SqlTransaction| {
        write_versioned_slots(connection, &kept)?;
        found.iter().try_for_each(|(table, rows)| table.write(connection, rows))
    };
    to.write(write).await?;
    // New tokens in the copy must be greater than the tokens in the copied rows.
    let known = to.read(super::table_list::greatest_recorded_token).await?;
    Ok(to.raise_version(known).await?)
}

fn has_key_column(table: &TableSchema) -> bool {
    !TABLES_WITH_OTHER_KEY.contains(&table.name) && table.columns.iter().any(|field| field.name == KEY_COLUMN)
}

fn rows_of_key(
    connection: &SqlTransaction,
    table: &TableSchema,
    key: &SlotKey,
) -> Result<Vec<SqlRow>, crate::fault::StoreFault> {
    let sql = format!("SELECT {} FROM {} WHERE {KEY_COLUMN} = ?1", column_names(table.columns), table.name);
    connection.sql(&sql).query([key.as_str()], |row| Ok(row.clone()))?.collect()
}
