//! The machine that the loops run on: its clock, unique ids, and how well it can confine a program.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use truing_agent::sandbox::{self, Level};
use truing_core::id::{Millis, RunId};
use truing_core::port::Clock;
use truing_git::PrivateFolder;
use uuid::Uuid;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The id of a run that begins: unique, and sorted by time (UUID version 7).
pub fn new_run_id() -> RunId {
    RunId::new(Uuid::now_v7().to_string())
}

/// The strongest sandbox that this machine allows, tried in a folder that a later process removes if this one is killed.
/// A process that reached all of it need not try again.
pub fn sandbox_level() -> Level {
    static FULL: OnceLock<Level> = OnceLock::new();
    if let Some(level) = FULL.get() {
        return *level;
    }
    let level = PrivateFolder::new().map_or(Level::None, |here| sandbox::reached(here.path()));
    match level {
        Level::Full => *FULL.get_or_init(|| level),
        Level::Landlock | Level::None => level,
    }
}
