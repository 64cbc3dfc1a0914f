//! The write gate. A loop asks the gate for permission before it continues, before each write to a forge, and
//! before each push. A write or a push requires the [`WritePermit`] that a gate grants.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::id::{FencingToken, TimeSpan, UnixMillis};

/// The reason why a gate refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum HaltReason {
    /// The kill switch is on, for everything or for this repository.
    #[error("the kill switch is on")]
    KillSwitch,
    /// The store does not respond.
    #[error("the store does not report the state of the kill switch")]
    NoAnswer,
    /// The run no longer holds its lease.
    #[error("the lease is lost: another process has taken over")]
    LeaseLost {
        /// Greatest fencing token that was issued for the lease.
        #[serde(rename = "last")]
        greatest_token: FencingToken,
    },
    /// The caller may only read; its gate refuses every write.
    #[error("this command only reads")]
    ReadOnly,
}

impl HaltReason {
    /// Returns advice on the next step.
    pub fn hint(self) -> &'static str {
        match self {
            Self::KillSwitch => {
                "run `truing kill off`, or `truing kill off --repo OWNER/NAME` for the switch of one \
                repository (see `truing kill status`); then run the same command again to continue where \
                it stopped"
            }
            Self::NoAnswer => {
                "find the cause with `truing doctor`; then run the same command again to continue where \
                it stopped"
            }
            Self::LeaseLost { .. } => "the process that has taken over continues the run",
            Self::ReadOnly => "this command only reads; use another command to write",
        }
    }
}

/// A refusal by the gate. The run or the caller must stop after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GateHalt {
    /// Reason that the gate returned.
    pub reason: HaltReason,
    /// Description of the write that the refusal prevented; `None` if no write was requested.
    pub withheld_write: Option<String>,
}

impl GateHalt {
    /// Creates a refusal that prevented a write. `undone` describes the write.
    pub fn before_write(withheld_write: impl Into<String>, reason: HaltReason) -> Self {
        Self { reason, withheld_write: Some(withheld_write.into()) }
    }

    /// If the lease is lost, returns the greatest token that was issued; otherwise returns `None`.
    pub fn superseding_token(&self) -> Option<FencingToken> {
        if let HaltReason::LeaseLost { greatest_token: last } = self.reason { Some(last) } else { None }
    }
}

impl From<HaltReason> for GateHalt {
    fn from(reason: HaltReason) -> Self {
        Self { reason, withheld_write: None }
    }
}

impl fmt::Display for GateHalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.withheld_write {
            Some(undone) => write!(f, "{}; not done: {undone}", self.reason),
            None => write!(f, "{}", self.reason),
        }
    }
}

impl std::error::Error for GateHalt {}

/// Decides whether a run may continue and whether it may write.
#[async_trait]
pub trait WriteGate: Debug + Send + Sync {
    /// Permits a write at this moment, or refuses it with the reason.
    async fn permit_write(&self) -> Result<(), HaltReason>;

    /// Permits or refuses further reads and model calls.
    async fn permit_continuation(&self) -> Result<(), HaltReason> {
        self.permit_write().await
    }
}

/// Maximum age of a gate's permission when the first call of an effect is made.
const MAX_PERMIT_AGE: TimeSpan = TimeSpan::seconds(1);

/// A gate's permission to make the calls of one effect. Only a gate can grant a permit.
#[derive(Debug)]
pub struct WritePermit {
    gate: Arc<dyn WriteGate>,
    /// Time of the permission in milliseconds; [`USED_MARKER`] after a call has used the permission.
    permitted_at_ms: AtomicI64,
}

/// Marker that replaces the time of a permission that a call has used.
const USED_MARKER: i64 = i64::MIN;

impl WritePermit {
    /// Asks the gate for a permit. `now` is the wall-clock time.
    ///
    /// # Errors
    /// [`HaltReason`] if the gate refuses.
    pub async fn request_from(gate: &Arc<dyn WriteGate>, now: UnixMillis) -> Result<Arc<Self>, HaltReason> {
        gate.permit_write().await?;
        Ok(Arc::new(Self { gate: Arc::clone(gate), permitted_at_ms: AtomicI64::new(now.0) }))
    }

    /// Permits one writing call at the time `now`. The gate's original permission covers only the first call,
    /// and only for one second. For every later call, retries included, the gate is asked again.
    ///
    /// # Errors
    /// [`HaltReason`] if the gate refuses.
    pub async fn confirm_write(&self, now: UnixMillis) -> Result<(), HaltReason> {
        let age = now.0.saturating_sub(self.permitted_at_ms.swap(USED_MARKER, Ordering::Relaxed));
        if (0..=MAX_PERMIT_AGE.0).contains(&age) { Ok(()) } else { self.recheck_gate().await }
    }

    /// Asks the gate again, even if the gate's last permission is recent.
    ///
    /// # Errors
    /// [`HaltReason`] if the gate refuses.
    pub async fn recheck_gate(&self) -> Result<(), HaltReason> {
        self.gate.permit_write().await
    }

    /// Discards the gate's original permission, so the gate is asked again before the next call. Used after
    /// the caller has waited, because the permission may be outdated.
    pub fn expire(&self) {
        self.permitted_at_ms.store(USED_MARKER, Ordering::Relaxed);
    }
}

/// Returns the gate of a caller that only reads. This gate refuses every write.
pub fn read_only_gate() -> Arc<dyn WriteGate> {
    Arc::new(ReadOnlyGate)
}

#[derive(Debug)]
struct ReadOnlyGate;

#[async_trait]
impl WriteGate for ReadOnlyGate {
    async fn permit_write(&self) -> Result<(), HaltReason> {
        Err(HaltReason::ReadOnly)
    }
}
