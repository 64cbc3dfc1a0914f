//! What people who operate a service change and are told: the kill switch, the audit log, notices.

use async_trait::async_trait;

use super::StoreError;
use crate::id::UnixMillis;
pub use crate::line::MAX_TEXT;
use crate::line::clean;
use crate::switch::{KillSwitch, KillSwitches, SwitchRequest};

/// The longest name of a person or thing that is kept, in characters.
pub const MAX_NAME: usize = 200;
/// Rows of operators: versioned by the store's own order, in the audit log, not fenced by a run's token.
#[async_trait]
pub trait OperatorStore: Send + Sync {
    /// The kill switches as they are now, with what repositories are known by. Not cached.
    async fn switch(&self) -> Result<KillSwitches, StoreError>;

    /// Turns the switch of everything, as [`KillSwitch::turn`] decides; in one transaction with its line in the audit log, its
    /// notice and, at off, the wish for a sweep. The switch before and after.
    async fn turn(&self, turn: &SwitchRequest, by: &str) -> Result<(KillSwitch, KillSwitch), StoreError>;

    /// Since when a sweep is wanted at once; none if it is not.
    async fn sweep_wanted(&self) -> Result<Option<UnixMillis>, StoreError>;

    /// The sweep that was wanted since then is done. A later wish stays.
    async fn swept(&self, wanted: UnixMillis) -> Result<(), StoreError>;

    /// Adds acts to the audit log, at the store's instant.
    async fn audit(&self, acts: &[OperatorAction]) -> Result<(), StoreError>;

    /// Wants these told, each unless its kind, key and period were wanted before.
    async fn notify(&self, notices: &[NewNotice]) -> Result<(), StoreError>;

    /// The oldest notices that are still to be told, in the order in which they came.
    async fn untold(&self, limit: usize) -> Result<Vec<PendingNotice>, StoreError>;

    /// The notice is told, or nobody could be told.
    async fn told(&self, notice: i64) -> Result<(), StoreError>;

    /// Forgets some of the acts and told notices that are older. How many of both; 0: there are no more.
    async fn forget(&self, before: UnixMillis) -> Result<usize, StoreError>;
}

/// Something that a person did and that changed something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OperatorAction {
    /// Who: an account of the operating system, or `login@forge`.
    pub actor: String,
    /// What, in the command's words: `kill on`, `slots retry`.
    pub action: String,
    /// To which thing, such as a slot's key; empty if there is but one.
    pub target: String,
    /// Whatever else belongs to it, one line.
    pub detail: String,
}

impl OperatorAction {
    /// An act, each part one visible line within its bound.
    pub fn new(actor: &str, action: &str, target: &str, detail: &str) -> Self {
        Self {
            actor: clean(actor, MAX_NAME),
            action: clean(action, MAX_NAME),
            target: clean(target, MAX_TEXT),
            detail: clean(detail, MAX_TEXT),
        }
    }
}

/// A line of the audit log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditEntry {
    /// When.
    pub at: UnixMillis,
    /// What.
    pub act: OperatorAction,
}

/// What a notice is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoticeKind {
    /// The kill switch was turned.
    KillSwitch,
    /// A slot was parked.
    Parked,
    /// A part of a budget is spent.
    Budget,
}

impl NoticeKind {
    /// The word used in the file and in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KillSwitch => "kill_switch",
            Self::Parked => "parked",
            Self::Budget => "budget",
        }
    }
}

/// Something to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewNotice {
    /// What it is about.
    pub kind: NoticeKind,
    /// Which thing; empty if there is but one.
    pub key: String,
    /// The period in which it is told once, such as a day.
    pub period: String,
    /// One line for people.
    pub text: String,
}

impl NewNotice {
    /// A notice, its text one visible line within its bound.
    pub fn new(kind: NoticeKind, key: &str, period: &str, text: &str) -> Self {
        Self { kind, key: key.into(), period: period.into(), text: clean(text, MAX_TEXT) }
    }
}

/// A notice that is still to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingNotice {
    /// Its number; later ones have greater ones.
    pub id: i64,
    /// The word of its [`NoticeKind`].
    pub kind: String,
    /// When it was wanted.
    pub created: UnixMillis,
    /// One line for people.
    pub text: String,
}
