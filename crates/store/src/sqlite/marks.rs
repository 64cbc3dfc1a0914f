//! Marking slots for events: what a webhook is acknowledged for. Load, decide, write, describe and note, all in the
//! one transaction of the caller, so that nothing can come in between; what is decided is the core's.

use std::collections::BTreeMap;

use rusqlite::Connection;
use truing_core::id::{Key, Millis};
use truing_core::port::{Event, Mark, Marked};
use truing_core::slot::Limits;

use super::fault::Fault;
use super::{history, operations, slots};

/// Marks slots, each row read and written once; none while the kill switch is on.
pub(super) fn mark(
    connection: &Connection,
    marks: &[Mark],
    limits: &Limits,
    now: Millis,
) -> Result<Marked, Fault> {
    if operations::switch::read(connection)?.engaged().is_some() {
        return Ok(Marked::SwitchedOff);
    }
    let mut by_key: BTreeMap<&Key, Vec<&Mark>> = BTreeMap::new();
    for mark in marks {
        by_key.entry(&mark.key).or_default().push(mark);
    }
    for (key, marks) in by_key {
        let before = slots::find(connection, key.clone())?;
        let mut slot = before.clone();
        for mark in marks {
            let decision = slot.on_event(mark.of, limits, now);
            slot = decision.slot;
            history::describe(connection, key, &mark.described)?;
            if let Some(note) = decision.note {
                let event = Event { at: now, key: key.clone(), run: None, what: note.to_string() };
                history::note(connection, &[event])?;
            }
        }
        // The same event in the same millisecond.
        if slot != before {
            slots::write(connection, slot)?;
        }
    }
    Ok(Marked::All)
}
