//! Marking slots for events: what a webhook is acknowledged for. Load, decide, write, describe and note, all in the
//! one transaction of the caller, so that nothing can come in between; what is decided is the core's.

use std::collections::BTreeMap;

use crate::sql::Connection;
use truing_core::id::{Key, Millis, Version};
use truing_core::port::{Event, Halted, Mark, Marked};
use truing_core::slot::Limits;

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
    let mut by_key: BTreeMap<&Key, Vec<&Mark>> = BTreeMap::new();
    for mark in marks {
        by_key.entry(&mark.key).or_default().push(mark);
    }
    let (mut changed, mut events) = (Vec::new(), Vec::new());
    for (key, marks) in by_key {
        let before = slots::find(connection, key.clone())?;
        let mut slot = before.clone();
        for mark in marks {
            let decision = slot.on_event(mark.of, limits, now);
            slot = decision.slot;
            history::describe(connection, key, &mark.described)?;
            let told = decision.note.map(|note| Event {
                at: now,
                key: key.clone(),
                run: None,
                what: note.to_string(),
            });
            events.extend(told);
        }
        // The same event in the same millisecond.
        if slot != before {
            changed.push(slot);
        }
    }
    history::note(connection, &events)?;
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
