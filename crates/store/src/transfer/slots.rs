//! Reads a store's slots in pages, in the order of their names, from either engine.
//!
//! A slot keeps its version and its content. A lease therefore keeps its token, which is the version at which
//! it was granted. That token is less than every number that the target issues later, and the copied records
//! still accept the token.
//!
//! No process serves either store during a copy, so the holder of a lease has exited. A server that opens an
//! SQLite file releases such a lease when it starts. In other stores, the lease ends at its deadline. The
//! copy does not release the lease, because source and target could then not be compared.
//!
//! The keys in Valkey that mark a user's request as carried out are not copied. Such a key matters only if a
//! process exited between writing the slot and writing the records, less than a day ago. The request is then
//! carried out a second time.

use truing_core::slot::Slot;

use crate::fault::to_json;
use crate::sql::{SqlRow, SqlValue};
use crate::store::{Store, box_future};
use crate::tables::read_slot_page;

use super::fault::TransferError;

/// A page of slots.
pub(super) struct SlotPage {
    pub(super) slots: Vec<Slot>,
    /// The last name that was read.
    pub(super) last_name: Option<String>,
    /// True if no slots follow this page.
    pub(super) is_last: bool,
}

/// Returns the slots of up to `limit` names after the given name.
pub(super) async fn load_slot_page(
    store: &Store,
    after: Option<String>,
    limit: usize,
) -> Result<SlotPage, TransferError> {
    let (found, is_last) = match store.valkey_server() {
        Some(valkey) => box_future(|| valkey.slot_page(after.as_deref(), limit)).await?,
        None => {
            let found = store.read(move |connection| read_slot_page(connection, after.as_deref(), limit));
            let found = found.await?;
            let is_last = found.len() < limit;
            (found, is_last)
        }
    };
    let last_name = found.last().map(|(key, _)| key.as_str().to_owned());
    let mut slots = Vec::with_capacity(found.len());
    for (key, found) in found {
        let unreadable = |reason: String| {
            let (store, key) = (store.name(), key.as_str().to_owned());
            TransferError::UnreadableSlot { store, key, reason }
        };
        match found {
            Err(fault) => return Err(unreadable(fault.to_string())),
            // A person has deleted the row of the slot, but the slot's name is still in Valkey's index.
            Ok(slot) if slot == Slot::new(key.clone()) => {}
            Ok(slot) if slot.key != key => {
                return Err(unreadable(format!("it contains the data of slot {}", slot.key)));
            }
            Ok(slot) => slots.push(slot),
        }
    }
    Ok(SlotPage { slots, last_name, is_last })
}

/// Returns a slot as a row, which contains the key, and the slot's content and version.
pub(super) fn slot_to_row(store: &Store, slot: &Slot) -> Result<SqlRow, TransferError> {
    let body = to_json(slot).map_err(|fault| TransferError::UnreadableSlot {
        store: store.name(),
        key: slot.key.as_str().to_owned(),
        reason: fault.to_string(),
    })?;
    Ok(SqlRow(vec![SqlValue::from(slot.key.as_str()), SqlValue::from(body)]))
}
