//! Marks slots for events. A webhook is acknowledged after its slots are marked. One transaction reads the
//! slots, and writes the slots, names and history. No other write can therefore occur in between. The core
//! decides how a slot changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::sql::SqlTransaction;
use crate::store::Store;
use crate::valkey::{SwapOutcome, ValkeyServer};
use truing_core::id::{SlotKey, SlotVersion, UnixMillis};
use truing_core::port::{
    HaltPolicy, HistoryEvent, MarkOutcome, SlotMark, SlotStore, StoreError, VersionConflict,
};
use truing_core::slot::{Slot, SlotLimits};
use truing_core::switch::{KillSwitches, RepositoryRef};

use super::{history, operator_tables, slots};
use crate::fault::StoreFault;

/// Marks slots. Reads and writes each row at most once. `halt_policy` decides whether slots are marked while
/// a kill switch is on for them.
pub(super) fn mark_slots(
    connection: &SqlTransaction,
    marks: &[SlotMark],
    limits: &SlotLimits,
    halt_policy: HaltPolicy,
    now: UnixMillis,
) -> Result<MarkOutcome, StoreFault> {
    let refused = refused_keys(&operator_tables::switch::read(connection)?, marks, halt_policy);
    record_refused_names(connection, marks, &refused)?;
    let (mut changed, mut events) = (Vec::new(), Vec::new());
    for (key, marks) in group_by_key(marks, &refused) {
        let before = slots::find(connection, key.clone())?;
        let (slot, notes) = apply_marks(before.clone(), &marks, limits, now);
        events.extend(notes);
        // If the same event is repeated within one millisecond, the row does not change.
        if slot != before {
            changed.push(slot);
        }
    }
    record_marked_slots(connection, marks, &refused, &events)?;
    if changed.is_empty() {
        return Ok(mark_outcome(refused));
    }
    let versions = slots::next_counter_values(connection, changed.len())?;
    for (mut slot, version) in changed.into_iter().zip(versions) {
        slot.version = SlotVersion(version);
        slots::upsert_slot(connection, &slot)?;
    }
    Ok(mark_outcome(refused))
}

/// Number of attempts to mark slots that other processes change at the same time.
const MAX_SWAP_ATTEMPTS: u32 = 32;

/// Marks slots that are kept in Valkey. A slot is written only if its version has not changed since the read.
/// If it has changed, the core decides again with the new state. Names and history are written separately,
/// before the acknowledgement.
pub(super) async fn mark_valkey_slots(
    store: &Store,
    valkey: &ValkeyServer,
    marks: &[SlotMark],
    limits: &SlotLimits,
    halt_policy: HaltPolicy,
) -> Result<MarkOutcome, StoreError> {
    let now = SlotStore::now(store).await?;
    let refused = refused_keys(&store.read(operator_tables::switch::read).await?, marks, halt_policy);
    if !refused.is_empty() {
        let (marks, refused) = (marks.to_vec(), refused.clone());
        store.append(move |connection| record_refused_names(connection, &marks, &refused)).await?;
    }
    let (mut left, mut events) = (group_by_key(marks, &refused), Vec::new());
    for _ in 0..MAX_SWAP_ATTEMPTS {
        let keys: Vec<SlotKey> = left.keys().map(|key| (*key).clone()).collect();
        let (mut changes, mut told) = (Vec::new(), Vec::new());
        for (before, marks) in valkey.load_slots(&keys).await?.into_iter().zip(left.values()) {
            let (slot, notes) = apply_marks(before.clone(), marks, limits, now);
            if slot != before {
                changes.push((before.version, slot));
                told.push(notes);
            }
        }
        let swapped = match valkey.swap_slots(&changes, halt_policy == HaltPolicy::Refuse, None).await? {
            SwapOutcome::PerSlot(swapped) => swapped,
            SwapOutcome::KillSwitchOn | SwapOutcome::AlreadyDone => {
                return Ok(MarkOutcome::BlockedByKillSwitch(marked_keys(marks)));
            }
        };
        let mut moved = BTreeSet::new();
        for ((swapped, (_, slot)), notes) in swapped.iter().zip(&changes).zip(told) {
            match swapped {
                Ok(_) => events.extend(notes),
                Err(VersionConflict) => drop(moved.insert(slot.key.clone())),
            }
        }
        left.retain(|key, _| moved.contains(*key));
        if left.is_empty() {
            let marks = marks.to_vec();
            let those = refused.clone();
            store.append(move |connection| record_marked_slots(connection, &marks, &those, &events)).await?;
            return Ok(mark_outcome(refused));
        }
    }
    let key = left.keys().next().map_or("", |key| key.as_str());
    Err(StoreError::Unavailable(format!(
        "other processes changed slot {key} during each of {MAX_SWAP_ATTEMPTS} attempts; try again"
    )))
}

/// Adds the repository of each refused mark to the kill switch that is on for the repository's name.
fn record_refused_names(
    connection: &SqlTransaction,
    marks: &[SlotMark],
    refused_keys: &BTreeSet<SlotKey>,
) -> Result<(), StoreFault> {
    let those = marks.iter().filter(|mark| refused_keys.contains(&mark.key));
    let heard = those.map(|mark| (repository_name(mark), RepositoryRef::from_key(&mark.key)));
    operator_tables::switch::add_repositories_to_switches(connection, heard)
}

/// Returns the name `owner/name` of a mark's repository. Returns an empty text if the name is not known.
fn repository_name(mark: &SlotMark) -> &str {
    mark.description.name.rsplit_once('#').map_or("", |(name, _)| name)
}

/// Returns the keys that must not be marked because a kill switch is on for them. A repository's kill switch
/// is found by the repository's key or name.
fn refused_keys(switches: &KillSwitches, marks: &[SlotMark], halt_policy: HaltPolicy) -> BTreeSet<SlotKey> {
    match halt_policy {
        HaltPolicy::Mark => BTreeSet::new(),
        HaltPolicy::Refuse => marks
            .iter()
            .filter(|mark| {
                switches
                    .switch_for(&RepositoryRef::from_key(&mark.key).with_name(repository_name(mark)))
                    .is_some()
            })
            .map(|mark| mark.key.clone())
            .collect(),
    }
}

fn mark_outcome(refused_keys: BTreeSet<SlotKey>) -> MarkOutcome {
    if refused_keys.is_empty() {
        MarkOutcome::AllStored
    } else {
        MarkOutcome::BlockedByKillSwitch(refused_keys)
    }
}

fn marked_keys(marks: &[SlotMark]) -> BTreeSet<SlotKey> {
    marks.iter().map(|mark| mark.key.clone()).collect()
}

/// Groups the marks by key, without the marks of refused keys.
fn group_by_key<'a>(
    marks: &'a [SlotMark],
    refused_keys: &BTreeSet<SlotKey>,
) -> BTreeMap<&'a SlotKey, Vec<&'a SlotMark>> {
    let mut by_key: BTreeMap<&SlotKey, Vec<&SlotMark>> = BTreeMap::new();
    for mark in marks.iter().filter(|mark| !refused_keys.contains(&mark.key)) {
        by_key.entry(&mark.key).or_default().push(mark);
    }
    by_key
}

/// Applies the marked events to a slot. Returns the changed slot, and the entries for the history.
fn apply_marks(
    mut slot: Slot,
    marks: &[&SlotMark],
    limits: &SlotLimits,
    now: UnixMillis,
) -> (Slot, Vec<HistoryEvent>) {
    let mut events = Vec::new();
    for mark in marks {
        let decision = slot.apply_event(mark.loop_kind, limits, now);
        slot = decision.slot;
        let event = decision.note.map(|note| HistoryEvent {
            at: now,
            key: mark.key.clone(),
            run: None,
            description: note.to_string(),
        });
        events.extend(event);
    }
    (slot, events)
}

/// Writes the names of the marked slots, and the entries of the history.
fn record_marked_slots(
    connection: &SqlTransaction,
    marks: &[SlotMark],
    refused_keys: &BTreeSet<SlotKey>,
    events: &[HistoryEvent],
) -> Result<(), StoreFault> {
    let marked = marks.iter().filter(|mark| !refused_keys.contains(&mark.key));
    history::store_descriptions(connection, marked.map(|mark| (&mark.key, &mark.description)))?;
    history::append_events(connection, events)
}
