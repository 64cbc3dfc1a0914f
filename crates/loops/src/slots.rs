//! Applies commands to slots in a store: loads the slot, decides, and commits the change. If another process
//! has changed the row, tries again.

use truing_core::id::{SlotKey, UnixMillis};
use truing_core::port::{HistoryEvent, RecordStore, RunStore, StoreError};
use truing_core::slot::{SlotCommand, SlotLimits, SlotRefusal, SlotTransition};

/// Maximum number of attempts to apply a command. An attempt fails if another process has committed a change
/// to the slot in the meantime.
const MAX_COMMIT_ATTEMPTS: u32 = 16;

/// The reason why a command was not applied.
#[derive(Debug, thiserror::Error)]
pub enum SlotCommandError {
    /// The state of the slot does not allow the command.
    #[error(transparent)]
    SlotRefused(#[from] SlotRefusal),
    /// The store failed, or the row changed on every attempt.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Applies one command to a slot. When the function returns, the change is stored. Returns the decision, and
/// the slot as stored.
///
/// # Errors
/// [`SlotCommandError`]
#[truing_core::boxed_future]
pub async fn apply_slot_command(
    store: &dyn RecordStore,
    key: &SlotKey,
    command: SlotCommand,
    limits: &SlotLimits,
) -> Result<SlotTransition, SlotCommandError> {
    apply_slot_commands(store, key, command, &[], limits).await
}

/// Applies these commands to a slot in one commit. No other process can change the slot between the commands.
/// If the slot refuses one command, none of the commands is applied. Returns the last decision.
///
/// # Errors
/// [`SlotCommandError`]
#[truing_core::boxed_future]
pub async fn apply_slot_commands(
    store: &dyn RecordStore,
    key: &SlotKey,
    first: SlotCommand,
    rest: &[SlotCommand],
    limits: &SlotLimits,
) -> Result<SlotTransition, SlotCommandError> {
    for _ in 0..MAX_COMMIT_ATTEMPTS {
        let now = store.now().await?;
        let Some(slot) = store.load_slots(std::slice::from_ref(key)).await?.pop() else { break };
        let before = slot.version;
        let mut decisions = vec![];
        let mut decision = slot.apply_command(first, limits, now)?;
        for command in rest {
            let next = decision.slot.apply_command(*command, limits, now)?;
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

/// Ends the leases whose holders no longer exist. Their slots become due immediately, and an ended lease does
/// not count as an attempt. The caller must ensure that no other server uses this store.
///
/// # Errors
/// [`StoreError`]
#[truing_core::boxed_future]
pub async fn end_orphaned_leases(store: &dyn RecordStore, limits: &SlotLimits) -> Result<(), StoreError> {
    for slot in store.orphaned_slots().await? {
        let Some(token) = slot.token() else { continue };
        match apply_slot_command(store, &slot.key, SlotCommand::HandBack(token), limits).await {
            Ok(_) | Err(SlotCommandError::SlotRefused(_)) => {}
            Err(SlotCommandError::Store(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Records the decision for `truing why`. If the note cannot be stored, the decision remains valid.
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
