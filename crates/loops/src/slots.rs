//! Applies commands to slots in a store: load the slot, decide, commit, and retry if another process has
//! changed the row.

use truing_core::id::{SlotKey, UnixMillis};
use truing_core::port::{HistoryEvent, RecordStore, RunStore, StoreError};
use truing_core::slot::{SlotCommand, SlotLimits, SlotRefusal, SlotTransition};

/// Maximum number of attempts of a step. An attempt fails if another process committed a change of the slot
/// first.
const MAX_TRIES: u32 = 16;

/// The reason why a step was not taken.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The slot's state does not allow the step.
    #[error(transparent)]
    SlotRefused(#[from] SlotRefusal),
    /// The store failed, or the row changed on every attempt.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Applies one command to a slot. The change is stored when the function returns. Returns the decision with
/// the stored slot.
///
/// # Errors
/// [`StepError`]
#[truing_core::boxed_future]
pub async fn apply_slot_command(
    store: &dyn RecordStore,
    key: &SlotKey,
    command: SlotCommand,
    limits: &SlotLimits,
) -> Result<SlotTransition, StepError> {
    apply_slot_commands(store, key, command, &[], limits).await
}

/// Applies these commands to a slot in one commit. No other process acts between the commands. If one command
/// is refused, none of the commands is applied. Returns the last decision.
///
/// # Errors
/// [`StepError`]
#[truing_core::boxed_future]
pub async fn apply_slot_commands(
    store: &dyn RecordStore,
    key: &SlotKey,
    first: SlotCommand,
    rest: &[SlotCommand],
    limits: &SlotLimits,
) -> Result<SlotTransition, StepError> {
    for _ in 0..MAX_TRIES {
        let now = store.now().await?;
        let Some(slot) = store.load_slots(std::slice::from_ref(key)).await?.pop() else { break };
        let before = slot.version;
        let mut decisions = vec![];
        let mut decision = slot.step(first, limits, now)?;
        for command in rest {
            let next = decision.slot.step(*command, limits, now)?;
            decisions.push(std::mem::replace(&mut decision, next));
        }
        let committed = store.commit_slots(&[(before, decision.slot.clone())]).await?;
        if let Some(Ok(version)) = committed.first() {
            decision.slot.version = *version;
            for decision in decisions.iter().chain([&decision]) {
                record_decision(store, key, decision, now).await;
            }
            return Ok(decision);
        }
    }
    Err(StoreError::Unavailable(format!("{key}: could not commit the slot: it keeps changing")).into())
}

/// Ends the leases whose holders no longer exist. The slots become due immediately, and the ended leases do
/// not count as attempts. The caller must ensure that no other server uses this store.
///
/// # Errors
/// [`StoreError`]
#[truing_core::boxed_future]
pub async fn end_orphaned_leases(store: &dyn RecordStore, limits: &SlotLimits) -> Result<(), StoreError> {
    for slot in store.orphaned_slots().await? {
        let Some(token) = slot.token() else { continue };
        match apply_slot_command(store, &slot.key, SlotCommand::HandBack(token), limits).await {
            Ok(_) | Err(StepError::SlotRefused(_)) => {}
            Err(StepError::Store(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Records the decision for `truing why`. The decision stays valid even if its note cannot be stored.
async fn record_decision(
    store: &dyn RunStore,
    key: &SlotKey,
    decision: &SlotTransition,
    decided_at: UnixMillis,
) {
    let Some(note) = decision.note else { return };
    tracing::debug!(%key, "{note}");
    let event = HistoryEvent { at: decided_at, key: key.clone(), run: None, description: note.to_string() };
    if let Err(error) = store.append_history(&[event]).await {
        tracing::warn!(%key, %error, "a step is missing from the history: {note}");
    }
}
