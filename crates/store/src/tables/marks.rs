//! Marking slots for events: what a webhook is acknowledged for. Load, decide, write, describe and note, all in the
//! one transaction of the caller, so that nothing can come in between; what is decided is the core's.

use std::collections::{BTreeMap, BTreeSet};

use crate::sql::Connection;
use crate::store::Store;
use crate::valkey::{Swapped, Valkey};
use truing_core::id::{Key, Millis, Version};
use truing_core::port::{Event, Halted, Mark, Marked, Moved, Slots, StoreError};
use truing_core::slot::{Limits, Slot};

use super::{history, operations, slots};
use crate::fault::Fault;

/// Marks slots, each row read and written once; while the kill switch is on, as `halted` says.
pub(super) fn mark(
    connection: &Connection,
    marks: &[Mark],
    (limits, halted): (&Limits, Halted),
    now: Millis,
) -> Result<Marked, Fault> {
    if halted == Halted::Refused && operations::switch::read(connection)?.engaged().is_some() {
        return Ok(Marked::SwitchedOff);
    }
    let (mut changed, mut events) = (Vec::new(), Vec::new());
    for (key, marks) in by_key(marks) {
        let before = slots::find(connection, key.clone())?;
        let (slot, notes) = marked(before.clone(), &marks, limits, now);
        events.extend(notes);
        // The same event in the same millisecond.
        if slot != before {
            changed.push(slot);
        }
    }
    describe(connection, marks, &events)?;
    if changed.is_empty() {
        return Ok(Marked::All);
    }
    let versions = slots::next_numbers(connection, changed.len())?;
    for (mut slot, version) in changed.into_iter().zip(versions) {
        slot.version = Version(version);
        slots::put(connection, &slot)?;
    }
    Ok(Marked::All)
}

/// Times that marks are decided again because another process was in the way.
const TRIES: u32 = 32;

/// The same where slots are apart: each is swapped by its version, and decided again where it has moved on. Names and history are
/// written beside, before this is acknowledged.
pub(super) async fn mark_apart(
    store: &Store,
    valkey: &Valkey,
    marks: &[Mark],
    (limits, halted): (&Limits, Halted),
) -> Result<Marked, StoreError> {
    let now = Slots::now(store).await?;
    let (mut left, mut events) = (by_key(marks), Vec::new());
    for _ in 0..TRIES {
        let keys: Vec<Key> = left.keys().map(|key| (*key).clone()).collect();
        let (mut changes, mut told) = (Vec::new(), Vec::new());
        for (before, marks) in valkey.load(&keys).await?.into_iter().zip(left.values()) {
            let (slot, notes) = marked(before.clone(), marks, limits, now);
            if slot != before {
                changes.push((before.version, slot));
                told.push(notes);
            }
        }
        let swapped = match valkey.swap(&changes, halted == Halted::Refused, None).await? {
            Swapped::Each(swapped) => swapped,
            Swapped::SwitchedOff | Swapped::Before => return Ok(Marked::SwitchedOff),
        };
        let mut moved = BTreeSet::new();
        for ((swapped, (_, slot)), notes) in swapped.iter().zip(&changes).zip(told) {
            match swapped {
                Ok(_) => events.extend(notes),
                Err(Moved) => drop(moved.insert(slot.key.clone())),
            }
        }
        left.retain(|key, _| moved.contains(*key));
        if left.is_empty() {
            let marks = marks.to_vec();
            store.append(move |connection| describe(connection, &marks, &events)).await?;
            return Ok(Marked::All);
        }
    }
    let key = left.keys().next().map_or("", |key| key.as_str());
    Err(StoreError::Unavailable(format!(
        "slot {key} was changed by others during each of {TRIES} tries; try again"
    )))
}

fn by_key(marks: &[Mark]) -> BTreeMap<&Key, Vec<&Mark>> {
    let mut by_key: BTreeMap<&Key, Vec<&Mark>> = BTreeMap::new();
    for mark in marks {
        by_key.entry(&mark.key).or_default().push(mark);
    }
    by_key
}

/// A slot after these events, and the lines of history.
fn marked(mut slot: Slot, marks: &[&Mark], limits: &Limits, now: Millis) -> (Slot, Vec<Event>) {
    let mut events = Vec::new();
    for mark in marks {
        let decision = slot.on_event(mark.of, limits, now);
        slot = decision.slot;
        let told = decision.note.map(|note| Event {
            at: now,
            key: mark.key.clone(),
            run: None,
            what: note.to_string(),
        });
        events.extend(told);
    }
    (slot, events)
}

/// Writes what people call the marked, and the lines of history.
fn describe(connection: &Connection, marks: &[Mark], events: &[Event]) -> Result<(), Fault> {
    history::describe(connection, marks.iter().map(|mark| (&mark.key, &mark.described)))?;
    history::note(connection, events)
}
