//! The write gate of all loops, and each process's cache of the kill switches. A table in
//! docs/reference/faults.md lists the decisions of the gate.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use truing_core::id::{FencingToken, SlotKey, UnixMillis};
use truing_core::port::{Clock, HaltReason, RecordStore, WriteGate};
use truing_core::slot::SlotState;
use truing_core::switch::{HaltMode, KillSwitch, KillSwitches, RepositoryRef, SwitchEngagement};

/// Time for which the store's last answer remains valid. A write always requires a new answer.
pub const CACHED_ANSWER_LIFETIME: Duration = Duration::from_secs(30);
/// Time limit for reading the kill switches or a lease once.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads the kill switches from a store before each decision, and caches the last answer.
pub struct SwitchReader {
    store: Arc<dyn RecordStore>,
    clock: Arc<dyn Clock>,
    cache: Mutex<SwitchCache>,
}

#[derive(Debug, Default)]
struct SwitchCache {
    /// The last answer, and its time.
    last_answer: Option<(KillSwitches, Instant)>,
    /// The time of the first failed read since the last answer; `None` if the last read succeeded.
    failing_since: Option<UnixMillis>,
}

/// The kill switches, and the age of this information.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SwitchSnapshot {
    /// The switches that are in effect. If there is no answer, or the last answer is too old, the global
    /// switch counts as on. If its last known state was off, its mode is `finish`.
    pub switches: KillSwitches,
    /// The age of the information about the switches.
    pub freshness: SwitchFreshness,
}

/// The age of the information about the kill switches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SwitchFreshness {
    /// The store has just answered.
    Current,
    /// The store does not answer now, but has answered within [`CACHED_ANSWER_LIFETIME`].
    Cached,
    /// The store has not answered within [`CACHED_ANSWER_LIFETIME`], or has never answered.
    Unknown,
}

impl fmt::Debug for SwitchReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwitchReader").field("known", &self.cache).finish_non_exhaustive()
    }
}

impl SwitchReader {
    /// Creates a reader of the switches in this store.
    pub fn new(store: Arc<dyn RecordStore>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { store, clock, cache: Mutex::default() })
    }

    /// Returns the current switches. If the store does not answer, the last answer and its age determine the
    /// result.
    #[truing_core::boxed_future]
    pub async fn read(&self) -> SwitchSnapshot {
        let error = match tokio::time::timeout(READ_TIMEOUT, self.store.kill_switches()).await {
            Ok(Ok(switches)) => {
                *self.lock_cache() = SwitchCache {
                    last_answer: Some((switches.clone(), Instant::now())),
                    failing_since: None,
                };
                return SwitchSnapshot { switches, freshness: SwitchFreshness::Current };
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} s", READ_TIMEOUT.as_secs()),
        };
        let mut known = self.lock_cache();
        let since = *known.failing_since.get_or_insert(self.clock.now());
        let last = known.last_answer.as_ref().map(|(switches, at)| (switches, at.elapsed()));
        let reading = snapshot_from_cache(last, since);
        drop(known);
        tracing::warn!(error, freshness = ?reading.freshness, "the kill switch cannot be read");
        reading
    }

    fn lock_cache(&self) -> MutexGuard<'_, SwitchCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the switches for the case that the store does not answer, from the last answer and its age.
fn snapshot_from_cache(
    last_answer: Option<(&KillSwitches, Duration)>,
    failing_since: UnixMillis,
) -> SwitchSnapshot {
    let switches = match last_answer {
        Some((switches, age)) if age < CACHED_ANSWER_LIFETIME => {
            return SwitchSnapshot { switches: switches.clone(), freshness: SwitchFreshness::Cached };
        }
        Some((switches, _)) => switches.clone(),
        None => KillSwitches::default(),
    };
    let all = match switches.global_switch {
        KillSwitch::On(engaged) => engaged,
        KillSwitch::Off => SwitchEngagement {
            since: failing_since,
            operator: "truing".into(),
            reason: Some("the switch cannot be read".into()),
            mode: HaltMode::Finish,
        },
    };
    let switches = KillSwitches { global_switch: KillSwitch::On(all), repositories: switches.repositories };
    SwitchSnapshot { switches, freshness: SwitchFreshness::Unknown }
}

/// The write gate of one run, of one caller of a tool, or of one command that removes comments.
#[derive(Clone, Debug)]
pub struct RunGate {
    switches: Arc<SwitchReader>,
    repository: RepositoryRef,
    authority: WriteAuthority,
    lease: Option<WriteLease>,
}

/// The lease under which a run writes.
#[derive(Clone)]
struct WriteLease {
    /// The store that contains the slot.
    store: Arc<dyn RecordStore>,
    key: SlotKey,
    token: FencingToken,
}

impl fmt::Debug for WriteLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldLease")
            .field("key", &self.key)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// The kind of work that the gate permits or stops. It determines which kill switches stop the work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum WriteAuthority {
    /// A run. It may continue unless a switch stops active runs.
    Run,
    /// A caller of a tool. Each write of a caller begins new work, so every switch that is on stops the
    /// caller.
    Caller,
    /// An operator's command that removes comments. The command must work even while a switch is on.
    Retraction,
}

impl RunGate {
    /// Creates the gate of a run in this repository; the run has no lease.
    pub fn for_run(switches: &Arc<SwitchReader>, repository: RepositoryRef) -> Self {
        Self { switches: Arc::clone(switches), repository, authority: WriteAuthority::Run, lease: None }
    }

    /// Creates the gate of a caller of a tool. Each write of the caller begins new work, so every switch that
    /// is on stops the caller.
    pub fn for_caller(switches: &Arc<SwitchReader>, repository: RepositoryRef) -> Self {
        Self { authority: WriteAuthority::Caller, ..Self::for_run(switches, repository) }
    }

    /// Converts the gate to the gate of an operator's command that removes comments.
    #[must_use]
    pub fn for_retraction(self) -> Self {
        Self { authority: WriteAuthority::Retraction, ..self }
    }

    /// Binds the gate to the lease with this token: the gate then also checks that the slot `key` in this
    /// store still has this lease.
    #[must_use]
    pub fn with_lease(self, store: &Arc<dyn RecordStore>, key: &SlotKey, token: FencingToken) -> Self {
        let lease = WriteLease { store: Arc::clone(store), key: key.clone(), token };
        Self { lease: Some(lease), ..self }
    }

    /// Rejects an action if the switches in `snapshot` stop it. A write requires a current answer of the
    /// store.
    fn check_switches(&self, snapshot: &SwitchSnapshot, is_write: bool) -> Result<(), HaltReason> {
        match (snapshot.freshness, is_write) {
            (SwitchFreshness::Current, _) | (SwitchFreshness::Cached, false) => {}
            (SwitchFreshness::Cached, true) | (SwitchFreshness::Unknown, _) => {
                return Err(HaltReason::NoAnswer);
            }
        }
        let is_stopped = match self.authority {
            WriteAuthority::Run => snapshot.switches.stops_runs(&self.repository),
            WriteAuthority::Caller => snapshot.switches.switch_for(&self.repository).is_some(),
            WriteAuthority::Retraction => false,
        };
        if is_stopped { Err(HaltReason::KillSwitch) } else { Ok(()) }
    }

    /// Returns an error if the run no longer holds its lease.
    async fn check_lease(&self) -> Result<(), HaltReason> {
        let Some(WriteLease { store, key, token }) = &self.lease else { return Ok(()) };
        let loading = tokio::time::timeout(READ_TIMEOUT, store.load_slots(std::slice::from_ref(key)));
        let slots = loading
            .await
            .map_err(|_| lease_read_failure("no answer in time"))?
            .map_err(lease_read_failure)?;
        let Some(slot) = slots.first() else { return Err(HaltReason::LeaseLost { greatest_token: *token }) };
        match slot.state {
            SlotState::Leased { token: now, .. } if now == *token => Ok(()),
            SlotState::Leased { token: now, .. } => Err(HaltReason::LeaseLost { greatest_token: now }),
            SlotState::Idle | SlotState::Waiting { .. } | SlotState::Held { .. } => {
                Err(HaltReason::LeaseLost { greatest_token: FencingToken(slot.version.0) })
            }
        }
    }
}

fn lease_read_failure(error: impl fmt::Display) -> HaltReason {
    tracing::warn!(%error, "the lease cannot be read from the store");
    HaltReason::NoAnswer
}

#[async_trait]
impl WriteGate for RunGate {
    async fn permit_write(&self) -> Result<(), HaltReason> {
        if self.authority == WriteAuthority::Retraction {
            return Ok(());
        }
        self.check_switches(&self.switches.read().await, true)?;
        self.check_lease().await
    }

    async fn permit_continuation(&self) -> Result<(), HaltReason> {
        if self.authority == WriteAuthority::Retraction {
            return Ok(());
        }
        self.check_switches(&self.switches.read().await, false)
    }
}

#[cfg(test)]
mod tests;
