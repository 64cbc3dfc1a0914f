//! The machine that the loops run on: its clock, unique ids, and the sandbox level that it allows.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use truing_agent::sandbox::{self, SandboxLevel};
use truing_core::id::{RunId, UnixMillis};
use truing_core::port::Clock;
use truing_git::PrivateFolder;
use uuid::Uuid;

/// Clock of this machine, as the system reports it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> UnixMillis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Returns the id of a new run: unique, and sorted by time (UUID version 7).
pub fn new_run_id() -> RunId {
    RunId::new(Uuid::now_v7().to_string())
}

/// Returns the level of the strongest sandbox that works on this machine. The function tests the sandbox in a
/// temporary folder. If this process is killed, a later process removes the folder. After the full level has
/// passed the test, this process does not test again.
pub fn sandbox_level() -> SandboxLevel {
    static FULL_LEVEL: OnceLock<SandboxLevel> = OnceLock::new();
    if let Some(level) = FULL_LEVEL.get() {
        return *level;
    }
    let level = PrivateFolder::new().map_or(SandboxLevel::None, |here| sandbox::detect_level(here.path()));
    match level {
        SandboxLevel::Full => *FULL_LEVEL.get_or_init(|| level),
        SandboxLevel::Landlock | SandboxLevel::None => level,
    }
}
