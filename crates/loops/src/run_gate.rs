//! The gate of every loop, and the kill switches as a process knows them. Its answers are a table in docs/reference/faults.md.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use truing_core::id::{FencingToken, SlotKey, UnixMillis};
use truing_core::port::{Clock, HaltReason, RecordStore, WriteGate};
use truing_core::slot::SlotState;
use truing_core::switch::{HaltMode, KillSwitch, KillSwitches, RepositoryRef, SwitchEngagement};

/// The time for which the last answer of the store counts, where no write follows from it.
pub const REMEMBERED: Duration = Duration::from_secs(30);
/// The time that one read may take.
const READ_TIME: Duration = Duration::from_secs(5);

/// The kill switches of a store, read whenever it matters.
pub struct SwitchReader {
    store: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
    known: Mutex<SwitchCache>,
}

#[derive(Debug, Default)]
struct SwitchCache {
    /// The last answer, and its time.
    last: Option<(KillSwitches, Instant)>,
    /// The time of the first read that was not answered since.
    failing: Option<UnixMillis>,
}

/// The kill switches with what is known of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SwitchReading {
    /// The switches to go by. That of everything counts as on, in mode `finish`, where the last answer is too old.
    pub switches: KillSwitches,
    /// The age of what is known.
    pub freshness: SwitchFreshness,
}

/// The age of what is known of the kill switches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SwitchFreshness {
    /// The store has just said so.
    Now,
    /// The store gives no answer now, and gave one within [`REMEMBERED`].
    Remembered,
    /// The store gave no answer for longer, or never.
    Unknown,
}

impl fmt::Debug for SwitchReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwitchReader").field("known", &self.known).finish_non_exhaustive()
    }
}

impl SwitchReader {
    /// Reads the switches of this store.
    pub fn new(store: Arc<dyn RecordStore>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { store, clock, known: Mutex::default() })
    }

    /// The switches now, as far as the store says.
    #[truing_core::boxed_future]
    pub async fn read(&self) -> SwitchReading {
        let error = match tokio::time::timeout(READ_TIME, self.store.switch()).await {
            Ok(Ok(switches)) => {
                *self.known() = SwitchCache { last: Some((switches.clone(), Instant::now())), failing: None };
                return SwitchReading { switches, freshness: SwitchFreshness::Now };
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", READ_TIME.as_secs()),
        };
        let mut known = self.known();
        let since = *known.failing.get_or_insert(self.clock.now());
        let last = known.last.as_ref().map(|(switches, at)| (switches, at.elapsed()));
        let reading = remembered(last, since);
        drop(known);
        tracing::warn!(error, freshness = ?reading.freshness, "the kill switch cannot be read");
        reading
    }

    fn known(&self) -> MutexGuard<'_, SwitchCache> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading after the last answer and its age, while the store gives none.
fn remembered(last: Option<(&KillSwitches, Duration)>, since: UnixMillis) -> SwitchReading {
    let switches = match last {
        Some((switches, age)) if age < REMEMBERED => {
            return SwitchReading { switches: switches.clone(), freshness: SwitchFreshness::Remembered };
        }
        Some((switches, _)) => switches.clone(),
        None => KillSwitches::default(),
    };
    let all = match switches.all {
        KillSwitch::On(engaged) => engaged,
        KillSwitch::Off => SwitchEngagement {
            since,
            by: "truing".into(),
            reason: Some("the switch cannot be read".into()),
            mode: HaltMode::Finish,
        },
    };
    let switches = KillSwitches { all: KillSwitch::On(all), repositories: switches.repositories };
    SwitchReading { switches, freshness: SwitchFreshness::Unknown }
}

/// The gate of one run, of one caller, or of one retraction.
#[derive(Clone, Debug)]
pub struct RunGate {
    switches: Arc<SwitchReader>,
    repository: RepositoryRef,
    authority: WriteAuthority,
    lease: Option<HeldLease>,
}

/// The lease under which a run writes.
#[derive(Clone)]
struct HeldLease {
    /// The store that has its slot.
    store: Arc<dyn RecordStore>,
    key: SlotKey,
    token: FencingToken,
}

impl fmt::Debug for HeldLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLease")
            .field("key", &self.key)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// The claim of whoever passes the gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WriteAuthority {
    /// A run: it completes, unless a switch stops runs.
    Run,
    /// A caller of a tool: each write begins something, so any switch stops it.
    Caller,
    /// An operator who takes comments back: that is needed while a switch is on.
    Retraction,
}

impl RunGate {
    /// The gate of a run in this repository that no slot belongs to.
    pub fn of_run(switches: &Arc<SwitchReader>, repository: RepositoryRef) -> Self {
        Self { switches: Arc::clone(switches), repository, authority: WriteAuthority::Run, lease: None }
    }

    /// The gate of a caller whose every write begins something.
    pub fn of_caller(switches: &Arc<SwitchReader>, repository: RepositoryRef) -> Self {
        Self { authority: WriteAuthority::Caller, ..Self::of_run(switches, repository) }
    }

    /// The same, for what an operator takes back by a command.
    #[must_use]
    pub fn of_retraction(self) -> Self {
        Self { authority: WriteAuthority::Retraction, ..self }
    }

    /// The same, under the lease of this token on the slot of this key, which is in that store.
    #[must_use]
    pub fn under_lease(self, store: &Arc<dyn RecordStore>, key: &SlotKey, token: FencingToken) -> Self {
        let lease = HeldLease { store: Arc::clone(store), key: key.clone(), token };
        Self { lease: Some(lease), ..self }
    }

    /// Refuses what the switches stop, as far as they are known. A write needs an answer of now.
    fn admit(&self, reading: &SwitchReading, is_write: bool) -> Result<(), HaltReason> {
        match (reading.freshness, is_write) {
            (SwitchFreshness::Now, _) | (SwitchFreshness::Remembered, false) => {}
            (SwitchFreshness::Remembered, true) | (SwitchFreshness::Unknown, _) => {
                return Err(HaltReason::NoAnswer);
            }
        }
        let is_stopped = match self.authority {
            WriteAuthority::Run => reading.switches.stop_runs(&self.repository),
            WriteAuthority::Caller => reading.switches.at(&self.repository).is_some(),
            WriteAuthority::Retraction => false,
        };
        if is_stopped { Err(HaltReason::KillSwitch) } else { Ok(()) }
    }

    /// Refuses whoever no longer holds the lease.
    async fn ask_lease(&self) -> Result<(), HaltReason> {
        let Some(HeldLease { store, key, token }) = &self.lease else { return Ok(()) };
        let loading = tokio::time::timeout(READ_TIME, store.load(std::slice::from_ref(key)));
        let slots = loading.await.map_err(|_| unread("no answer in time"))?.map_err(unread)?;
        let Some(slot) = slots.first() else { return Err(HaltReason::LeaseLost { last: *token }) };
        match slot.state {
            SlotState::Leased { token: now, .. } if now == *token => Ok(()),
            SlotState::Leased { token: now, .. } => Err(HaltReason::LeaseLost { last: now }),
            SlotState::Idle | SlotState::Waiting { .. } | SlotState::Held { .. } => {
                Err(HaltReason::LeaseLost { last: FencingToken(slot.version.0) })
            }
        }
    }
}

fn unread(error: impl fmt::Display) -> HaltReason {
    tracing::warn!(%error, "the lease cannot be read from the store");
    HaltReason::NoAnswer
}

#[async_trait]
impl WriteGate for RunGate {
    async fn ask(&self) -> Result<(), HaltReason> {
        if self.authority == WriteAuthority::Retraction {
            return Ok(());
        }
        self.admit(&self.switches.read().await, true)?;
        self.ask_lease().await
    }

    async fn go_on(&self) -> Result<(), HaltReason> {
        if self.authority == WriteAuthority::Retraction {
            return Ok(());
        }
        self.admit(&self.switches.read().await, false)
    }
}

#[cfg(test)]
mod tests;
