//! Pages of a store's slots in the order of their names, for either engine.
//!
//! A slot keeps its version and its content. A lease therefore keeps its token, which is the version at which
//! it was granted. The token is less than every number that the target issues after the copy, and the copied
//! records still accept the token.
//!
//! No process serves either store during a copy, so the holder of a lease has exited. A server on a SQLite
//! file releases such a lease when it starts; in other stores, the lease ends at its deadline. The copy does
//! not release the lease, because the slot would then differ from the source, and the stores could not be
//! compared.
//!
//! The keys in Valkey that mark a user's request as obeyed are not copied. They matter only for requests of
//! the last day whose process exited after it wrote the slot and before it wrote the records. Such a request
//! is served once more.

use truing_core::slot::Slot;

use crate::fault::to_json;
use crate::sql::{SqlRow, SqlValue};
use crate::store::{Store, box_future};
use crate::tables::page_of_slots;

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
pub(super) async fn read_slot_page(
    store: &Store,
    after: Option<String>,
    limit: usize,
) -> Result<SlotPage, TransferError> {
    let (found, is_last) = match store.valkey_server() {
        Some(valkey) => box_future(|| valkey.slot_page(after.as_deref(), limit)).await?,
        None => {
            let found = store.read(move |connection| page_of_slots(connection, after.as_deref(), limit));
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
            // The name is in Valkey's index, but a person has deleted the row of the slot.
            Ok(slot) if slot == Slot::new(key.clone()) => {}
            Ok(slot) if slot.key != key => {
                return Err(unreadable(format!("its content is that of slot {}", slot.key)));
            }
            Ok(slot) => slots.push(slot),
        }
    }
    Ok(SlotPage { slots, last_name, is_last })
}

/// Returns a slot as a row: its key, and its whole content with its version.
pub(super) fn slot_to_row(store: &Store, slot: &Slot) -> Result<SqlRow, TransferError> {
    let body = to_json(slot).map_err(|fault| TransferError::UnreadableSlot {
        store: store.name(),
        key: slot.key.as_str().to_owned(),
        reason: fault.to_string(),
    })?;
    Ok(SqlRow(vec![SqlValue::from(slot.key.as_str()), SqlValue::from(body)]))
}
