//! Forgetting what is old: runs that ended, history, and slots of pull requests that were closed long ago. A little
//! at a time, so that nobody waits for it.

use std::convert::Infallible;
use std::time::Duration;

use truing_core::id::{Millis, Span};
use truing_core::port::{Slots as _, StoreError};
use truing_store::Sqlite;

/// From one round to the next.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Between two batches, for those who have something to write.
const PAUSE: Duration = Duration::from_millis(100);

/// Forgets what ended longer ago than `keep`, for as long as it is polled.
pub async fn run(store: &Sqlite, keep: Span) -> Infallible {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match round(store, keep, PAUSE).await {
            Ok(Gone { runs: 0, events: 0, slots: 0 }) => {}
            Ok(Gone { runs, events, slots }) => tracing::info!(runs, events, slots, "forgot what is old"),
            Err(error) => tracing::error!(%error, "what is old cannot be forgotten"),
        }
    }
}

/// What was forgotten.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Gone {
    /// Runs.
    pub runs: usize,
    /// Lines of history.
    pub events: usize,
    /// Slots of closed pull requests.
    pub slots: usize,
}

/// Forgets all that is older than `keep`, with a pause after each batch.
///
/// # Errors
/// [`StoreError`]; what was forgotten stays so.
pub async fn round(store: &Sqlite, keep: Span, pause: Duration) -> Result<Gone, StoreError> {
    let before = Millis(store.now().await?.0.saturating_sub(keep.0));
    let mut gone = Gone::default();
    let mut mark = None;
    loop {
        let (runs, next) = store.forget_runs(before, mark).await?;
        gone.runs += runs;
        if next.is_none() {
            break;
        }
        mark = next;
        tokio::time::sleep(pause).await;
    }
    loop {
        let events = store.forget_events(before).await?;
        gone.events += events;
        if events == 0 {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    loop {
        let slots = store.forget_closed().await?;
        gone.slots += slots;
        if slots == 0 {
            return Ok(gone);
        }
        tokio::time::sleep(pause).await;
    }
}
