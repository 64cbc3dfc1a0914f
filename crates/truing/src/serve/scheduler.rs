//! The scheduler: looks for slots that want a step, ends what is lost, forgets what is over, leases what is due.

use truing_core::id::{Key, Millis, Token};
use truing_core::port::{Clock, Event, Ids, Operations, Records, Slots, StoreError};
use truing_core::slot::{Command, Decision, Loop, Note, Slot, State};

use super::{House, notify};

/// Slots looked at a time.
const BATCH: usize = 256;

/// A granted lease.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lease {
    /// The slot.
    pub key: Key,
    /// Its fencing token.
    pub token: Token,
    /// The loop to run.
    pub of: Loop,
    /// Did a person ask for it?
    pub asked: bool,
    /// If this attempt fails the slot is parked.
    pub last_attempt: bool,
    /// When the last of the events came that it serves.
    pub marked: Option<Millis>,
}

/// One look: at most `free` leases are granted, oldest first. While the kill switch is on none is, and what is due
/// stays due.
///
/// # Errors
/// [`StoreError`]; whatever was committed stays so.
pub async fn look<S, W, R, C, I>(house: &House<S, W, R, C, I>, free: usize) -> Result<Vec<Lease>, StoreError>
where
    S: Slots + Records + Operations,
    C: Clock,
    I: Ids,
{
    let store = &house.store;
    let now = store.now().await?;
    let switch = house.switch().await;
    let mut free = if switch.engaged().is_some() { 0 } else { free };
    let mut decided: Vec<(Slot, Decision)> = Vec::new();
    // Beyond those that are known to be held back, so that each is told of.
    let due = store.due(now, BATCH + house.kill_switch.held_back()).await?;
    if let Some(engaged) = switch.engaged() {
        house.hold_back(engaged, &due).await?;
    }
    for slot in due {
        let command = match &slot.state {
            State::Waiting { .. } if free == 0 => continue,
            State::Waiting { .. } => Command::Lease,
            State::Leased { .. } => Command::Expire,
            State::Idle => Command::Tidy,
            State::Held { .. } => continue,
        };
        // Refused: it is not due after all. The next look sees it again.
        let Ok(decision) = slot.step(command, &house.limits, now) else { continue };
        if command == Command::Lease {
            free -= 1;
        }
        if let Some(Note::Parked(attempts)) = decision.note {
            notify::parking(store, &slot.key, attempts, now).await;
        }
        decided.push((slot, decision));
    }
    if decided.is_empty() {
        return Ok(Vec::new());
    }
    let changes: Vec<_> =
        decided.iter().map(|(before, after)| (before.version, after.slot.clone())).collect();
    let committed = store.commit(&changes).await?;
    let mut leases = Vec::new();
    let mut notes = Vec::new();
    for ((_, decision), committed) in decided.into_iter().zip(committed) {
        if committed.is_err() {
            continue; // it changed in between: the next look sees it again
        }
        let Decision { slot, note } = decision;
        notes.extend(note.map(|note| Event {
            at: now,
            key: slot.key.clone(),
            run: None,
            what: note.to_string(),
        }));
        leases.extend(lease_of(slot, house.limits.attempts));
    }
    // The leases are granted, whether it can be told or not.
    if let Err(error) = store.note(&notes).await {
        tracing::warn!(%error, "steps are missing from the history");
    }
    Ok(leases)
}

fn lease_of(slot: Slot, attempts: u32) -> Option<Lease> {
    let State::Leased { token, of, serving, .. } = slot.state else { return None };
    Some(Lease {
        key: slot.key,
        token,
        of,
        asked: serving.is_some_and(|served| served.asked.is_some()),
        last_attempt: slot.attempts.saturating_add(1) >= attempts,
        marked: serving.map(|served| served.last),
    })
}
