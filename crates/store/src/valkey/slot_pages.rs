//! Reads all slots of a store in pages, ordered by name. Writes slots with the versions that they have in
//! another store.

use truing_core::id::{SlotKey, SlotVersion};
use truing_core::port::StoreError;
use truing_core::slot::Slot;

use super::{
    COUNTER_KEY, DUE_INDEX_KEY, KILL_SWITCH_KEY, SLOT_INDEX, STATES_KEY, ValkeyServer, slot_row_key,
    state_label,
};
use crate::fault::StoreFault;

/// A slot, or the fault in its row.
pub(crate) type SlotReadResult = (SlotKey, Result<Slot, StoreFault>);

impl ValkeyServer {
    /// Returns the name of the server for messages, without a password.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the slots of up to `limit` names after the given name, ordered by name. The boolean is true if
    /// no names follow.
    pub(crate) async fn slot_page(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<SlotReadResult>, bool), StoreError> {
        let from = after.map_or_else(|| "-".to_owned(), |name| format!("({name}"));
        let names: Vec<String> = self
            .query_primary(redis::cmd("ZRANGE").arg((SLOT_INDEX, from, "+", "BYLEX", "LIMIT", 0, limit)))
            .await?;
        let is_last = names.len() < limit;
        let keys: Vec<SlotKey> = names.into_iter().map(SlotKey::new).collect();
        let found = self.read_rows(&keys).await?;
        Ok((keys.into_iter().zip(found).collect(), is_last))
    }

    /// Writes slots with the versions that they already have.
    pub(crate) async fn restore_slots(&self, slots: &[Slot]) -> Result<(), StoreError> {
        if slots.is_empty() {
            return Ok(());
        }
        let mut call = self.scripts.import_slots.prepare_invoke();
        for key in [COUNTER_KEY, DUE_INDEX_KEY, SLOT_INDEX, STATES_KEY] {
            call.key(key);
        }
        for slot in slots {
            let wakes = slot.wake_time().map(|at| at.0.to_string()).unwrap_or_default();
            call.key(slot_row_key(&slot.key)).arg(slot.key.as_str()).arg(slot.version.0);
            call.arg(state_label(&slot.state)).arg(wakes).arg(self.slot_to_json(slot)?);
        }
        self.invoke_script::<i64>(&call).await.map(drop)
    }

    /// Describes data on the server that a new store would not contain. Returns none if there is no such
    /// data.
    pub(crate) async fn existing_content(&self) -> Result<Option<String>, StoreError> {
        let (all, due): (u64, u64) =
            self.query_pipeline(redis::pipe().zcard(SLOT_INDEX).zcard(DUE_INDEX_KEY)).await?;
        let slots = all.max(due);
        if slots > 0 {
            return Ok(Some(format!("{slots} slots in {}", self.name)));
        }
        let is_on = self.switch_keys().await?.manual_state() == Some(true);
        Ok(is_on
            .then(|| format!("the kill switch that was set manually in {} ({KILL_SWITCH_KEY})", self.name)))
    }

    /// Returns the greatest number that was issued.
    pub(crate) async fn last_slot_version(&self) -> Result<SlotVersion, StoreError> {
        let number: Option<u64> = self.query_primary(redis::cmd("GET").arg(COUNTER_KEY)).await?;
        Ok(SlotVersion(number.unwrap_or(0)))
    }
}
