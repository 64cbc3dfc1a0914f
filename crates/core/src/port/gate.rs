//! The gate: what a loop asks before it goes on, and before each write, to a forge or by a push. Neither is made without the
//! [`Permit`] that a gate gives.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::id::{FencingToken, TimeSpan, UnixMillis};

/// The reason why a gate is shut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum HaltReason {
    /// The kill switch is on, or that of the repository.
    #[error("the kill switch is on")]
    KillSwitch,
    /// The store gives no answer.
    #[error("the store does not say whether the kill switch is on")]
    NoAnswer,
    /// The run no longer holds its lease.
    #[error("the lease is lost: somebody else has taken over")]
    LeaseLost {
        /// The newest token that was given to anybody.
        last: FencingToken,
    },
    /// No gate was asked: the caller only reads.
    #[error("this command only reads")]
    ReadOnly,
}

impl HaltReason {
    /// The next thing to do.
    pub fn hint(self) -> &'static str {
        match self {
            Self::KillSwitch => {
                "to resume: `truing kill off`, or `truing kill off --repo OWNER/NAME` where only that repository's is on \
                 (`truing kill status` tells); then run it again, it goes on where it was"
            }
            Self::NoAnswer => {
                "see what is wrong: `truing doctor`; then run it again, it goes on where it was"
            }
            Self::LeaseLost { .. } => "whoever has taken over goes on with it",
            Self::ReadOnly => "this only looks; another command writes",
        }
    }
}

/// A stop by the gate: this run, or this caller, does nothing more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GateHalt {
    /// The gate's reason.
    pub reason: HaltReason,
    /// The write that was not made; none: no write was next.
    pub undone: Option<String>,
}

impl GateHalt {
    /// A stop right before this write.
    pub fn before(undone: impl Into<String>, reason: HaltReason) -> Self {
        Self { reason, undone: Some(undone.into()) }
    }

    /// The newest token that was given to anybody, if the lease is lost.
    pub fn lost(&self) -> Option<FencingToken> {
        if let HaltReason::LeaseLost { last } = self.reason { Some(last) } else { None }
    }
}

impl From<HaltReason> for GateHalt {
    fn from(reason: HaltReason) -> Self {
        Self { reason, undone: None }
    }
}

impl fmt::Display for GateHalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.undone {
            Some(undone) => write!(f, "{}; not done: {undone}", self.reason),
            None => write!(f, "{}", self.reason),
        }
    }
}

impl std::error::Error for GateHalt {}

/// Decides whether a run may go on, and whether it may write.
#[async_trait]
pub trait WriteGate: Debug + Send + Sync {
    /// Refuses a write, with the reason, or lets it be made now.
    async fn ask(&self) -> Result<(), HaltReason>;

    /// Refuses to go on reading and asking a model, or lets it.
    async fn go_on(&self) -> Result<(), HaltReason> {
        self.ask().await
    }
}

/// The age up to which a gate's answer counts for the first call of an effect.
const PERMIT_AGE: TimeSpan = TimeSpan::seconds(1);

/// A gate's permission to make the calls of one effect. Only a gate that was asked gives one.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<dyn WriteGate>,
    /// The time of the answer that no call has used, as milliseconds; [`USED`] after that.
    answered: AtomicI64,
}

/// In place of the time of an answer that a call has used.
const USED: i64 = i64::MIN;

impl Permit {
    /// Asks the gate; `now` is the wall clock.
    ///
    /// # Errors
    /// [`HaltReason`]
    pub async fn ask(gate: &Arc<dyn WriteGate>, now: UnixMillis) -> Result<Arc<Self>, HaltReason> {
        gate.ask().await?;
        Ok(Arc::new(Self { gate: Arc::clone(gate), answered: AtomicI64::new(now.0) }))
    }

    /// Lets one call that writes be made now. The answer that made the permit counts for one second, and for the first call of
    /// all; for every other, and for each repeat, the gate is asked again.
    ///
    /// # Errors
    /// [`HaltReason`]
    pub async fn confirm(&self, now: UnixMillis) -> Result<(), HaltReason> {
        let age = now.0.saturating_sub(self.answered.swap(USED, Ordering::Relaxed));
        if (0..=PERMIT_AGE.0).contains(&age) { Ok(()) } else { self.ask_again().await }
    }

    /// Asks the gate again, whatever the age of its answer.
    ///
    /// # Errors
    /// [`HaltReason`]
    pub async fn ask_again(&self) -> Result<(), HaltReason> {
        self.gate.ask().await
    }

    /// Lets the answer that made the permit count no more: another call was waited for.
    pub fn expire(&self) {
        self.answered.store(USED, Ordering::Relaxed);
    }
}

/// The gate of whoever only looks: it is never open.
pub fn read_only() -> Arc<dyn WriteGate> {
    Arc::new(ReadOnlyGate)
}

#[derive(Debug)]
struct ReadOnlyGate;

#[async_trait]
impl WriteGate for ReadOnlyGate {
    async fn ask(&self) -> Result<(), HaltReason> {
        Err(HaltReason::ReadOnly)
    }
}
